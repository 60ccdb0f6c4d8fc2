"""The artifact store against the bare libraries under it, and listings of a large store.

Run ``python benchmarks/store.py [--quick] [--json FILE] [--store URI]``. The rival writes and reads the same
content with pyarrow or numpy alone: no hash, no fsync, no manifest, no lease. A row's limit is the time that
hashing the bytes takes on one core (and, writing, putting them on the disk). The rows of ``--store`` (an
S3 URI; credentials from the environment) come in addition.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import VECTOR, Array, Arrays, Column, File, Kind, Table
from inception_loop.artifacts.listing import artifacts, page
from inception_loop.artifacts.store import ArtifactStore, Attempt, open_store
from inception_loop.settings import Settings

TABLE = Kind(
    "benchmark_table",
    1,
    "Responses, one row a trial.",
    {
        "responses": Table(
            {
                "trial_idx": Column(pa.int64(), "Number of the trial."),
                "response": Column(VECTOR, "Response of every unit."),
            }
        )
    },
)
BUNDLE = Kind(
    "benchmark_bundle",
    1,
    "Images, one a condition.",
    {"frames": Arrays({"frames": Array("float32", ("image", "row", "column"), "Grey levels.")})},
)
SMALL = Kind("benchmark_small", 1, "Next to nothing.", {"note": File(".txt", "A text.")})


BULK = 1_000
"""So many small objects are put, or removed, by one call."""


class Size(NamedTuple):
    """How much: a table of trials × units, a bundle of images, small artifacts, artifacts in a listing."""

    trials: int
    units: int
    images: int
    small: int
    listed: int
    repeats: int


QUICK = Size(trials=500, units=500, images=500, small=5, listed=500, repeats=1)
FULL = Size(trials=5_000, units=8_000, images=20_000, small=200, listed=100_000, repeats=3)


class Question(Config):
    """Which repeat."""

    number: int


class Seconds(NamedTuple):
    """Wall and CPU time."""

    wall: float
    cpu: float


Row = dict[str, Any]


def timed(action: Callable[[], object]) -> Seconds:
    """Run an action and return how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def interleaved(
    repeats: int, ours: Callable[[int], object], theirs: Callable[[int], object]
) -> tuple[float, float]:
    """Return the median CPU-seconds of both, measured in turn; the first turn warms up."""
    pairs = [(timed(lambda n=n: ours(n)).cpu, timed(lambda n=n: theirs(n)).cpu) for n in range(repeats + 1)][
        1:
    ]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def row(what: str, unit: str, ours: float, theirs: float | None = None, **more: float | None) -> Row:
    """Return a row of the table."""
    ratio = None if theirs is None else theirs / max(ours, 1e-9)
    return {"what": what, "unit": unit, "ours": ours, "theirs": theirs, "ratio": ratio, **more}


def hashing(size: int) -> float:
    """Return the CPU-seconds that SHA-256 of so many bytes takes on one core."""
    block = bytes(2**24)
    return statistics.median(timed(lambda: hashlib.sha256(block)).cpu for _ in range(5)) * size / len(block)


