"""From a recording to batches: time and memory, against one file per trial.

Run ``python benchmarks/loading.py [--quick] [--json FILE] [--store URI]``. A synthetic recording is streamed
into a store in a temporary folder. The rival of the batches keeps three files a trial (image, response,
behaviour) and loads them with a torch Dataset and DataLoader, as the field does; its arrays are normalised
already, in float32, in a warm page cache. CPU-seconds on one thread, medians of interleaved repeats.

Memory is measured in a process of its own, which has imported everything and worked once on next to nothing:
the most that was resident from then on (VmHWM of Linux, set back first) less what was resident before. Mapped
files count as far as they were touched. A row's limit is the time in which the machine copies the bytes that
must be read and written. The rows of ``--store`` (an S3 URI; credentials from the environment) come in
addition.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.dataset.config import CorrectedAreaLayer, DatasetConfig
from inception_loop.dataset.member import member_names
from inception_loop.dataset.stage import make_dataset
from inception_loop.recordings.archive import RECORDING, save_recording
from inception_loop.recordings.recording import EyeTrace, Recording, ScanKey, Traces, TreadmillTrace
from inception_loop.settings import Settings
from inception_loop.training.batches import round_robin
from inception_loop.training.scan_data import Batch, ScanData, load_scan

FRAME_S = 0.125
TRIAL_S = 0.75
REPEATS_OF_AN_IMAGE = 10
SHOWN = (72, 128)
BATCH = 64
LAYERS = {"L2/3": 150.0, "L4": 370.0, "L5": 500.0}
PARTS = ("image", "response", "behavior")
DATASET = DatasetConfig(group_id=1)

Row = dict[str, Any]


class Size(NamedTuple):
    """A scan: trials, units; one of the scans of the growth; how many scans it grows to; repeats."""

    trials: int
    units: int
    small_trials: int
    small_units: int
    scans: int
    repeats: int

    @property
    def bytes_on_disk(self) -> int:
        """About what all of it takes there."""
        frames = TRIAL_S / FRAME_S * 4
        small = self.scans * self.small_trials * self.small_units
        return int(2 * (frames + 8) * (self.trials * self.units + small))


QUICK = Size(trials=300, units=200, small_trials=150, small_units=40, scans=2, repeats=1)
FULL = Size(trials=5_000, units=8_000, small_trials=1_000, small_units=2_000, scans=8, repeats=3)


# --- a recording ------------------------------------------------------------------------------------------


class Stored(Config):
    """Which scan a synthetic recording is of."""

    scan: ScanKey


class Activity:
    """Traces that are made when they are asked for: (N, F) float32, never whole in memory."""

    dtype = np.dtype(np.float32)

    def __init__(self, units: int, frames: int, seed: int) -> None:
        self.shape = (units, frames)
        self._seed = seed

    def __getitem__(self, rows: slice, /) -> npt.NDArray[np.float32]:
        """Make the traces of some units."""
        start, stop, _ = rows.indices(self.shape[0])
        generator = np.random.default_rng([self._seed, start])
        return generator.standard_exponential((stop - start, self.shape[1]), np.float32)


def synthetic(scan: ScanKey, trials: int, units: int) -> Recording:
    """Return a recording of noise; a fifth of its trials repeat images."""
    generator = np.random.default_rng(scan.scan_idx)
    repeated = trials // 5 // REPEATS_OF_AN_IMAGE
    images = trials - repeated * (REPEATS_OF_AN_IMAGE - 1)
    shown = np.r_[np.arange(images), np.repeat(np.arange(repeated), REPEATS_OF_AN_IMAGE - 1)]
    frame_times = FRAME_S * np.arange(int((trials * TRIAL_S + 10) / FRAME_S), dtype=np.float64)
    onset = 2 + TRIAL_S * np.arange(trials)
    hashes = np.array([f"scan {scan.scan_idx} image {image}" for image in range(images)])
    behavior_time = np.arange(-3, frame_times[-1] + 3, 0.05)
    layer = generator.choice(list(LAYERS), units)
    return Recording(
        scan=scan,
        trace_kind="deconvolved",
        activity=Traces(Activity(units, frame_times.size, scan.scan_idx), frame_times, frame_times),
        trials=pl.DataFrame(
            {
                "trial_idx": np.arange(trials),
                "condition_hash": hashes[generator.permutation(shown)],
                "clear_flip": onset - 0.1,
                "onset_flip": onset,
                "offset_flip": onset + 0.5,
            }
        ),
        conditions=pl.DataFrame(
            {
                "condition_hash": hashes,
                "image_class": "imagenet",
                "image_id": np.arange(images),
                "source_id": "",
                "image_row": np.arange(images),
            }
        ),
        images=generator.integers(0, 256, (images, *SHOWN), dtype=np.uint8),
        units=pl.DataFrame(
            {
                "unit_id": np.arange(units),
                "field": 1,
                "px_x": generator.uniform(0, 99, units),
                "px_y": generator.uniform(0, 99, units),
                "um_x": generator.uniform(0, 600, units),
                "um_y": generator.uniform(0, 600, units),
                "um_z": [LAYERS[name] for name in layer],
                "ms_delay": generator.uniform(0, 100, units),
                "mask_type": "soma",
                "brain_area": "V1",
                "layer": layer,
            }
        ),
        fields=pl.DataFrame(
            {
                "field": [1],
                "px_height": [100],
                "px_width": [100],
                **{name: [600.0] for name in ("um_height", "um_width", "x", "y", "z")},
            }
        ),
        eye=EyeTrace(
            behavior_time, 20 + np.sin(behavior_time), np.cos(behavior_time), np.sin(behavior_time / 3)
        ),
        treadmill=TreadmillTrace(behavior_time, np.sin(behavior_time)),
    )


def save(store: ArtifactStore, scan_idx: int, trials: int, units: int) -> ArtifactRef:
    """Stream a synthetic recording into a store."""
    scan = ScanKey(animal_id=1, session=1, scan_idx=scan_idx)
    recording = synthetic(scan, trials, units)
    return store.make(RECORDING, Stored(scan=scan), lambda attempt: save_recording(attempt, recording)).ref


# --- what is measured -------------------------------------------------------------------------------------


def build(uri: str, refs: list[ArtifactRef]) -> list[ArtifactRef]:
    """Run the whole dataset stage."""
    return [make_dataset(open_store(uri), DATASET, refs)["static_multi_dataset"][0].ref]


def scan_of(store: ArtifactStore, dataset: ArtifactRef, layer: str) -> ScanData:
    """Open the first scan of a dataset."""
    name = member_names(store, dataset)[0]
    return load_scan(store, dataset, name, CorrectedAreaLayer(layer=layer))[0]


def open_all(uri: str, refs: list[ArtifactRef]) -> list[ArtifactRef]:
    """Open a scan with all its units."""
    scan_of(open_store(uri), refs[0], "all")
    return []


def open_layer(uri: str, refs: list[ArtifactRef]) -> list[ArtifactRef]:
    """Open a scan with the units of one layer."""
    scan_of(open_store(uri), refs[0], "L4")
    return []


JOBS = {job.__name__: job for job in (build, open_all, open_layer)}


class Measured(NamedTuple):
    """CPU-seconds, bytes resident beyond the baseline, references that the job returned."""

    cpu: float
    peak: int
    refs: list[ArtifactRef]


def status(name: str) -> int:
    """Return a line of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def perform(job: str, uri: str, refs: list[ArtifactRef]) -> Measured:
    """Do a job in this process, after everything that it needs was used once."""
    warm = f"memory://{uuid.uuid4().hex}"
    made = build(warm, [save(open_store(warm), 1, 60, 12)])
    open_all(warm, made)
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back to what is resident
    baseline, start = status("VmRSS"), time.process_time()
    result = JOBS[job](uri, refs)
    return Measured(time.process_time() - start, status("VmHWM") - baseline, result)


