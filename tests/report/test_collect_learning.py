"""How networks learnt, read from their artifacts: nothing is computed that they do not say."""

import io
import uuid

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.stage import make_dataset
from inception_loop.errors import DataError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.quality.member import recordings_of
from inception_loop.recordings.recording import ScanKey
from inception_loop.report.collect_learning import collect_learning, first_filters, place_models
from inception_loop.report.learning import load_learning
from inception_loop.report.learning_report import LearningReportConfig, make_learning_report
from inception_loop.report.learning_words import remarks
from inception_loop.selection.model_group import ModelGroupConfig, make_model_group
from inception_loop.selection.oracle import OracleConfig, make_oracle
from inception_loop.training.config import ModelConfig, TrainConfig
from inception_loop.training.model import make_model
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores

SHAPE = {"hidden_channels": 3, "input_kern": 9, "hidden_kern": 3, "layers": 2}
CONFIG, SCORES = LearningReportConfig(group_id=0), UnitTestScoresConfig(group_id=0)


@pytest.fixture(scope="module")
def grid():
    """A store, its dataset, and two seeds of three configurations with their scores."""
    store = open_store(f"memory://{uuid.uuid4().hex}")
    scan = ScanKey(animal_id=1, session=1, scan_idx=1)
    session = NaturalSessionConfig(n_train=80, n_repeated=6, repeats=5)
    day = AnimalDayConfig(scan=scan, animal=SimulatedConfig(n_units=30), session=session)
    recording, _ = make_recorded_day(store, day)
    made = make_dataset(store, DatasetConfig(group_id=0), [recording.ref])
    dataset = made["static_multi_dataset"][0].ref
    cores = (
        GaussianLaplace(**SHAPE),
        GaussianLaplace(**SHAPE, momentum=0.2),
        StackedLinearGaussianLaplace(**SHAPE),
    )
    train = TrainConfig(learning_rates=(0.01, 0.001), stage_epochs=(2, 1), max_epoch=3)
    models = [
        make_model(
            store,
            ModelConfig(
                group_id=0,
                network=CorePlusReadout(core=core, readout=SpatialTransformerPyramid2d(scale_n=1)),
                train=train,
                seed=seed,
            ),
            dataset=dataset,
        ).ref
        for core in cores
        for seed in (1, 2)
    ]
    scores = [make_unit_test_scores(store, SCORES, model=model, dataset=dataset).ref for model in models]
    return store, dataset, models, scores


@pytest.fixture(scope="module")
def learning(grid):
    store, _, models, scores = grid
    return collect_learning(store, models, scores)


def test_curves_are_the_histories_of_all_models(grid, learning):
    store, _, models, _ = grid
    assert learning.curves["model"].n_unique() == len(models)
    for model in models:
        history = store.table(model, "history")
        curve = learning.curves.filter(model=model.digest).sort("epoch")
        columns = ["epoch", "stage", "learning_rate", "val_corr", "train_loss"]
        assert curve.select(columns).equals(history.sort("epoch").select(columns))
    assert set(learning.curves["stage"]) == {0, 1}


def test_the_chosen_are_those_that_the_selection_would_choose(grid, learning):
    store, _, models, _ = grid
    group = make_model_group(store, ModelGroupConfig(group_id=0), models=models).ref
    chosen = store.table(group, "model_group").filter("chosen")["model"]
    assert set(learning.models.filter("chosen")["model"]) == set(chosen)
    for family in ("cnn", "linear"):
        rows = learning.models.filter("chosen", family=family)
        best = rows.filter("best")
        assert best.height == 1
        assert best["val_corr"].item() == rows["val_corr"].max()


def test_without_ensemble_scores_units_have_those_of_the_best_model_then_those_of_the_ensemble(
    grid, learning
):
    store, dataset, models, scores = grid
    assert learning.scored["n_models"].to_list() == [1, 1]
    assert learning.scored["has_ceiling"].all()
    best = learning.models.filter("best", family="cnn")["model"].item()
    ref = scores[[model.digest for model in models].index(best)]
    table = store.table(ref, "unit_test_scores").sort("neuron_id")
    assert learning.units["cnn_test_corr"].equals(table["test_corr"], check_names=False)
    assert learning.units["ceiling"].equals(table["ceiling"], check_names=False)
    assert learning.units["oracle_corr"].equals(table["oracle"], check_names=False)
    chosen = set(learning.models.filter("chosen", family="cnn")["model"])
    ensemble = [model for model in models if model.digest in chosen]
    of_ensemble = make_unit_test_scores(store, SCORES, model=ensemble, dataset=dataset).ref
    frozen = SCORES.model_copy(update={"eye": "training_mean", "behavior": "training_mean"})
    other = make_unit_test_scores(store, frozen, model=ensemble, dataset=dataset).ref
    again = collect_learning(store, models, [*scores, of_ensemble, other])
    assert dict(again.scored.select("family", "n_models").rows()) == {"cnn": 2, "linear": 1}
    expected = store.table(of_ensemble, "unit_test_scores").sort("neuron_id")["test_corr"]
    assert again.units["cnn_test_corr"].equals(expected, check_names=False)


