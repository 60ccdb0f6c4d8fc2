"""Whole random loops against plain numpy: dead cells, double matches, images shown once or never, ties."""

import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.confusion import confusion
from inception_loop.closed_loop.diagonal import OWN, diagonal_entry
from inception_loop.closed_loop.summary import summary_confusion
from inception_loop.recordings.recording import ScanKey

MODELS = ("cnn", "linear", "gabor", "masked_cnn", "masked_natural")


def random_scan(rng, session):
    """Whole numbers as responses, so that many are equal; images 0 to 4 times; some cells never change."""
    images = [(f"{model}-{unit}", model, unit) for model in MODELS for unit in range(5)]
    shown = np.repeat([name for name, *_ in images], rng.integers(0, 5, len(images)))
    shown = rng.permutation(np.concatenate([shown, ["blank"] * 3]))
    values = rng.integers(0, 4, (len(shown), 6)).astype(float)
    values[:, rng.random(6) < 0.2] = 2.0
    matched = rng.permutation(5)[: rng.integers(2, 6)]
    matches = pl.DataFrame({"source_unit_id": matched, "unit_id": rng.integers(0, 6, len(matched))})
    return {
        "scan": ScanKey(animal_id=1, session=session, scan_idx=1),
        "images": pl.DataFrame(images, ["condition_hash", "model_type", "image_unit_id"], orient="row"),
        "shown": shown,
        "values": values,
        "matches": matches,
    }


def queried(scan, center):
    trials = pl.DataFrame({"trial_idx": np.arange(len(scan["shown"])), "condition_hash": scan["shown"]})
    responses = trials.with_columns(pl.Series("response", scan["values"], dtype=pl.Array(pl.Float64, 6)))
    columns = pl.DataFrame({"neuron_column": np.arange(6), "unit_id": np.arange(6)})
    tables = (responses, columns, scan["matches"], scan["images"])
    return confusion(*tables, center=center, scan=scan["scan"])


def slow_samples(scans, center):
    """(model type, image unit, source unit) → scaled responses of every scan that has any, by numpy."""
    samples = {}
    for scan in scans:
        for source, unit in scan["matches"].rows():
            y = scan["values"][:, unit]
            if (y == y[0]).all():
                continue
            scaled = (y - y.mean() * center) / y.std(ddof=1)
            for name, model, image_unit in scan["images"].rows():
                if (x := scaled[scan["shown"] == name]).size:
                    samples.setdefault((model, image_unit, source), []).append(x)
    return samples


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("center", [False, True])
def test_summary_and_diagonal_of_a_random_loop_equal_plain_numpy(seed, center):
    rng = np.random.default_rng(seed)
    scans = [random_scan(rng, session) for session in range(rng.integers(1, 4))]
    summary = summary_confusion(pl.concat([queried(scan, center) for scan in scans]))
    samples = slow_samples(scans, center)
    assert summary.select("model_type", "image_unit_id", "source_unit_id").rows() == sorted(samples)
    for row in summary.iter_rows(named=True):
        parts = samples[row["model_type"], row["image_unit_id"], row["source_unit_id"]]
        x = np.concatenate(parts)
        assert (row["n_repeats"], row["scan_count"]) == (x.size, len(parts))
        assert row["mu_resp"] == pytest.approx(x.mean(), rel=1e-12, abs=1e-13)
        if x.size == 1:
            assert (row["var_resp"], row["sem_resp"]) == (None, None)
        else:
            assert row["var_resp"] == pytest.approx(x.var(ddof=1), rel=1e-10, abs=1e-13)
            assert row["sem_resp"] == pytest.approx(x.std(ddof=1) / x.size**0.5, rel=1e-10, abs=1e-13)
    for control in ("linear", "gabor", "masked_natural"):
        check_diagonal(diagonal_entry(summary, control), summary, control)


def check_diagonal(table, summary, control):
    """Every unit that was shown both own images, ranked by difference and by t, equal ones by number."""
    rows = summary.filter(pl.col("image_unit_id") == pl.col("source_unit_id"))
    of = {(row["model_type"], row["source_unit_id"]): row for row in rows.iter_rows(named=True)}
    units = [u for u in range(5) if (OWN[control], u) in of and (control, u) in of]
    assert table["source_unit_id"].to_list() == units
    differences, ts = {}, {}
    for row in table.iter_rows(named=True):
        unit = row["source_unit_id"]
        own, other = of[OWN[control], unit], of[control, unit]
        differences[unit] = own["mu_resp"] - other["mu_resp"]
        assert row["diff_resp"] == differences[unit]
        if None in (own["sem_resp"], other["sem_resp"]):
            assert (row["diff_sem"], row["t_diff"], row["t_rank"]) == (None, None, None)
            continue
        sem = float(np.hypot(own["sem_resp"], other["sem_resp"]))
        assert row["diff_sem"] == pytest.approx(sem, rel=1e-12)
        if sem == 0:
            assert (row["t_diff"], row["t_rank"]) == (None, None)
            continue
        ts[unit] = row["t_diff"]
        assert row["t_diff"] == pytest.approx(differences[unit] / sem, rel=1e-12)
    for values, rank in ((differences, "diff_rank"), (ts, "t_rank")):
        order = sorted(values, key=lambda unit: (-values[unit], unit))
        found = table.filter(pl.col(rank).is_not_null()).select("source_unit_id", rank)
        assert dict(found.rows()) == {unit: place for place, unit in enumerate(order)}
