"""A report filled from the artifacts of a whole, very small loop."""

from __future__ import annotations

from functools import partial

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.steps import Directly
from inception_loop.artifacts.store import open_store
from inception_loop.closed_loop.scans import LoopScan
from inception_loop.closed_loop.stage import ClosedLoopConfig, run_closed_loop
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.stage import run_dataset, run_ingest, run_responses
from inception_loop.errors import DataError
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.judging import Judging
from inception_loop.images.mei import MeiConfig, make_mei
from inception_loop.images.monitor.processed_image import ProcessedImageConfig, make_processed_image
from inception_loop.images.natural.whole import BestNaturalImageConfig, make_best_natural_image
from inception_loop.images.network import Networks, TrainedEnsemble
from inception_loop.images.rf import GradRFConfig, make_grad_rf
from inception_loop.images.target import TargetUnit
from inception_loop.images.wanted import wanted_units
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.recordings.recording import ScanKey
from inception_loop.recovery.truth import RecoveredTruthConfig, make_recovered_truth
from inception_loop.report.artifact import ReportConfig, make_report
from inception_loop.report.closed_loop.figures import every_figure
from inception_loop.report.closed_loop.tables import load_tables, loop_tables
from inception_loop.report.collect import NEEDED, collect
from inception_loop.report.collect_cells import place_matches
from inception_loop.report.page import figures, render_page
from inception_loop.selection.high_units import (
    CorrectedHighUnitSelectionConfig,
    HighUnitRules,
    make_corrected_high_unit_selection,
)
from inception_loop.selection.model_group import ModelGroupConfig, make_model_group
from inception_loop.selection.oracle import OracleConfig, make_oracle
from inception_loop.selection.ranking import OracleRankedUnitConfig, make_oracle_ranked_unit
from inception_loop.selection.truth_panel import TruthPanelConfig, make_truth_panel
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.fills import MultiMeiFill, UnmaskedFill
from inception_loop.stimuli.stimulus_fill import StimulusFillConfig, make_stimulus_fill
from inception_loop.stimuli.stimulus_set import StimulusSetConfig, make_stimulus_set
from inception_loop.training.config import ModelConfig, TrainConfig
from inception_loop.training.ensemble import load_ensemble
from inception_loop.training.model import make_model
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores

ANIMAL = SimulatedConfig(n_units=70, animal_id=4)
SOURCE, LATER = (ScanKey(animal_id=4, session=session, scan_idx=1) for session in (1, 2))
SHAPE = {"hidden_channels": 4, "layers": 2, "input_kern": 9, "hidden_kern": 3}
LAX = HighUnitRules(top_ptile=1.0, border_um=0.0, percentile=5.0, distance_um=0.0, max_rank=6)


def train(run, dataset):
    """One barely trained network of each family, with its scores."""
    readout = SpatialTransformerPyramid2d(scale_n=1)
    found = {}
    for family, core in (("cnn", GaussianLaplace), ("linear", StackedLinearGaussianLaplace)):
        config = ModelConfig(
            group_id=0,
            network=CorePlusReadout(core=core(**SHAPE), readout=readout),
            train=TrainConfig(max_epoch=4),
            seed=1,
        )
        model = run(make_model, config, dataset=dataset)
        scores = run(make_unit_test_scores, UnitTestScoresConfig(group_id=0), model=model, dataset=dataset)
        found[family] = (model, scores)
    return found


def select(run, dataset, trained, truth):
    oracle = run(make_oracle, OracleConfig(group_id=0), dataset=dataset)
    ranked = run(make_oracle_ranked_unit, OracleRankedUnitConfig(group_id=0), oracle=oracle)
    run(make_model_group, ModelGroupConfig(group_id=0), models=[model for model, _ in trained.values()])
    selection = run(
        make_corrected_high_unit_selection,
        CorrectedHighUnitSelectionConfig(group_id=0, rules=LAX, min_units=2),
        dataset=dataset,
        oracle_ranked_unit=ranked,
        cnn_scores=[trained["cnn"][1]],
        linear_scores=[trained["linear"][1]],
    )
    panel = run(
        make_truth_panel,
        TruthPanelConfig(group_id=0, n_simple=2, n_complex=3, least=1),
        dataset=dataset,
        oracle_ranked_unit=ranked,
        truths=[truth],
    )
    return oracle, selection, panel


