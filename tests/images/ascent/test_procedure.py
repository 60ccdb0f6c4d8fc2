"""The presets say what the paper says, and the fast one arrives where the published one does."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from inception_loop.images.ascent.ascend import ascend
from inception_loop.images.ascent.constraints import AtMostContrast, FixedContrastInRange, GreyRange
from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.ascent.procedure import Fast, Procedure, PublishedBlur, PublishedContrast
from inception_loop.images.ascent.recipe import recipe
from inception_loop.images.ascent.synthesis import synthesize
from inception_loop.images.contrast import match_contrast, rms_contrast


def test_the_first_and_last_steps_are_the_published_ones():
    # formulas.md 9: a mean absolute change of step · gain / 255 in units of the training std
    step = recipe(PublishedBlur(), 110.0, 50.0).schedule.step
    gradient = torch.randn(2, 36, 64)
    for progress, size in ((0.0, 1.18e-3), (1.0, 4.9e-5)):
        change = step(gradient, progress).abs().mean((1, 2)) / 50.0
        assert torch.allclose(change, torch.tensor(size), rtol=0.01)


def test_variant_one_blurs_in_the_grey_range_and_never_stops_early():
    made = recipe(PublishedBlur(), 110.0, 50.0)
    assert made.constraint == GreyRange(0, 255)
    assert (made.schedule.iterations, made.schedule.patience, made.schedule.present) == (1000, None, None)
    assert (made.schedule.blur.sigma.start, made.schedule.blur.sigma.end) == (1.5, 0.01)


def test_variant_two_shows_a_contrast_of_at_most_eleven():
    made = recipe(PublishedContrast(), 110.0, 50.0)
    assert made.schedule.present == AtMostContrast(11.0, 110.0)
    assert made.schedule.blur is None


def test_the_fast_preset_takes_its_mean_from_the_training_pixels_unless_told():
    assert recipe(Fast(contrast=7.0), 110.0, 50.0).constraint == FixedContrastInRange(110.0, 7.0)
    assert recipe(Fast(mean=90.0), 110.0, 50.0).constraint.mean == 90.0


def test_a_procedure_is_known_by_its_type():
    read = TypeAdapter(Procedure).validate_python
    assert read({"type": "fast", "contrast": 7}) == Fast(contrast=7.0)
    assert read({"type": "published_contrast"}) == PublishedContrast()
    with pytest.raises(ValidationError, match="blur_start"):
        read({"type": "fast", "blur_start": 1})


def test_the_fast_preset_reaches_the_activation_of_the_published_one_in_a_tenth_of_the_steps(energy_cells):
    def climb(procedure):
        return synthesize(
            unit_objective(energy_cells, range(3)),
            ["0", "1", "2"],
            procedure,
            seed=1,
            image_mean=110.0,
            image_std=50.0,
            image_size=(36, 64),
        )

    fast, published = climb(Fast()), climb(PublishedBlur())
    equal = match_contrast(published.images, 110.0, 8.0)
    reached = unit_objective(energy_cells, range(3))(equal, torch.arange(3))
    assert (fast.scores / reached).min() > 0.99
    assert fast.iterations.max() <= 100
    assert torch.allclose(rms_contrast(fast.images), torch.tensor(8.0), rtol=1e-4)


@pytest.mark.parametrize(
    "procedure", [PublishedBlur(iterations=30), PublishedContrast(iterations=30), Fast()]
)
def test_every_preset_stays_in_the_grey_range_and_climbs(ln_cells, noise, procedure):
    made = recipe(procedure, 110.0, 50.0)
    found = ascend(unit_objective(ln_cells, range(4)), noise(4), made.constraint, made.schedule)
    assert found.images.min() >= 0
    assert found.images.max() <= 255
    assert (found.scores.numpy() > found.history[0]).all()
