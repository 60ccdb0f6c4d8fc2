"""A later day of a simulated animal that is shown its own best images: the answer is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import CATALOGUE
from inception_loop.artifacts.steps import Directly
from inception_loop.artifacts.store import open_store
from inception_loop.closed_loop.assigned_cell_match import AssignedCellMatchConfig, make_assigned_cell_match
from inception_loop.closed_loop.matching import ProximityCellMatchConfig, make_proximity_cell_match
from inception_loop.closed_loop.scans import LoopScan
from inception_loop.closed_loop.stage import ClosedLoopConfig, make_closed_loop, run_closed_loop
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.scan_tables import STACK_COORDINATES, ScanConfig
from inception_loop.dataset.stage import run_ingest, run_responses
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.images.contrast import match_contrast
from inception_loop.images.monitor.rig_bytes import zoom_images
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.recording import ScanKey
from inception_loop.selection.config import HighUnitRules
from inception_loop.selection.high_units import CORRECTED_HIGH_UNIT_SELECTION, select_units
from inception_loop.selection.truth_panel import TRUTH_PANEL
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.oracle import oracle_images
from inception_loop.stimuli.session import arrange_session
from inception_loop.stimuli.stimulus_set import STIMULUS_SET

ANIMAL = SimulatedConfig(n_units=90, animal_id=3)
DAYS = [ScanKey(animal_id=3, session=day, scan_idx=1) for day in (1, 2, 3)]
LOOP = ClosedLoopConfig(
    loop_group=6,
    scans=tuple(
        LoopScan(scan=scan, day=day, mei_source=day == 0, stim_type="mei" if day else "imagenet")
        for day, scan in enumerate(DAYS)
    ),
    n_permutations=9_999,
)


class Given(Config):
    """Configuration of an artifact that a test writes itself."""

    group_id: int = 6
    loop_group: int = 6


def record(store, day, **shown):
    config = AnimalDayConfig(scan=DAYS[day], animal=ANIMAL, day=day, session=shown.get("session"))
    recording, truth = make_recorded_day(store, config, stimulus=shown.get("stimulus"))
    return recording.ref, truth.ref


def tables(store, day, recording, truth):
    """What ingest and the dataset stage make of a day, as far as the loop needs it."""
    run = Directly(store)
    made = run_ingest(run, DAYS[day], recording)
    made["input_response"] = run_responses(run, DatasetConfig(group_id=6), DAYS[day], recording, made)
    return made | {"animal_truth": truth}


def as_bytes(images):
    """Enlarge images to the rig's size and round them."""
    return np.rint(zoom_images(images.numpy(), 2)).astype(np.uint8)


def filled(model_type, image_class, images, units):
    """Return rows as of a stimulus fill, one a unit."""
    n = len(units)
    return pl.DataFrame(
        {"image_class": image_class, "model_type": model_type, "name": "m", "neuron_id": np.arange(n),
         "unit_id": units, "hu_rank": np.arange(n), "shift_x": np.zeros(n, int), "shift_y": np.zeros(n, int),
         "source_id": [None] * n,
         "target": "grey", "target_mean": 128.0, "target_contrast": 7.0, "target_grey": 128.0,
         "mean": images.mean((1, 2)), "contrast": images.std((1, 2)),
         "luminance_mean": None, "luminance_contrast": None, "reference_activation": [None] * n,
         "validator_activation": [None] * n, "fill": "any", "holder": model_type, "image_row": np.arange(n)},
        schema_overrides={"source_id": pl.String, "reference_activation": pl.Float64,
                          "validator_activation": pl.Float64},
    )  # fmt: skip


