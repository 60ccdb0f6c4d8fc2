import numpy as np
import pytest
import torch
from torch import nn

from inception_loop.errors import ConfigurationError
from inception_loop.training.pixel_model import OwnModel, content_digest


def linear(n=4, seed=0):
    weight = torch.randn(n, 3, 5, generator=torch.Generator().manual_seed(seed))
    return OwnModel(lambda x: torch.einsum("bhw,nhw->bn", x, weight), 110.0, 50.0, (3, 5)), weight


def test_units_are_columns_and_pairs_the_diagonal():
    model, weight = linear()
    pixels, units = torch.rand(3, 3, 5) * 255, torch.tensor([3, 0, 0])
    torch.testing.assert_close(model(pixels, units), torch.einsum("bhw,nhw->bn", pixels, weight)[:, units])
    torch.testing.assert_close(model.paired(pixels, units), model(pixels, units).diagonal())


def test_gradients_reach_the_pixels_through_pairs():
    model, weight = linear()
    pixels = torch.rand(2, 3, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.paired(pixels, torch.tensor([2, 1])).sum(), pixels)
    torch.testing.assert_close(gradient, weight[[2, 1]])


def test_a_module_is_evaluated_not_trained():
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(15, 2)).train()
    model = OwnModel(module, 0.0, 1.0, (3, 5))
    pixels = torch.rand(4, 3, 5)
    assert torch.equal(model.all_units(pixels), model.all_units(pixels))


@pytest.mark.parametrize(
    ("activate", "got"),
    [
        (lambda x: x, r"shape \(2, 3, 5\)"),
        (lambda x: x.flatten(1).T, r"shape \(15, 2\)"),
        (lambda x: x.flatten(1).numpy(), "ndarray"),
    ],
)
def test_anything_but_an_activation_an_image_and_unit_is_refused(activate, got):
    with pytest.raises(ConfigurationError, match=rf"made {got} of 2 images; expected a tensor \(2, units\)"):
        OwnModel(activate, 0.0, 1.0, (3, 5)).all_units(torch.ones(2, 3, 5))


def test_a_digest_is_of_names_shapes_types_values_and_version(tmp_path):
    weights = {"a": np.arange(6.0), "b": np.zeros(2, np.float32)}
    changed = [
        {"a": weights["a"], "c": weights["b"]},
        {"a": weights["a"].reshape(2, 3), "b": weights["b"]},
        {"a": weights["a"].astype(np.float32), "b": weights["b"]},
        {"a": weights["a"] + 1e-12, "b": weights["b"]},
    ]
    assert content_digest(dict(reversed(weights.items()))) == content_digest(weights)
    found = {content_digest(weights), content_digest(weights, version="2"), *map(content_digest, changed)}
    assert len(found) == 6
    file = tmp_path / "weights.bin"
    file.write_bytes(b"abc")
    assert content_digest(file) == content_digest(b"abc")


def test_a_module_is_named_by_its_weights():
    torch.manual_seed(0)
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    assert content_digest(one) != content_digest(other)
    other.load_state_dict(one.state_dict())
    assert content_digest(one) == content_digest(other)


def test_a_modules_digest_is_that_of_its_arrays_and_numbers_that_numpy_lacks_have_one_too():
    module = nn.BatchNorm1d(3)  # with a count, which has no axis
    arrays = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    assert content_digest(module) == content_digest(arrays)
    half = nn.Linear(2, 2).bfloat16()
    found = content_digest(half)
    assert found == content_digest(half)
    with torch.no_grad():
        half.weight[0, 0] += 1
    assert content_digest(half) != found
    assert content_digest(half) != content_digest(half.float())
