"""Spoilt recordings of every format: a sound recording or one clear line, and nothing half in the store."""

import contextlib
import importlib.util
import json
import random
import select
import shutil
import signal
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from inception_loop.recordings import sensorium
from inception_loop.recordings.formats import detect
from inception_loop.recordings.hdf5.writing import write_hdf5
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import Recording, ScanKey

pytestmark = pytest.mark.timeout(3000)
CASES = {"short": 30, "long": 300}
LIMIT_S = 120.0  # a case takes 0.1 s; this is a machine that does much else
TESTS = Path(__file__).parents[1]
SCAN = {"animal_id": 22846, "session": 10, "scan_idx": 16}


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def small_sensorium(folder: Path) -> Path:
    written = module(TESTS / "recordings" / "test_sensorium.py")
    return written.write(folder / "static22846-10-16", written.parts())


def small_hdf5(folder: Path) -> Path:
    """The project's own file of a recording that is read from a Sensorium folder."""
    write_hdf5(sensorium.read(small_sensorium(folder), ScanKey(**SCAN), ReadOptions()), folder / "own.h5")
    return folder / "own.h5"


def loose_hdf5(folder: Path) -> Path:
    """The same without checksums and with texts of any length, as others would write it."""
    with h5py.File(small_hdf5(folder)) as own, h5py.File(folder / "loose.h5", "w") as loose:
        loose.attrs.update(own.attrs)

        def copy(name: str, found: Any) -> None:
            if isinstance(found, h5py.Dataset):
                if h5py.check_string_dtype(found.dtype):
                    loose.create_dataset(name, data=found.asstr()[()].tolist(), dtype=h5py.string_dtype())
                else:
                    loose[name] = found[()]

        own.visititems(copy)
    return folder / "loose.h5"


def raw_hdf5(folder: Path) -> Path:
    """Traces with clocks, an eye and a treadmill."""
    parts = module(TESTS / "recordings" / "conftest.py").sound_parts()
    parts["scan"] = ScanKey(**SCAN)
    write_hdf5(Recording(**parts), folder / "raw.h5")
    return folder / "raw.h5"


def plain_npz(folder: Path) -> Path:
    """Images and responses, and nothing else."""
    images = np.random.default_rng(1).integers(0, 256, (12, 36, 64), dtype=np.uint8)
    np.savez(folder / "plain.npz", images=images, responses=images[:, :4, 0].astype(np.float32))
    return folder / "plain.npz"


def plain_traces(folder: Path) -> Path:
    """A folder of arrays and tables of both forms, with clocks, an eye and a treadmill."""
    parts = module(TESTS / "recordings" / "conftest.py").sound_parts()
    (folder / "plain").mkdir()
    np.save(folder / "plain/images.npy", parts["images"])
    np.save(folder / "plain/traces.npy", parts["activity"].values)
    clocks = vars(parts["activity"])
    np.savez(folder / "plain/clocks.npz", **{name: clocks[name] for name in clocks if name != "values"})
    for name in ("trials", "conditions", "units", "fields", "stack_coordinates", "excluded_trials"):
        parts[name].write_parquet(folder / f"plain/{name}.parquet")
    for name in ("eye", "treadmill"):
        np.savez(folder / f"plain/{name}.npz", **vars(parts[name]))
    return folder / "plain"


def plain_responses(folder: Path) -> Path:
    """A folder with one image a file, responses as a table, and behaviour of each trial."""
    rng = np.random.default_rng(2)
    (folder / "plain/images").mkdir(parents=True)
    for row in range(6):
        np.save(folder / f"plain/images/{row}.npy", rng.integers(0, 256, (36, 64), dtype=np.uint8))
    pl.DataFrame(rng.random((10, 3)), ["5", "2", "9"]).write_parquet(folder / "plain/responses.parquet")
    trials = {"trial_idx": np.arange(10), "image_row": rng.integers(0, 6, 10)}
    pl.DataFrame(trials).write_parquet(folder / "plain/trials.parquet")
    pl.DataFrame({"speed": rng.random(10)}).write_parquet(folder / "plain/treadmill.parquet")
    return folder / "plain"


