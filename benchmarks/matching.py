"""Cells of two days assigned one to one: whether the probabilities are right, and what it costs.

Run ``python benchmarks/matching.py [--quick] [--days N] [--json FILE]``. Truth: later days of the simulated
animal (its cortex, its trial-to-trial responses to 40 shared images of 10 repeats) and of random tissue as
dense as the animal refuses to be, under the published rule and under the assignment. Cost: 10,000 × 10,000
units in 3 stacks, each contender in a process of its own, beside the plain assignment on a dense matrix.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

from inception_loop.animals.cortex import CortexConfig, stack_table
from inception_loop.animals.population import add_noise
from inception_loop.animals.session import NaturalSessionConfig, natural_session
from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
from inception_loop.closed_loop.assigned_cell_match import assigned_cell_match
from inception_loop.closed_loop.matching import (
    best_proximity_cell_match,
    judged_matches,
    proximity_cell_match,
)
from inception_loop.closed_loop.tuning_similarity import ScanResponses

EDGES = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999, 1.0 + 1e-9)
UNITS, STACKS, IMAGES, REPEATS = 10_000, 3, 100, 10
PER_UM3 = 4e-5
APART_UM = 9.0


@dataclass(frozen=True)
class Day:
    """A scan: its somata's places, what cells they are, and what they answered."""

    units: pl.DataFrame  # unit_id, cell_id
    coordinates: pl.DataFrame
    responses: ScanResponses | None


def responses_of(values: np.ndarray, shown: list[str], unit_ids: np.ndarray) -> ScanResponses:
    """Responses (T, N) as the dataset stage holds them."""
    columns = pl.DataFrame({"neuron_column": np.arange(len(unit_ids)), "unit_id": unit_ids})
    trials = pl.DataFrame({"trial_idx": np.arange(len(values)), "condition_hash": shown})
    return ScanResponses(trials.with_columns(pl.Series("response", values)), columns)


def animal_days(n_days: int, cortex: list[CortexConfig]) -> Iterator[list[tuple[Day, Day]]]:
    """Yield, for a number of animals, the first and a later day in each of several cortices.

    What a cell answers does not depend on where it lies, so the responses are drawn once.
    """
    session = natural_session(NaturalSessionConfig(n_train=2, n_repeated=40, repeats=10))
    shown = session.conditions["condition_hash"].gather(session.order).to_list()
    for seed in range(1, n_days + 1):
        answers = []
        for day in (0, 1):
            _, truth = SimulatedAnimal(SimulatedConfig(seed=seed)).record(session, day)
            values = add_noise(
                truth.expected, truth.units["fano"].to_numpy(), np.random.default_rng([seed, day])
            )
            order = np.argsort(truth.units["cell_id"].to_numpy())
            answers.append((truth.units["cell_id"].to_numpy()[order], values[:, order]))
        yield [
            tuple(
                _animal_day(SimulatedConfig(seed=seed, cortex=one), day, *answers[day], shown)
                for day in (0, 1)
            )
            for one in cortex
        ]


def _animal_day(config: SimulatedConfig, day: int, cell_id, values, shown) -> Day:
    found = SimulatedAnimal(config).population(day)
    order = np.argsort(found.cell_id)
    if not np.array_equal(found.cell_id[order], cell_id):
        raise SystemExit("the cells of a day depend on the cortex; expected the same ones")
    unit_id = np.random.default_rng([config.seed, day]).permutation(len(cell_id)) + 1
    places = stack_table(found.places.take(order), unit_id, config.cortex, config.seed, day)
    return Day(
        pl.DataFrame({"unit_id": unit_id, "cell_id": cell_id}),
        places,
        responses_of(values, shown, unit_id),
    )


def tissue(rng: np.random.Generator, n: int, per_um3: float) -> np.ndarray:
    """About n somata that keep their distance in a slab 60 µm thick, at a density."""
    packed = per_um3 * 4 / 3 * np.pi * APART_UM**3
    drawn = round(-n * np.log1p(-packed) / packed)  # of which this rule leaves n (Matérn 1960, II)
    side = np.sqrt(n / per_um3 / 60)
    xyz = rng.uniform(0, 1, (drawn, 3)) * [side, side, 60]
    close = KDTree(xyz).query_pairs(APART_UM, output_type="ndarray")
    return np.delete(xyz, np.unique(close.max(axis=1)), axis=0)


