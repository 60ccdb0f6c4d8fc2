"""How networks learnt, read from their artifacts: nothing is computed that they do not say."""

import io
import json
import uuid

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.config import CorrectedAreaLayer, DatasetConfig
from inception_loop.dataset.stage import make_dataset
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.quality.member import recordings_of
from inception_loop.recordings.recording import ScanKey
from inception_loop.report.learning.artifact import load_learning
from inception_loop.report.learning.collect import (
    collect_learning,
    first_filters,
    model_labels,
    place_models,
    shown_models,
)
from inception_loop.report.learning.report import LearningReportConfig, make_learning_report
from inception_loop.report.learning.words import median_units, remarks
from inception_loop.selection.model_group import ModelGroupConfig, make_model_group
from inception_loop.selection.oracle import OracleConfig, make_oracle
from inception_loop.training.bad_config import make_bad_config
from inception_loop.training.config import ModelConfig, TrainConfig
from inception_loop.training.linear_rf import LinearRfConfig, make_linear_rf
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


def test_the_chosen_are_of_the_configurations_that_the_selection_would_choose(grid, learning):
    store, _, models, _ = grid
    everybody = ModelGroupConfig(group_id=0, validator="none")  # no seed is held out
    group = make_model_group(store, everybody, models=models).ref
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
    units = learning.units.drop_nulls(["ceiling", "cnn_minus_linear"])
    assert units.height > 5
    assert units["cnn_frozen_test_corr"].null_count() == units.height
    for side in ("cnn", "lin"):
        ratio = units[f"{side}_test_corr"] / units["ceiling"]
        np.testing.assert_allclose(units[f"{side}_fraction_ceiling"], ratio, rtol=1e-14)
    np.testing.assert_array_equal(units["cnn_minus_linear"], units["cnn_test_corr"] - units["lin_test_corr"])


def test_with_frozen_scores_and_receptive_fields_shares_are_of_what_knows_the_image_alone(grid):
    store, dataset, models, scores = grid
    shown = shown_models(store, models)
    assert [len(refs) for refs in shown] == [1, 1]
    frozen = SCORES.model_copy(update={"eye": "training_mean", "behavior": "training_mean"})
    fair = [make_unit_test_scores(store, frozen, model=refs, dataset=dataset).ref for refs in shown]
    other, of_all = (
        make_linear_rf(store, LinearRfConfig(group_id=0, data=data), dataset=dataset).ref
        for data in (CorrectedAreaLayer(layer="L2/3"), CorrectedAreaLayer())
    )
    known = collect_learning(store, models, [*scores, *fair], linear_rf=[other, of_all])
    assert known.scored["frozen"].to_list() == [ref.digest for ref in fair]
    for side, ref in (("cnn_frozen", fair[0]), ("lin_frozen", fair[1]), ("rf", of_all)):
        expected = store.table(ref, "unit_test_scores").sort("neuron_id")["test_corr"]
        assert known.units[f"{side}_test_corr"].equals(expected, check_names=False)
        short = side.removesuffix("_frozen")
        shares = (expected / known.units["ceiling"]).to_numpy()
        some = known.units["ceiling"].fill_null(0).to_numpy() > 0
        np.testing.assert_allclose(known.units[f"{short}_fraction_ceiling"].to_numpy()[some], shares[some])
    assert "shares of it are of networks that are told the mean eye and running" in " ".join(remarks(known))
    names = ["CNN", "linear control", "linear receptive field", "ceiling"]
    assert [row.name for row in median_units(known)] == names


def test_models_are_named_by_what_tells_them_apart_and_carry_their_configuration(grid, learning):
    store, _, models, _ = grid
    assert learning.models["label"].n_unique() == len(models)
    of = {ref.digest: store.manifest(ref).config for ref in models}
    for digest, label, config in learning.models.select("model", "label", "config").rows():
        assert json.loads(config) == of[digest]
        assert label.endswith(f"seed {of[digest]['seed']}")
        if of[digest]["network"]["core"]["type"] == "GaussianLaplace":
            assert f"core.momentum={of[digest]['network']['core']['momentum']}" in label
    same = dict.fromkeys(("a" * 64, "b" * 64), learning.models["config"][0])
    assert len(set(model_labels(same).values())) == 2


def test_a_report_names_all_it_was_made_of_and_what_cannot_be_trained(grid):
    store, dataset, models, scores = grid
    bad = ModelConfig(group_id=0, network=CorePlusReadout(core=GaussianLaplace(input_kern=99)))
    reason = ConfigurationError("images are smaller than its kernel")
    record = make_bad_config(store, bad, reason, dataset=dataset).ref
    ref = make_learning_report(store, CONFIG, models=models, scores=scores, bad_config=[record]).ref
    known = load_learning(store, ref)
    (row,) = known.bad.to_dicts()
    assert (row["reason"], row["record"]) == (str(reason), record.digest)
    made_of = {(role, digest) for role, _, digest in known.lineage.rows()}
    assert made_of == {
        ("dataset", dataset.digest),
        ("bad_config", record.digest),
        *(("model", model.digest) for model in models),
        *(("scores", score.digest) for score in scores),
    }
    assert dict(known.versions.rows())["torch"] == store.manifest(models[0]).versions["torch"]
    page = store.file(ref, "report").decode()
    assert ref.digest in page
    assert all(digest in page for _, digest in made_of)
    assert f"{row['what']}</b> cannot be trained: {reason}" in page


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
        "inception_loop.report.learning.collect._knows_ceiling", lambda store, ref: False, raising=True
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