def nwb_of(name: str) -> Any:
    def build(folder: Path) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pynwb, while it writes
            return getattr(module(TESTS / "recordings" / "test_nwb.py"), name)(folder / f"{name}.nwb")

    return build


SAMPLES: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "sensorium": (small_sensorium, {}),
    "hdf5": (small_hdf5, {}),
    "hdf5 of traces": (raw_hdf5, {}),
    "loose hdf5": (loose_hdf5, {}),
    "plain npz": (plain_npz, {"trace_kind": "spikes"}),
    "plain folder of traces": (plain_traces, {"trace_kind": "deconvolved"}),
    "plain folder of responses": (plain_responses, {"trace_kind": "spikes"}),
    "nwb with an index series": (nwb_of("indexed"), {}),
    "nwb with a table": (nwb_of("allen"), {"trace_kind": "dff"}),
    "nwb with planes": (nwb_of("planes"), {}),
}
"""How a sound file of each kind is made, and what its readers have to be told."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> dict[str, Path]:
    """A sound file or folder of each kind."""
    made = {}
    for name, (build, _) in SAMPLES.items():
        folder = tmp_path_factory.mktemp("sound")
        made[name] = build(folder)
    return made


class Importer:
    """A process that imports; started anew when it dies or hangs."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.process: subprocess.Popen[bytes] | None = None
        self.limit_s = LIMIT_S

    def ask(self, path: Path, options: dict[str, Any], format: str | None = None) -> dict[str, str]:
        """Say what became of one import."""
        if self.process is None:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-X",
                    "faulthandler",
                    Path(__file__).with_name("import_spoilt.py"),
                    self._store,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
        case = {"path": str(path), "scan": SCAN, "options": options, "format": format}
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(case).encode() + b"\n")
        ready, _, _ = select.select([self.process.stdout], [], [], self.limit_s)
        line = self.process.stdout.readline() if ready else b""
        if line:
            return json.loads(line)
        self.stop()
        return {"end": "broken", "text": "the process died" if ready else f"no end in {self.limit_s:.0f} s"}

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None


@pytest.fixture
def importer(tmp_path) -> Iterator[Importer]:
    importer = Importer(tmp_path / "store")
    yield importer
    importer.stop()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sound_file_of_each_kind_is_imported(name, samples, importer) -> None:
    assert importer.ask(samples[name], SAMPLES[name][1]) == {"end": "recording", "text": ""}


def test_the_process_that_imports_sees_what_must_not_be(tmp_path, importer, samples) -> None:
    nothing = importer.ask(tmp_path / "nothing", {})
    assert nothing["end"] == "refused"
    assert "there is no file" in nothing["text"]
    assert importer.ask(samples["hdf5"], {}, "no such format")["end"] == "broken"
    importer.process.kill()
    assert importer.ask(samples["hdf5"], {}) == {"end": "broken", "text": "the process died"}
    importer.limit_s = 0.0
    assert importer.ask(samples["hdf5"], {}) == {"end": "broken", "text": "no end in 0 s"}


def test_spoilt_recordings_are_refused_in_one_line_or_are_recordings(
    request, tmp_path, samples, importer, told
) -> None:
    spoiling = module(Path(__file__).with_name("spoiling.py"))
    campaign = request.config.getoption("--campaign")
    ends: Counter[tuple[str, str]] = Counter()
    broken = []
    for number in range(CASES[campaign]):
        name = list(SAMPLES)[number % len(SAMPLES)]
        rng = random.Random(f"{campaign} {number}")
        source, folder = samples[name], tmp_path / f"case-{number}"
        folder.mkdir()
        path = folder / source.name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, path)
        spoiling.spoil(path, rng)
        answer = importer.ask(path, SAMPLES[name][1], detect(source) if rng.random() < 0.5 else None)
        ends[name, answer["end"]] += 1
        if answer["end"] == "broken":
            broken.append(f"{name}, case {number}: {answer['text']}")
        else:
            shutil.rmtree(folder)
    told(f"{dict(ends)}")
    assert broken == []
    refused = sum(count for (_, end), count in ends.items() if end == "refused")
    assert refused > CASES[campaign] / 3