def synthesise(run, store, dataset, trained, selection, panel):
    tables = store.table(selection, "corrected_high_unit_selection"), store.table(panel, "truth_panel")
    wanted = wanted_units(*tables)
    units = tuple(TargetUnit(neuron_id=n, unit_id=u) for n, u in wanted.select("neuron_id", "unit_id").rows())
    of = {"group_id": 0, "name": wanted["name"][0], "units": units, "judging": Judging(gains=5, reach=1)}
    quick = {"procedure": Fast(iterations=3)}
    cnn, linear = (
        TrainedEnsemble((model,), partial(load_ensemble, store, [model])) for model, _ in trained.values()
    )
    for_cnn, for_linear = {"networks": Networks(cnn)}, {"networks": Networks(linear, reference=cnn)}
    return {
        "meis": [run(make_mei, MeiConfig(**of, **quick), **for_cnn)],
        "rfs": [run(make_grad_rf, GradRFConfig(**of, **quick), **for_linear)],
        "naturals": [run(make_best_natural_image, BestNaturalImageConfig(**of), pictures=dataset, **for_cnn)],
    }, Networks(cnn)


def show(run, images, networks, selection, panel, recording):
    """Process every image and put them into the session of a later day."""
    processed = {
        role: run(
            make_processed_image,
            ProcessedImageConfig(group_id=0, zoom=2),
            networks=networks,
            image=image,
            like=images["meis"],
        )
        for role, (image,) in images.items()
    }
    asked = {"corrected_high_unit_selection": selection, "truth_panel": panel}
    fills = [
        run(
            make_stimulus_fill,
            StimulusFillConfig(loop_group=0, fill=fill),
            processed_images=[processed[role] for role in roles],
            **asked,
        )
        for fill, roles in (
            (MultiMeiFill(shifts=((0, 0),)), ("meis", "rfs")),
            (UnmaskedFill(), ("naturals",)),
        )
    ]
    session = StimulusSetConfig(loop_group=0, session=StimulusConfig(repeats=5))
    return run(make_stimulus_set, session, fills=fills, recording=recording)


def day(run, scan, **shown):
    config = AnimalDayConfig(
        scan=scan, animal=ANIMAL, day=scan.session - 1, session=shown.pop("session", None)
    )
    return run(make_recorded_day, config, **shown)


@pytest.fixture(scope="module")
def loop():
    """Store and references by kind of a loop of 70 cells, a minute's work on a rig."""
    store = open_store("memory://report-collect")
    run, rules = Directly(store), DatasetConfig(group_id=0)
    recording, truth = day(run, SOURCE, session=NaturalSessionConfig(n_train=60, n_repeated=8, repeats=6))
    source = run_dataset(run, rules, {SOURCE: recording})
    dataset = source["static_multi_dataset"]
    trained = train(run, dataset)
    oracle, selection, panel = select(run, dataset, trained, truth)
    images, networks = synthesise(run, store, dataset, trained, selection, panel)
    shown = show(run, images, networks, selection, panel, recording)
    later_recording, later_truth = day(run, LATER, stimulus=shown)
    later = run_ingest(run, LATER, later_recording)
    later["input_response"] = run_responses(run, rules, LATER, later_recording, later)
    scans = (
        LoopScan(scan=SOURCE, day=0, mei_source=True, stim_type="imagenet"),
        LoopScan(scan=LATER, day=1, stim_type="mei"),
    )
    roles = ("static_scan", "stack_coordinates", "input_response", "excluded_trial")
    run_closed_loop(
        run,
        ClosedLoopConfig(loop_group=0, scans=scans, n_permutations=199),
        source={**{role: source[role][0] for role in roles}, "animal_truth": truth},
        later={LATER: {**later, "stimulus_set": shown, "animal_truth": later_truth}},
        corrected_high_unit_selection=selection,
        truth_panel=panel,
    )
    run(
        make_recovered_truth,
        RecoveredTruthConfig(group_id=0, name=store.table(dataset, "members")["name"].item()),
        dataset=dataset,
        animal_truth=truth,
        oracle=oracle,
        cnn=[trained["cnn"][0]],
        linear=[trained["linear"][0]],
        meis=images["meis"],
        rfs=images["rfs"],
        truth_panel=panel,
    )
    return store, {kind: [outcome.ref for outcome in made] for kind, made in run.outcomes.items()}


