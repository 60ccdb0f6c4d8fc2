"""Masks of pictures whose outline, hull and moments are known, and what they keep of a closed-form cell."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.errors import DataError
from inception_loop.images.masks.shapes import convex_hulls, eroded, masked, softened, without_small_blobs
from inception_loop.images.masks.tight import PARAMETER_SETS, TightRule, tight_hulls, tight_masks
from inception_loop.images.masks.whole import OutlineRule, gaussian_masks, mei_masks

GREY = 110.0
SHARP = TightRule(filter_sigma=0, target_reduction_ratio=0.5)


def disc(x, y, radius, shape=(36, 64)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def picture(*outlines, high=40.0):
    return torch.from_numpy(GREY + high * np.any(outlines, axis=0)).float()[None]


@pytest.fixture
def disc_cell():
    """Sums the brightness over grey inside a disc of radius 8 px about (30, 17)."""
    field = torch.from_numpy(disc(30, 17, 8)).float()
    return lambda x, rows: ((x - x.mean((1, 2), keepdim=True)) * field).sum((1, 2))


def test_the_published_sets_by_number():
    values = [(s.stdev_size_thr, s.filter_sigma, s.target_reduction_ratio) for s in PARAMETER_SETS]
    assert values == [(1, 1, 0.9), (1, 1, 0.95), (1, 2, 0.9), (0.8, 1, 0.9), (1, 3, 0.9)]


def test_the_hull_of_a_disc_is_the_disc_and_of_an_l_the_triangle():
    hull = tight_hulls(picture(disc(30, 17, 8)), 1.0, ["a"])[0].numpy()
    assert (hull >= disc(30, 17, 8)).all()
    assert (hull <= disc(30, 17, 8.5)).all()  # of pixels, which have an extent
    corner = np.zeros((1, 12, 12), bool)
    corner[0, 1:11, 1] = corner[0, 10, 1:11] = True
    rows, columns = np.mgrid[:12, :12]
    triangle = (columns >= 1) & (rows <= 10) & (rows - columns >= 0)
    hull = convex_hulls(corner, ["a"])[0]
    assert (hull >= triangle).all()  # pixel corners count, so a pixel cut in half may belong to it
    assert not hull[rows - columns < -1].any()
    assert hull.sum() <= triangle.sum() + 11


def test_the_hull_of_two_blobs_spans_both():
    apart = disc(12, 10, 4), disc(40, 22, 4)
    hull = tight_hulls(picture(*apart), 1.0, ["a"])[0].numpy()
    assert hull[apart[0] | apart[1]].all()
    assert hull[16, 26]  # halfway between the centres
    assert not hull[28:, :30].any()


def test_small_blobs_go_and_corners_do_not_connect():
    outline = np.zeros((1, 8, 8), bool)
    outline[0, :2, :2] = outline[0, 2:4, 2:5] = True  # touch at a corner only
    assert np.array_equal(without_small_blobs(outline, 4), outline)
    assert without_small_blobs(outline, 5).sum() == 6
    assert not without_small_blobs(outline, 7).any()


def test_the_mask_is_eroded_until_a_closed_form_cell_falls_to_the_ratio(disc_cell):
    image = picture(disc(30, 17, 8))
    found = tight_masks(disc_cell, image, SHARP, names=["a"])
    hull = tight_hulls(image, 1.0, ["a"])
    kept = []
    while hull.any():
        kept.append(disc_cell(masked(image, hull.float()), None).item())
        hull = eroded(hull)
    ratios = np.array(kept) / kept[0]
    last = np.flatnonzero(ratios >= 0.5)[-1]
    assert found.erosions[0] == last > 0
    assert found.achieved_ratio[0] == pytest.approx(ratios[last])
    assert found.next_ratio[0] == pytest.approx(ratios[last + 1])
    assert found.next_ratio[0] < 0.5 <= found.achieved_ratio[0]
    assert found.reasons == ("ratio",)
    assert found.activation[0] == pytest.approx(disc_cell(masked(image, found.masks), None).item())
    assert found.full_activation[0] == pytest.approx(disc_cell(image, None).item())


def test_first_below_is_the_mask_one_erosion_further(disc_cell):
    image = picture(disc(30, 17, 8))
    above, below = (
        tight_masks(disc_cell, image, SHARP, names=["a"], keep=keep) for keep in ("last_above", "first_below")
    )
    assert below.erosions[0] == above.erosions[0] + 1
    assert below.achieved_ratio[0] == pytest.approx(above.next_ratio[0])
    assert torch.equal(below.masks[0].bool(), eroded(above.masks.bool())[0])


def test_a_cell_that_no_erosion_hurts_keeps_the_last_mask_that_covers_something():
    image = picture(disc(30, 17, 8))
    found = tight_masks(lambda x, rows: x[:, 17, 30], image, SHARP, names=["a"])
    assert found.reasons == ("vanished",)
    assert found.masks[0].sum() >= 1
    assert not eroded(found.masks.bool()).any()
    limited = tight_masks(lambda x, rows: x[:, 17, 30], image, SHARP, names=["a"], max_erosions=2)
    assert (limited.reasons, limited.erosions.tolist()) == (("limit",), [2])


def test_all_units_go_in_one_pass_an_erosion_and_each_has_the_mask_it_has_alone(disc_cell):
    images = torch.cat([picture(disc(30, 17, r)) for r in (4, 8, 13)])
    calls = []

    def counted(x, rows):
        calls.append(rows.tolist())
        return disc_cell(x, rows)

    names = ["a", "b", "c"]
    together = tight_masks(counted, images, PARAMETER_SETS[0], names=names)
    assert calls[:3] == [[0, 1, 2]] * 3  # in full, masked, eroded once
    assert len(calls) == 3 + together.erosions.max()  # the last pass is the one that went below
    for row in range(3):
        alone = tight_masks(disc_cell, images[row : row + 1], PARAMETER_SETS[0], names=names[:1])
        assert torch.equal(alone.masks[0], together.masks[row])
        assert alone.activation[0] == pytest.approx(together.activation[row])


@pytest.mark.parametrize("axis", [1, 2])
def test_flipping_the_picture_flips_every_mask(axis, disc_cell):
    image = picture(disc(26, 15, 5), disc(36, 20, 3))
    mirrored = image.flip(axis)

    def flipped_cell(x, rows):
        return disc_cell(x.flip(axis), rows)

    tight = [
        tight_masks(cell, x, PARAMETER_SETS[2], names=["a"]).masks
        for cell, x in ((disc_cell, image), (flipped_cell, mirrored))
    ]
    outline = [mei_masks(x, OutlineRule(), names=["a"]) for x in (image, mirrored)]
    gauss = [gaussian_masks(x, names=["a"])[0] for x in (image, mirrored)]
    for one, other in (tight, outline, gauss):
        assert torch.allclose(one.flip(axis), other, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sigma=st.sampled_from([0.0, 1.0, 3.0]))
def test_masks_shrink_with_every_erosion_and_stay_between_0_and_1(seed, sigma):
    rng = np.random.default_rng(seed)
    hull = torch.from_numpy(disc(rng.uniform(0, 24), rng.uniform(0, 16), rng.uniform(1, 12), (16, 24)))[None]
    mask = softened(hull, sigma)
    while hull.any():
        hull = eroded(hull)
        smaller = softened(hull, sigma)
        assert (smaller <= mask + 1e-6).all()
        assert 0 <= smaller.min() <= smaller.max() <= 1
        mask = smaller


def test_a_shape_that_fills_the_screen_erodes_from_its_border_inwards():
    assert int(eroded(torch.ones(1, 5, 7, dtype=torch.bool)).sum()) == 15


def test_the_mask_of_all_that_stands_out_has_a_margin_and_no_small_blob():
    image = picture(disc(30, 17, 8), disc(5, 5, 2))
    mask = mei_masks(image, OutlineRule(), names=["a"])[0]
    assert mask[17, 30] == pytest.approx(1.0, abs=1e-4)
    assert mask[5, 5] < 1e-3
    half = float((mask > 0.5).sum())
    assert 8 < np.sqrt(half / np.pi) < 11  # grown, by about half a σ of 3 px
    assert 0.05 < mask[17, 30 + 11] < 0.5


def test_the_moments_of_a_gaussian_blob_are_exact():
    y, x = np.mgrid[:36, :64]
    covariance = np.array([[18.0, 6.0], [6.0, 10.0]])
    delta = np.stack([x - 30.25, y - 17.5], -1)
    distance = np.einsum("hwi,ij,hwj->hw", delta, np.linalg.inv(covariance), delta)
    carrier = np.where((x + y) % 2, 1.0, -1.0)  # so that the mean of the picture is its grey
    image = torch.from_numpy(GREY + 60 * carrier * np.exp(-distance / 2))[None]
    masks, moments = gaussian_masks(image, names=["a"])
    assert moments.center[0].numpy() == pytest.approx([30.25, 17.5], abs=1e-4)
    assert moments.covariance[0].numpy() == pytest.approx(covariance / 2, rel=1e-3)  # that of the square
    assert masks[0].numpy() == pytest.approx(np.exp(-distance * 2 * 1.875 / 4), abs=1e-3)


def test_masking_keeps_the_inside_and_puts_the_mean_outside():
    image = picture(disc(30, 17, 8))
    shown = masked(image, torch.from_numpy(disc(30, 17, 3)).float()[None])
    assert torch.allclose(shown[0][torch.from_numpy(disc(30, 17, 3))], torch.tensor(150.0))
    assert torch.allclose(shown[0, 0], image.mean())


def test_a_mask_that_covers_nothing_names_its_unit():
    images = torch.cat([picture(disc(30, 17, 8)), torch.full((2, 36, 64), 77.7)])
    names = ["a/1", "a/2", "a/3"]
    message = r"^the mask covers nothing, .*: a/2, a/3; .* leave them out or lower"
    with pytest.raises(DataError, match=message):
        tight_masks(lambda x, rows: x[:, 0, 0], images, PARAMETER_SETS[0], names=names)
    with pytest.raises(DataError, match=message):
        mei_masks(images, OutlineRule(), names=names)
    with pytest.raises(DataError, match=message):
        gaussian_masks(images, names=names)
    with pytest.raises(DataError, match="covers nothing"):  # the blob is too small
        mei_masks(picture(disc(30, 17, 3)), OutlineRule(), names=["a"])


def test_power_on_a_line_and_a_picture_that_does_not_excite_are_refused():
    line = torch.zeros(1, 9, 9)
    line[0, 4, 2:7] = torch.tensor([1.0, -1.0, 0.0, 1.0, -1.0])
    with pytest.raises(DataError, match="power of the picture lies on a line or a point: a; "):
        gaussian_masks(line, names=["a"])
    with pytest.raises(DataError, match=r"does not excite its unit: b \(-3\); "):
        tight_masks(
            lambda x, rows: torch.tensor([1.0, -3.0])[rows],
            picture(disc(30, 17, 8)).repeat(2, 1, 1),
            SHARP,
            names=["a", "b"],
        )
