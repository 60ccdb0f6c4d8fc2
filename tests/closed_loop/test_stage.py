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
from inception_loop.artifacts.steps import Directly
from inception_loop.artifacts.store import open_store
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
         "mean": images.mean((1, 2)), "contrast": images.std((1, 2)), "reference_activation": [None] * n,
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
    twice += ["cell_match_oracle_correlation", "own_response"]
    four = ["summary_confusion_diagonal_entry", "z_summary_confusion_diagonal_entry"]  # one a control
    once = dict.fromkeys(["closed_loop_scan", "summary_confusion", "z_summary_confusion", "evidence"], 1)
    assert counts == dict.fromkeys(twice, 2) | dict.fromkeys(four, 4) | once


def test_the_summary_pools_the_repeats_of_both_days(loop, outcomes):
    store = loop[0]
    summary = store.table(outcomes["z_summary_confusion"][0].ref, "z_summary_confusion")
    assert summary["scan_count"].unique().to_list() == [2]
    assert summary["n_repeats"].min() >= 11
    assert summary.height == 6 * 26 * 26


def test_matched_cells_answer_shared_images_alike(loop, outcomes):
    store = loop[0]
    for made in outcomes["cell_match_oracle_correlation"]:
        table = store.table(made.ref, "cell_match_oracle_correlation")
        assert table["n_images"].unique().to_list() == [12]
        matched, others = (
            table.filter(pl.col("matched") == flag)["correlation"].mean() for flag in (True, False)
        )
        assert matched > others + 0.3


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
    with pytest.raises(DataError, match="shares no structural stack with the source scan 3-1-1"):
        make_proximity_cell_match(
            store,
            ProximityCellMatchConfig(scan=DAYS[2], source_scan=DAYS[0], loop_group=6),
            source_static_scan=inputs["source"]["static_scan"],
            source_stack_coordinates=inputs["source"]["stack_coordinates"],
            stimulus_set=later["stimulus_set"],
            static_scan=later["static_scan"],
            stack_coordinates=moved,
        )
