"""Images of units become the bytes of a rig, and are judged as those."""

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError

from inception_loop.dataset.area_average import area_average
from inception_loop.dataset.config import FrameSize
from inception_loop.dataset.frame import FRAME, FrameConfig
from inception_loop.dataset.scan_tables import MONITOR_CALIBRATION, ScanConfig
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.images.image_kind import ImageConfig, image_kind, write_images
from inception_loop.images.judging import Judging
from inception_loop.images.monitor.calibration import (
    ProcessedMonitorCalibrationConfig,
    load_monitor,
    make_processed_monitor_calibration,
)
from inception_loop.images.monitor.closest import ClosestCalibrationConfig, make_closest_calibration
from inception_loop.images.monitor.processed_image import (
    ProcessedImageConfig,
    make_processed_image,
    published,
)
from inception_loop.images.monitor.processing import load_source
from inception_loop.images.monitor.shown_target import AsMade, GreyTarget, LuminanceTarget
from inception_loop.images.shifting import shift_images
from inception_loop.images.target import TEXT, Column
from inception_loop.recordings.recording import ScanKey

SCAN = ScanKey(animal_id=1, session=1, scan_idx=1)
SHIFTS = ((0, 0), (1, 0), (0, -1))


@pytest.fixture
def kind(monkeypatch):
    """A kind of images that exists in a test only."""
    from inception_loop.artifacts import kind as module

    monkeypatch.setattr(module, "CATALOGUE", dict(module.CATALOGUE))
    return image_kind("drawn", "Images of a test.", columns={"source_id": Column(TEXT, "photograph")})


@pytest.fixture
def calls(linear_cells, models, networks):
    """`Networks` whose validator is the negative of its model."""
    return networks(models, linear_cells, negative_of(linear_cells))


def negative_of(model):
    class Negative:
        image_mean, image_std, image_size = model.image_mean, model.image_std, model.image_size

        def paired(self, pixels, units):
            return -model.paired(pixels, units)

    return Negative()


@pytest.fixture
def drawn(store, kind, calls, target, even, linear_cells):
    """Function that puts images of the three units into the store."""

    def of(images, **fields):
        config = ImageConfig(**{**target, **fields}, judging=Judging(gains=2, reach=0))

        def build(attempt):
            columns = {"source_id": ["one", "two", "three"]}
            write_images(attempt, kind, config, calls, linear_cells, images, columns=columns)

        return store.make(kind, config, build, inputs=calls.inputs()).ref

    return of


@pytest.fixture
def filters(even):
    return 110 + 90 * even[[3, 1, 17]]


@pytest.fixture
def monitor(store):
    grey = np.linspace(0, 255, 40)
    rows = {
        "pixel_value": grey,
        "luminance": 0.15 + 23.85 * (grey / 255) ** 2.1,
        "timestamp": "2019-03-04T09:30",
    }
    raw = store.make(
        MONITOR_CALIBRATION,
        ScanConfig(scan=SCAN),
        lambda attempt: attempt.write_table("monitor_calibration", pl.DataFrame(rows)),
    )
    config = ProcessedMonitorCalibrationConfig(scan=SCAN)
    return make_processed_monitor_calibration(store, config, calibration=raw.ref).ref


def test_a_row_a_unit_and_displacement_with_the_activation_of_the_averaged_bytes(
    store, calls, drawn, filters, monitor, linear_cells
):
    image = drawn(filters, eye="none")
    config = published(0, 0, shifts=SHIFTS)
    made = make_processed_image(store, config, networks=calls, image=image, calibration=monitor)
    table, images = store.table(made.ref, "processed_image"), store.arrays(made.ref, "images")["images"]
    assert images.shape == (9, 144, 256)
    assert table["unit_id"].to_list() == [u for u in (103, 101, 117) for _ in SHIFTS]
    assert table.select("shift_x", "shift_y").rows() == list(SHIFTS) * 3
    assert table["source_kind"].unique().to_list() == ["drawn"]
    assert table["source_row"].to_list() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert table["source_id"].to_list() == [s for s in ("one", "two", "three") for _ in SHIFTS]
    assert table["condition_hash"].null_count() == 9
    seen = torch.from_numpy(area_average(images, 36, 64))
    activation = linear_cells.paired(seen, torch.tensor(table["neuron_id"].to_list())).numpy()
    assert table["activation"].to_numpy() == pytest.approx(activation, rel=1e-6)
    assert (table["reference_activation"] == table["activation"]).all()
    assert table["validator_activation"].to_numpy() == pytest.approx(-activation, rel=1e-6)
    assert table["source_activation"].to_list()[::3] == store.table(image, "drawn")["activation"].to_list()
    assert calls.own.load.calls[-1][1:] == (
        "none",
        "none",
        "float32",
    )  # eye and behaviour of the image itself


