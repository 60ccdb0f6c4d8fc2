"""The centre stays, and the surround becomes what is known to excite or suppress."""

import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.surround import surround_images

SHARP = Fast(smoothing=0.0)


@pytest.fixture
def mask():
    """Soft disc of radius 9 px about the image's middle, and its place for two units."""
    y, x = torch.meshgrid(torch.arange(36.0), torch.arange(64.0), indexing="ij")
    distance = ((x - 32) ** 2 + (y - 18) ** 2).sqrt()
    return torch.sigmoid(2 * (9 - distance)).round(decimals=3).expand(2, -1, -1)


@pytest.fixture
def cells(model_of, even, odd, mask):
    """Cells excited by one filter in the middle and suppressed by the strength of another around it."""
    ring = odd[:2].roll(20, -1) * (1 - mask)
    ring = ring / ring.square().sum((1, 2), keepdim=True).sqrt()

    def drive(x, u):
        inside, outside = (((x - 110) * f[u]).sum((1, 2)) for f in (even, ring))
        return torch.nn.functional.elu(inside / 100 - outside / 50) + 1

    return model_of(drive), even[:2] / 100 - ring / 50


@pytest.mark.parametrize(("wanted", "sign"), [("exciting", 1), ("inhibiting", -1)])
def test_the_surround_is_the_filter_around_the_centre(cells, even, mask, cosine, wanted, sign):
    model, gradient = cells
    centre = 110 + even[:2] * 8 * 48
    found = surround_images(model, [0, 1], centre, mask, wanted=wanted, procedure=SHARP)
    assert cosine(found.surround, sign * gradient * (1 - mask)).min() > 0.98
    assert (sign * found.change > 0).all()
    both = model.paired(found.ascent.images, torch.arange(2))
    alone = model.paired(110 + mask * (centre - 110), torch.arange(2))
    assert torch.allclose(found.activation, both)
    assert torch.allclose(found.centre_activation, alone)
    assert torch.allclose(found.change, both / alone - 1)


def test_the_centre_stays_as_it_is_and_the_surround_has_its_contrast(cells, even, mask):
    centre = 110 + even[:2] * 8 * 48
    found = surround_images(cells[0], [0, 1], centre, mask, procedure=Fast(contrast=6.0))
    inside = mask == 1
    assert inside.sum() > 20
    assert torch.equal(found.ascent.images[inside], centre[inside])
    around, shows = found.surround - 110, mask < 1
    latent = torch.where(shows, around / torch.where(shows, 1 - mask, 1.0), 0.0)
    power = ((1 - mask) * latent.square()).sum((1, 2)) / (1 - mask).sum((1, 2))
    assert torch.allclose(power.sqrt(), torch.tensor(6.0), rtol=1e-2)
    assert torch.allclose(around.sum((1, 2)), torch.zeros(2), atol=0.5)
    assert torch.allclose(found.centre + found.surround - 110, found.ascent.images, atol=1e-4)


def test_a_units_surround_does_not_depend_on_who_shares_its_batch(cells, even, mask):
    centre = 110 + even[:2] * 8 * 48
    both = surround_images(cells[0], [0, 1], centre, mask, keys=["a", "b"])
    alone = surround_images(cells[0], [1], centre[1:], mask[1:], keys=["b"])
    assert torch.equal(both.ascent.images[1], alone.ascent.images[0])


@pytest.mark.parametrize(("value", "what"), [(0.0, "nothing"), (1.0, "the whole image")])
def test_a_mask_without_centre_or_surround_is_refused(cells, mask, value, what):
    bad = mask.clone()
    bad[1] = value
    with pytest.raises(DataError, match=rf"the mask covers {what}: b; expected"):
        surround_images(cells[0], [0, 1], torch.full((2, 36, 64), 110.0), bad, keys=["a", "b"])


def test_a_unit_that_is_blind_to_its_surround_is_refused(model_of, even, mask):
    inside = (mask[:1] == 1) * even[:1]
    blind = model_of(lambda x, u: (x * inside).sum((1, 2)))
    with pytest.raises(DataError, match="no gradient to follow"):
        surround_images(blind, [0], 110 + even[:1] * 8 * 48, mask[:1])