def alone(job: str, uri: str, refs: list[ArtifactRef]) -> Measured:
    """Do a job in a process of its own."""
    call = [sys.executable, __file__, "--job", job, uri, *(ref.model_dump_json() for ref in refs)]
    done = json.loads(subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return Measured(done["cpu"], done["peak"], [ArtifactRef.model_validate(ref) for ref in done["refs"]])


def forget(folder: Path) -> None:
    """Remove everything but the recordings of a store."""
    for kind in folder.iterdir():
        if kind.name != "recording":
            shutil.rmtree(kind)


def cpu_seconds(action: Callable[[], object]) -> float:
    """CPU-seconds of an action."""
    start = time.process_time()
    action()
    return time.process_time() - start


def bandwidth(size: int = 2**27) -> float:
    """Measured bytes a CPU-second that a copy in memory reads and writes."""
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    return 2 * size / min(cpu_seconds(lambda: np.copyto(target, source)) for _ in range(10))


def row(what: str, unit: str, ours: float, theirs: float | None = None, **more: float | None) -> Row:
    """Return a row of the table; a rate is better when it is larger, anything else when it is smaller."""
    ratio = None if theirs is None else ours / theirs if unit.endswith("/s") else theirs / ours
    return {"what": what, "unit": unit, "ours": ours, "theirs": theirs, "ratio": ratio, **more}


# --- one scan ---------------------------------------------------------------------------------------------


def one_scan(folder: Path, size: Size) -> Iterator[Row]:
    """Yield the rows of one scan: building, opening, batches."""
    uri = str(folder / "store")
    recording = save(open_store(uri), 1, size.trials, size.units)
    what, block = f"{size.trials:,} trials × {size.units:,} units", 4 * size.trials * size.units
    rate = bandwidth()

    built = alone("build", uri, [recording])
    traces = int(block * TRIAL_S / FRAME_S)
    yield row(
        f"build the dataset stage, {what}",
        "CPU-s",
        built.cpu,
        limit_share=(traces + block) / rate / built.cpu,
    )
    yield row(f"its peak memory, {what}", "× responses", built.peak / block, target=2.5)
    yield row("the same", "MiB", built.peak / 2**20)

    dataset = built.refs[0]
    do = perform if size is QUICK else alone
    for job, layer in (("open_all", "all"), ("open_layer", "L4")):
        runs = [do(job, uri, [dataset]) for _ in range(size.repeats)]
        scan = scan_of(open_store(uri), dataset, layer)
        cpu, peak = (statistics.median(values) for values in list(zip(*runs, strict=True))[:2])
        units = f"{scan.n_units:,} units ({layer})"
        share = 2 * scan.nbytes / rate / cpu
        yield row(f"open the scan, {units}", "CPU-s", cpu, limit_share=share)
        yield row(f"its peak memory, {units}", "× scan opened", peak / scan.nbytes)
    yield from batches(folder, scan_of(open_store(uri), dataset, "all"), size, rate)


def parts_of(batch: Batch) -> dict[str, torch.Tensor]:
    """Return what both kinds of batches hold, by its name."""
    if batch.behavior is None:
        raise SystemExit("the synthetic scan has no behaviour; expected some")
    return dict(zip(PARTS, (batch.images, batch.responses, batch.behavior), strict=True))


class TrialFiles(Dataset[tuple[torch.Tensor, ...]]):
    """Three files a trial, loaded when the trial is asked for."""

    def __init__(self, folder: Path, scan: ScanData) -> None:
        self.folder = folder
        self.trials = len(scan.tier)
        for part in PARTS:
            (folder / part).mkdir(parents=True)
        for trial in range(self.trials):
            for part, values in parts_of(scan.batch(np.array([trial]))).items():
                np.save(folder / part / f"{trial}.npy", values[0].numpy())

    def __len__(self) -> int:
        """Trials."""
        return self.trials

    def __getitem__(self, trial: int) -> tuple[torch.Tensor, ...]:
        """Load one trial."""
        files = [self.folder / part / f"{trial}.npy" for part in PARTS]
        return tuple(torch.from_numpy(np.load(file, allow_pickle=False)) for file in files)


def batches(folder: Path, scan: ScanData, size: Size, rate: float) -> Iterator[Row]:
    """Yield the rows of an epoch's batches, in memory and from one file per trial and part."""
    files = TrialFiles(folder / "trials", scan)
    rows = np.arange(len(files))

    def epoch(number: int) -> None:
        for _, trials in round_robin({scan.name: rows}, BATCH, 1, number, "longest"):
            scan.batch(trials)

    def epoch_of_files(number: int) -> None:
        order = RandomSampler(files, generator=torch.Generator().manual_seed(number))
        for _ in DataLoader(files, BATCH, sampler=order):
            pass

    some = rows[:BATCH]
    ours, theirs = parts_of(scan.batch(some)).values(), next(iter(DataLoader(files, BATCH)))
    if not all(map(torch.equal, ours, theirs)):
        raise SystemExit("the batches of the two are not the same; expected equal numbers")
    pairs = [(partial(epoch, n), partial(epoch_of_files, n)) for n in range(size.repeats + 1)]
    times = [tuple(map(cpu_seconds, pair)) for pair in pairs][1:]
    fast, slow = (statistics.median(column) for column in zip(*times, strict=True))
    moved = 2 * len(rows) * sum(values[0].nbytes for values in ours)
    yield row(
        f"images into batches of {BATCH}, {scan.n_units:,} units",
        "images/s",
        len(rows) / fast,
        len(rows) / slow,
        target=20.0,
        limit_share=moved / rate / fast,
    )


# --- many scans -------------------------------------------------------------------------------------------


def growth(folder: Path, size: Size) -> Iterator[Row]:
    """Yield the rows of a group that grows: time over scans × time of one, memory over memory of one."""
    stores = {n: folder / f"group of {n}" for n in (1, size.scans)}
    refs = {
        n: [save(open_store(str(path)), i, size.small_trials, size.small_units) for i in range(1, n + 1)]
        for n, path in stores.items()
    }
    do = perform if size is QUICK else alone
    runs: dict[int, list[Measured]] = {n: [] for n in stores}
    for _ in range(size.repeats):
        for n, path in stores.items():
            forget(path)
            runs[n].append(do("build", str(path), refs[n]))
    cpu = {n: statistics.median(run.cpu for run in all_of) for n, all_of in runs.items()}
    peak = {n: statistics.median(run.peak for run in all_of) for n, all_of in runs.items()}
    what = f"{size.scans} scans of {size.small_trials:,} × {size.small_units:,}"
    yield row(f"build {what}", "CPU-s", cpu[size.scans])
    linear = cpu[size.scans] / (size.scans * cpu[1])
    yield row("its time over as many times that of one", "ratio of times", linear, target=1.0)
    yield row(f"peak memory of {what}", "MiB", peak[size.scans] / 2**20)
    yield row("its memory over that of one", "ratio of peaks", peak[size.scans] / peak[1], target=1.0)


# --- S3 ---------------------------------------------------------------------------------------------------


def counting(
    fetch: Callable[[str, int, int], bytes], fetched: list[int], key: str, start: int, stop: int
) -> bytes:
    """Fetch a range, and note how many bytes of responses it has."""
    fetched.append(stop - start if key.endswith("/responses.parquet") else 0)
    return fetch(key, start, stop)


def remote(uri: str, size: Size) -> Iterator[Row]:
    """Yield the rows of a scan on S3: what of the responses is fetched to open it."""
    root = f"{uri}/{uuid.uuid4().hex}"
    store = open_store(root)
    dataset = build(root, [save(store, 1, size.small_trials, size.small_units)])[0]
    responses = store.inputs(dataset)["input_response"][0]
    table = store.located(responses, "responses").payload.size
    for verify, how in ((True, "hash checked"), (False, "unchecked")):
        reader = open_store(root, Settings(verify_hashes=verify))
        fetched: list[int] = []
        reader.backend.read_range = partial(  # type: ignore[method-assign]
            counting, reader.backend.read_range, fetched
        )
        start = time.perf_counter()
        scan_of(reader, dataset, "all")
        yield row(f"open a scan on S3, {how}", "s", time.perf_counter() - start)
        yield row("of its responses fetched", "× stored", sum(fetched) / table)
    store.backend.remove([entry.key for entry in store.backend.walk()])


def measure(size: Size, uri: str | None) -> Iterator[Row]:
    """Yield all rows."""
    with tempfile.TemporaryDirectory() as name:
        free = shutil.disk_usage(name).free
        if free < size.bytes_on_disk:
            raise SystemExit(f"{name} has {free:,} bytes free; expected {size.bytes_on_disk:,}; set TMPDIR")
        yield from one_scan(Path(name) / "one", size)
        yield from growth(Path(name) / "many", size)
    if uri:
        yield from remote(uri, size)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, a few seconds")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    parser.add_argument("--store", help="an S3 URI to measure too")
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.job:
        job, uri, *refs = options.job
        done = perform(job, uri, [ArtifactRef.model_validate_json(ref) for ref in refs])
        found = {"cpu": done.cpu, "peak": done.peak, "refs": [ref.model_dump() for ref in done.refs]}
        print(json.dumps(found))
        return
    rows = []
    print(f"{'what':<60}{'unit':<16}{'ours':>10}{'theirs':>10}{'ratio':>8}{'target':>8}{'limit':>8}")
    for r in measure(QUICK if options.quick else FULL, options.store):
        numbers = (r["ours"], r["theirs"], r["ratio"], r.get("target"), r.get("limit_share"))
        widths = (10, 10, 8, 8, 8)
        shown = (" " * w if v is None else f"{v:>{w}.3g}" for v, w in zip(numbers, widths, strict=True))
        print(f"{r['what']:<60}{r['unit']:<16}{''.join(shown)}", flush=True)
        rows.append(r)
    if options.json:
        packages = ("inception-loop", "numpy", "polars", "pyarrow", "torch")
        record = {
            "name": "loading",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
            "rows": rows,
        }
        options.json.write_text(json.dumps(record, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
