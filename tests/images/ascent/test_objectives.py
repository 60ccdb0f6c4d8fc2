"""The most inhibiting image is the known one, and what lies below an activation of 0 is not made up."""

import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.ascent.objectives import LeastSimilar, inhibiting, unit_objective
from inception_loop.images.ascent.procedure import Fast, PublishedBlur
from inception_loop.images.mei import MEI, MeiConfig, make_mei, synthesize_meis

SHARP = Fast(smoothing=0.0)


def test_the_most_inhibiting_image_of_a_linear_unit_is_the_negative_of_its_filter(linear_cells, even, cosine):
    found = synthesize_meis(linear_cells, range(4), procedure=SHARP, objective="inhibiting", gains=2).ascent
    assert cosine(found.images, -even[:4]).min() > 0.99
    assert (found.scores > 0).all()  # minus the activation


@pytest.mark.parametrize("output", [lambda d: torch.nn.functional.elu(d) + 1, torch.nn.functional.softplus])
def test_outputs_that_fall_for_ever_show_the_lowest_drive(model_of, even, cosine, output):
    cells = model_of(lambda x, u: output(((x - 110) * even[u]).sum((1, 2)) / 40))
    found = synthesize_meis(cells, range(4), procedure=SHARP, objective="inhibiting", gains=2).ascent
    assert cosine(found.images, -even[:4]).min() > 0.99
    assert set(found.reasons) == {"converged"}


def test_an_output_that_is_cut_off_ends_at_zero_and_says_so(store, models, networks, model_of, even, target):
    cells = model_of(lambda x, u: (((x - 110) * even[u]).sum((1, 2)) + 100).clamp(min=0))
    config = MeiConfig(**target, objective="inhibiting", judging={"gains": 2, "reach": 0})
    ref = make_mei(store, config, networks=networks(models, cells)).ref
    table = store.table(ref, "mei")
    assert table["activation"].to_list() == [0, 0, 0]
    assert table["stop_reason"].to_list() == ["zero_gradient"] * 3
    assert table.select("monotonic", "max_activation", "max_contrast").null_count().row(0) == (3, 3, 3)
    assert table["sat_contrast"].null_count() == 0
    assert store.manifest(ref).findings["silenced_units"] == 3


def test_a_unit_that_is_silent_from_the_start_is_refused_in_one_line(model_of, even):
    cells = model_of(lambda x, u: (((x - 110) * even[u]).sum((1, 2)) + 500 - 5000 * (u == 1)).clamp(min=0))
    with pytest.raises(DataError, match=r"noise: 1 \(zero_gradient at an activation of 0.*\); expected"):
        synthesize_meis(cells, [0, 1], objective="inhibiting", gains=2)


def test_the_default_objective_is_no_part_of_the_question(store, models, target):
    plain, other = MeiConfig(**target), MeiConfig(**target, objective="inhibiting")
    ask = {"model": models}
    assert store.ref(MEI, plain, ask) == store.ref(MEI, MeiConfig(**target, objective="exciting"), ask)
    assert store.ref(MEI, plain, ask) != store.ref(MEI, other, ask)


def test_inhibiting_works_by_the_published_procedure_too(linear_cells, noise):
    procedure = PublishedBlur(iterations=20)
    low, high = (
        synthesize_meis(linear_cells, [3], procedure=procedure, objective=o, gains=2).ascent
        for o in ("inhibiting", "exciting")
    )
    activation = unit_objective(linear_cells, [3])(noise(1), torch.tensor([0]))
    assert -low.scores < activation < high.scores
    lowered = inhibiting(unit_objective(linear_cells, [3]))(low.images, torch.tensor([0]))
    assert torch.equal(lowered, low.scores)


def test_falling_short_costs_the_square_of_the_missing_share():
    def brightness(images, rows):
        return images.mean((1, 2))

    bright = torch.tensor([[[[4.0, 6.0]], [[7.0, 3.0]]]])  # activations 5 and 5, correlation −1
    objective = LeastSimilar(brightness, torch.tensor([10.0]), level=0.8)
    assert objective(bright, torch.tensor([0])).item() == pytest.approx(1 - 100 * 2 * 0.3**2)
