"""Whether the statistics of a loop keep their promises, on loops simulated as tables of responses.

Run ``python benchmarks/loop_statistics.py [--quick] [--json FILE]``. No network and no training: units with
true effects, skewed trial noise, 15 to 150 units and 5 to 40 repeats, the truth known. Coverage of the
intervals beside other ways to make them, p-values under the null hypothesis, false discoveries, power.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import stats

from inception_loop.closed_loop.matrix import ConfusionMatrix, diagonal_permutation_test, mean_of_others
from inception_loop.closed_loop.statistics.bootstrap import interval
from inception_loop.closed_loop.statistics.mixed import mixed_model
from inception_loop.closed_loop.statistics.paired import sign_flip_test, wilcoxon_test
from inception_loop.closed_loop.statistics.per_unit import trial_table, unit_tests
from inception_loop.closed_loop.statistics.power import power, variances

EFFECT = 0.5
"""True mean difference own − control, in standard deviations of one trial."""

RESAMPLES = 999

Ends = tuple[float, float]


def units_of_loop(rng: np.random.Generator) -> int:
    """Between 15 and 150 units, as many loops with 15 to 47 as with 47 to 150."""
    return int(np.exp(rng.uniform(np.log(15), np.log(151))))


def effects(rng: np.random.Generator, n: int, kind: str) -> np.ndarray:
    """Draw true differences, mean `EFFECT`: normal, exponential or strongly skewed (skewness 2.8)."""
    if kind == "normal":
        return rng.normal(EFFECT, 0.5, n)
    return rng.exponential(EFFECT, n) if kind == "exponential" else rng.gamma(EFFECT, 1.0, n)


def mean_noise(rng: np.random.Generator, n: int, repeats: int) -> np.ndarray:
    """Noise of ``n`` means over trials: exponential trial noise (skewness 2) of variance 1."""
    return rng.gamma(repeats, 1 / repeats, n) - 1.0


def differences(rng: np.random.Generator, n: int, kind: str, repeats: int | None = None) -> np.ndarray:
    """Measured differences own − control of the units of one loop."""
    own = int(rng.integers(5, 41)) if repeats is None else repeats
    return effects(rng, n, kind) + mean_noise(rng, n, own) - mean_noise(rng, n, own)


def share(hits: list[bool], what: str, **more: object) -> dict[str, object]:
    """Return a row: a share of loops with its 95 % Wilson interval."""
    found = stats.binomtest(int(np.sum(hits)), len(hits)).proportion_ci(method="wilson")
    return row(
        what, "share", float(np.mean(hits)), lower=found.low, upper=found.high, loops=len(hits), **more
    )


def row(what: str, unit: str, ours: float, theirs: float | None = None, **more: object) -> dict[str, object]:
    """Return a row of the table."""
    return {"what": what, "unit": unit, "ours": ours, "theirs": theirs, "ratio": None, **more}


def holds(ends: Ends, truth: float = EFFECT) -> bool:
    """Whether an interval holds the truth."""
    return ends[0] <= truth <= ends[1]


def ours(values: np.ndarray, seed: int, **more: object) -> Ends:
    """Return the interval of this package."""
    found = interval(values, n_resamples=RESAMPLES, seed=seed, **more)
    return found.lower, found.upper


def others(values: np.ndarray, seed: int) -> dict[str, Ends]:
    """Percentile, BCa and Student's interval of the same values."""
    n, mean, error = values.size, values.mean(), values.std(ddof=1) / values.size**0.5
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, n, (RESAMPLES, n))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    half = stats.t.ppf(0.975, n - 1) * error
    jack = mean - (values.sum() - values) / (n - 1)
    skew = (jack**3).sum() / (6 * (jack**2).sum() ** 1.5)
    z = stats.norm.ppf(((means < mean).sum() + 0.5) / (RESAMPLES + 1)) + stats.norm.ppf([0.025, 0.975])
    bias = z[0] - stats.norm.ppf(0.025)
    bca = np.quantile(means, stats.norm.cdf(bias + z / (1 - skew * z)))
    return {"percentile": (low, high), "BCa": tuple(bca), "Student's t": (mean - half, mean + half)}


