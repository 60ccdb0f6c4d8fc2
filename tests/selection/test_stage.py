"""Every artifact of the stage, on a simulated animal; models and their scores are made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import CATALOGUE, Column, Kind, Table
from inception_loop.artifacts.listing import artifacts
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.dataset.member import load_member
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey
from inception_loop.selection.config import HighUnitRules
from inception_loop.selection.high_units import (
    CorrectedHighUnitSelectionConfig,
    make_corrected_high_unit_selection,
)
from inception_loop.selection.model_group import (
    ModelGroupConfig,
    ensemble_models,
    make_model_group,
)
from inception_loop.selection.oracle import OracleConfig, make_oracle
from inception_loop.selection.ranking import OracleRankedUnitConfig, make_oracle_ranked_unit
from inception_loop.selection.recovery import oracle_error, oracle_repeats
from inception_loop.selection.target_dataset import TargetDatasetConfig, make_target_dataset
from inception_loop.selection.target_model import TargetModelConfig, make_target_model, target_models
from inception_loop.selection.truth_panel import TruthPanelConfig, make_truth_panel

UNIT = {"name": Column(pa.string(), "x"), "unit_id": Column(pa.int64(), "x")}
REAL = Column(pa.float64(), "x")
SCORES = {"unit_test_scores": Table({**UNIT, "test_corr": REAL})}
TRUTH = {
    "units": Table(
        {
            "unit_id": UNIT["unit_id"],
            "kind": UNIT["name"],
            "complexity": Column(pa.float64(), "x", nullable=True),
            "signal_variance": REAL,
            "noise_variance": REAL,
        }
    )
}
DATA = CorrectedAreaLayer()


class Made(Config):
    """Configuration of a stand-in."""

    label: str = ""
    seed: int = 0
    data: CorrectedAreaLayer = DATA
    network: dict[str, Any] = Field(default_factory=dict)
    scan: ScanKey | None = None


@pytest.fixture(scope="module")
def stand_in():
    known = dict(CATALOGUE)
    yield lambda name, payloads: Kind(name=f"{name}_stand_in", version=1, meaning="x", payloads=payloads)
    for name in CATALOGUE.keys() - known.keys():
        del CATALOGUE[name]


@pytest.fixture(scope="module")
def oracle(day):
    return make_oracle(day.store, OracleConfig(group_id=5), dataset=day.dataset).ref


@pytest.fixture(scope="module")
def ranked(day, oracle):
    return make_oracle_ranked_unit(day.store, OracleRankedUnitConfig(group_id=5), oracle=oracle).ref


@pytest.fixture(scope="module")
def scores(day, ranked, stand_in):
    """Scores of two models of each family: the CNN predicts all units, the linear one simple cells."""
    kind = stand_in("unit_test_scores", SCORES)
    rng = np.random.default_rng(0)
    units = day.store.table(ranked, "oracle_ranked_unit").join(day.truth.units, on="unit_id")
    share = {"cnn": 0.9 + 0 * units["complexity"], "linear": 0.9 - 0.8 * units["complexity"].fill_nan(0.5)}

    def make(family, seed):
        corr = units["oracle_corr"] * share[family] + rng.normal(0, 0.02, units.height)
        table = units.select("name", "unit_id").with_columns(test_corr=corr.fill_nan(0.0))
        return day.store.make(
            kind, Made(label=family, seed=seed), lambda a: a.write_table("unit_test_scores", table)
        ).ref

    return {family: [make(family, seed) for seed in (1, 2)] for family in ("cnn", "linear")}


def select(day, ranked, scores, **changes):
    config = CorrectedHighUnitSelectionConfig(group_id=5, **changes)
    return make_corrected_high_unit_selection(
        day.store, config, dataset=day.dataset, oracle_ranked_unit=ranked,
        cnn_scores=scores["cnn"], linear_scores=scores["linear"],
    )  # fmt: skip


def test_oracle_covers_the_units_that_networks_read_out(day, oracle):
    member = load_member(day.store, day.dataset, day.name, DATA)
    table = day.store.table(oracle, "oracle")
    assert table.select("neuron_id", "unit_id").equals(member.units.select("neuron_id", "unit_id"))
    assert set(member.units["layer"]) == {"L2/3"}
    assert day.store.manifest(oracle).findings["n_images_left_out"] == {day.name: 0}


def test_oracle_meets_the_expectation_of_the_animals_truth(day, oracle):
    member = load_member(day.store, day.dataset, day.name, DATA)
    table = day.store.table(oracle, "oracle")
    error = oracle_error(table, day.truth.units, oracle_repeats(member, 5))
    assert error.n_units > 60
    assert error.relative_error < 0.03


def test_cells_that_ignore_the_image_have_no_oracle_worth_the_name(day, oracle):
    table = day.store.table(oracle, "oracle").join(day.truth.units, on="unit_id")
    assert abs(table.filter(kind="unresponsive")["oracle_pearson"].mean()) < 0.08


def test_the_target_dataset_numbers_units_as_the_networks_do(day):
    member = load_member(day.store, day.dataset, day.name, DATA)
    ref = make_target_dataset(day.store, TargetDatasetConfig(group_id=5), dataset=day.dataset).ref
    table = day.store.table(ref, "target_dataset").rename({"readout_key": "name"})
    assert table.equals(member.units.select(table.columns))
    assert day.store.manifest(ref).findings == {"n_units": {day.name: member.units.height}}


def test_ranking_numbers_every_unit_of_the_oracle(day, oracle, ranked):
    table = day.store.table(ranked, "oracle_ranked_unit")
    assert sorted(table["neuron_id"]) == list(range(day.store.table(oracle, "oracle").height))
    assert table["oracle_corr"].is_sorted(descending=True)


def test_selection_holds_every_candidate_and_its_reason(day, ranked, scores):
    ref = select(day, ranked, scores, rules=HighUnitRules(percentile=30), min_units=5).ref
    table = day.store.table(ref, "corrected_high_unit_selection")
    findings = day.store.manifest(ref).findings
    assert findings["n_candidates"] == table.height == day.store.table(ranked, "oracle_ranked_unit").height
    assert findings["n_selected"] + sum(findings["removed"].values()) == table.height
    assert (table["hu_rank"].is_null() == (table["reason"] != "")).all()
    assert select(day, ranked, {f: refs[::-1] for f, refs in scores.items()},
                  rules=HighUnitRules(percentile=30), min_units=5).cached  # fmt: skip


def test_too_few_units_leave_no_selection_but_say_of_every_unit_why(day, ranked, scores):
    with pytest.raises(DataError, match="units selected; expected at least 100; the rules removed") as first:
        select(day, ranked, scores, min_units=100)
    with pytest.raises(DataError) as again:  # since no selection was committed
        select(day, ranked, scores, min_units=100)
    assert str(again.value) == str(first.value)
    (listed,) = artifacts(day.store, "refused_selection")
    assert f"inception-loop store show {listed.ref} --table units" in str(first.value)
    sound = select(day, ranked, scores, min_units=0).ref
    assert day.store.table(listed.ref, "units").equals(
        day.store.table(sound, "corrected_high_unit_selection")
    )


def test_the_panel_is_made_of_units_of_the_dataset(day, ranked, stand_in):
    columns = ["unit_id", "kind", "complexity", "signal_variance", "noise_variance"]
    member = day.store.table(day.dataset, "members").row(0, named=True)
    scan = ScanKey(**{key: member[key] for key in ("animal_id", "session", "scan_idx")})
    truth = day.store.make(
        stand_in("animal_truth", TRUTH),
        Made(scan=scan),
        lambda a: a.write_table(
            "units", day.truth.units.select(columns).with_columns(pl.col("complexity").fill_nan(None))
        ),
    ).ref
    config = TruthPanelConfig(group_id=5, n_simple=12, n_complex=14)
    ref = make_truth_panel(
        day.store, config, dataset=day.dataset, oracle_ranked_unit=ranked, truths=[truth]
    ).ref
    panel = day.store.table(ref, "truth_panel")
    assert panel.group_by("kind").len().sort("kind").rows() == [("complex", 14), ("simple", 12)]
    assert set(panel["complexity"]) == {0.0, 1.0}
    neuron = dict(day.store.table(ranked, "oracle_ranked_unit").select("unit_id", "neuron_id").rows())
    assert all(neuron[unit] == column for unit, column in panel.select("unit_id", "neuron_id").rows())


def test_a_truth_of_another_scan_is_refused(day, ranked, stand_in):
    empty = day.truth.units.select("unit_id", "kind", "complexity", "signal_variance", "noise_variance")[:0]
    truth = day.store.make(
        stand_in("animal_truth", TRUTH),
        Made(scan=ScanKey(animal_id=9, session=9, scan_idx=9)),
        lambda a: a.write_table("units", empty),
    ).ref
    with pytest.raises(DataError, match="expected one of a member"):
        make_truth_panel(
            day.store,
            TruthPanelConfig(group_id=5),
            dataset=day.dataset,
            oracle_ranked_unit=ranked,
            truths=[truth],
        )


def model(day, stand_in, core, seed, val_corr, gamma=1.0, data=DATA):
    kind = stand_in("model", {"weights": Table({"x": REAL})})
    config = Made(seed=seed, data=data, network={"core": {"type": core, "gamma_input": gamma}})

    def build(attempt):
        attempt.write_table("weights", pl.DataFrame({"x": [1.0]}))
        attempt.report(val_corr=val_corr)

    return day.store.make(kind, config, build, inputs={"dataset": day.dataset}).ref


@pytest.fixture(scope="module")
def models(day, stand_in):
    """The second-best CNN, the best with three seeds, a linear one, and the best of all with another core."""
    cnn = "GaussianLaplace"
    return {
        "poor": [model(day, stand_in, cnn, seed, 0.2 + 0.2 * (seed == 1), 1.0) for seed in (1, 2)],
        "good": [model(day, stand_in, cnn, seed, 0.375, 2.0) for seed in (1, 2, 3)],
        "plain": [model(day, stand_in, "StackedLinearGaussianLaplace", 7, 0.1)],
        "other": [model(day, stand_in, "Stacked2d", 7, 0.9)],
    }


def group_of(day, models, **choice):
    config = ModelGroupConfig(group_id=5, **choice)
    return make_model_group(day.store, config, models=[ref for refs in models.values() for ref in refs])


def judges(day, group):
    """Digests of the models that only judge images, by seed."""
    return day.store.table(group, "model_group").filter(role="validator")["model"].to_list()


def test_the_ensembles_are_the_seeds_of_the_best_configurations(day, models):
    ref = group_of(day, models, cnn_cores=("GaussianLaplace",), validator="none").ref
    assert ensemble_models(day.store, ref, "cnn") == models["good"]
    assert ensemble_models(day.store, ref, "linear") == models["plain"]
    assert judges(day, ref) == []
    assert day.store.manifest(ref).findings == {
        "n_models": 7, "n_other_cores": 1, "n_validators": 0, "mean_val_corr": {"cnn": 0.375, "linear": 0.1},
        "core": {"cnn": "GaussianLaplace", "linear": "StackedLinearGaussianLaplace"},
        "n_seeds": {"cnn": 3, "linear": 1}, "warnings": [],
    }  # fmt: skip
    backwards = {name: models[name][::-1] for name in reversed(models)}
    assert group_of(day, backwards, cnn_cores=("GaussianLaplace",), validator="none").cached


def test_every_nonlinear_core_is_a_candidate_unless_the_choice_says_otherwise(day, models):
    ref = group_of(day, models).ref
    assert ensemble_models(day.store, ref, "cnn") == models["other"]


def test_who_judges_had_no_part_in_the_ensemble(day, models):
    held = group_of(day, models, cnn_cores=("GaussianLaplace",), validator="held_out_seeds", held_out=2).ref
    assert ensemble_models(day.store, held, "cnn") == models["good"][:1]
    assert judges(day, held) == [ref.digest for ref in models["good"][1:]]
    second = group_of(day, models, validator="runner_up").ref
    assert ensemble_models(day.store, second, "cnn") == models["other"]
    assert judges(day, second) == [ref.digest for ref in models["good"]]


def test_a_group_in_which_nobody_can_judge_is_made_and_warns(day, models):
    ref = group_of(day, {name: models[name] for name in ("plain", "other")}).ref
    assert judges(day, ref) == []
    (line,) = day.store.manifest(ref).findings["warnings"]
    assert line.startswith("none of 1 CNN networks may judge images")
    assert "train another seed" in line


def test_the_target_models_are_the_ensembles_and_who_judges(day, models):
    group = group_of(day, models, validator="runner_up").ref
    ref = make_target_model(day.store, TargetModelConfig(group_id=5), model_group=group).ref
    assert target_models(day.store, ref, "cnn") == models["other"]
    assert target_models(day.store, ref, "cnn", "validator") == models["good"]
    assert target_models(day.store, ref, "linear") == models["plain"]
    assert target_models(day.store, ref, "linear", "validator") == []
    assert day.store.manifest(ref).findings == {"n_ensemble": 2, "n_validator": 3}


def test_what_is_no_network_is_refused(day, ranked):
    with pytest.raises(DataError, match="is of the kind oracle_ranked_unit; expected models"):
        make_model_group(day.store, ModelGroupConfig(group_id=5), models=[ranked])


def test_models_of_other_data_are_refused(day, stand_in):
    strange = model(day, stand_in, "GaussianLaplace", 1, 0.3, data=CorrectedAreaLayer(layer="L4"))
    with pytest.raises(DataError, match="data configuration"):
        make_model_group(day.store, ModelGroupConfig(group_id=5), models=[strange])
