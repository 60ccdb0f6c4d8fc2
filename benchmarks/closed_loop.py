"""Matching, confusions, own responses, summaries and diagonal of a loop, from Parquet to the evidence.

Run ``python benchmarks/closed_loop.py [--quick] [--json FILE]``. The rival is the usual way in pandas: melt
the responses of all units into one long frame, scale, group. It runs on one scan and on as many units as fit
into 2 GiB, scaled up to the scan's units (its cost is linear in them); without pandas it is left out.
CPU-seconds are of one thread (queries use one), so that they bound the time by the clock. Matching is that of
the units with images; a row beside it matches every soma, as the stage does for its report.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import VECTOR, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, open_store
from inception_loop.closed_loop.confusion import confusion
from inception_loop.closed_loop.diagonal import diagonal_entry
from inception_loop.closed_loop.evidence import loop_evidence
from inception_loop.closed_loop.matching import best_proximity_cell_match, proximity_cell_match
from inception_loop.closed_loop.own_response import own_response
from inception_loop.closed_loop.summary import summary_confusion
from inception_loop.recordings.recording import ScanKey

KIND = Kind(
    name="benchmark_response",
    version=1,
    meaning="Responses as input_response holds them.",
    payloads={
        "responses": Table(
            {
                "trial_idx": Column(pa.int64(), "number of the trial"),
                "condition_hash": Column(pa.string(), "condition shown"),
                "response": Column(VECTOR, "response of every unit"),
            }
        )
    },
)
STACKS = 3


class Size(NamedTuple):
    """How big the loop is: ``images`` of two model types for half as many units."""

    scans: int
    units: int
    images: int
    repeats: int

    @property
    def targets(self) -> int:
        """Units with images."""
        return self.images // 2


class BenchmarkConfig(Config):
    """One scan of the benchmark."""

    session: int
    units: int
    images: int
    repeats: int


def image_table(size: Size) -> pl.DataFrame:
    """Two images for every target unit."""
    rows = [(f"{m}-{u}", m, u) for m in ("cnn", "linear") for u in range(size.targets)]
    return pl.DataFrame(rows, schema=["condition_hash", "model_type", "image_unit_id"], orient="row")


def write_scan(store: ArtifactStore, size: Size, session: int) -> ArtifactRef:
    """Write one scan's responses as the dataset stage does."""
    rng = np.random.default_rng(session)
    shown = rng.permutation(np.repeat(image_table(size)["condition_hash"].to_numpy(), size.repeats))

    def build(attempt: Attempt) -> None:
        values = rng.standard_exponential((len(shown), size.units), dtype=np.float32)
        own = np.array([int(name.split("-")[1]) for name in shown])
        values[np.arange(len(shown)), own] += 1.0
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), size.units)
        columns = {"trial_idx": pa.array(np.arange(len(shown))), "condition_hash": pa.array(shown.tolist())}
        attempt.write_table("responses", pa.table({**columns, "response": vectors}))

    shape = {"units": size.units, "images": size.images, "repeats": size.repeats}
    return store.make(KIND, BenchmarkConfig(session=session, **shape), build).ref


def coordinates(size: Size, seed: int) -> pl.DataFrame:
    """Places of all units in every stack, 3 µm of jitter about the true ones."""
    places = np.random.default_rng(0).uniform(0, 60 * size.units ** (1 / 3), (size.units, 3))
    places = places + np.random.default_rng(seed).normal(0, 3, places.shape)
    one = pl.DataFrame(places, schema=["stack_x", "stack_y", "stack_z"]).with_columns(
        pl.Series("unit_id", np.arange(size.units))
    )
    return pl.concat(
        one.with_columns(pl.lit(1).alias("stack_session"), pl.lit(stack).alias("stack_idx"))
        for stack in range(STACKS)
    )


class Clock:
    """CPU-seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @property
    def total(self) -> float:
        """CPU-seconds of all steps."""
        return sum(self.seconds.values())

    def __call__(self, step: str, action):
        """Run an action and add its time to the step's."""
        started = time.process_time()
        result = action()
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - started
        return result


def loop(store: ArtifactStore, size: Size, refs: list[ArtifactRef]) -> Clock:
    """Run everything from responses to evidence."""
    clock = Clock()
    images = image_table(size)
    columns = pl.DataFrame({"neuron_column": np.arange(size.units), "unit_id": np.arange(size.units)})
    targets, somata = columns[: size.targets].select("unit_id"), columns.select("unit_id")
    source = coordinates(size, seed=1)
    tables: dict[bool, list[pl.DataFrame]] = {False: [], True: []}
    for session, ref in enumerate(refs):
        later = coordinates(size, seed=10 + session)
        near = clock("matching", lambda later=later: proximity_cell_match(targets, source, somata, later))
        match = clock("matching", lambda near=near: best_proximity_cell_match(near))
        scan = ScanKey(animal_id=1, session=session, scan_idx=1)
        for center, found in tables.items():
            found.append(
                clock(
                    "confusions",
                    lambda ref=ref, match=match, scan=scan, center=center: confusion(
                        [(ref, "responses")], columns, match, images, center=center, scan=scan, store=store
                    ),
                )
            )
        clock(
            "own responses",
            lambda ref=ref, match=match, scan=scan: own_response(
                [(ref, "responses")], columns, match, images, scan=scan, store=store
            ),
        )
    summaries = [clock("summaries", lambda t=t: summary_confusion(pl.concat(t))) for t in tables.values()]
    diagonals = [clock("diagonals", lambda s=s: diagonal_entry(s)) for s in summaries]
    units = targets["unit_id"].to_list()
    clock("evidence", lambda: loop_evidence(summaries[1], {"linear": diagonals[1]}, units))
    return clock


