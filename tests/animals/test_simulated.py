"""The simulated animal: what it hands over agrees with its truth."""

from dataclasses import fields

import numpy as np
import polars as pl
import pytest
from scipy.spatial import cKDTree

from inception_loop.animals.cells import quadrature
from inception_loop.animals.session import NaturalSessionConfig, natural_session
from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey


def used(recording):
    """Trials that are not excluded."""
    return ~np.isin(
        recording.trials["trial_idx"].to_numpy(), recording.excluded_trials["trial_idx"].to_numpy()
    )


def test_every_kind_of_cell_has_its_share():
    kinds = SimulatedAnimal(SimulatedConfig(n_units=400)).cells.kind
    shares = {kind: (kinds == kind).mean() for kind in ("simple", "complex", "mixed", "unresponsive")}
    assert shares == {"simple": 0.2, "complex": 0.2, "mixed": 0.45, "unresponsive": 0.15}


def test_mixed_cells_fill_the_continuum_between_the_pure_ones(animal):
    complexity = animal.cells.complexity
    kind = animal.cells.kind
    assert (complexity[kind == "simple"] == 0).all()
    assert (complexity[kind == "complex"] == 1).all()
    assert np.isnan(complexity[kind == "unresponsive"]).all()
    mixed = np.sort(complexity[kind == "mixed"])
    assert np.diff(mixed).max() < 0.35
    assert 0 < mixed[0] < mixed[-1] < 1


def test_responses_read_from_the_traces_scatter_about_the_truth_with_the_noise_it_names(day, responses):
    recording, truth = day
    ok = used(recording)
    expected = truth.expected[ok]
    noise = truth.units["fano"].to_numpy() * expected
    z = (responses[ok] - expected) / np.sqrt(noise)
    assert abs(z.mean()) < 0.02
    assert z.var() == pytest.approx(1, abs=0.03)
    slope = (responses[ok] * expected).sum() / (expected**2).sum()
    assert slope == pytest.approx(1, abs=0.01)
    lag = (z[1:] * z[:-1]).mean()
    assert abs(lag) < 0.01


def test_the_excluded_trial_really_is_spoilt(day, responses):
    recording = day[0]
    assert recording.excluded_trials.height == 1
    bad = ~used(recording)
    assert responses[bad].mean() > 5 * responses[~bad].mean()


def test_units_of_the_truth_are_the_somata_in_ascending_order(day):
    recording, truth = day
    somata = recording.units.filter(mask_type="soma")["unit_id"].sort()
    assert truth.units["unit_id"].to_list() == somata.to_list()
    assert recording.units.height == 84
    assert truth.units["cell_id"].to_list() == list(range(80))


def test_the_conditional_mean_is_the_slow_formula_with_the_filters_moved_by_the_eye(day, animal, session):
    _, truth = day
    cells = animal.cells
    seen = session.images.reshape(-1, 36, 2, 64, 2).mean(axis=(2, 4))
    for t in (3, 77, 301):
        image = (seen[session.order[t]] - 128.0) / 50.0
        dx, dy = truth.shift_px[t]
        even, odd = quadrature(
            cells.rf_x + dx, cells.rf_y + dy, cells.wavelength, cells.orientation, cells.phase, cells.sigma
        )
        e, o = even @ image.ravel(), odd @ image.ravel()
        rectified = cells.softness * np.log1p(np.exp((e - cells.threshold) / cells.softness))
        drive = cells.simple * rectified + cells.complex * np.hypot(e, o)
        np.testing.assert_allclose(
            truth.expected[t], truth.gain[t] * (cells.baseline + drive), rtol=0.02, atol=0.02
        )


def test_the_log_gain_is_linear_in_pupil_and_running_and_one_on_average(day):
    _, truth = day
    log_gain = np.log(truth.gain)
    rank = np.linalg.svd(log_gain - log_gain.mean(axis=0), compute_uv=False)
    assert rank[2] < 1e-3 * rank[0]  # two behaviours, one line each
    assert truth.gain.mean() == pytest.approx(1, abs=0.1)
    assert 0.1 < np.median(log_gain.std(axis=0)) < 0.5


