"""Every image that rules can ask for, made for the tiny loop's units and shown by its gallery."""

import shutil

import polars as pl
import pytest

from flows.mei import mei
from flows.report import report
from flows.stimulus import stimulus
from inception_loop.artifacts.store import open_store
from inception_loop.images.image_kind import MEASURED
from inception_loop.parameters import MeiParameters, ReportParameters, StimulusParameters
from inception_loop.report.gallery.artifact import load_gallery
from inception_loop.report.gallery.kinds import TITLES

N_UNITS, DIVERSE = 12, 2
IMAGES = set(TITLES) - {"tight_mei_mask", "mei_mask", "gaussian_mask"}
REPORTED = ("recovered_truth", "learning_report", "report")
MASKS = {"tight_mei_mask", "mei_mask", "gaussian_mask"}


@pytest.fixture(scope="module")
def found(tiny_run, tmp_path_factory):
    """A copy of the tiny loop's store, and its artifacts by kind."""
    uri, result = tiny_run
    folder = tmp_path_factory.mktemp("every") / "store"
    shutil.copytree(uri.removeprefix("file://"), folder)
    there = f"file://{folder}"
    refs: dict = {}
    for stage in result.stages.values():
        for kind, made in stage.refs.items():
            moved = [ref.model_copy(update={"uri": ref.uri.replace(uri, there)}) for ref in made]
            refs[kind] = list(dict.fromkeys([*refs.get(kind, []), *moved]))
    return open_store(there), refs


@pytest.fixture(scope="module")
def made(found, tiny):
    """What the stage makes, at first and again."""
    store, refs = found
    asked = MeiParameters(
        dataset=refs["static_multi_dataset"][0],
        target_model=refs["target_model"][0],
        selection=refs["corrected_high_unit_selection"][0],
        panel=refs["truth_panel"][0],
        images=tiny.with_every_image(tiny.tiny_parameters()).images,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INCEPTION_LOOP_STORE", store.uri)
        return mei(asked), mei(asked)


def test_every_kind_has_its_rows_a_unit_and_finite_activations(found, made):
    store, _ = found
    counted: dict = {}
    for kind, refs in made[0].refs.items():
        for ref in refs if kind != "gallery" else ():
            table = store.table(ref, kind)
            numbers = table.select(pl.selectors.float() & pl.selectors.by_name(*MEASURED, require_all=False))
            assert numbers["activation"].is_finite().all(), ref
            assert numbers.select(pl.all().drop_nulls().is_finite().all()).row(0) == (True,) * numbers.width
            arrays = store.arrays(ref, "masks" if kind in MASKS else "images")
            pixels = arrays["masks" if kind in MASKS else "images"]
            assert len(pixels) == table.height
            assert pixels.min() >= 0
            assert pixels.max() <= (1 if kind in MASKS else 255)
            key = kind, store.manifest(ref).config.get("objective", "exciting")
            counted.setdefault(key, []).extend(table.select("name", "unit_id").rows())
    assert {kind for kind, _ in counted} | {"inhibiting_mei", "inhibiting_surround_mei"} == IMAGES | MASKS
    assert {kind for kind, objective in counted if objective == "inhibiting"} == {"mei", "surround_mei"}
    for (kind, _), units in counted.items():
        assert len(units) == N_UNITS * (DIVERSE if kind == "diverse_mei" else 1), kind
        assert len(set(units)) == N_UNITS, kind


def test_the_gallery_names_every_kind_and_shows_each_once_a_unit(found, made):
    store, _ = found
    ref = made[0].one("gallery")
    gallery, page = load_gallery(store, ref), store.file(ref, "gallery").decode()
    assert gallery.kinds["given"].all()
    assert set(gallery.images["what"]) == IMAGES
    assert set(gallery.masks["what"]) == MASKS
    assert gallery.images.height == N_UNITS * (len(IMAGES) + DIVERSE - 1)
    for what in (*IMAGES, *MASKS):
        assert page.count(TITLES[what]) >= N_UNITS, what
    assert page.count("its surround alone") == page.count("its centre alone") == 2 * 2 * N_UNITS  # and alt
    assert "nan" not in page.partition("<main>")[2].lower().split()
    late = gallery.findings.filter(key="out_of_steps")  # five steps are too few
    assert late.height == N_UNITS
    assert set(late["severity"]) == {"warn"}


def test_made_again_nothing_is_computed(made):
    first, again = made
    assert (again.computed, again.cached) == (0, first.computed + first.cached)
    assert again.refs == first.refs


def test_images_that_no_fill_takes_leave_session_and_report_as_they_were(found, made, tiny, monkeypatch):
    store, refs = found
    monkeypatch.setenv("INCEPTION_LOOP_STORE", store.uri)
    images = [ref for kind, of in made[0].refs.items() if kind not in {*MASKS, "gallery"} for ref in of]
    session = StimulusParameters(
        recording=refs["recording"][0],
        images=images,
        target_model=refs["target_model"][0],
        selection=refs["corrected_high_unit_selection"][0],
        panel=refs["truth_panel"][0],
        calibrations=refs["monitor_calibration"][:1],
        rules=tiny.tiny_parameters().stimulus,
    )
    shown = stimulus(session)
    assert shown.refs["stimulus_set"] == refs["stimulus_set"]
    assert len(shown.refs["stimulus_fill"]) == 4
    before = {kind: of for kind, of in refs.items() if kind not in REPORTED}
    told = report(ReportParameters(refs={**before, "mei": made[0].refs["mei"]}))
    assert told.refs["recovered_truth"] == refs["recovered_truth"]
    inputs = [store.manifest(made["report"][0]).inputs["mei"] for made in (told.refs, refs)]
    assert inputs[0] == inputs[1]
