"""Images with a known mean and contrast, and the kinds of a loop in a store in memory."""

from __future__ import annotations

import uuid
from functools import partial

import numpy as np
import polars as pl
import pytest
import torch

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.store import open_store
from inception_loop.images.contrast import match_contrast
from inception_loop.images.monitor.calibration import PROCESSED_MONITOR_CALIBRATION
from inception_loop.images.monitor.processed_image import PROCESSED_IMAGE, ProcessedImageConfig
from inception_loop.images.monitor.rig_bytes import zoom_images
from inception_loop.recordings.archive import RECORDING, save_recording
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.recording import Recording, ScanKey, Traces
from inception_loop.selection.high_units import CORRECTED_HIGH_UNIT_SELECTION
from inception_loop.selection.truth_panel import TRUTH_PANEL
from inception_loop.stimuli.config import StimulusConfig

MEAN, CONTRAST = 110.0, 9.0
SCAN = ScanKey(animal_id=1, session=1, scan_idx=1)


class StubConfig(Config):
    """Of artifacts that a test makes up."""

    group_id: int = 0
    loop_group: int = 0
    scan: ScanKey = SCAN
    batch: int = 0
    objective: str = "exciting"


def stub(store, kind, n=1, config=None, inputs=None, known=None, arrays=None, findings=None):
    """Make an artifact whose payloads hold n rows as declared, with some columns and members as given."""

    def build(attempt):
        for name, payload in kind.payloads.items():
            if hasattr(payload, "columns"):
                values = {column: [_value(d.type)] * n for column, d in payload.columns.items()}
                values |= (known or {}).get(name, {})
                attempt.write_table(name, pl.DataFrame(values).select(list(payload.columns)))
            else:
                values = {
                    member: np.zeros((n,) * len(d.dims), d.dtype.split(" ")[0])
                    for member, d in payload.members.items()
                }
                attempt.write_arrays(name, values | (arrays or {}).get(name, {}))
        attempt.report(**findings or {})

    return store.make(kind, config or StubConfig(), build, inputs or {}).ref


def number(units):
    """Tell lists of units apart, where their artifacts differ by nothing else."""
    return sum(unit * 1000**place for place, unit in enumerate(units, 1))


def _value(dtype):
    return {"string": "a", "bool": True, "int64": 1}.get(str(dtype), 1.0)


def pictures(n: int, seed: int = 0, height: int = 36, width: int = 64) -> np.ndarray:
    """(n, height, width) float32 smooth noise at the mean and contrast of the tests."""
    noise = np.random.default_rng(seed).normal(size=(n, height, width))
    smooth = sum(np.roll(noise, (dy, dx), (1, 2)) for dy in range(4) for dx in range(4))
    return match_contrast(torch.from_numpy(smooth), MEAN, CONTRAST).numpy().astype(np.float32)


def units_table(unit_ids, name="group000-1-1-1") -> pl.DataFrame:
    return pl.DataFrame({"name": name, "neuron_id": np.arange(len(unit_ids)), "unit_id": list(unit_ids)})


@pytest.fixture
def make_pictures():
    return pictures


@pytest.fixture
def config():
    return StimulusConfig(repeats=4)


@pytest.fixture
def store():
    return open_store(f"memory://{uuid.uuid4().hex}")