def every_soma_seconds(size: Size) -> float:
    """CPU-seconds of matching every soma of the source scan to one later scan."""
    somata = pl.DataFrame({"unit_id": np.arange(size.units)})
    source, later = coordinates(size, seed=1), coordinates(size, seed=10)
    started = time.process_time()
    best_proximity_cell_match(proximity_cell_match(somata, source, somata, later))
    return time.process_time() - started


def pandas_seconds(store: ArtifactStore, size: Size, ref: ArtifactRef, units: int) -> float | None:
    """CPU-seconds of both confusion tables of one scan the usual way, for the first ``units`` units."""
    try:
        import pandas as pd
    except ImportError:
        return None
    images = image_table(size)
    image_frame = pd.DataFrame({name: images[name].to_list() for name in images.columns})
    started = time.process_time()
    table = store.table(ref, "responses")
    values = table["response"].to_numpy()[:, :units]
    wide = pd.DataFrame(values, columns=np.arange(units), dtype=np.float64)
    wide.insert(0, "condition_hash", table["condition_hash"].to_list())
    long = wide.melt(id_vars="condition_hash", var_name="unit_id", value_name="response")
    per_unit = long.groupby("unit_id")["response"]
    long["normalized"] = long["response"] / per_unit.transform("std")
    long["z"] = (long["response"] - per_unit.transform("mean")) / per_unit.transform("std")
    joined = long[long["unit_id"] < size.targets].merge(image_frame, on="condition_hash")
    for column in ("normalized", "z"):
        grouped = joined.groupby(["model_type", "image_unit_id", "unit_id"])[column]
        pd.DataFrame({"mu": grouped.mean(), "var": grouped.var(ddof=0), "n": grouped.count()})
    return time.process_time() - started


def bandwidth() -> float:
    """Measured bytes per second of one core reading memory."""
    block = np.ones(2**25, dtype=np.float32)
    times = []
    for _ in range(5):
        started = time.process_time()
        block.sum()
        times.append(time.process_time() - started)
    return block.nbytes / max(min(times), 1e-9)


def row(
    what: str, unit: str, ours: float, theirs: float | None = None, **more: float | None
) -> dict[str, object]:
    """One row of the table."""
    ratio = None if theirs is None else theirs / max(ours, 1e-9)
    return {"what": what, "unit": unit, "ours": ours, "theirs": theirs, "ratio": ratio, **more}


def measure(size: Size) -> list[dict[str, object]]:
    """Measure one size; one scan first, to warm up."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        refs = [write_scan(store, size, session) for session in range(size.scans)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        loop(store, size, refs[:1])
        one = loop(store, size, refs[:1])
        parts = {n: loop(store, size, refs[:n]).total for n in (size.scans // 5, size.scans // 2) if n > 1}
        started = time.monotonic()
        many = loop(store, size, refs)
        by_the_clock = time.monotonic() - started
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        trials = size.images * size.repeats
        rival_units = min(size.units, int(2 * 2**30 / (trials * 8 * 6)))
        rival = pandas_seconds(store, size, refs[0], rival_units)
        # the rival's cost is linear in the units that it melts
        rival = None if rival is None else rival * size.units / rival_units
        somata = every_soma_seconds(size)
    total_one, total_many = one.total, many.total
    read = 2 * size.scans * trials * size.units * 4
    text = f"{size.scans} scans × {size.units} units × {size.images} images × {size.repeats} repeats"
    rows = [row(f"{step}, {text}", "CPU-s", seconds) for step, seconds in many.seconds.items()]
    rows.append(row("both confusions, 1 scan", "CPU-s", one.seconds["confusions"], rival))
    rows.append(
        row(f"all, {text}", "CPU-s", total_many, target=60.0, limit_share=read / bandwidth() / total_many)
    )
    rows.append(row(f"the same by the clock, {text}", "s", by_the_clock, target=60.0))
    for n, total in (parts | {size.scans: total_many}).items():
        rows.append(row(f"cost of {n} scans over {n} × cost of 1", "1", total / total_one / n, target=1.2))
    rows.append(
        row(f"matching of every soma, 1 scan × {size.units} units × {STACKS} stacks", "CPU-s", somata)
    )
    rows.append(row("peak memory of the process", "GiB", after, target=4.0))
    rows.append(row("of it before the first query (writing the scans)", "GiB", before))
    return rows


def versions() -> dict[str, str]:
    """Versions that matter."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "polars", "duckdb", "pyarrow", "pandas"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small loop, a few seconds")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    size = Size(2, 400, 20, 5) if arguments.quick else Size(10, 10_000, 150, 20)
    rows = measure(size)
    width = max(len(str(r["what"])) for r in rows)
    for r in rows:
        rival = "" if r["theirs"] is None else f"   pandas {r['theirs']:.2f}, ratio {r['ratio']:.1f}"
        print(f"{r['what']:<{width}}  {r['ours']:10.3f} {r['unit']}{rival}")
    if arguments.json:
        machine = f"{platform.machine()}, {os.cpu_count()} cores"
        report = {"name": "closed_loop", "machine": machine, "versions": versions(), "rows": rows}
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
