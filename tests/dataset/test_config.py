from __future__ import annotations

from itertools import product

import pytest
from pydantic import ValidationError

from inception_loop.artifacts.identity import canonical_json
from inception_loop.dataset.config import (
    AreaPolygon,
    AreaRules,
    CorrectedAreaLayer,
    DatasetConfig,
    LostData,
    Tiers,
)


def test_options_added_later_leave_the_canonical_form_as_it_was():
    assert canonical_json(DatasetConfig(group_id=1)) == '{"group_id":1}'
    assert canonical_json(Tiers()) == canonical_json(AreaRules()) == canonical_json(LostData()) == "{}"


def test_a_polygon_needs_three_corners_that_enclose_something_in_order():
    with pytest.raises(ValidationError, match="at least 3"):
        AreaPolygon(brain_area="V1", corners=((0, 0), (1, 1)))
    with pytest.raises(ValidationError, match="encloses nothing"):
        AreaPolygon(brain_area="V1", corners=((0, 0), (1, 1), (2, 2)))
    with pytest.raises(ValidationError, match="cross"):
        AreaPolygon(brain_area="V1", corners=((0, 0), (1, 1), (1, 0), (0, 1)))
    with pytest.raises(ValidationError, match="finite"):
        AreaPolygon(brain_area="V1", corners=((0, 0), (1, float("nan")), (1, 0)))


def test_fill_is_the_product_of_all_choices():
    layers, areas = ["L2/3", "L4", "all"], ["V1", ("LM", "AL")]
    configs = CorrectedAreaLayer.fill(layers, areas)
    got = {
        (c.stimulus_type, c.exclude, c.normalize, c.normalize_per_image, c.layer, c.brain_area)
        for c in configs
    }
    truth = (True, False)
    excluded = [(), ("images", "responses")]
    frames = ["stimulus.Frame", "~stimulus.Frame"]
    assert got == set(product(frames, excluded, truth, truth, layers, areas))
    assert len(configs) == len(got) == 2 * 2 * 2 * 2 * 3 * 2
    assert {c.stats_source for c in configs} == {"all"}
    assert len({canonical_json(c) for c in configs}) == len(configs)


def test_the_default_configuration_is_among_those_filled():
    assert CorrectedAreaLayer() in CorrectedAreaLayer.fill(["L2/3"], ["all"])


def test_fill_can_be_narrowed_to_still_images():
    configs = CorrectedAreaLayer.fill(["L4"], ["V1"], ["stimulus.Frame"])
    assert len(configs) == 8
    assert {c.stimulus_type for c in configs} == {"stimulus.Frame"}


def test_synthesised_images_cannot_be_named_natural():
    with pytest.raises(ValidationError, match="images of class gabor are synthesised"):
        Tiers(natural_classes=("imagenet", "gabor"))