@pytest.fixture
def recording(store, make_pictures):
    """A scan of 6 images; 3 are shown 5 times or more, of which one lost a trial."""
    images = np.rint(zoom_images(make_pictures(6, 20), 2)).astype(np.uint8)
    hashes = [condition_hash(image, 0.5) for image in images]
    shown = [0] * 5 + [1] * 6 + [2] * 5 + [3, 4, 5]
    onset = 1.0 + np.arange(len(shown))
    conditions = {
        "condition_hash": hashes,
        "image_class": ["natural"] * 6,
        "image_id": np.arange(6),
        "source_id": [f"p{k}" for k in range(6)],
        "image_row": np.arange(6),
    }
    trials = {
        "trial_idx": np.arange(len(shown)),
        "condition_hash": [hashes[k] for k in shown],
        "clear_flip": onset - 0.1,
        "onset_flip": onset,
        "offset_flip": onset + 0.5,
    }
    unit = {"unit_id": [1], "field": [1], "mask_type": ["soma"]}
    unit |= {c: [0.0] for c in ("px_x", "px_y", "um_x", "um_y", "um_z", "ms_delay")}
    field = {"field": [1]} | {
        c: [1.0] for c in ("px_height", "px_width", "um_height", "um_width", "x", "y", "z")
    }
    clock = np.arange(50) * 0.5
    source = Recording(
        scan=SCAN,
        trace_kind="deconvolved",
        activity=Traces(np.zeros((1, 50), np.float32), clock, clock),
        trials=pl.DataFrame(trials),
        conditions=pl.DataFrame(conditions),
        images=images,
        units=pl.DataFrame(unit),
        fields=pl.DataFrame(field),
        excluded_trials=pl.DataFrame({"trial_idx": [0], "reason": ["eye closed"]}),
    )
    ref = store.make(RECORDING, StubConfig(), lambda attempt: save_recording(attempt, source)).ref
    return ref, hashes


@pytest.fixture
def make_stub(store):
    return partial(stub, store)


@pytest.fixture
def stub_config():
    return StubConfig


@pytest.fixture
def make_selection(store):
    """A selection of units in the order of their ranks, by default of one scan."""

    def make(units, names="scan"):
        known = {
            "name": names,
            "unit_id": units,
            "neuron_id": range(len(units)),
            "hu_rank": range(len(units)),
        }
        kind, config = CORRECTED_HIGH_UNIT_SELECTION, StubConfig(batch=number([*units, *map(len, names)]))
        return stub(store, kind, len(units), config, known={kind.name: known})

    return make


@pytest.fixture
def make_panel(store):
    def make(units):
        known = {
            "name": "scan",
            "unit_id": units,
            "neuron_id": range(len(units)),
            "panel_rank": range(len(units)),
        }
        config = StubConfig(batch=number(units))
        return stub(store, TRUTH_PANEL, len(units), config, known={TRUTH_PANEL.name: known})

    return make


@pytest.fixture
def make_calibration(store):
    """A monitor of 25 cd/m² whose luminance goes with a power of the grey level."""

    def make(gamma):
        levels = np.arange(256.0)
        curve = {"pixel_value": levels, "luminance": 25 * (levels / 255) ** gamma}
        return stub(
            store,
            PROCESSED_MONITOR_CALIBRATION,
            config=StubConfig(batch=round(10 * gamma)),
            arrays={"curve": curve},
        )

    return make


@pytest.fixture
def make_processed(store):
    """Images of units as bytes, in noise that the kind and the unit decide."""

    def make(kind, units, *, objective="exciting", calibration=None, shifts=((0, 0),), came_to=None, **given):
        how = {"target": {"type": "grey", "mean": 110.0, "contrast": 9.0}, "zoom": 2}
        how |= {key: given.pop(key) for key in ("target", "zoom", "zoom_rule") if key in given}
        config = StubConfig(batch=number(units), objective=objective)
        inputs = {"image": stub(store, kind, config=config)}
        inputs |= {"calibration": calibration} if calibration else {}
        rows = [(unit, *shift) for unit in units for shift in shifts]
        seeds = [[len(kind.name), unit, x + 9, y + 9] for unit, x, y in rows]
        images = np.stack([np.random.default_rng(s).integers(90, 131, (72, 128), np.uint8) for s in seeds])
        known = {
            "name": "scan",
            **dict(zip(("unit_id", "shift_x", "shift_y"), zip(*rows, strict=True), strict=True)),
            "source_id": pl.Series([None] * len(rows), dtype=pl.String),
            "mean": images.mean((1, 2)),
            "contrast": images.std((1, 2)),
            **dict.fromkeys(("mean_miss", "contrast_miss"), 0.0),
            "reference_activation": np.arange(len(rows)) + 0.5,
        }
        return stub(
            store,
            PROCESSED_IMAGE,
            len(rows),
            ProcessedImageConfig(group_id=0, shifts=shifts, **how),
            inputs,
            {PROCESSED_IMAGE.name: known | given},
            {"images": {"images": images}},
            {what: how["target"][what] for what in ("mean", "contrast")} if came_to is None else came_to,
        )

    return make
