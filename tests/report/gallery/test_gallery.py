"""A gallery of cells in closed form: what is broken is found and said, numbers are those of the tables."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import re
import shutil
import uuid
import zipfile
from dataclasses import dataclass, field
from html import unescape
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from playwright.sync_api import sync_playwright

from flows.cli_report import find_report, write_gallery
from flows.telling.gallery import rows
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import CATALOGUE
from inception_loop.artifacts.store import open_store
from inception_loop.errors import DataError
from inception_loop.images.image_kind import MEASURED, ImageConfig, image_kind, write_images
from inception_loop.images.judging import Judging
from inception_loop.images.masks.artifact import GAUSSIAN_MASK, TIGHT_MEI_MASK
from inception_loop.images.mei import MEI
from inception_loop.images.natural.whole import BEST_NATURAL_IMAGE
from inception_loop.images.network import CallableModel, Networks, TrainedEnsemble
from inception_loop.images.rf import GRAD_RF
from inception_loop.images.target import TARGET_COLUMNS
from inception_loop.report.gallery.artifact import load_gallery
from inception_loop.report.gallery.charts import Chart, spread
from inception_loop.report.gallery.collect import what_of
from inception_loop.report.gallery.findings import find
from inception_loop.report.gallery.kinds import rivals_of, title_of
from inception_loop.report.gallery.page import unbroken
from inception_loop.report.gallery.panels import within
from inception_loop.report.gallery.pictures import common_scale
from inception_loop.report.gallery.report import GalleryConfig, collect_gallery, make_gallery
from inception_loop.report.gallery.words import facts, gallery_lines, headline, markdown, remarks, sentences
from inception_loop.selection.high_units import CORRECTED_HIGH_UNIT_SELECTION
from inception_loop.selection.truth_panel import TRUTH_PANEL
from inception_loop.training.model import MODEL

H, W, MEAN, CONTRAST = 36, 64, 110.0, 8.0
NAME = "17-1-1"


def gabors(n, seed=5, jitter=0.0):
    """(n, 36, 64) Gabors of zero mean and unit norm."""
    rng = np.random.default_rng(seed)
    other = np.random.default_rng(seed + 1)
    y, x = np.mgrid[:H, :W]
    found = []
    for _ in range(n):
        cx, cy, angle, phase = (
            rng.uniform(18, 46),
            rng.uniform(10, 26),
            rng.uniform(0, np.pi),
            rng.uniform(0, 6),
        )
        wave, sigma = rng.uniform(6, 12), rng.uniform(2.5, 5)
        cx, cy, angle = (
            cx + jitter * other.normal(),
            cy + jitter * other.normal(),
            angle + 0.1 * jitter * other.normal(),
        )
        along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        patch = np.cos(2 * np.pi * along / wave + phase) * np.exp(
            -((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2)
        )
        patch -= patch.mean()
        found.append(patch / np.linalg.norm(patch))
    return np.stack(found).astype(np.float32)


def shown(patches):
    """Bring patches to the mean and contrast of the experiment."""
    patches = patches - patches.mean((1, 2), keepdims=True)
    return (MEAN + CONTRAST * patches / patches.std((1, 2), keepdims=True)).astype(np.float32)


def cells(filters, falling=()):
    """Half-rectified cells; those of ``falling`` are suppressed by contrast beyond that of the images."""
    filters = torch.tensor(filters)
    falls = torch.zeros(len(filters))
    falls[list(falling)] = 1.0

    def paired(pixels, units):
        d = pixels - pixels.mean((1, 2), keepdim=True)
        drive = torch.relu((d * filters[units]).sum((1, 2))) / 100
        contrast = d.square().mean((1, 2)).sqrt()
        return 0.1 + drive / (1 + falls[units] * (contrast / 10) ** 6)

    def full(pixels, units):
        return torch.stack([paired(pixels, unit.expand(len(pixels))) for unit in units], 1)

    return CallableModel(full, MEAN, 50.0, (H, W), paired_units=paired)


class StubConfig(Config):
    group_id: int = 0
    seed: int = 0


def filled(kind, payload, n, /, **columns):
    """A table as a kind declares it: what is not given is null, 0 or empty."""
    empty = {"string": "", "double": 0.0, "int64": 0, "bool": True}
    out = {}
    for name, column in kind.payloads[payload].columns.items():
        value = None if column.nullable else empty[str(column.type)]
        out[name] = columns.get(name, [value] * n)
    return pl.DataFrame(out, strict=False)


def stub(store, kind, seed=0, **tables):
    def build(attempt):
        for name, value in tables.items():
            (attempt.write_table if isinstance(value, pl.DataFrame) else attempt.write_arrays)(name, value)

    return store.make(kind, StubConfig(seed=seed), build).ref


def model_ref(store, seed):
    arrays = {"weights": {"w": np.zeros(1, np.float32)}}
    tables = {name: filled(MODEL, name, 0) for name in ("history", "inputs")}
    return stub(store, MODEL, seed, **arrays, **tables)


@dataclass
class World:
    """An experiment: its store, its images by kind, and what else a gallery wants."""

    store: object
    images: dict = field(default_factory=dict)
    masks: list = field(default_factory=list)
    selection: object = None
    panel: object = None

    def make(self, **changes):
        asked = {"images": self.images, "selection": self.selection, "panel": self.panel, "masks": self.masks}
        config = changes.pop("config", GalleryConfig(group_id=0))
        return make_gallery(self.store, config, **(asked | changes))


def experiment(
    n=6, *, fooled=(1,), beaten=(2,), falling=(3,), gains=20, reach=2, validated=True, kinds=(), store=None,
    meis=None, lacking=(), halved=(),
) -> World:  # fmt: skip
    """Make images of cells in closed form: ``kinds`` beside MEI, linear RF and natural image.

    ``fooled``: the validator prefers the natural image; ``beaten``: the MEI is noise; ``falling``: not
    monotonic; ``lacking``: without a natural image; ``halved``: kinds of which memory ran out.
    """
    store = store or open_store(f"memory://{uuid.uuid4().hex}")
    rng = np.random.default_rng(3)
    filters = gabors(n)
    models = [model_ref(store, seed) for seed in range(3)]

    def noise(like, amount):
        return amount * rng.normal(size=like.shape).astype(np.float32)

    natural = filters + noise(filters, 0.04)
    other = gabors(n, jitter=0.6)
    other[list(fooled)] = (natural - filters)[list(fooled)] * 0.5
    own, validator = cells(filters, falling), cells(other, falling)

    def ensemble(refs, model):
        return TrainedEnsemble(tuple(refs), lambda *_, **__: model)

    networks = Networks(
        ensemble(models[:2], own), validator=ensemble(models[2:], validator) if validated else None
    )
    units = [{"neuron_id": i, "unit_id": 100 + i} for i in range(n)]
    world = World(store)

    def add(kind, images, arrays=None, only=tuple(range(n)), **columns):
        """Make an artifact of a kind; columns and payloads of its own are filled."""
        of = [units[i] for i in only]
        config = ImageConfig(group_id=0, name=NAME, units=of, judging=Judging(gains=gains, reach=reach))
        every = filled(kind, kind.name, len(only), **columns)
        extra = {name: every[name] for name in every.columns if name not in {**TARGET_COLUMNS, **MEASURED}}
        payloads = (
            {"history": {"score": np.zeros((1, len(only)), np.float32)}} if "history" in kind.payloads else {}
        )

        def build(attempt):
            part = images[list(only)]
            write_images(attempt, kind, config, networks, own, part, columns=extra, arrays=arrays)
            for name, value in payloads.items():
                attempt.write_arrays(name, value)
            if kind.name in halved:
                attempt.report(images_at_once_for_memory=2)

        ref = store.make(kind, config, build, inputs=networks.inputs()).ref
        world.images.setdefault(kind.name, []).append(ref)

    best = shown(filters if meis is None else meis)
    best[list(beaten)] = shown(noise(filters, 1.0))[list(beaten)]
    steps, why = rng.integers(20, 100, n), ["converged"] * (n - 1) + ["iterations"]
    add(MEI, best, iterations=steps, stop_reason=why)
    gradient = (filters * rng.uniform(0.001, 0.01, (n, 1, 1))).astype(np.float32)
    add(
        GRAD_RF,
        shown(filters + noise(filters, 0.02)),
        {"point_rf": gradient},
        iterations=steps,
        stop_reason=why,
    )
    for kind, amount in kinds:
        add(kind, shown(filters + noise(filters, amount)))
    add(BEST_NATURAL_IMAGE, shown(natural), only=[i for i in range(n) if i not in lacking])
    soft = np.abs(filters) / np.abs(filters).max((1, 2), keepdims=True)
    masks = np.stack([(one > 0.2).astype(np.float32) for one in soft])
    ids = {"name": [NAME] * n, "neuron_id": list(range(n)), "unit_id": [100 + i for i in range(n)]}
    mask = filled(
        TIGHT_MEI_MASK, "tight_mei_mask", n, **ids, achieved_ratio=[0.9] * n, area_px=masks.sum((1, 2))
    )
    world.masks.append(stub(store, TIGHT_MEI_MASK, tight_mei_mask=mask, masks={"masks": masks}))
    wide = filled(GAUSSIAN_MASK, "gaussian_mask", n, **ids, achieved_ratio=[0.5] * n)
    world.masks.append(
        stub(store, GAUSSIAN_MASK, gaussian_mask=wide, masks={"masks": soft.astype(np.float32)})
    )
    ranks = [*range(n - 1), None]
    table = filled(
        CORRECTED_HIGH_UNIT_SELECTION, CORRECTED_HIGH_UNIT_SELECTION.name, n, **ids, brain_area=["V1"] * n,
        layer=["L2/3"] * n, oracle_corr=rng.uniform(0.3, 0.8, n), cnn_fraction_oracle=rng.uniform(0.7, 1, n),
        lin_fraction_oracle=rng.uniform(0.2, 0.6, n), hu_rank=ranks[::-1] if n == 6 else ranks,
    )  # fmt: skip
    payloads = {name: filled(CORRECTED_HIGH_UNIT_SELECTION, name, 0)
                for name in CORRECTED_HIGH_UNIT_SELECTION.payloads}  # fmt: skip
    payloads[CORRECTED_HIGH_UNIT_SELECTION.name] = table
    world.selection = stub(store, CORRECTED_HIGH_UNIT_SELECTION, **payloads)
    first = {key: values[:1] for key, values in ids.items()}
    world.panel = stub(
        store, TRUTH_PANEL, truth_panel=filled(TRUTH_PANEL, "truth_panel", 1, **first, kind=["simple"])
    )
    return world


@pytest.fixture(scope="module")
def future_kind():
    """A kind of image that nobody has thought of yet."""
    kind = image_kind("zebra_image", "Images of stripes.", arrays={})
    yield kind
    del CATALOGUE["zebra_image"]


@pytest.fixture(scope="module")
def world(future_kind):
    return experiment(kinds=[(future_kind, 0.02)], lacking=(4,))


@pytest.fixture(scope="module")
def made(world):
    return world.make()


@pytest.fixture(scope="module")
def gallery(world, made):
    return load_gallery(world.store, made.ref)


@pytest.fixture(scope="module")
def html(world, made):
    return world.store.file(made.ref, "gallery").decode()


@pytest.fixture(scope="module")
def bare():
    """An experiment of MEIs and linear RFs of one unit, no validator, no panel, no masks."""
    world = experiment(1, fooled=(), beaten=(), falling=(), validated=False)
    world.images = {"mei": world.images["mei"], "grad_rf": world.images["grad_rf"], "best_gabor": []}
    world.panel, world.masks = None, []
    return world


def shown_grey(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_what_is_broken_is_found_and_nothing_else(gallery):
    found = {unit: set() for unit in gallery.units["unit_id"]}
    for unit, key in gallery.findings.select("unit_id", "key").iter_rows():
        found[unit].add(key)
    assert found[101] >= {"validator_disagrees"}
    assert found[102] == {"control_wins", "validator_disagrees"}
    assert found[103] == {"not_monotonic"}
    assert found[104] == found[105] == set()
    verdicts = dict(gallery.units.select("unit_id", "verdict").rows())
    assert [verdicts[unit] for unit in range(101, 106)] == ["bad", "bad", "warn", "ok", "ok"]
    assert headline(gallery).startswith("Leave out 2 of 6 units")


def rows_of(n, **columns):
    """The table ``images`` of ``n`` units with a sound MEI each, but for ``columns``."""
    sound = {
        "name": NAME, "unit_id": range(n), "what": "mei", "number": 0, "stop_reason": "converged",
        "step_limit": 100, "images_at_once": None, "reference_activation": 2.0, "validator_activation": 2.0,
        "contrast": 8.0, "monotonic": True, "max_contrast": 16.0, "sat_contrast": 16.0,
    }  # fmt: skip
    return pl.DataFrame(sound | columns)


def found_of(images, fractions):
    units = pl.DataFrame({"name": NAME, "unit_id": range(len(fractions)), "cnn_fraction_oracle": fractions})
    return find(units, images).select("unit_id", "key", "severity").rows()


def test_units_that_no_network_predicts_are_to_be_left_out():
    found = found_of(rows_of(4), [0.9, 0.0, -0.2, None])
    assert found == [(1, "unpredicted", "bad"), (2, "unpredicted", "bad")]


def test_an_ascent_is_out_of_steps_only_where_it_could_have_stopped_by_itself():
    images = rows_of(
        3,
        stop_reason=["iterations", "iterations", "converged"],
        step_limit=pl.Series([100, None, 100], dtype=pl.Int64),  # the published one makes all its steps
    )
    assert found_of(images, [1.0] * 3) == [(0, "out_of_steps", "warn")]


def test_a_curve_that_dips_at_low_contrast_alone_does_not_fall():
    images = rows_of(3, monotonic=False, max_contrast=[16.0, 12.0, 4.0])
    assert found_of(images, [1.0] * 3) == [(1, "not_monotonic", "warn"), (2, "not_monotonic", "warn")]
    units = pl.DataFrame({"name": NAME, "unit_id": range(3), "cnn_fraction_oracle": 1.0})
    below, above = find(units, images)["text"]
    assert below.endswith("show it at no more than that.")
    assert above.endswith("show it at 4.0.")


def test_memory_that_ran_out_is_a_note_that_names_units_and_what_to_do():
    halved = ("best_natural_image",)
    world = experiment(2, fooled=(), beaten=(), falling=(), gains=4, reach=1, validated=False, halved=halved)
    found, _ = collect_gallery(
        world.store, {**world.images, "selection": [world.selection]}, GalleryConfig(group_id=0)
    )
    notes = found.findings.filter(key="out_of_memory")
    assert notes.select("unit_id", "severity").rows() == [(100, "note"), (101, "note")]
    assert notes["text"][0].endswith("went on 2 at a time and are sound: best natural image.")
    assert set(found.units["verdict"]) == {"ok"}
    (said,) = [text for text in remarks(found) if text.startswith("Memory")]
    assert "images of 2 units were made (100, 101); they went on 2 at a time" in said
    assert "a smaller batch in [images]" in said


def test_marks_of_lines_are_apart_near_their_ends_and_within_the_chart():
    rng = np.random.default_rng(0)
    for _ in range(50):
        ends = np.sort(rng.uniform(Chart.top, Chart.bottom, rng.integers(1, 12)))
        placed = np.array(spread(ends.tolist(), 10.0))
        assert (np.diff(placed) >= 10 - 1e-9).all()
        assert Chart.top <= placed[0]
        assert placed[-1] <= Chart.bottom + 1e-9
        if (np.diff(ends) >= 10).all():
            np.testing.assert_allclose(placed, ends)


def test_a_unit_to_leave_out_is_named_wherever_a_person_looks(world, made, gallery, html):
    (text,) = gallery.findings.filter(unit_id=102, key="control_wins")["text"]
    of = {row["what"]: row for row in gallery.images.filter(unit_id=102).to_dicts()}
    rivals = {what: of[what]["reference_activation"] for what in of if what != "mei"}
    best = max(rivals, key=rivals.get)
    said = f"{rivals[best]:.2f} against {of['mei']['reference_activation']:.2f}"
    assert text.startswith(
        f"Its {title_of(best)} excites it more than its MEI: {said}; so do 2 other controls"
    )
    assert text in html
    assert f"- unit 102: {text}" in markdown(gallery)
    assert "  leave out unit 102 (a control beats the MEI, the validator prefers a control)" in gallery_lines(
        gallery
    )
    line = 'leave_out = ["17-1-1/102", "17-1-1/101"]'
    assert line in markdown(gallery)
    assert line in "\n".join(gallery_lines(gallery))
    assert unescape(html).count(line) == 1
    assert world.store.manifest(made.ref).findings["units"] == {"ok": 2, "warn": 2, "bad": 2}


def test_units_stand_by_rank_then_panel(gallery, html):
    assert gallery.units.select("unit_id", "hu_rank", "panel").rows() == [
        (105, 0, None), (104, 1, None), (103, 2, None), (102, 3, None), (101, 4, None), (100, None, "simple"),
    ]  # fmt: skip
    places = [html.index(f'<article class="unit {verdict}" id="17-1-1_{unit}"')
              for unit, verdict in gallery.units.select("unit_id", "verdict").rows()]  # fmt: skip
    assert places == sorted(places)
    assert "Unit 105 · rank 0" in html
    assert "Unit 100 · truth panel, simple" in html


def test_every_number_of_the_page_is_that_of_a_table(gallery, html, read_page):
    page = read_page(html)
    for column in ("activation", "reference_activation", "validator_activation"):
        known = [value for value in gallery.images[column] if value is not None]
        assert sorted(float(value) for value, _ in page.of(column)) == sorted(set(known))
        assert len([name for name, _, _ in page.numbers if name == column]) == len(known)
    kept = gallery.images["shift_mean_activation"] / gallery.images["reference_activation"]
    assert {float(value) for value, _ in page.of("kept")} == set(kept)
    for key in ("share_of_mei", "mei_wins", "monotonic", "kept_when_displaced"):
        assert {float(value) for value, _ in page.of(key)} >= set(gallery.summary.filter(key=key)["value"])
    for fact in facts(gallery):
        assert (repr(fact.value), unbroken(fact.shown)) in page.of(fact.key)


def test_shares_and_wins_are_those_of_plain_numpy(gallery):
    first = {row["unit_id"]: row for row in gallery.images.filter(what="mei").to_dicts()}
    natural = gallery.images.filter(what="best_natural_image").to_dicts()
    for judge in ("reference", "validator"):
        own = np.array([first[row["unit_id"]][f"{judge}_activation"] for row in natural])
        rival = np.array([row[f"{judge}_activation"] for row in natural])
        of = {"what": "best_natural_image", "judge": judge}
        (share,) = gallery.summary.filter(key="share_of_mei", **of)["value"]
        assert share == pytest.approx(np.median(rival / own))
        (wins,) = gallery.summary.filter(key="mei_wins", **of)["value"]
        assert wins == pytest.approx((rival <= own * 1.01).mean())
        assert gallery.summary.filter(key="mei_wins", **of)["n"].item() == 5


def test_wins_at_unequal_contrasts_are_counted_beside_the_share(gallery):
    def line(found):
        return next(
            text for text in sentences(found) if text.startswith("MEI not beaten by the best natural")
        )

    assert "contrasts" not in line(gallery)
    natural = pl.col("what") == "best_natural_image"
    for factor, n in ((1.04, 0), (1.06, 2), (0.9, 2)):
        off = natural & pl.col("unit_id").is_in([100, 102])
        contrast = pl.col("contrast") * pl.when(off).then(factor).otherwise(1.0)
        said = line(dataclasses.replace(gallery, images=gallery.images.with_columns(contrast)))
        assert said.endswith("; the contrasts of 2 pairs differ by over 5 %.") == (n > 0), said


def test_the_page_is_whole_loads_nothing_and_150_units_are_below_10_mb(html, world, made, read_page):
    page = read_page(html)
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "embed", "base"} & page.tags
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert not re.search(r"https?://(?!www\.w3\.org)", html)
    assert len(set(re.findall(r' id="([^"]+)"', html))) == len(re.findall(r' id="', html))
    inner = [link[1:] for link in page.links if link.startswith("#")]
    assert {f'id="{name}"' in html for name in inner} == {True}
    assert all("alt" in image for image in page.images)
    unit = len(html) - html.index('<section id="units">')
    assert len(html) + 144 * unit / 6 * 8 / 4 < 10e6  # of 8 images each, here 4
    assert len(world.store.file(made.ref, "panels")) < 6 * 150e3


def test_every_image_is_on_the_one_grey_scale_that_the_page_says(world, made, gallery, html, read_page):
    low, high = (
        int(end) for end in re.search(r"black is (\d+), white (\d+) of the grey levels", html).groups()
    )
    by_alt = {image["alt"]: image["src"] for image in read_page(html).images}
    for kind in ("mei", "best_natural_image", "zebra_image"):
        (ref,) = world.images[kind]
        table, images = world.store.table(ref, kind), world.store.arrays(ref, "images")["images"]
        for row, unit in enumerate(table["unit_id"]):
            (uri,) = {
                uri for alt, uri in by_alt.items() if alt.startswith(f"{title_of(kind)} of unit {unit}")
            }
            expected = np.clip((images[row].astype(float) - low) / (high - low) * 255, 0, 255)
            np.testing.assert_allclose(shown_grey(uri), expected, atol=0.51)


def test_a_kind_that_nobody_has_thought_of_is_shown_compared_and_judged(gallery, html):
    assert gallery.images.filter(what="zebra_image").height == 6
    assert gallery.summary.filter(key="mei_wins", what="zebra_image")["n"].to_list() == [6, 6]
    assert "zebra image" in html


def test_absent_kinds_are_said_and_units_that_lack_one_counted(gallery, html, bare):
    missing = ["masked MEI", "best masked natural image", "best Gabor", "optimal Gabor"]
    assert f"Not in this gallery, since there is none: {', '.join(missing)}." in html
    assert "Some units lack a picture that others have: best natural image (1)." in html
    assert gallery.kinds.filter(what="best_gabor").rows() == [("best_gabor", "best Gabor", False, 0, 0)]
    poor = bare.store.file(bare.make().ref, "gallery").decode()
    assert "best natural image, best Gabor, optimal Gabor, mask." in poor
    assert "no network that had no part in these images has judged them" in poor
    assert "<th>validator</th>" not in poor
    assert "nan" not in re.sub(r"data:image[^\"]+", "", poor).lower().split()


def test_gradients_have_their_own_scale_and_masks_their_outline(world, gallery, html):
    (ref,) = world.images["grad_rf"]
    fields = world.store.arrays(ref, "images")["point_rf"]
    for field_of_unit in fields:
        assert f"±\u00a0{np.abs(field_of_unit).max():.2g} per grey level" in html
    mask, wider = world.masks
    assert wider.kind == "gaussian_mask"
    areas = world.store.arrays(mask, "masks")["masks"].sum((1, 2))
    assert gallery.masks.filter(what="tight_mei_mask")["area_px"].to_numpy() == pytest.approx(areas)
    assert all(f"tight mask: {area:.0f} px², keeps 90\u00a0%" in html for area in areas)
    assert html.count('class="halo"') == 12


def test_the_curves_of_the_page_are_those_of_the_artifacts(world, gallery):
    (ref,) = world.images["mei"]
    tuning, shifts = world.store.arrays(ref, "tuning"), world.store.arrays(ref, "shifts")
    row = world.store.table(ref, "mei")["unit_id"].to_list().index(103)
    of = gallery.curves.filter(what="mei", unit_id=103)
    contrast = of.filter(against="contrast")
    at = np.searchsorted(tuning["contrast"][row], contrast["x"].to_numpy().astype(np.float32))
    np.testing.assert_array_equal(tuning["activation"][row][at], contrast["activation"].to_numpy())
    assert contrast["activation"].max() == tuning["activation"][row].max()
    centre = of.filter(against="distance", x=0.0)["activation"].item()
    assert centre == shifts["activation"][row, 2, 2]
    beside = shifts["activation"][row][[1, 1, 1, 2, 2, 3, 3, 3], [1, 2, 3, 1, 3, 1, 2, 3]]
    assert of.filter(against="distance", x=1.0)["activation"].item() == pytest.approx(beside.mean())


def test_a_contact_sheet_and_a_panel_a_unit_are_pngs(world, made, gallery):
    sheet = Image.open(io.BytesIO(world.store.file(made.ref, "contact_sheet")))
    assert sheet.width > 10 * 2 * W
    with zipfile.ZipFile(io.BytesIO(world.store.file(made.ref, "panels"))) as panels:
        names = panels.namelist()
        pictures = [Image.open(io.BytesIO(panels.read(name))) for name in names]
    assert names == [f"{place:03d}_17-1-1_{unit}.png" for place, unit in enumerate(gallery.units["unit_id"])]
    (ref,) = world.images["mei"]
    units = world.store.table(ref, "mei")["unit_id"].to_list()
    scale = common_scale([image for refs in world.images.values() for one in refs
                          for image in world.store.arrays(one, "images")["images"]])  # fmt: skip
    for unit, picture in zip(gallery.units["unit_id"], pictures, strict=True):
        assert picture.width > 5 * 3 * W
        grey = scale.shown(world.store.arrays(ref, "images")["images"][units.index(unit)])
        pixels = np.asarray(picture.convert("L"))
        assert any((pixels[y : y + 3 * H : 3, 18 : 18 + 3 * W : 3] == grey).all() for y in range(55, 140))


def test_the_same_images_make_the_same_bytes_once_and_more_units_than_fit_stay_on_the_sheet():
    def digests():
        told = []
        name = f"memory://{uuid.uuid4().hex}"
        store = open_store(name, on_progress=lambda *progress: told.append(progress))
        world = experiment(3, fooled=(), beaten=(), falling=(), gains=4, reach=1, store=store)
        asked = {"images": {"mei": world.images["mei"]}, "config": GalleryConfig(group_id=0, most_units=2)}
        ref, cached = world.make(**asked)
        assert not cached
        assert told[-1] == (4, 4, "panels: unit 2 of 2")
        assert world.make(**asked) == (ref, True)
        html = world.store.file(ref, "gallery").decode()
        assert "The first 2 of 3 units are shown" in html
        assert html.count("<article") == 2
        assert len(re.findall(r'<a class="(?:ok|warn|bad)"', html)) == 3
        assert load_gallery(world.store, ref).units.height == 3
        return {name: one.sha256 for name, one in world.store.manifest(ref).payloads.items()}

    assert digests() == digests()


def test_margins_are_of_the_configuration(world):
    gentle = GalleryConfig(group_id=0, margin=1e6, least_validator_share=0.0)
    inputs = {**world.images, "masks": world.masks, "selection": [world.selection], "panel": [world.panel]}
    found, _ = collect_gallery(world.store, inputs, gentle)
    assert set(found.findings["key"]) == {"not_monotonic"}
    assert headline(found) == "No unit looks broken; 1 of 6 units is to be looked at."


def test_inhibiting_images_are_named_so_and_are_no_rivals(world):
    (ref,) = world.images["mei"]
    asked = SimpleNamespace(manifest=lambda _: SimpleNamespace(config={"objective": "inhibiting"}))
    assert what_of(asked, "mei", ref) == "inhibiting_mei"
    assert what_of(world.store, "mei", ref) == "mei"
    assert "inhibiting_mei" not in rivals_of(["mei", "inhibiting_mei", "grad_rf"])


def test_what_is_no_image_is_refused_in_words(world):
    with pytest.raises(DataError, match="a gallery of no image"):
        world.make(images={"mei": []})
    with pytest.raises(DataError, match="expected images of units"):
        world.make(images={"mei": [world.selection]})


def test_without_meis_the_page_shows_what_there_is(bare):
    ref = bare.make(images={"grad_rf": bare.images["grad_rf"]}).ref
    assert (
        headline(load_gallery(bare.store, ref))
        == "1 image of 1 unit; there is no MEI among them to judge by."
        " No independent networks judged them."
    )
    assert "Contact sheet: the linear RF image of 1 unit" in bare.store.file(ref, "gallery").decode()


def test_the_command_writes_page_and_pictures(world, made, gallery, tmp_path):
    assert write_gallery(world.store, made.ref, tmp_path, False).splitlines()[0] == headline(gallery)
    assert (tmp_path / "gallery.html").read_bytes() == world.store.file(made.ref, "gallery")
    names = {path.name for path in (tmp_path / "gallery").iterdir()}
    assert "contact_sheet.png" in names
    assert len(names) == 7
    said = json.loads(write_gallery(world.store, made.ref, tmp_path, True))
    assert (said["headline"], len(said["units"])) == (headline(gallery), 4)
    assert find_report(world.store, made.ref.digest[:12]) == made.ref
    assert find_report(world.store, None, "gallery").kind == "gallery"


def test_for_prefect_the_units_to_leave_out_come_first_and_the_sheet_is_small(world, made, gallery):
    listed = rows(gallery)
    verdicts = ["✗ leave out"] * 2 + ["! look at it"] * 2 + ["✓ fine"] * 2
    assert [row["verdict"] for row in listed] == verdicts
    assert all(bool(row["why"]) == (row["verdict"] != "✓ fine") for row in listed)
    sheet = world.store.file(made.ref, "contact_sheet")
    assert within(sheet, len(sheet)) == sheet
    small = within(sheet, len(sheet) // 3)
    assert len(small) <= len(sheet) // 3
    assert Image.open(io.BytesIO(small)).size == Image.open(io.BytesIO(sheet)).size


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="Chromium is missing; install it")
def test_a_gallery_is_whole_offline_fits_its_screen_and_shows_only_what_is_asked(html, tmp_path):
    assert CHROMIUM is not None, "Chromium is missing; install it (Debian: apt-get install chromium)"
    path = tmp_path / "gallery.html"
    path.write_text(html)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for width in (1280, 390):
            page = browser.new_page(viewport={"width": width, "height": 900})
            asked, errors = [], []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.on("console", lambda message, errors=errors: errors.append(message.text))
            page.goto(path.as_uri())
            assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
            assert errors == []
            assert min(page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")) > 0
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            table = "document.querySelector('.acts')"
            assert page.evaluate(f"{table}.scrollWidth <= {table}.parentElement.clientWidth + 1")
            page.check("#only-listed")
            assert page.locator("article:visible").count() == 4
            page.click(".sheet a[href='#17-1-1_102']")
            assert page.evaluate("document.getElementById('17-1-1_102').getBoundingClientRect().top") < 100
        browser.close()