def test_the_eye_shifts_receptive_fields_by_a_pixel_or_so_within_its_limit(day, animal):
    _, truth = day
    assert (np.abs(truth.shift_px) < animal.config.shift_limit_px).all()
    np.testing.assert_allclose(truth.shift_px.std(axis=0), [0.9, 0.65], atol=0.3)


def test_driven_cells_have_about_as_much_signal_as_noise_and_the_others_none(day):
    _, truth = day
    ratio = (truth.units["signal_variance"] / truth.units["noise_variance"]).to_numpy()
    kind = truth.units["kind"].to_numpy()
    assert 0.5 < np.median(ratio[kind != "unresponsive"]) < 1.5
    assert np.percentile(ratio[kind != "unresponsive"], 5) > 0.2
    assert ratio[kind == "unresponsive"].max() < 0.01


def test_the_oracle_of_the_responses_is_what_signal_and_noise_predict(day, responses, session):
    from inception_loop.selection.recovery import expected_oracle

    _, truth = day
    y, o = [], []
    for row in session.repeated():
        block = responses[session.order == row]
        y.append(block)
        o.append((block.sum(axis=0) - block) / (len(block) - 1))
    y, o = np.concatenate(y), np.concatenate(o)
    driven = (truth.units["kind"] != "unresponsive").to_numpy()
    estimate = np.array([np.corrcoef(y[:, n], o[:, n])[0, 1] for n in np.flatnonzero(driven)])
    signal, noise = (truth.units[f"{name}_variance"].to_numpy()[driven] for name in ("signal", "noise"))
    expected = expected_oracle(signal, noise, np.full(20, 8))
    assert estimate.mean() == pytest.approx(expected.mean(), rel=0.06)
    assert np.corrcoef(estimate, expected)[0, 1] > 0.6


def test_truth_means_of_repeated_images_are_those_of_the_trials(day, session):
    _, truth = day
    assert len(truth.image_hash) == 20
    recorded = session.conditions["condition_hash"].to_list()
    for i, name in enumerate(truth.image_hash):
        trials = session.order == recorded.index(name)
        assert np.corrcoef(truth.expected[trials].mean(axis=0), truth.image_mean[i])[0, 1] > 0.95


def test_responding_is_the_conditional_mean_without_eye_and_behaviour(animal, day):
    rng = np.random.default_rng(1)
    images = rng.uniform(0, 255, (4, 36, 64)).astype(np.float32)
    response = animal.respond(images)
    rebuilt = day[1].cells().response(((images - 128) / 50).reshape(4, -1))
    np.testing.assert_allclose(response, rebuilt, rtol=1e-5)
    grey = animal.respond(np.full((1, 36, 64), 200.0, dtype=np.float32))  # the filters have no mean
    np.testing.assert_allclose(grey, animal.respond(np.full((1, 36, 64), 128.0, dtype=np.float32)), rtol=1e-3)


def test_the_best_image_attains_the_maximum_and_no_photograph_of_that_norm_does(animal, day):
    _, truth = day
    driven = np.flatnonzero(animal.cells.kind != "unresponsive")
    norm = 400.0
    best = animal.respond((128 + norm * truth.best_image).astype(np.float32))
    own = best[np.arange(80), np.arange(80)]
    np.testing.assert_allclose(own[driven], animal.maximum(norm)[driven], rtol=1e-3)
    photo = natural_session(NaturalSessionConfig(n_train=200, n_repeated=0)).images
    seen = photo.reshape(-1, 36, 2, 64, 2).mean(axis=(2, 4)) - 128
    scaled = 128 + norm * seen / np.linalg.norm(seen, axis=(1, 2), keepdims=True)
    assert (
        animal.respond(scaled.astype(np.float32)).max(axis=0)[driven] < animal.maximum(norm)[driven]
    ).all()