def test_fractions_and_differences_are_those_of_the_columns(learning):
    units = learning.units.drop_nulls()
    assert units.height > 5
    for side in ("cnn", "lin"):
        ratio = units[f"{side}_test_corr"] / units["ceiling"]
        np.testing.assert_allclose(units[f"{side}_fraction_ceiling"], ratio, rtol=1e-14)
    np.testing.assert_array_equal(units["cnn_minus_linear"], units["cnn_test_corr"] - units["lin_test_corr"])


def test_an_oracle_that_is_given_goes_before_that_of_the_scores(grid):
    store, dataset, models, scores = grid
    oracle = make_oracle(store, OracleConfig(group_id=0, min_repeats=3), dataset=dataset).ref
    units = collect_learning(store, models, scores, oracle=oracle).units
    expected = store.table(oracle, "oracle").sort("neuron_id")["oracle_pearson"]
    assert units["oracle_corr"].equals(expected, check_names=False)


def test_filters_are_the_first_kernels_of_the_best_model_by_their_norm(grid, learning):
    store, _, models, _ = grid
    for family in ("cnn", "linear"):
        best = learning.models.filter("best", family=family)["model"].item()
        (ref,) = (model for model in models if model.digest == best)
        rows = learning.filters.filter(family=family)
        kernels = store.arrays(ref, "weights")["core.layers.0.weight"][:, 0]
        np.testing.assert_array_equal(learning.filter_weights[family], kernels[rows["channel"].to_numpy()])
        norms = np.linalg.norm(learning.filter_weights[family].reshape(len(kernels), -1), axis=1)
        np.testing.assert_allclose(rows["norm"], norms, rtol=1e-6)
        assert (np.diff(norms) <= 0).all()


def test_first_filters_are_those_that_see_the_image():
    weights = {
        "core.norm.weight": np.ones(4),
        "core.layers.0.weight": np.full((4, 1, 5, 5), 2.0),
        "core.layers.1.weight": np.ones((4, 4, 3, 3)),
    }
    assert first_filters(weights).shape == (4, 5, 5)
    assert first_filters({"core.weight": np.ones((4, 2, 5, 5))}) is None


def test_scores_of_before_the_ceiling_are_shown_without_one(grid, monkeypatch):
    store, _, models, scores = grid
    monkeypatch.setattr(
        "inception_loop.report.collect_learning._knows_ceiling", lambda store, ref: False, raising=True
    )
    known = collect_learning(store, models, scores)
    assert "older than the ceiling" in " ".join(remarks(known))


def test_unscored_models_have_a_report_too(grid):
    store, _, models, _ = grid
    learning = collect_learning(store, models[:1], [])
    assert (learning.models.height, learning.units.height, learning.scored.height) == (1, 0, 0)
    ref = make_learning_report(store, CONFIG, models=models[:1], scores=[]).ref
    assert "No model is scored." in store.file(ref, "report").decode()


def test_models_of_several_datasets_are_refused(grid):
    store, dataset, models, _ = grid
    other = make_dataset(store, DatasetConfig(group_id=0, description="again"), recordings_of(store, dataset))
    config = ModelConfig.model_validate(store.manifest(models[0]).config)
    strange = make_model(store, config, dataset=other["static_multi_dataset"][0].ref).ref
    with pytest.raises(DataError, match="trained on 2 datasets"):
        collect_learning(store, [models[0], strange], [])


def test_no_model_is_refused(grid):
    with pytest.raises(DataError, match="learning report of no model"):
        collect_learning(grid[0], [], [])


def test_of_equally_good_configurations_one_is_chosen():
    rows = {"model": ["a", "b"], "family": "cnn", "configuration": ["y", "x"], "seed": 1, "val_corr": 0.5}
    assert place_models(pl.DataFrame(rows)).filter("chosen")["model"].to_list() == ["b"]


def test_the_report_stands_once_whatever_the_order_and_its_tables_are_plain_files(grid, learning):
    store, _, models, scores = grid
    first = make_learning_report(store, CONFIG, models=models, scores=scores)
    again = make_learning_report(store, CONFIG, models=models[::-1], scores=scores[::-1])
    assert (first.cached, again) == (False, (first.ref, True))
    for name, frame in learning.tables().items():
        assert frame.equals(load_learning(store, first.ref).tables()[name]), name
        read = pl.from_arrow(pq.read_table(io.BytesIO(store.file(first.ref, name))))
        assert read.height == frame.height
    findings = store.manifest(first.ref).findings
    assert findings["val_corr_cnn"] == learning.models.filter("best", family="cnn")["val_corr"].item()
    assert findings["headline"].startswith("The median unit’s test trials are predicted")