def one_animal(loops: int) -> Iterator[dict[str, object]]:
    """Coverage of the mean over units of one animal."""
    cases = [(None, kind) for kind in ("normal", "exponential", "skewed")]
    cases += [(15, kind) for kind in ("normal", "exponential", "skewed")] + [(5, "normal"), (8, "normal")]
    for units, kind in cases:
        rng = np.random.default_rng(1)
        hits: dict[str, list[bool]] = {}
        widths: list[float] = []
        for seed in range(loops):
            values = differences(rng, units or units_of_loop(rng), kind)
            ends = ours(values, seed)
            widths.append(ends[1] - ends[0])
            for name, found in {"ours": ends, **others(values, seed)}.items():
                hits.setdefault(name, []).append(holds(found))
        text = f"coverage, one animal, {units or '15–150'} units, {kind} effects"
        rest = {name: float(np.mean(found)) for name, found in hits.items() if name != "ours"}
        yield share(hits["ours"], text, others=rest, width=float(np.median(widths)))


def trials_as_well(loops: int) -> Iterator[dict[str, object]]:
    """Coverage with trials resampled within the resampled units: the noise counts twice."""
    rng = np.random.default_rng(2)
    n, repeats, resamples = 100, 8, 399
    hits: dict[str, list[bool]] = {"units": [], "units and trials": []}
    for _ in range(loops):
        trials = effects(rng, n, "normal")[:, None] + rng.exponential(1, (n, repeats)) - 1
        trials -= rng.exponential(1, (n, repeats))
        trials += 1
        units = rng.integers(0, n, (resamples, n))
        drawn = rng.integers(0, repeats, (resamples, n, repeats))
        only = trials.mean(axis=1)[units].mean(axis=1)
        both = trials[units[:, :, None], drawn].mean(axis=(1, 2))
        for name, means in zip(hits, (only, both), strict=True):
            hits[name].append(holds(tuple(np.quantile(means, [0.025, 0.975]))))
    for name, found in hits.items():
        yield share(found, f"coverage, percentile interval, {name} resampled, 100 units × 8 repeats")


def gain_of_trials(rng: np.random.Generator, trials: int, memory: float) -> np.ndarray:
    """Draw the common gain of every trial: mean 1, s.d. 0.3, correlation ``memory`` from trial to trial."""
    steps = rng.normal(0, 0.3 * (1 - memory**2) ** 0.5, trials)
    out = np.empty(trials)
    state = rng.normal(0, 0.3)
    for place, step in enumerate(steps):
        state = memory * state + step
        out[place] = state
    return 1.0 + out


def shared_trials(loops: int) -> Iterator[dict[str, object]]:
    """Coverage when a gain common to all units moves their responses: own trials, or one control for all."""
    n, repeats = 60, 10
    designs = {
        "own images each, gain new every trial": (0.0, False),
        "own images each, gain lasting 20 trials": (0.95, False),
        "one control image for all units": (0.0, True),
    }
    for name, (memory, common) in designs.items():
        rng = np.random.default_rng(3)
        hits, together, false = [], [], []
        for seed in range(loops):
            control = 1.0 + rng.exponential(0.3, n)
            own = control + effects(rng, n, "normal")
            images = n + (1 if common else n)
            order = rng.permutation(np.repeat(np.arange(images), repeats))
            gain = gain_of_trials(rng, order.size, memory)
            means = np.bincount(order, weights=gain) / repeats
            noise = mean_noise(rng, n, repeats) - mean_noise(rng, n, repeats)
            shown = means[n] if common else means[n:]
            found = own * means[:n] - control * shown + noise
            hits.append(holds(ours(found, seed)))
            together.append((found.mean(), found.var(ddof=1) / n))
            nothing = control * (means[:n] - shown) + noise
            false.append(sign_flip_test(nothing, n_permutations=999, seed=seed).p_value <= 0.05)
        variance = np.array(together)
        inflation = float(variance[:, 0].var(ddof=1) / variance[:, 1].mean())
        text = f"coverage, common gain (s.d. 0.3), {name}, 60 units × 10 repeats"
        rate = float(np.mean(false))
        yield share(hits, text, variance_of_mean_over_claimed=inflation, sign_flip_below_05_if_null=rate)