@pytest.fixture(scope="module")
def collected(loop):
    return collect(*loop)


def test_everything_the_loop_made_is_found(collected):
    assert (collected.animal, collected.loop_group, collected.seed) == ("simulated", 0, ANIMAL.seed)
    assert collected.scans.select("scan", "role", "day").rows() == [
        ("4-1-1", "source", 0),
        ("4-2-1", "later", 1),
    ]
    assert collected.units.height == collected.funnel["left"][0]
    assert collected.funnel["left"][-1] == len(collected.selected)
    assert set(figures(collected)) >= {"confusion-z", "training-val-corr", "families", "match-map", "traces"}


def test_trials_add_up_to_those_shown(loop, collected):
    store, refs = loop
    for ref in refs["recording"]:
        scan = ScanKey.model_validate(store.manifest(ref).config["scan"])
        shown = store.table(ref, "trials").height
        trials = collected.trials.filter(scan=str(scan))
        assert trials["n"].sum() == shown
        assert trials["fate"][0] == "used"
        assert trials["n"][0] > 0.9 * shown
        assert collected.scans.filter(scan=str(scan))["n_trials"].item() == shown


def test_images_carry_the_answers_of_their_own_cell(loop, collected):
    store, refs = loop
    summary = store.table(refs["z_summary_confusion"][0], "z_summary_confusion")
    model = {"mei": "cnn", "linear": "linear", "natural": "natural"}
    assert [unit.unit_id for unit in collected.images][: len(collected.selected)] == collected.selected
    for unit in collected.images:
        for picture in unit.pictures:
            if picture.what == "truth":
                assert picture.response is None
                continue
            own = summary.filter(
                model_type=model[picture.what], image_unit_id=unit.unit_id, source_unit_id=unit.unit_id
            )
            assert picture.response == own["mu_resp"].item()
            assert picture.pixels.shape == (36, 64)


def test_the_true_best_image_stands_beside_every_driven_cell(collected):
    kinds = dict(collected.units.select("unit_id", "kind").rows())
    for unit in collected.images:
        shown = {picture.what for picture in unit.pictures}
        assert ("truth" in shown) == (kinds[unit.unit_id] != "unresponsive")


def test_matches_lie_in_one_stack_within_their_distance(collected):
    rows = collected.matches
    assert rows.drop("assigned_unit_id", "probability").null_count().sum_horizontal().item() == 0
    plane = np.hypot(rows["x"] - rows["later_x"], rows["y"] - rows["later_y"])
    assert (plane <= rows["mean_distance"].to_numpy() * 1.5 + 3).all()


def test_numbers_of_the_truth_come_with_n_and_definition(collected):
    assert "match_accuracy" in collected.truth
    assert "ceiling_fraction_median" in collected.truth
    for measured in collected.truth.values():
        assert measured.definition
        assert measured.n is not None


def test_traces_begin_before_the_first_image(collected):
    assert len(collected.traces) == min(5, len(collected.selected))
    for example in collected.traces:
        assert example.time.shape == example.trace.shape
        assert example.onsets[0] == pytest.approx(1.0)
        assert 0 <= example.time[0] < 1


def test_lineage_lists_every_artifact_and_settings_name_their_values(loop, collected):
    _, refs = loop
    assert collected.lineage.height == len({ref for found in refs.values() for ref in found})
    assert collected.settings["evidence"] == {"n_permutations": "199", "seed": "0"}
    assert collected.settings["network 1"]["network.core.hidden_channels"] == "4"
    assert set(collected.settings) >= {"network 2", "selection", "MEI", "stimulus set", "cell matching"}
    assert collected.settings["cell matching, one to one"].keys() >= {
        "least_probability", "radius_um", "more_than_repeats"
    }  # fmt: skip
    assert collected.settings["tests"] == {
        "n_permutations": "199", "n_unit_permutations": "9999", "seed": "0"
    }  # fmt: skip


def test_the_report_is_one_artifact_whatever_the_order_of_its_parts(loop):
    store, refs = loop
    first = make_report(store, ReportConfig(loop_group=0), refs=refs)
    again = make_report(
        store, ReportConfig(loop_group=0), refs={kind: refs[kind][::-1] for kind in reversed(refs)}
    )
    assert (first.cached, again.cached) == (False, True)
    page = store.file(first.ref, "report")
    assert page.startswith(b"<!doctype html>")
    assert page == render_page(collect(store, refs)).encode()
    assert store.uri.encode() not in page