def stimulus_set(store, recording, truth, units):
    """Best images as MEIs, the same rotated by a quarter cycle and blurred away as controls."""
    cells = store.arrays(truth, "cells")
    rows = [store.table(truth, "units")["unit_id"].to_list().index(unit) for unit in units]
    best = cells["best_image"][rows]
    noise = np.random.default_rng(0).standard_normal(best.shape)
    mask = np.abs(best) > 0.2 * np.abs(best).max((1, 2), keepdims=True)
    shown = {
        "cnn": ("multi_cnn_mei", best),
        "linear": ("multi_lin_rf", best[:, ::-1, ::-1]),
        "natural": ("unmasked_imgnet", noise),
        "gabor": ("gabor", -best),
        "masked_cnn": ("masked_mei", best * mask),
        "masked_natural": ("masked_imagenet", noise * mask),
    }
    holders = {
        kind: as_bytes(match_contrast(torch.from_numpy(np.array(pictures)).double(), 128.0, 7.0))
        for kind, (_, pictures) in shown.items()
    }
    made = pl.concat(
        filled(kind, image_class, holders[kind], units) for kind, (image_class, _) in shown.items()
    )
    source = load_recording(store, recording)
    oracle = oracle_images(
        source.conditions, source.trials, source.images, min_repeats=5, classes=("natural",), at_most=12
    )
    arrangement, pixels = arrange_session(made, holders, oracle, StimulusConfig(repeats=6))

    def build(attempt):
        attempt.write_arrays("images", {"images": pixels.blocks(arrangement.first)})
        attempt.write_table("conditions", arrangement.conditions)
        attempt.write_table("trials", arrangement.trials)

    return store.make(STIMULUS_SET, Given(), build).ref


def selection(store, units):
    """Select the first 16 units in their order: the 17th is the worst of those by oracle, the others less."""
    n = len(units)
    key, place = {"name": "m", "unit_id": units}, dict.fromkeys(["um_x", "um_y", "um_z", "border_um"], 50.0)
    ranked = {"neuron_id": range(n), "oracle_corr": 0.5, "top_ptile": [i / n for i in range(n)]}
    corr = {"cnn": [0.4 - 0.002 * i for i in range(n)], "linear": [0.3 - 0.001 * i for i in range(n)]}
    table = select_units(
        pl.DataFrame(key | ranked),
        pl.DataFrame(key | place | {"brain_area": "V1", "layer": "L2/3"}),
        pl.concat(pl.DataFrame(key | {"family": name, "test_corr": corr[name]}) for name in corr),
        HighUnitRules(top_ptile=17 / n, percentile=0, distance_um=0),
    )
    assert table.sort("hu_rank", nulls_last=True)["unit_id"].to_list()[:16] == units[:16]

    def build(attempt):
        attempt.write_table("corrected_high_unit_selection", table)

    return store.make(CORRECTED_HIGH_UNIT_SELECTION, Given(), build).ref


def panel(store, units):
    table = pl.DataFrame(
        {"name": "m", "neuron_id": range(len(units)), "unit_id": units, "kind": "complex", "complexity": 1.0,
         "signal_to_noise": 1.0, "panel_rank": range(len(units))}
    )  # fmt: skip
    return store.make(TRUTH_PANEL, Given(), lambda attempt: attempt.write_table("truth_panel", table)).ref


@pytest.fixture(scope="module")
def loop():
    """Everything that the stage needs: a source scan, two later days, a selection and a panel."""
    store = open_store("memory://closed-loop-stage")
    recording, truth = record(store, 0, session=NaturalSessionConfig(n_train=40, n_repeated=12, repeats=8))
    kinds = store.table(truth, "units")
    units = (
        kinds.filter(kind="mixed")["unit_id"].to_list()[:20]
        + kinds.filter(kind="simple")["unit_id"].to_list()[:6]
    )
    shown = stimulus_set(store, recording, truth, units)
    later = {
        DAYS[day]: tables(store, day, *record(store, day, stimulus=shown)) | {"stimulus_set": shown}
        for day in (1, 2)
    }
    chosen = {
        "corrected_high_unit_selection": selection(store, units),
        "truth_panel": panel(store, units[20:]),
    }
    return store, {"source": tables(store, 0, recording, truth), "later": later, **chosen}


@pytest.fixture(scope="module")
def outcomes(loop):
    store, inputs = loop
    return make_closed_loop(store, LOOP, **inputs)


def evidence_of(store, outcomes):
    table = store.table(outcomes["evidence"][0].ref, "evidence")
    return {row["key"]: row for row in table.iter_rows(named=True)}