def tables(store: ArtifactStore, folder: Path, size: Size) -> Iterator[Row]:
    """Yield the rows of a Parquet table."""
    generator = np.random.default_rng(0)
    response = generator.gamma(1.0, size=(size.trials, size.units)).astype(np.float32)
    frame = pl.DataFrame({"trial_idx": np.arange(size.trials), "response": response})
    arrow = frame.to_arrow()

    def write(number: int) -> object:
        return store.make(
            TABLE, Question(number=number), lambda attempt: attempt.write_table("responses", frame)
        )

    def write_bare(number: int) -> None:
        rows = max(1, 2**24 * size.trials // arrow.nbytes)
        path = folder / f"{number}.parquet"
        options = {"use_dictionary": False, "compression": "zstd", "compression_level": 1}
        pq.write_table(arrow, path, row_group_size=rows, **options)

    what = f"table of {size.trials} × {size.units}"
    ours, theirs = interleaved(size.repeats, write, write_bare)
    yield row(f"write a {what}", "CPU-s", ours, theirs, limit_share=hashing(arrow.nbytes) / ours)
    ref = store.ref(TABLE, Question(number=1))

    def read(_: int) -> object:
        return open_store(store.uri, store.settings).table(ref, "responses")["response"].to_numpy()

    def read_bare(_: int) -> object:
        table = pq.read_table(folder / "1.parquet", use_threads=False)
        return pl.DataFrame(pl.from_arrow(table))["response"].to_numpy()

    ours, theirs = interleaved(size.repeats, read, read_bare)
    yield row(f"read a {what}, hash checked", "CPU-s", ours, theirs, limit_share=hashing(arrow.nbytes) / ours)


def bundles(store: ArtifactStore, folder: Path, size: Size) -> Iterator[Row]:
    """Yield the rows of an NPZ bundle."""
    frames = np.random.default_rng(0).random((size.images, 36, 64), np.float32)

    def build(attempt: Attempt) -> None:
        attempt.write_arrays("frames", {"frames": frames})

    def write(number: int) -> object:
        return store.make(BUNDLE, Question(number=number), build)

    what = f"bundle of {frames.nbytes / 1e6:.0f} MB"
    ours, theirs = interleaved(
        size.repeats, write, lambda number: np.savez(folder / f"{number}.npz", frames=frames)
    )
    yield row(f"write a {what}", "CPU-s", ours, theirs, limit_share=hashing(frames.nbytes) / ours)
    ref = store.ref(BUNDLE, Question(number=1))

    def read_bare(_: int) -> object:
        with np.load(folder / "1.npz", allow_pickle=False) as bundle:
            return bundle["frames"].mean()

    for verify, text in ((True, "hash checked"), (False, "unchecked")):
        settings = store.settings.model_copy(update={"verify_hashes": verify})

        def read(_: int, settings: Settings = settings) -> object:
            return open_store(store.uri, settings).arrays(ref, "frames")["frames"].mean()

        ours, theirs = interleaved(size.repeats, read, read_bare)
        yield row(f"read and sum up a {what}, {text}", "CPU-s", ours, theirs)


def small(store: ArtifactStore, size: Size, place: str) -> Iterator[Row]:
    """Yield the rows of artifacts that are next to nothing: what the store itself costs."""

    def make(number: int) -> object:
        return store.make(SMALL, Question(number=number), lambda attempt: attempt.write_file("note", b"."))

    for what in ("compute and commit", "find again"):
        times = [timed(lambda number=number: make(number)).wall for number in range(size.small)]
        yield row(f"{what} a small artifact {place}", "ms", 1000 * statistics.median(times))


def listings(folder: Path, size: Size, settings: Settings) -> Iterator[Row]:
    """Yield the rows of a listing: the first page of a large kind on disk, all in one partition."""
    store = open_store(str(folder / "large"), settings)
    for number in range(size.listed):
        artifact = folder / "large" / "frame" / hashlib.sha256(b"%d" % number).hexdigest()
        artifact.mkdir(parents=True)
        (artifact / "manifest.json").touch()
    times = []
    for _ in range(size.repeats):
        times.append(timed(lambda: page(store, "frame")).wall)
    yield row(f"first page of {size.listed} artifacts on disk", "s", statistics.median(times), target=1.0)


def remote(uri: str, size: Size, settings: Settings) -> Iterator[Row]:
    """Yield the rows of an S3 store."""
    store = open_store(f"{uri}/{uuid.uuid4().hex}", settings)
    yield from small(store, size._replace(small=size.small // 4), "on S3")
    frames = np.random.default_rng(0).random((size.images, 36, 64), np.float32)

    def build(attempt: Attempt) -> None:
        attempt.write_arrays("frames", {"frames": frames})

    megabytes = frames.nbytes / 1e6
    wrote = timed(lambda: store.make(BUNDLE, Question(number=0), build)).wall
    ref = store.ref(BUNDLE, Question(number=0))
    read = timed(lambda: store.arrays(ref, "frames")).wall
    yield row(f"write a bundle of {megabytes:.0f} MB on S3", "MB/s", megabytes / wrote, target=90.0)
    yield row("read it, hash checked, on S3", "MB/s", megabytes / read)
    store.backend.remove([entry.key for entry in store.backend.walk()])


def crowded(uri: str, size: Size, settings: Settings) -> Iterator[Row]:
    """Yield the rows of S3 stores that hold very many artifacts of one kind.

    The crowd is put there by the client alone, with manifests that nobody reads; what is found is real. The
    rival lists with the client alone: what a server needs for a page of a large folder is not the store's.
    """
    listed: list[float] = []
    listed_bare: list[float] = []
    for count in (size.listed // 10, size.listed):
        store = open_store(f"{uri}/{uuid.uuid4().hex}", settings)
        backend: Any = store.backend
        real = [store.make(SMALL, Question(number=number), note).ref for number in range(20)]
        keys = [
            f"frame/{hashlib.sha256(b'%d' % number).hexdigest()}/manifest.json" for number in range(count)
        ]
        for start in range(0, count, BULK):
            backend.fs.pipe(
                {backend.url(key).removeprefix("s3://"): b"{}" for key in keys[start : start + BULK]}
            )
        asked: list[str] = []
        with counting(backend, asked):
            whole = timed(lambda store=store: sum(1 for _ in artifacts(store, "frame")))
        listed.append(whole.wall)
        listed_bare.append(timed(lambda backend=backend: list_bare(backend, "frame")).wall)
        if count == size.listed:
            found = [timed(lambda store=store, ref=ref: store.manifest(ref)).wall for ref in real]
            first = [timed(lambda store=store: page(store, "frame")).wall for _ in range(size.repeats)]
            yield row(
                f"find one in {count} artifacts on S3", "ms", 1000 * statistics.median(found), target=20.0
            )
            yield row(f"first page of {count} artifacts on S3", "s", statistics.median(first), target=1.0)
            yield row(f"list all {count} artifacts on S3", "s", whole.wall, listed_bare[1])
            yield row("LIST requests a thousand of them", "1", 1000 * len(asked) / count, target=1.01)
            ours, theirs = (both[1] / (10 * both[0]) for both in (listed, listed_bare))
            yield row("listing them over ten times a tenth of them", "1", ours, theirs, target=1.5)
        for start in range(0, count, BULK):
            backend.remove(keys[start : start + BULK])
        backend.remove([entry.key for entry in backend.walk()])


def list_bare(backend: Any, prefix: str) -> int:
    """Count the objects below a prefix by the pages of the client alone."""
    where, count = {"Bucket": backend._bucket, "Prefix": backend._key(prefix) + "/"}, 0
    page = backend.fs.call_s3("list_objects_v2", **where)
    while True:
        count += len(page.get("Contents", []))
        if not page["IsTruncated"]:
            return count
        token = page["NextContinuationToken"]
        page = backend.fs.call_s3("list_objects_v2", ContinuationToken=token, **where)


def note(attempt: Attempt) -> None:
    """Write next to nothing."""
    attempt.write_file("note", b".")


@contextmanager
def counting(backend: Any, asked: list[str]) -> Iterator[None]:
    """Note every LIST that the store's client sends."""
    fs = backend.fs
    call = fs.call_s3

    def counted(method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "list_objects_v2":
            asked.append(method)
        return call(method, *args, **kwargs)

    fs.call_s3 = counted
    try:
        yield
    finally:
        fs.call_s3 = call


def measure(size: Size, uri: str | None) -> Iterator[Row]:
    """Yield all rows."""
    settings = Settings()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(str(folder / "store"), settings)
        yield from tables(store, folder, size)
        yield from bundles(store, folder, size)
        yield from small(store, size, "on disk")
        yield from listings(folder, size, settings)
    if uri:
        yield from remote(uri, size, settings)
        yield from crowded(uri, size, settings)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, a few seconds")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    parser.add_argument("--store", help="an S3 URI to measure too")
    arguments = parser.parse_args()
    rows = []
    for one in measure(QUICK if arguments.quick else FULL, arguments.store):
        rival = "" if one["theirs"] is None else f"   bare {one['theirs']:.3f}, ratio {one['ratio']:.2f}"
        print(f"{one['what']:<52} {one['ours']:10.3f} {one['unit']:<6}{rival}", flush=True)
        rows.append(one)
    if arguments.json:
        packages = ("numpy", "polars", "pyarrow", "s3fs")
        report = {
            "name": "store",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