def test_the_means_of_the_trials_are_those_of_the_summary(collected):
    own = ["model_type", "source_unit_id"]
    means = collected.own_responses.group_by(own).agg(pl.col("z_response").mean(), pl.len())
    summary = collected.z_summary.filter(pl.col("image_unit_id") == pl.col("source_unit_id"))
    both = summary.join(means, on=own)
    assert both.height == summary.height > 0
    np.testing.assert_allclose(both["mu_resp"], both["z_response"], atol=1e-9)
    assert both["n_repeats"].to_list() == both["len"].to_list()


def test_pictures_are_the_pixels_that_the_monitor_got(loop, collected):
    store, refs = loop
    conditions = store.table(refs["stimulus_set"][0], "conditions")
    images = store.arrays(refs["stimulus_set"][0], "images")["images"]
    rows = dict(conditions.select("condition_hash", "image_row").iter_rows())
    for place, _, _, condition in collected.shown.iter_rows():
        shown = images[rows[condition]].astype(float)
        small = collected.shown_images[place]
        assert small.shape[1] <= 64
        assert small.mean() == pytest.approx(shown.mean(), abs=0.5)
    assert all(
        picture.shown for unit in collected.images for picture in unit.pictures if picture.what == "mei"
    )


def test_every_number_test_and_figure_names_artifacts_of_this_loop(loop, collected):
    _, refs = loop
    known = {ref.digest for found in refs.values() for ref in found}
    origins = collected.origins
    assert set(origins["digest"]) <= known
    evidence = refs["evidence"][0].digest
    for key in collected.evidence["key"]:
        assert evidence in origins.filter(of="numbers", name=key)["digest"], key
    assert refs["loop_tests"][0].digest in origins.filter(of="tests")["digest"]
    closed_loop = {one.figure.name for one in every_figure(loop_tables(collected))}
    for name in closed_loop:
        asked = name if not name.startswith("units-") else "units"
        assert origins.filter(of="figure", name=asked).height, name


def test_a_report_keeps_the_tables_behind_its_figures(loop, collected):
    store, refs = loop
    kept = load_tables(store, make_report(store, ReportConfig(loop_group=0), refs=refs).ref)
    assert kept is not None
    for name, frame in loop_tables(collected).frames().items():
        assert_frame_equal(getattr(kept, name), frame)
    assert np.array_equal(kept.images, collected.shown_images)


def test_a_loop_made_before_there_were_trials_and_tests_still_has_a_report(loop):
    store, refs = loop
    new = {"own_response", "loop_tests", "assigned_cell_match", "stimulus_set"}
    data = collect(store, {kind: found for kind, found in refs.items() if kind not in new})
    assert (data.tests.height, data.own_responses.height, data.shown.height) == (0, 0, 0)
    assert "not tested" in render_page(data)


def test_without_truth_the_report_still_stands(loop):
    store, refs = loop
    blind = {
        kind: found
        for kind, found in refs.items()
        if kind not in {"animal_truth", "recovered_truth", "truth_panel"}
    }
    data = collect(store, blind)
    assert data.units["kind"].null_count() == data.units.height
    assert data.matches["right"].null_count() == data.matches.height


@pytest.mark.parametrize("kind", NEEDED)
def test_a_missing_kind_is_named(loop, kind):
    store, refs = loop
    with pytest.raises(DataError, match=f"lacks artifacts of the kinds {kind}"):
        collect(store, {name: found for name, found in refs.items() if name != kind})


def test_units_matched_to_another_cell_are_marked(collected):
    wrong = set(collected.matches.filter(~pl.col("right"))["source_unit_id"])
    assert {unit.unit_id for unit in collected.images if unit.wrong_days} == wrong


def test_a_match_without_a_place_keeps_its_row():
    rows = pl.DataFrame({"source_unit_id": [1, 2], "unit_id": [7, 8]})
    place = {"stack_session": 1, "stack_idx": 1, "stack_x": 1.0, "stack_y": 2.0, "stack_z": 0.0}
    source, later = pl.DataFrame([{"unit_id": 1, **place}]), pl.DataFrame([{"unit_id": 8, **place}])
    placed = place_matches(rows, source, later)
    assert placed["x"].to_list() == [1.0, None]
    assert placed["later_y"].to_list() == [None, 2.0]