def tissue_days(
    seed: int, n: int, per_um3: float, jitter_um: float, stacks: int, images: int
) -> tuple[Day, Day]:
    """Make a first and a later day of random tissue: 10 % missing, as many new, a third without tuning."""
    rng = np.random.default_rng([seed, 5])
    everyone = tissue(rng, round(1.1 * n), per_um3)
    total = len(everyone)
    role = rng.permutation(total)
    first, later = role[: round(total / 1.1)], role[round(0.1 * total / 1.1) :]
    moved = everyone + rng.normal(0, jitter_um, everyone.shape)
    tuning = rng.normal(size=(images, total)) * rng.choice([0.0, 0.5, 1.0], total)
    shown = [f"image {image}" for image in range(images) for _ in range(REPEATS)]
    days = []
    for day, (cells, xyz) in enumerate(((first, everyone), (later, moved))):
        places = [
            pl.DataFrame(
                xyz[cells] + rng.normal(0, 0.6, (len(cells), 3)), schema=["stack_x", "stack_y", "stack_z"]
            ).with_columns(unit_id=cells, stack_session=1, stack_idx=stack)
            for stack in range(stacks)
        ]
        values = np.repeat(tuning[:, cells], REPEATS, axis=0).astype(np.float32)
        values += np.random.default_rng([seed, day]).standard_normal(values.shape, dtype=np.float32)
        answers = responses_of(values, shown, cells) if images else None
        days.append(Day(pl.DataFrame({"unit_id": cells, "cell_id": cells}), pl.concat(places), answers))
    return days[0], days[1]