def over_others(rng: np.random.Generator, n: int) -> np.ndarray:
    """Own minus the mean of the others' images, of sparse responses (skewness 4) that prefer nothing."""
    table = rng.gamma(0.25, 4.0, (n, n))
    return np.diag(table) - mean_of_others(ConfusionMatrix(np.arange(n), table))


def sparse(loops: int) -> Iterator[dict[str, object]]:
    """Own against others' images of sparse responses: interval over units, sign flips over animals."""
    for n in (6, 12, 20, 40, 80):
        rng = np.random.default_rng(10)
        drawn = [over_others(rng, n) for _ in range(loops)]
        hits = [holds(ours(values, seed), 0.0) for seed, values in enumerate(drawn)]
        false = [sign_flip_test(values, n_permutations=999, seed=9).p_value <= 0.05 for values in drawn]
        text = f"coverage, own over others' images, sparse responses, {n} units"
        yield share(hits, text, sign_flip_below_05_if_null=float(np.mean(false)))
    for count in (5, 6, 8, 12):
        rng = np.random.default_rng(11)
        means = [
            [over_others(rng, int(rng.integers(6, 21))).mean() for _ in range(count)] for _ in range(loops)
        ]
        false = [sign_flip_test(animals).p_value <= 0.05 for animals in means]
        yield share(false, f"p ≤ .05 of sign flips over {count} animals, own over others', sparse, no effect")


def several_animals(loops: int) -> Iterator[dict[str, object]]:
    """Coverage of the mean over animals: bootstrap over animals and mixed model."""
    cases = [(None, 0.2, "normal"), (None, 0.0, "normal"), (None, 0.2, "skewed"), (5, 0.2, "normal")]
    for count, between, kind in cases:
        rng = np.random.default_rng(4)
        hits: dict[str, list[bool]] = {}
        widths: dict[str, list[float]] = {"ours": [], "mixed": []}
        for seed in range(loops):
            values, animals = animals_of_loop(rng, count or int(rng.integers(5, 13)), between, kind)
            ends = ours(values, seed, animals=animals, over="animals")
            model = mixed_model(values, animals)
            means = np.bincount(animals, weights=values) / np.bincount(animals)
            pooled = others(values, seed)["percentile"]
            normal = (model.value - 1.96 * model.error, model.value + 1.96 * model.error)
            made = {"ours": ends, "mixed": (model.lower, model.upper), "mixed, normal quantile": normal}
            made |= {**others(means, seed), "units of all animals pooled": pooled}
            for name, found in made.items():
                hits.setdefault(name, []).append(holds(found))
            for name in widths:
                widths[name].append(made[name][1] - made[name][0])
        text = f"{count or '5–12'} animals, s.d. between animals {between} ({kind})"
        rest = {k: float(np.mean(v)) for k, v in hits.items() if k not in ("ours", "mixed")}
        width = {name: float(np.median(found)) for name, found in widths.items()}
        yield share(hits["ours"], f"coverage, {text}", others=rest, width=width["ours"])
        yield share(hits["mixed"], f"coverage of the mixed model, {text}", width=width["mixed"])