def test_cells_shown_their_own_best_images_prefer_them(loop, outcomes):
    evidence = evidence_of(loop[0], outcomes)
    assert evidence["n_units"]["value"] == evidence["n_units"]["n"] == 16
    assert evidence["diagonal_p_value"]["value"] == 1e-4
    assert evidence["own_image_is_best_share"]["value"] >= 0.6
    assert evidence["own_mei_over_own_rf_share"]["value"] >= 0.8
    assert evidence["own_mei_over_best_natural_share"]["value"] >= 0.8
    assert evidence["own_mei_over_own_gabor_share"]["n"] == 16
    assert evidence["own_masked_mei_over_own_masked_natural_share"]["value"] >= 0.8
    assert evidence["panel_complex_mei_over_rf_share"]["n"] == 6
    assert evidence["match_accuracy"]["value"] >= 0.9
    assert evidence["match_accuracy"]["n"] + evidence["missing_matched_share"]["n"] == 2 * 26


def test_every_system_has_its_artifact_once_a_scan_or_once_a_loop(loop, outcomes):
    counts = {kind: len(made) for kind, made in outcomes.items()}
    twice = ["proximity_cell_match", "best_proximity_cell_match", "normalized_confusion", "z_score_confusion"]
    twice += ["cell_match_oracle_correlation", "own_response", "assigned_cell_match"]
    four = ["summary_confusion_diagonal_entry", "z_summary_confusion_diagonal_entry"]  # one a control
    once = dict.fromkeys(
        ["closed_loop_scan", "summary_confusion", "z_summary_confusion", "loop_tests", "evidence"], 1
    )
    assert counts == dict.fromkeys(twice, 2) | dict.fromkeys(four, 4) | once


def test_the_summary_pools_the_repeats_of_both_days(loop, outcomes):
    store = loop[0]
    summary = store.table(outcomes["z_summary_confusion"][0].ref, "z_summary_confusion")
    assert summary["scan_count"].unique().to_list() == [2]
    assert summary["n_repeats"].min() >= 11
    assert summary.height == 6 * 26 * 26


def test_the_tests_are_about_the_units_of_the_evidence_and_agree_with_it(loop, outcomes):
    store, evidence = loop[0], evidence_of(loop[0], outcomes)
    ref = outcomes["loop_tests"][0].ref
    rows = {row["key"]: row for row in store.table(ref, "loop_tests").iter_rows(named=True)}
    assert rows["cnn_linear_share"]["value"] == evidence["own_mei_over_own_rf_share"]["value"]
    assert rows["cnn_diagonal"]["p_value"] == evidence["diagonal_p_value"]["value"]
    panel = rows["panel_complex_cnn_linear_share"]
    assert panel["value"] == evidence["panel_complex_mei_over_rf_share"]["value"]
    assert rows["masked_cnn_masked_natural_sign_flip"]["n"] == 16
    entries = {
        store.table(made.ref, made.ref.kind)["control"][0]: store.table(made.ref, made.ref.kind)
        for made in outcomes["z_summary_confusion_diagonal_entry"]
    }
    tests = store.table(ref, "unit_tests")
    for (control,), part in tests.group_by("control"):
        both = part.join(entries[control], on="source_unit_id")
        assert both.height == 16
        assert np.allclose(both["difference"], both["diff_resp"], atol=1e-12)
        assert (both["n_own"] == both["cnn_repeats"]).all()
    power = store.table(ref, "power").filter(control="linear").sort("n_units", "n_repeats")
    assert power["power"].is_between(0, 1).all()
    assert power.filter(n_units=150)["power"].min() >= power.filter(n_units=10)["power"].min()


def test_matched_cells_answer_shared_images_alike(loop, outcomes):
    store = loop[0]
    for made in outcomes["cell_match_oracle_correlation"]:
        table = store.table(made.ref, "cell_match_oracle_correlation")
        assert table["n_images"].unique().to_list() == [12]
        matched, others = (
            table.filter(pl.col("matched") == flag)["correlation"].mean() for flag in (True, False)
        )
        assert matched > others + 0.3