def judged(source: Day, later: Day, *, tuning: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both rules' matches of one later day with whether they are right."""
    somata = later.units.select("unit_id")
    found = assigned_cell_match(
        source.units,
        source.coordinates,
        somata,
        later.coordinates,
        source_responses=source.responses if tuning else None,
        later_responses=later.responses if tuning else None,
    ).table
    near = proximity_cell_match(source.units, source.coordinates, somata, later.coordinates)
    published, assigned = (
        judged_matches(source.units, rows, source.units, later.units)
        for rows in (best_proximity_cell_match(near), found)
    )
    return published, assigned.join(
        found.select("source_unit_id", "probability", "kept"), on="source_unit_id"
    )


def summary(what: str, days: list[tuple[pl.DataFrame, pl.DataFrame]]) -> dict[str, object]:
    """Count what both rules got right, and how the probabilities compare with that."""
    published, every = (pl.concat(tables) for tables in zip(*days, strict=True))
    given = every.filter(pl.col("unit_id").is_not_null())
    p, right = given["probability"].to_numpy(), given["right"].to_numpy()
    kept = every.filter("kept")
    bins = [(p >= low) & (p < high) for low, high in pairwise(EDGES)]
    tenths = np.minimum((10 * p).astype(int), 9)
    gaps = [
        (tenths == k).mean() * abs(p[tenths == k].mean() - right[tenths == k].mean()) for k in set(tenths)
    ]

    def of_present(rows: pl.DataFrame) -> float:
        return float(rows.filter("right").height / every.filter("present").height)

    def of_missing(rows: pl.DataFrame) -> float:
        matched = rows.filter(~pl.col("present") & pl.col("unit_id").is_not_null())
        return matched.height / every.filter(~pl.col("present")).height

    return {
        "what": what,
        "days": len(days),
        "present": every.filter("present").height,
        "missing": every.filter(~pl.col("present")).height,
        "published_right": of_present(published),
        "published_missing_matched": of_missing(published),
        "assigned_right": of_present(kept),
        "assigned_missing_matched": of_missing(kept),
        "kept_wrong": 1 - float(kept["right"].mean() or 0),
        "kept_wrong_expected": 1 - float(kept["probability"].mean() or 0),
        "calibration_error": float(sum(gaps)),
        "bins": [
            {"n": int(one.sum()), "said": float(p[one].mean()), "right": float(right[one].mean())}
            for one in bins
            if one.any()
        ],
    }


def truth(n_days: int, quick: bool) -> list[dict[str, object]]:
    """Right and false matches, and calibration, over many simulated days."""
    settings = {
        "animal": CortexConfig(),
        "animal, 1 stack": CortexConfig(n_stacks=1),
        "animal, jitter 5 µm": CortexConfig(jitter_um=5),
        "animal, jitter 8 µm": CortexConfig(jitter_um=8),
    }
    results: dict[str, list] = {}
    for pairs in [] if quick else animal_days(n_days, list(settings.values())):
        for name, pair in zip(settings, pairs, strict=True):
            for tuning in (True, False):
                results.setdefault(name + ("" if tuning else ", places only"), []).append(
                    judged(*pair, tuning=tuning)
                )
    dense = ((8e-5, 3.0, 40),) if quick else ((8e-5, 3.0, 40), (8e-5, 6.0, 40), (1.2e-4, 3.0, 40))
    for per_um3, jitter, images in dense:
        for seed in range(1 if quick else max(n_days // 8, 1)):
            pair = tissue_days(seed, 400 if quick else 4000, per_um3, jitter, 2, images)
            name = f"tissue of {per_um3 * 1e9:,.0f}/mm³, jitter {jitter:.0f} µm"
            for tuning in (True, False):
                results.setdefault(name + ("" if tuning else ", places only"), []).append(
                    judged(*pair, tuning=tuning)
                )
    return [summary(name, days) for name, days in results.items()]


def dense_assignment(source: Day, later: Day) -> None:
    """Mean distances of all pairs, and SciPy's assignment on them: everybody is matched."""
    total = 0.0
    for stack in range(STACKS):
        here, there = (
            day.coordinates.filter(stack_idx=stack).select("stack_x", "stack_y", "stack_z").to_numpy()
            for day in (source, later)
        )
        square = (here**2).sum(axis=1)[:, None] + (there**2).sum(axis=1) - 2 * here @ there.T
        total = total + np.sqrt(np.maximum(square, 0))
    linear_sum_assignment(total)


def published_rule(source: Day, later: Day) -> None:
    """Match every soma by the published rule."""
    best_proximity_cell_match(
        proximity_cell_match(source.units, source.coordinates, later.units, later.coordinates)
    )


def assignment(source: Day, later: Day) -> None:
    """Ours, by place and tuning."""
    assigned_cell_match(
        source.units,
        source.coordinates,
        later.units,
        later.coordinates,
        source_responses=source.responses,
        later_responses=later.responses,
    )


def assignment_by_place(source: Day, later: Day) -> None:
    """Ours, by place alone."""
    assigned_cell_match(source.units, source.coordinates, later.units, later.coordinates)


CONTENDERS = {
    "assigned, place and tuning": assignment,
    "assigned, place alone": assignment_by_place,
    "published rule": published_rule,
    "dense linear_sum_assignment": dense_assignment,
}


def one_cost(name: str, units: int) -> dict[str, float]:
    """CPU-seconds and memory of one contender, in this process."""
    source, later = tissue_days(1, units, PER_UM3, 3.0, STACKS, IMAGES if "tuning" in name else 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    started = time.process_time()
    CONTENDERS[name](source, later)
    seconds = time.process_time() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds, "peak_gib": after, "inputs_gib": before}


def costs(units: int, quick: bool) -> list[dict[str, object]]:
    """Run all contenders, each in a process of its own, so that peaks do not mix."""
    rows: list[dict[str, object]] = []
    for name in CONTENDERS:
        if quick:
            found = one_cost(name, units)
        else:
            command = [sys.executable, __file__, "--one", name, "--units", str(units)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append({"what": f"{name}, {units} × {units} units, {STACKS} stacks", **found})
    return rows


def printed(rows: list[dict], costs_: list[dict]) -> None:
    """Show both tables."""
    print(f"{'later days':<44} published: right, missing matched   assigned: right, missing matched, ECE")
    for r in rows:
        print(
            f"{r['what']:<44} {r['published_right']:16.4f} {r['published_missing_matched']:16.3f}"
            f" {r['assigned_right']:16.4f} {r['assigned_missing_matched']:16.3f} {r['calibration_error']:.4f}"
        )
        for one in r["bins"]:
            print(f"{'':<10} said {one['said']:.4f}  right {one['right']:.4f}  n {one['n']}")
    for r in costs_:
        print(
            f"{r['what']:<70} {r['seconds']:8.2f} CPU-s  peak {r['peak_gib']:.2f} GiB "
            f"({r['inputs_gib']:.2f} before)"
        )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small day, a few seconds")
    parser.add_argument("--days", type=int, default=10, help="simulated later days a setting")
    parser.add_argument("--one", choices=list(CONTENDERS), help="the cost of one contender, as JSON")
    parser.add_argument("--units", type=int, default=UNITS, help="units a day for the costs")
    parser.add_argument("--json", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_cost(arguments.one, arguments.units)))
        return
    rows = truth(arguments.days, arguments.quick)
    found = costs(300 if arguments.quick else arguments.units, arguments.quick)
    printed(rows, found)
    if arguments.json:
        machine = f"{platform.machine()}, {os.cpu_count()} cores"
        versions = {name: version(name) for name in ("numpy", "scipy", "polars", "duckdb")}
        report = {"name": "matching", "machine": machine, "versions": versions, "truth": rows, "rows": found}
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