def animals_of_loop(
    rng: np.random.Generator, count: int, between: float, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Differences of the units of several animals, and whose they are."""
    parts = []
    for _ in range(count):
        shift = rng.normal() if kind == "normal" else rng.exponential() - 1.0
        parts.append(differences(rng, units_of_loop(rng), "exponential") + between * shift)
    return np.concatenate(parts), np.repeat(np.arange(count), [len(part) for part in parts])


def statsmodels_failures(loops: int) -> Iterator[dict[str, object]]:
    """How often the library's mixed model ends with a warning or an error on the same loops."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    rng = np.random.default_rng(5)
    failed = []
    for _ in range(loops):
        values, animals = animals_of_loop(rng, int(rng.integers(5, 13)), 0.2, "normal")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                _ = MixedLM(values, np.ones((values.size, 1)), groups=animals).fit().bse_fe
        except (Warning, np.linalg.LinAlgError):
            failed.append(True)
        else:
            failed.append(False)
    yield share(failed, "loops of 5–12 animals where statsmodels' MixedLM warns or fails (ours: 0)")


def smoothed(p_value: float, below: float, rng: np.random.Generator) -> float:
    """Return a p-value made continuous: uniform between the next smaller possible p-value and itself."""
    return below + (p_value - below) * rng.uniform()


def signed_rank_steps(n: int) -> np.ndarray:
    """Possible two-sided p-values of the signed rank test of ``n`` untied differences, ascending."""
    chance = np.zeros(n * (n + 1) // 2 + 1)
    chance[0] = 1.0
    for rank in range(1, n + 1):
        chance[rank:] = (chance[rank:] + chance[: len(chance) - rank]) / 2
        chance[:rank] /= 2
    return np.unique(np.minimum(1.0, 2 * np.cumsum(chance)))


def null_p_values(loops: int) -> dict[str, list[float]]:
    """Smoothed p-values of every test on loops with an effect whose images were shuffled."""
    rng = np.random.default_rng(6)
    out: dict[str, list[float]] = {}
    for seed in range(loops):
        n, repeats = units_of_loop(rng), int(rng.integers(5, 41))
        own = effects(rng, n, "exponential")[:, None] + rng.exponential(1, (n, repeats))
        control = rng.exponential(1, (n, repeats))
        swapped = rng.random(n) < 0.5
        trials = rng.permuted(np.hstack([own, control]), axis=1)
        own, control = (np.where(swapped[:, None], *pair) for pair in ((control, own), (own, control)))
        values = own.mean(axis=1) - control.mean(axis=1)
        test = sign_flip_test(values, n_permutations=1_999, seed=seed)
        found = {"sign flip, drawn": smoothed(test.p_value, test.p_value - test.p_smallest, rng)}
        test = sign_flip_test(values[:12])
        found["sign flip, enumerated"] = smoothed(test.p_value, test.p_value - test.p_smallest, rng)
        p_value = wilcoxon_test(values).p_value
        steps = signed_rank_steps(n)
        place = int(np.argmin(np.abs(steps - p_value)))
        found["Wilcoxon"] = smoothed(p_value, steps[place - 1] if place else 0.0, rng)
        side = min(n, 30)
        table = rng.exponential(1, (side, side)) + np.diag(effects(rng, side, "exponential"))
        matrix = ConfusionMatrix(np.arange(side), rng.permutation(table))
        p_value = diagonal_permutation_test(matrix, n_permutations=999, seed=seed).p_value
        found["diagonal"] = smoothed(p_value, p_value - 1 / 1_000, rng)
        drawn = unit_tests(
            trial_table(trials[:1, :repeats], trials[:1, repeats:]), n_permutations=999, seed=seed
        ).row(0, named=True)
        found["one unit, labels permuted"] = smoothed(
            drawn["p_value"], drawn["p_value"] - drawn["p_smallest"], rng
        )
        few = trial_table(trials[:1, :5], trials[:1, 5:10])
        found["one unit × 5 repeats, Welch"] = unit_tests(few, method="welch")["p_value"][0]
        for name, p_value in found.items():
            out.setdefault(name, []).append(p_value)
    return out


def uniform(loops: int) -> Iterator[dict[str, object]]:
    """Kolmogorov and Smirnov's test of the p-values under the null hypothesis."""
    for name, found in null_p_values(loops).items():
        test = stats.kstest(found, "uniform")
        rate = float(np.mean(np.array(found) <= 0.05))
        text = f"p-values under the null, {name}: Kolmogorov–Smirnov p"
        yield row(text, "p", float(test.pvalue), distance=float(test.statistic), below_05=rate, loops=loops)


def discoveries(loops: int) -> Iterator[dict[str, object]]:
    """Measure false discoveries and power of the per-unit tests after correction, some of 80 units real."""
    for real, repeats in ((0, 10), (20, 10), (40, 10), (40, 20), (70, 20), (40, 5)):
        rng = np.random.default_rng(7)
        false, power_, raw = [], [], []
        for seed in range(loops):
            effect = np.where(np.arange(80) < real, 1.0, 0.0)
            own = effect[:, None] + rng.exponential(1, (80, repeats))
            tests = unit_tests(
                trial_table(list(own), list(rng.exponential(1, (80, repeats)))),
                n_permutations=1_999,
                seed=seed,
            )
            said = (tests["q_value"] <= 0.05).to_numpy()
            null = effect == 0
            false.append((said & null).sum() / max(1, said.sum()))
            raw.append(((tests["p_value"] <= 0.05).to_numpy() & null).sum() / null.sum())
            power_.append(said[:real].mean() if real else np.nan)
        found = {"error": float(np.std(false) / loops**0.5), "loops": loops}
        found["power"] = float(np.mean(power_)) if real else None
        found["null_units_with_p_below_05"] = float(np.mean(raw))
        text = f"false discoveries, {real} of 80 units real (1 s.d.), {repeats} repeats"
        yield row(text, "share", float(np.mean(false)), target=0.05, **found)


def powers(loops: int) -> Iterator[dict[str, object]]:
    """Power by formula beside the share of simulated loops in which the sign-flip test finds the effect."""
    for n, repeats, size in (
        (6, 10, 1.2),
        (8, 10, 0.8),
        (15, 5, 0.4),
        (15, 20, 0.4),
        (40, 5, 0.25),
        (40, 20, 0.25),
        (100, 10, 0.15),
    ):
        rng = np.random.default_rng(8)
        found = []
        for seed in range(loops):
            true = size + rng.normal(0, 0.5, n)
            values = true + mean_noise(rng, n, repeats) - mean_noise(rng, n, repeats)
            found.append(sign_flip_test(values, n_permutations=999, seed=seed).p_value <= 0.05)
        formula = power(size, 0.25, 2.0, n_units=n, n_repeats=repeats)
        yield share(found, f"power, {n} units × {repeats} repeats, effect {size}", formula=formula)
    rng = np.random.default_rng(9)
    splits = []
    for _ in range(loops):
        own = effects(rng, 40, "normal")[:, None] + rng.exponential(1, (40, 10))
        control = rng.exponential(1, (40, 10))
        sems = [trials.std(axis=1, ddof=1) / 10**0.5 for trials in (own, control)]
        ten = np.full(40, 10)
        splits.append(variances(own.mean(1) - control.mean(1), *sems, ten, ten))
    between = float(np.mean([split.between_units for split in splits]))
    yield row(
        "variance between units found (true 0.25), 40 units × 10 repeats", "s.d.²", between, target=0.25
    )
    within = float(np.mean([split.within_repeats for split in splits]))
    yield row("variance within repeats found (true 2)", "s.d.²", within, target=2.0)


PARTS: dict[str, tuple[Callable[[int], Iterator[dict[str, object]]], int, int]] = {
    "one animal": (one_animal, 2_000, 20),
    "trials as well": (trials_as_well, 2_000, 20),
    "shared trials": (shared_trials, 2_000, 10),
    "sparse": (sparse, 2_000, 10),
    "several animals": (several_animals, 2_000, 10),
    "statsmodels": (statsmodels_failures, 60, 2),
    "null": (uniform, 1_000, 10),
    "discoveries": (discoveries, 1_000, 2),
    "power": (powers, 2_000, 20),
}
"""What is measured: the function, and how many loops, in full and with --quick."""


def measure(quick: bool) -> Iterator[dict[str, object]]:
    """Measure everything, part by part."""
    for name, (part, full, few) in PARTS.items():
        started = time.process_time()
        yield from part(few if quick else full)
        yield row(f"time of this part: {name}", "CPU-s", time.process_time() - started)


def shown(found: dict[str, object]) -> str:
    """Return a row as text."""
    rest = {k: v for k, v in found.items() if k not in ("what", "unit", "ours", "theirs", "ratio")}
    parts = []
    for name, value in rest.items():
        if isinstance(value, dict):
            parts.append(", ".join(f"{k} {v:.3f}" for k, v in value.items()))
        elif value is not None:
            parts.append(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}")
    return f"{found['what']:<90} {found['ours']:8.3f} {found['unit']:<6} {'; '.join(parts)}"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few loops, a few seconds")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    rows = []
    for found in measure(arguments.quick):
        rows.append(found)
        print(shown(found), flush=True)
    if arguments.json:
        machine = f"{platform.machine()}, {os.cpu_count()} cores"
        versions = {name: version(name) for name in ("numpy", "scipy", "polars", "statsmodels")}
        report = {"name": "loop_statistics", "machine": machine, "versions": versions, "rows": rows}
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
