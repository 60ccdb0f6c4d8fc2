"""The twin as an animal."""

from pathlib import Path

import numpy as np
import pytest

from inception_loop.animals.reference_images import reference_images
from inception_loop.animals.session import NaturalSessionConfig, natural_session
from inception_loop.animals.twin import TwinAnimal, TwinConfig, twin_config
from inception_loop.animals.twin_network import TwinNetwork
from inception_loop.artifacts.identity import canonical_json
from inception_loop.errors import ConfigurationError

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "twin_26872.npz"
SMALL = {"n_units": 8, "reliable_share": 1.0}


@pytest.fixture(scope="module")
def shown():
    return natural_session(NaturalSessionConfig(n_train=30, n_repeated=5, repeats=4))


@pytest.mark.parametrize("form", ["image", "behavior"])
def test_a_day_is_a_recording_whose_responses_scatter_about_the_network(twin_file, shown, form, sample):
    path, _ = twin_file(form)
    animal = TwinAnimal(twin_config(path, **SMALL), path)
    recording, truth = animal.record(shown, 0)
    assert truth.expected.shape == (50, 8)
    assert truth.units["kind"].unique().to_list() == ["network"]
    assert truth.units["complexity"].null_count() == 8
    assert truth.filters.shape == (0, 2, 36, 64)
    assert (np.abs(truth.shift_px).max() > 0) == (form == "behavior")
    somata = recording.units.with_row_index("row").filter(mask_type="soma").sort("unit_id")
    clock = recording.activity.frame_times
    at = recording.trials["onset_flip"].to_numpy() + 0.3
    read = np.stack(
        [
            sample(clock + u["ms_delay"] / 1000, recording.activity.values[u["row"], : len(clock)], at, 0.5)
            for u in somata.iter_rows(named=True)
        ],
        axis=1,
    )
    ok = ~np.isin(truth.trial_idx, recording.excluded_trials["trial_idx"].to_numpy())
    z = ((read - truth.expected) / np.sqrt(truth.units["fano"].to_numpy() * truth.expected))[ok]
    assert z.var() == pytest.approx(1, abs=0.35)
    assert abs(z.mean()) < 0.2


def test_the_conditional_mean_of_an_image_network_is_the_network_on_what_the_eye_saw(twin_file, shown):
    path, _ = twin_file("image")
    animal = TwinAnimal(twin_config(path, **SMALL), path)
    truth = animal.record(shown, 0)[1]
    seen = shown.images.reshape(-1, 36, 2, 64, 2).mean(axis=(2, 4)).astype(np.float32)
    rows = shown.conditions["image_row"].to_numpy()[shown.order]
    np.testing.assert_allclose(truth.expected, animal.respond(seen)[rows], rtol=1e-4)
    np.testing.assert_array_equal(truth.gain, 1)
    np.testing.assert_allclose(truth.units["cell_id"], animal.cell_id)


def test_total_variance_over_natural_images_is_about_one(twin_file):
    path, _ = twin_file("image")
    animal = TwinAnimal(twin_config(path, **SMALL), path)
    response = animal.respond(reference_images()).astype(float)
    total = response.var(axis=0, ddof=1) + animal.population(0).fano * response.mean(axis=0)
    quiet = response.var(axis=0, ddof=1) < 0.9
    np.testing.assert_allclose(total[quiet], 1, rtol=0.01)


def test_the_cells_drawn_are_among_those_that_vary_most(twin_file):
    path, _ = twin_file("image")
    animal = TwinAnimal(twin_config(path, n_units=3, reliable_share=0.4), path)
    everyone = TwinAnimal(twin_config(path, n_units=10, reliable_share=1.0, seed=5), path)._moments[1]
    assert set(animal.cell_id) <= set(np.argsort(-everyone)[:5])


def test_a_later_day_keeps_most_cells_where_they_are_and_adds_strangers(twin_file, shown):
    path, _ = twin_file("image")
    config = twin_config(path, n_units=10, reliable_share=1.0)
    animal = TwinAnimal(config, path)
    (first, truth), (later, truth_later) = (animal.record(shown, day) for day in (0, 1))
    cells, later_cells = (set(t.units["cell_id"]) for t in (truth, truth_later))
    assert (len(cells & later_cells), len(later_cells - cells)) == (9, 1)
    xy = {u["unit_id"]: (u["um_x"], u["um_y"]) for u in first.units.iter_rows(named=True)}
    for unit, cell in truth.units.select("unit_id", "cell_id").iter_rows():
        np.testing.assert_allclose(xy[unit], animal.network.cortex_xy[cell] * config.um_scale, rtol=1e-5)
    assert str(later.scan) == "2-2-1"


def test_identity_is_the_content_of_the_file_and_never_its_path(twin_file, tmp_path):
    path, _ = twin_file("image")
    copy = tmp_path / "elsewhere.npz"
    copy.write_bytes(path.read_bytes())
    assert canonical_json(twin_config(path)) == canonical_json(twin_config(copy))
    assert "elsewhere" not in canonical_json(twin_config(copy))
    assert TwinAnimal(twin_config(path, **SMALL), copy).config == twin_config(path, **SMALL)


def test_another_file_than_the_one_named_is_refused(twin_file):
    path, other = twin_file("image")[0], twin_file("behavior")[0]
    with pytest.raises(ConfigurationError, match=r"expected .*, which the configuration names"):
        TwinAnimal(twin_config(path), other)


def test_more_cells_than_there_are_and_a_spread_beyond_the_field_are_refused(twin_file):
    path, _ = twin_file("image")
    with pytest.raises(
        ConfigurationError, match="has 12 cells to choose from; expected at least 12 for n_units"
    ):
        TwinAnimal(twin_config(path, n_units=12, reliable_share=1.0), path)
    with pytest.raises(ConfigurationError, match=r"enlarge cortex\.field_um"):
        twin_config(path, um_scale=1000.0)
    with pytest.raises(ConfigurationError, match="colour"):
        twin_config(path, colour="red")


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published network is not at hand")
def test_the_published_network_answers_natural_images_as_its_notes_say():
    network = TwinNetwork(PUBLISHED)
    assert (network.n_cells, network.map_size) == (7776, (28, 56))
    config = TwinConfig.model_validate(twin_config(PUBLISHED).model_dump())
    animal = TwinAnimal(config, PUBLISHED)
    spread = np.sqrt(animal._moments[1])
    assert 0.2 < spread.mean() < 0.4  # 0.27 over the natural images of its own recording
    assert spread[animal.cell_id].mean() > spread.mean()
    assert len(animal.cell_id) == 640
