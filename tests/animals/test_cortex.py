"""Places of cells: distances, density, later days, stacks."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from inception_loop.animals.cortex import (
    CortexConfig,
    later_day,
    place_cells,
    stack_table,
    unit_tables,
)
from inception_loop.errors import ConfigurationError

CONFIG = CortexConfig()


@pytest.fixture(scope="module")
def places():
    return place_cells(420, CONFIG, np.random.default_rng(1))


def test_somata_keep_their_distance_and_lie_in_their_slabs(places):
    nearest = cKDTree(places.xyz).query(places.xyz, k=2)[0][:, 1]
    assert nearest.min() >= CONFIG.apart_um
    depth = np.array(CONFIG.depths_um)[places.field - 1]
    assert np.abs(places.xyz[:, 2] - depth).max() <= CONFIG.slab_um / 2
    assert np.abs(places.xyz[:, :2]).max() <= CONFIG.field_um / 2


def test_every_field_holds_its_share_and_none_is_too_dense(places):
    counts = np.bincount(places.field)[1:]
    np.testing.assert_allclose(counts / 420, CONFIG.depth_shares, atol=0.07)
    assert counts.max() / (CONFIG.field_um**2 * CONFIG.slab_um * 1e-9) < 40_000


def test_too_many_cells_for_the_tissue_are_refused():
    with pytest.raises(ConfigurationError, match="expected at most 40000: enlarge field_um"):
        place_cells(2000, CONFIG, np.random.default_rng(1))
    with pytest.raises(ConfigurationError, match="one share a depth"):
        place_cells(9, CortexConfig(depth_shares=(1.0,)), np.random.default_rng(1))


def test_known_horizontal_places_are_kept(places):
    xy = np.random.default_rng(2).uniform(-100, 100, (50, 2))
    np.testing.assert_array_equal(place_cells(50, CONFIG, np.random.default_rng(1), xy=xy).xyz[:, :2], xy)


def test_new_cells_keep_clear_of_the_old(places):
    fresh = place_cells(60, CONFIG, np.random.default_rng(5), taken=places)
    assert cKDTree(places.xyz).query(fresh.xyz)[0].min() >= CONFIG.apart_um


def test_a_later_day_misses_a_tenth_and_jitters_the_rest(places):
    kept, moved = later_day(places, CONFIG, seed=1, day=2)
    assert len(kept) == 378
    step = moved.xyz - places.xyz[kept]
    np.testing.assert_allclose(step.std(axis=0), CONFIG.jitter_um, rtol=0.12)
    np.testing.assert_allclose(step.mean(axis=0), 0, atol=0.5)
    assert (later_day(places, CONFIG, seed=1, day=3)[0] != kept).any()


def test_a_stack_keeps_distances_and_stays_itself_on_other_days(places):
    unit_id = np.arange(len(places.field)) + 10
    first, later = (stack_table(places, unit_id, CONFIG, seed=3, day=day) for day in (0, 1))
    assert sorted(first["stack_session"].unique()) == [101, 102]
    for stack in (101, 102):
        a, b = (
            table.filter(stack_session=stack).select("stack_x", "stack_y", "stack_z").to_numpy()
            for table in (first, later)
        )
        noise = np.sqrt(2) * np.sqrt(2) * CONFIG.registration_um  # field and mask, on both days
        assert (a - b).std() == pytest.approx(noise, rel=0.25)
        pair = np.linalg.norm(a[:200] - a[200:400], axis=1)
        np.testing.assert_allclose(
            pair, np.linalg.norm(places.xyz[:200] - places.xyz[200:400], axis=1), atol=5
        )
    both = [first.filter(stack_session=s)["stack_x"].to_numpy() for s in (101, 102)]
    assert abs(both[0] - both[1]).max() > 20


def test_the_scanner_reaches_later_fields_and_rows_later_within_a_frame(places):
    units, fields = unit_tables(
        places, np.ones(420, dtype=bool), np.arange(420), CONFIG, 0.1, np.array([5.0, -3.0, 1.0])
    )
    delay = units["ms_delay"].to_numpy()
    assert delay.min() >= 0
    assert delay.max() < 100
    order = np.lexsort([units["px_y"].to_numpy(), units["field"].to_numpy()])
    assert (np.diff(delay[order]) >= 0).all()
    np.testing.assert_allclose(units["um_x"].to_numpy() - 5, places.xyz[:, 0])
    center = dict(zip(fields["field"], fields["x"], strict=True))
    half = CONFIG.field_um / 2
    for row in units.sample(20, seed=1).iter_rows(named=True):
        left = center[row["field"]] - half
        assert row["px_x"] / 255 * CONFIG.field_um == pytest.approx(row["um_x"] - left, abs=1e-6)


def test_layers_follow_depth_and_a_strip_is_another_area(places):
    units, _ = unit_tables(places, np.ones(420, dtype=bool), np.arange(420), CONFIG, 0.1, np.zeros(3))
    by_field = dict(zip(units["field"], units["layer"], strict=True))
    assert by_field == {1: "L1", 2: "L2/3", 3: "L2/3", 4: "L2/3", 5: "L4"}
    lateral = units.filter(brain_area="LM")
    assert 0.05 < lateral.height / 420 < 0.2
    assert lateral["um_x"].min() > units.filter(brain_area="V1")["um_x"].max()


def test_some_cells_lie_near_the_border(places):
    border = CONFIG.field_um / 2 - np.abs(places.xyz[:, :2]).max(axis=1)
    assert 0.03 < (border < 10).mean() < 0.2