def test_assigned_matches_feed_the_loop_when_asked_for(loop, outcomes):
    store, inputs = loop
    made = make_closed_loop(store, LOOP.model_copy(update={"matching": "assigned"}), **inputs)
    assert all(one.cached for one in made["assigned_cell_match"])  # made beside the published rule as well
    for confusion, match in zip(made["z_score_confusion"], made["assigned_cell_match"], strict=True):
        (used,) = store.manifest(confusion.ref).inputs["cell_match"]
        assert used.digest == match.ref.digest
        kept = store.table(match.ref, "assigned_cell_match").filter("kept")
        rows = store.table(confusion.ref, "z_score_confusion")
        assert set(rows["source_unit_id"]) == set(kept["source_unit_id"])
    for kind in ("own_response", "normalized_confusion", "cell_match_oracle_correlation"):
        for one, match in zip(made[kind], made["assigned_cell_match"], strict=True):
            assert store.inputs(one.ref)["cell_match"] == [match.ref]
            assert "best_proximity_cell_match" not in store.inputs(one.ref)
    assigned, published = evidence_of(store, made), evidence_of(store, outcomes)
    for key in ("match_accuracy", "missing_matched_share"):
        assert assigned[key]["value"] == published[f"assigned_{key}"]["value"]
        assert published[key]["value"] == published[f"proximity_{key}"]["value"]
        assert published[key]["n"] == published[f"assigned_{key}"]["n"]
    assert assigned["missing_matched_share"]["count"] < published["missing_matched_share"]["count"]
    assert assigned["assigned_expected_right_share"]["value"] > 0.9


def test_a_second_run_computes_nothing(loop, outcomes):
    store, inputs = loop
    again = make_closed_loop(store, LOOP, **inputs)
    assert all(made.cached for kind in again.values() for made in kind)


def test_without_truth_nothing_is_said_about_right_matches(loop):
    store, inputs = loop
    blind = {
        "source": {role: ref for role, ref in inputs["source"].items() if role != "animal_truth"},
        "later": inputs["later"],
        "corrected_high_unit_selection": inputs["corrected_high_unit_selection"],
    }
    made = make_closed_loop(store, LOOP, **blind)
    evidence = evidence_of(store, made)
    assert "match_accuracy" not in evidence
    assert evidence["panel_complex_mei_over_rf_share"]["value"] is None


def test_a_missing_role_or_scan_is_named(loop):
    store, inputs = loop
    later = dict(inputs["later"])
    del later[DAYS[2]]
    with pytest.raises(ConfigurationError, match="scan 3-3-1 comes without static_scan"):
        run_closed_loop(Directly(store), LOOP, **{**inputs, "later": later})


class Changed(ScanConfig):
    """Configuration of an artifact that a test has changed."""

    payloads: tuple[str, ...]


def changed(store, ref, **payloads):
    """Return a copy of an artifact of one scan with some of its tables replaced."""
    tables = {name: payloads.get(name, store.table(ref, name)) for name in store.manifest(ref).payloads}

    def build(attempt):
        for name, table in tables.items():
            attempt.write_table(name, table)

    scan = ScanKey.model_validate(store.manifest(ref).config["scan"])
    key = Changed(scan=scan, payloads=tuple(payloads))
    return store.make(CATALOGUE[ref.kind], key, build, inputs={"of": ref}).ref