def test_the_columns_say_what_the_bytes_show_on_the_monitor(store, calls, drawn, filters, monitor):
    made = make_processed_image(
        store, published(0, 0, shifts=SHIFTS), networks=calls, image=drawn(filters), calibration=monitor
    )
    table, images = store.table(made.ref, "processed_image"), store.arrays(made.ref, "images")["images"]
    light = load_monitor(store, monitor).levels[images]
    assert np.allclose(table["mean"].to_numpy(), images.mean((1, 2)))
    assert np.allclose(table["contrast"].to_numpy(), images.std((1, 2)))
    assert np.allclose(table["luminance_mean"].to_numpy(), light.mean((1, 2)))
    assert np.allclose(table["luminance_contrast"].to_numpy(), light.std((1, 2)))
    assert np.allclose(table["mean_miss"].to_numpy(), light.mean((1, 2)) / 10 - 1)
    assert np.allclose(table["contrast_miss"].to_numpy(), light.std((1, 2)) / 2 - 1)
    findings = store.manifest(made.ref).findings
    assert findings["worst_contrast_miss"] == table["contrast_miss"].abs().max() < 0.006


def test_an_image_is_displaced_before_it_is_enlarged(store, calls, drawn, filters):
    config = ProcessedImageConfig(group_id=0, target=AsMade(), zoom=2, shifts=((0, 0), (2, 1)))
    made = make_processed_image(store, config, networks=calls, image=drawn(filters))
    images = store.arrays(made.ref, "images")["images"]
    assert (images[0::2, ::2, ::2] == np.rint(filters.numpy())).all()
    assert (images[1::2, ::2, ::2] == shift_images(images[0::2, ::2, ::2], (2, 1))).all()
    table = store.table(made.ref, "processed_image")
    assert table.select("mean_miss", "contrast_miss", "luminance_mean").null_count().row(0) == (6, 6, 6)


def test_a_target_left_open_is_the_mean_over_the_images_it_shall_be_like(store, calls, drawn, filters):
    bold, faint = drawn(110 + (filters - 110) * 2), drawn(filters, eye="none")
    config = ProcessedImageConfig(group_id=0, zoom=1)
    own = make_processed_image(store, config, networks=calls, image=faint)
    alike = make_processed_image(store, config, networks=calls, image=faint, like=[bold])
    contrast = {ref: store.table(ref, "drawn")["contrast"].mean() for ref in (bold, faint)}
    assert store.manifest(own.ref).findings["contrast"] == pytest.approx(contrast[faint])
    assert store.manifest(alike.ref).findings["contrast"] == pytest.approx(contrast[bold])
    assert np.allclose(store.table(alike.ref, "processed_image")["contrast"], contrast[bold], rtol=0.01)
    given = ProcessedImageConfig(group_id=0, zoom=1, target=GreyTarget(mean=100, contrast=6))
    shown = make_processed_image(store, given, networks=calls, image=faint, like=[bold])
    assert np.allclose(store.table(shown.ref, "processed_image")["mean"], 100, rtol=0.005)


def test_a_target_left_open_in_light_is_the_mean_of_what_the_monitor_shows_of_them(
    store, calls, drawn, filters, monitor
):
    image, bold = drawn(filters), drawn(110 + (filters - 110) * 1.5)
    config = ProcessedImageConfig(group_id=0, zoom=1, target=LuminanceTarget())
    made = make_processed_image(
        store, config, networks=calls, image=image, calibration=monitor, like=[image, bold]
    )
    light = load_monitor(store, monitor).to_luminance(
        np.concatenate([store.arrays(ref, "images")["images"] for ref in (image, bold)])
    )
    findings, table = store.manifest(made.ref).findings, store.table(made.ref, "processed_image")
    assert findings["mean"] == pytest.approx(light.mean())
    assert findings["contrast"] == pytest.approx(np.mean([one.std() for one in light]))
    assert np.allclose(table["luminance_contrast"], findings["contrast"], rtol=0.006)
    half = config.model_copy(update={"target": LuminanceTarget(mean=9)})
    made = make_processed_image(store, half, networks=calls, image=image, calibration=monitor)
    assert store.manifest(made.ref).findings["mean"] == 9


def test_the_calibration_that_a_scan_chose_serves_as_well(store, calls, drawn, filters, monitor):
    closest = make_closest_calibration(store, ClosestCalibrationConfig(scan=SCAN), calibrations=[monitor]).ref
    config, image = published(4, 0, zoom=2), drawn(filters)
    by = [
        make_processed_image(store, config, networks=calls, image=image, calibration=ref).ref
        for ref in (monitor, closest)
    ]
    assert by[0].digest != by[1].digest
    one, other = (store.arrays(ref, "images")["images"] for ref in by)
    assert (one == other).all()