def test_the_same_configuration_records_the_same_day_and_another_seed_another(session):
    short = natural_session(NaturalSessionConfig(n_train=10, n_repeated=2, repeats=2))
    config = SimulatedConfig(n_units=12, seed=7)
    (a, truth_a), (b, truth_b) = (SimulatedAnimal(config).record(short, 1) for _ in range(2))
    np.testing.assert_array_equal(a.activity.values, b.activity.values)
    assert a.units.equals(b.units)
    for part in fields(truth_a):
        one, two = getattr(truth_a, part.name), getattr(truth_b, part.name)
        assert one.equals(two) if isinstance(one, pl.DataFrame) else np.array_equal(one, two), part.name
    other = SimulatedAnimal(config.model_copy(update={"seed": 8})).record(short, 1)[0]
    assert (
        other.activity.values.shape != a.activity.values.shape
        or (other.activity.values != a.activity.values).any()
    )


@pytest.fixture(scope="module")
def later(animal):
    short = natural_session(NaturalSessionConfig(n_train=10, n_repeated=2, repeats=2))
    return animal.record(short, 1)


def test_a_later_day_finds_most_cells_again_under_other_ids_beside_new_ones(later, animal, day):
    recording, truth = later
    cell = truth.units["cell_id"].to_numpy()
    old = cell < 80
    assert (old.sum(), (~old).sum()) == (72, 8)
    first = dict(day[1].units.select("cell_id", "unit_id").iter_rows())
    same_id = [first[c] == u for c, u in truth.units.select("cell_id", "unit_id").iter_rows() if c in first]
    assert np.mean(same_id) < 0.2
    assert not recording.units["unit_id"].is_sorted()
    assert truth.units["unit_id"].is_sorted()


def test_a_cell_is_itself_on_a_later_day(later, day):
    both = later[1].units.join(day[1].units, on="cell_id", suffix="_first")
    assert both.height == 72
    for name in ("kind", "rf_x", "wavelength", "simple", "fano", "gain_pupil"):
        assert both[name].equals(both[f"{name}_first"].alias(name))
    filters = dict(zip(day[1].units["cell_id"], day[1].filters, strict=True))
    for cell, bank in zip(later[1].units["cell_id"], later[1].filters, strict=True):
        if cell in filters:
            np.testing.assert_array_equal(bank, filters[cell])


def test_nearest_somata_in_a_stack_are_nearly_always_the_same_cell():
    animal = SimulatedAnimal(SimulatedConfig())
    short = natural_session(NaturalSessionConfig(n_train=4, n_repeated=0))
    days = [animal.record(short, day) for day in (0, 1)]
    places = []
    for recording, truth in days:
        stack = recording.stack_coordinates.filter(stack_session=101)
        table = truth.units.select("unit_id", "cell_id").join(stack, on="unit_id")
        places.append((table["cell_id"].to_numpy(), table.select("stack_x", "stack_y", "stack_z").to_numpy()))
    (first, at), (second, there) = places
    nearest = second[cKDTree(there).query(at)[1]]
    present = np.isin(first, second)
    assert present.sum() == 378
    assert (nearest == first)[present].mean() >= 0.98


def test_the_scan_is_the_day_unless_given(animal, later):
    assert str(later[0].scan) == "1-2-1"
    short = natural_session(NaturalSessionConfig(n_train=4, n_repeated=0))
    given = ScanKey(animal_id=1, session=9, scan_idx=4)
    assert animal.record(short, 0, given)[0].scan == given


def test_without_repeats_the_variances_are_over_some_of_the_images(animal):
    short = natural_session(NaturalSessionConfig(n_train=100, n_repeated=0))
    truth = animal.record(short, 0)[1]
    assert truth.image_mean.shape == (64, 80)
    assert (truth.units.filter(pl.col("kind") != "unresponsive")["signal_variance"] > 0).all()


def test_images_of_another_shape_are_refused(animal, session):
    from dataclasses import replace

    wide = replace(session, images=np.zeros((420, 72, 100), dtype=np.uint8))
    with pytest.raises(DataError, match="72×100 px; expected a whole multiple of 36×64"):
        animal.record(wide, 0)