def test_what_cannot_be_compared_is_said_and_everything_else_compared(loop, outcomes):
    store, inputs = loop
    source, later = inputs["source"], inputs["later"][DAYS[1]]
    match = dict(
        store.table(outcomes["best_proximity_cell_match"][0].ref, "best_proximity_cell_match")
        .select("source_unit_id", "unit_id")
        .rows()
    )
    lost, dead, once = store.table(inputs["corrected_high_unit_selection"], "corrected_high_unit_selection")[
        "unit_id"
    ][:3]
    places = store.table(source["stack_coordinates"], "stack_coordinates")
    responses = store.table(later["input_response"], "responses")
    values = responses["response"].to_numpy().copy()
    columns = store.table(later["input_response"], "units")
    values[:, columns.filter(unit_id=match[dead])["neuron_column"].item()] = 0.5
    image = store.table(later["stimulus_set"], "conditions").filter(source_unit_id=once, model_type="cnn")
    repeats = responses.filter(pl.col("condition_hash").is_in(image["condition_hash"].to_list()))["trial_idx"]
    excluded = pl.DataFrame({"trial_idx": repeats[1:], "reason": "by hand"})
    bad = {
        "input_response": changed(
            store,
            later["input_response"],
            responses=responses.with_columns(
                pl.Series("response", values, dtype=responses["response"].dtype)
            ),
        ),
        "excluded_trial": changed(store, later["excluded_trial"], excluded_trial=excluded),
    }
    stage = LOOP.model_copy(update={"scans": LOOP.scans[:2], "n_permutations": 99})
    made = make_closed_loop(
        store,
        stage,
        source=source
        | {
            "stack_coordinates": changed(
                store,
                source["stack_coordinates"],
                stack_coordinates=places.filter(pl.col("unit_id") != lost),
            )
        },
        later={DAYS[1]: later | bad},
        corrected_high_unit_selection=inputs["corrected_high_unit_selection"],
    )
    notes = store.table(made["evidence"][0].ref, "notes").filter(pl.col("key") != "double_match")
    assert notes["note"].to_list() == [
        f"scan 3-2-1: units with images but no match: 1 of 26 ({lost})",
        f"scan 3-2-1: units left out since the responses of their cells have no variance: 1 of 26 ({dead})",
        f"scan 3-2-1: images shown once only, their variance in this scan undefined: 1 (cnn {once})",
        "own images with one repeat in the whole loop, so that there is no variance, no s.e.m. and no t: "
        f"1 (cnn {once})",
    ]
    evidence = evidence_of(store, made)
    assert evidence["n_units"]["value"] == 14
    summary = store.table(made["z_summary_confusion"][0].ref, "z_summary_confusion")
    assert not any(summary[name].is_nan().any() for name in ("mu_resp", "var_resp", "sem_resp"))
    assert summary.filter(pl.col("var_resp").is_null())["image_unit_id"].unique().to_list() == [once]


def test_a_condition_that_the_set_does_not_list_stops_the_loop(loop):
    store, inputs = loop
    later = inputs["later"][DAYS[1]]
    trials = store.table(later["input_response"], "trials")
    first = trials.filter(status="")["trial_idx"][0]
    trials = trials.with_columns(
        condition_hash=pl.when(trial_idx=first).then(pl.lit("x")).otherwise("condition_hash")
    )
    strange = later | {"input_response": changed(store, later["input_response"], trials=trials)}
    chosen = {"corrected_high_unit_selection": inputs["corrected_high_unit_selection"]}
    with pytest.raises(
        DataError, match="scan 3-2-1: 1 trials show conditions that the stimulus set does not"
    ):
        make_closed_loop(
            store,
            LOOP.model_copy(update={"scans": LOOP.scans[:2]}),
            source=inputs["source"],
            later={DAYS[1]: strange},
            **chosen,
        )


def test_scans_without_a_common_stack_are_refused(loop):
    store, inputs = loop
    later = inputs["later"][DAYS[1]]
    elsewhere = store.table(later["stack_coordinates"], "stack_coordinates").with_columns(
        pl.col("stack_idx") + 100
    )
    moved = store.make(
        STACK_COORDINATES,
        ScanConfig(scan=DAYS[2]),
        lambda attempt: attempt.write_table("stack_coordinates", elsewhere),
        inputs={"of": later["stack_coordinates"]},
    ).ref
    places = {
        "source_static_scan": inputs["source"]["static_scan"],
        "source_stack_coordinates": inputs["source"]["stack_coordinates"],
        "stimulus_set": later["stimulus_set"],
        "static_scan": later["static_scan"],
        "stack_coordinates": moved,
    }
    answers = {
        f"{day}{role}": scan[role]
        for day, scan in (("source_", inputs["source"]), ("", later))
        for role in ("input_response", "excluded_trial")
    }
    of = {"scan": DAYS[2], "source_scan": DAYS[0], "loop_group": 6}
    refused = "shares no structural stack with the source scan 3-1-1"
    with pytest.raises(DataError, match=refused):
        make_proximity_cell_match(store, ProximityCellMatchConfig(**of), **places)
    with pytest.raises(DataError, match=refused):
        make_assigned_cell_match(store, AssignedCellMatchConfig(**of), **places, **answers)