def test_what_does_not_fit_together_is_refused(store, calls, drawn, filters, monitor, models):
    image = drawn(filters)
    light = ProcessedImageConfig(group_id=0, target=LuminanceTarget())
    with pytest.raises(ConfigurationError, match="target in cd/m² has no monitor; expected a calibration"):
        make_processed_image(store, light, networks=calls, image=image)
    with pytest.raises(ConfigurationError, match="is of group 0; expected group 1"):
        make_processed_image(store, ProcessedImageConfig(group_id=1), networks=calls, image=image)
    with pytest.raises(ConfigurationError, match="holds no images of units"):
        make_processed_image(store, ProcessedImageConfig(group_id=0), networks=calls, image=models[0])
    with pytest.raises(ConfigurationError, match=r"no published configuration 6; expected 0\.\.5"):
        published(6, 0)
    with pytest.raises(ValidationError, match="a displacement twice"):
        ProcessedImageConfig(group_id=0, shifts=((0, 0), (0, 0)))


def test_images_of_networks_that_see_luminance_are_refused(store, drawn, filters, models, monkeypatch):
    image = drawn(filters)
    frames = {gamma: frame_of(store, gamma) for gamma in (False, True)}
    own = store.inputs
    for gamma, frame in frames.items():  # as if the models were trained on it
        of_models = {ref: {"dataset": [frame]} for ref in models} | {frame: {"frame": [frame]}}
        monkeypatch.setattr(store, "inputs", lambda ref, found=of_models: found.get(ref) or own(ref))
        if not gamma:
            assert load_source(store, image, 0).kind == "drawn"
            continue
        with pytest.raises(
            ConfigurationError, match=r"see cd/m² \(dataset.frame.gamma = true\); expected grey"
        ):
            load_source(store, image, 0)


def frame_of(store, gamma):
    def build(attempt):
        columns = ["condition_hash", "image_class", "image_id", "source_id"]
        row = pl.DataFrame([["a", "natural", 0, ""]], schema=columns, orient="row")
        attempt.write_table("conditions", row)
        attempt.write_arrays("frames", {"frames": np.zeros((1, 2, 3), np.float32)})

    return store.make(FRAME, FrameConfig(scan=SCAN, frame=FrameSize(gamma=gamma)), build).ref


def test_a_contrast_that_the_monitor_cannot_show_is_refused_by_the_unit_and_says_by_how_much(
    store, calls, drawn, filters, monitor
):
    config = ProcessedImageConfig(group_id=0, target=LuminanceTarget(mean=23, contrast=9), shifts=((0, 1),))
    message = (
        r"drawn of unit 103 of group000-1-1-1 displaced by \(0, 1\) reaches .* cd/m² .*too much.*"
        r'; or go on without the units, with \[rules\] leave_out = \["group000-1-1-1/101", '
    )
    with pytest.raises(DataError, match=message):
        make_processed_image(store, config, networks=calls, image=drawn(filters), calibration=monitor)


def test_units_that_are_left_out_are_not_shown_and_hinder_nobody(store, calls, drawn, filters):
    spot = torch.full_like(filters[1], 110)
    spot[9, 9] = 200  # one pixel has no more contrast to give
    image = drawn(torch.stack([filters[0], spot, filters[2]]))
    config = ProcessedImageConfig(group_id=0, target=GreyTarget(mean=110, contrast=8), zoom=1)
    with pytest.raises(DataError, match=r'"group000-1-1-1/101"') as refused:
        make_processed_image(store, config, networks=calls, image=image)
    line = str(refused.value).split("leave_out = ")[1]
    without = config.model_copy(update={"leave_out": tuple(json.loads(line))})
    made = make_processed_image(store, without, networks=calls, image=image)
    table = store.table(made.ref, "processed_image")
    assert 101 not in table["unit_id"].to_list()
    assert table["source_row"].to_list() == [
        row for row, unit in enumerate((103, 101, 117)) if unit in table["unit_id"]
    ]
    assert table.height == len(store.arrays(made.ref, "images")["images"]) > 0


def test_a_batch_that_was_halved_while_its_bytes_were_judged_says_so(
    store, drawn, filters, models, networks, linear_cells, monkeypatch
):
    def paired(pixels, units):
        if len(pixels) > 2:
            raise MemoryError
        return linear_cells.paired(pixels, units)

    monkeypatch.setattr("gc.collect", lambda: 0)  # takes a third of a second
    small = SimpleNamespace(paired=paired, image_size=linear_cells.image_size)
    config, image = ProcessedImageConfig(group_id=0), drawn(filters)
    made = make_processed_image(store, config, networks=networks(models, small), image=image)
    assert store.manifest(made.ref).findings["images_at_once_for_memory"] == 2
