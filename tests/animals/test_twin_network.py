"""The twin's network against a slow forward pass in plain numpy; files that are no twin."""

import io
import zipfile

import numpy as np
import pytest
import torch

from inception_loop.animals.twin_network import TwinNetwork, file_sha256
from inception_loop.errors import ConfigurationError


def slow_elu(x):
    return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)


def slow_conv(x, kernel, pad=0):
    """Correlate (I, H, W) with (O, I, k, k) in loops."""
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    k = kernel.shape[-1]
    height, width = x.shape[1] - k + 1, x.shape[2] - k + 1
    out = np.zeros((len(kernel), height, width))
    for row in range(height):
        for column in range(width):
            out[:, row, column] = np.tensordot(kernel, x[:, row : row + k, column : column + k], axes=3)
    return out


def slow_bilinear(grid, x, y):
    """Value of (C, H, W) at pixel (x, y), zeros outside."""
    out = np.zeros(len(grid))
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < grid.shape[1] and 0 <= column < grid.shape[2]:
                out += (1 - abs(row - y)) * (1 - abs(column - x)) * grid[:, row, column]
    return out


def slow_forward(net, image, cell, behavior=None, center=None):
    """Expected response of one cell to one z-scored image."""
    x = image[None]
    if behavior is not None:
        x = np.concatenate([x, [np.full(image.shape, b) for b in behavior]])
    x = slow_conv(x, net["conv0"])
    x = slow_elu(x * net["scale0"][:, None, None] + net["shift0"][:, None, None])
    for layer in (1, 2, 3):
        x = np.einsum("oi,ihw->ohw", net[f"mix{layer}a"], x)
        k = net[f"depth{layer}"].shape[-1]
        x = np.concatenate(
            [slow_conv(x[c : c + 1], net[f"depth{layer}"][c][None, None], k // 2) for c in range(len(x))]
        )
        x = np.einsum("oi,ihw->ohw", net[f"mix{layer}b"], x)
        x = slow_elu(x * net[f"scale{layer}"][:, None, None] + net[f"shift{layer}"][:, None, None])
    px, py = net["pos"][cell]
    if center is not None:
        s = np.asarray(center)
        for layer in range(3):
            s = np.tanh(net[f"shift_w{layer}"] @ s + net[f"shift_b{layer}"])
        px, py = px + s[0], py + s[1]
    height, width = x.shape[1:]
    v = slow_bilinear(x, (px + 1) / 2 * (width - 1), (py + 1) / 2 * (height - 1))
    return float(slow_elu(net["feat"][cell] @ v + net["bias"][cell]) + 1)


def test_the_image_network_is_the_slow_one(twin_file):
    path, net = twin_file("image")
    network = TwinNetwork(path)
    images = np.random.default_rng(1).normal(size=(2, 36, 64)).astype(np.float32)
    fast = network.readout(network.features(torch.from_numpy(images)[:, None]), np.array([5, 0, 7]))
    slow = [[slow_forward(net, image, cell) for cell in (5, 0, 7)] for image in images]
    np.testing.assert_allclose(fast, slow, rtol=1e-4)
    assert not network.has_behavior
    assert not network.has_eye


def test_the_network_with_behaviour_and_eye_is_the_slow_one(twin_file):
    path, net = twin_file("behavior")
    network = TwinNetwork(path)
    rng = np.random.default_rng(2)
    images = rng.normal(size=(2, 36, 64)).astype(np.float32)
    behavior, center = rng.normal(size=(2, 3)), rng.normal(size=(2, 2))
    features = network.features(torch.from_numpy(images)[:, None], torch.from_numpy(behavior).float())
    shift = network.shift(torch.from_numpy(center).float())
    fast = network.readout(features, np.array([3, 4]), shift)
    slow = [[slow_forward(net, images[k], cell, behavior[k], center[k]) for cell in (3, 4)] for k in range(2)]
    np.testing.assert_allclose(fast, slow, rtol=1e-4)
    still = network.shift(torch.zeros(1, 2)).numpy()
    assert np.abs(still).max() > 1e-3  # a shifter's rest need not be zero


def test_a_position_off_the_map_reads_zeros(twin_file):
    path, _ = twin_file("image", pos=np.full((12, 2), 3.0))
    network = TwinNetwork(path)
    features = network.features(torch.ones(1, 1, 36, 64))
    bias = np.load(path)["bias"]
    np.testing.assert_allclose(network.readout(features, np.arange(12))[0], slow_elu(bias) + 1, rtol=1e-5)


def test_the_hash_is_that_of_the_bytes(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    assert file_sha256(file).startswith("ba7816bf8f01cfea")
    with pytest.raises(ConfigurationError, match=r"cannot be read \(No such file"):
        file_sha256(tmp_path / "none.npz")


WRONG = {
    "feat": (np.zeros((12, 5)), r"member 'feat' has shape \(12, 5\); expected \(12, 6\)"),
    "pos": (np.zeros((0, 2)), r"member 'cortex_xy' has shape \(12, 2\); expected \(0, 2\)"),
    "conv0": (np.zeros((6, 2, 9, 9)), r"member 'conv0' has shape .*; expected \(channels, 1 or 4, k, k\)"),
    "depth2": (
        np.zeros((6, 4, 4)),
        r"member 'depth2' has shape \(6, 4, 4\); expected \(6, k, k\) with odd k",
    ),
    "bias": (np.full(12, np.nan), "member 'bias' holds NaN or infinity; expected finite numbers"),
    "scale3": (np.array(["a"] * 6), "member 'scale3' has type <U1; expected numbers"),
    "mix1a": (None, r"it has no member 'mix1a' \(it has .*\); expected every member"),
}


@pytest.mark.parametrize("member", WRONG)
def test_a_wrong_member_is_named_with_what_was_expected(twin_file, member):
    value, message = WRONG[member]
    path, _ = twin_file("image", **{member: value})
    with pytest.raises(ConfigurationError, match=message) as refused:
        TwinNetwork(path)
    assert "is no twin" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_shifter_of_another_form_is_refused(twin_file):
    path, _ = twin_file("behavior", shift_w1=np.zeros((4, 5)))
    with pytest.raises(ConfigurationError, match=r"'shift_w1' has shape \(4, 5\); expected \(5, 5\)"):
        TwinNetwork(path)


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    file = tmp_path / "twin.npz"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is no NPZ of plain arrays"):
        TwinNetwork(file)


def test_an_npy_or_a_pickled_array_is_refused(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ConfigurationError, match="is no NPZ of plain arrays"):
        TwinNetwork(tmp_path / "one.npy")
    np.savez(tmp_path / "objects.npz", conv0=np.array([object()], dtype=object))
    with pytest.raises(ConfigurationError, match="is no NPZ of plain arrays"):
        TwinNetwork(tmp_path / "objects.npz")


def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path):
    out = io.BytesIO()
    np.save(out, np.zeros((2**20, 100), np.uint8))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv0.npy", out.getvalue())
    with pytest.raises(ConfigurationError, match=r"claims to hold \d+ bytes in a file of \d+"):
        TwinNetwork(tmp_path / "bomb.npz")
