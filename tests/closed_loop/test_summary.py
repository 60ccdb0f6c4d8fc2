from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.confusion import confusion
from inception_loop.closed_loop.summary import summary_confusion
from inception_loop.recordings.recording import ScanKey

MATCHES = pl.DataFrame({"source_unit_id": [1, 2, 3], "unit_id": [104, 101, 103]})


def parts(make_scan, images, repeats=(4, 9, 2), **options):
    conditions = images["condition_hash"].to_list()
    scans = [make_scan(conditions, repeats=r, seed=r, **options) for r in repeats]
    keys = [ScanKey(animal_id=1, session=s, scan_idx=1) for s in range(len(scans))]
    tables = [
        confusion(s.responses, s.columns, MATCHES, images, center=False, scan=k)
        for s, k in zip(scans, keys, strict=True)
    ]
    return scans, tables


def pooled_samples(scans, condition, unit):
    """All repeats of all scans, each divided by the cell's s.d. in its scan, to fifty digits."""
    digits, out = Context(prec=50), []
    for scan in scans:
        y = scan.values[:, scan.unit_ids.tolist().index(unit)]
        exact = [Fraction(float(v)) for v in y]
        mean = sum(exact) / len(exact)
        var = sum((v - mean) ** 2 for v in exact) / (len(exact) - 1)
        sd = digits.sqrt(digits.divide(Decimal(var.numerator), Decimal(var.denominator)))
        out += [Fraction(float(v)) / Fraction(sd) for v in y[scan.shown == condition]]
    return out


@pytest.mark.parametrize(("offset", "spread"), [(0.0, 1.0), (1e6, 1e-3)])
@pytest.mark.parametrize("repeats", [(4, 9, 2), (8,)])
def test_merged_moments_equal_those_of_all_repeats_together(make_scan, make_images, offset, spread, repeats):
    images = make_images(model_types=("cnn",))
    scans, tables = parts(make_scan, images, repeats, offset=offset, spread=spread)
    summary = summary_confusion(pl.concat(tables))
    assert summary.height == 9
    match, n = dict(MATCHES.rows()), sum(repeats)
    for row in summary.iter_rows(named=True):
        condition = f"{row['model_type']}-{row['image_unit_id']}"
        x = pooled_samples(scans, condition, match[row["source_unit_id"]])
        mean = sum(x) / len(x)
        var = sum((v - mean) ** 2 for v in x) / (len(x) - 1)
        assert (row["n_repeats"], row["scan_count"]) == (n, len(scans))
        assert abs(row["mu_resp"] / float(mean) - 1) < 1e-14
        assert abs(row["var_resp"] / float(var) - 1) < 1e-12
        assert row["sem_resp"] == pytest.approx((row["var_resp"] / n) ** 0.5, rel=1e-12)


def test_merging_itself_is_exact_on_a_mean_of_1e6_and_a_spread_of_1e_minus_3():
    rng = np.random.default_rng(0)
    samples = [1e6 + 1e-3 * rng.standard_normal(n) for n in (20, 7, 33)]
    rows = []
    for session, x in enumerate(samples):  # counted from a repeat that is no median
        deviation = [Fraction(v) - Fraction(x[0]) for v in x]
        offset = sum(deviation) / len(x)
        var = sum((d - offset) ** 2 for d in deviation) / len(x)
        rows.append(
            (1, session, 1, "cnn", 1, 1, 1, float(x.mean()), float(var), len(x), float(x[0]), float(offset))
        )
    names = ["animal_id", "session", "scan_idx", "model_type", "image_unit_id", "source_unit_id", "unit_id",
             "mu_resp", "var_resp", "n_repeats", "pilot_resp", "offset_resp"]  # fmt: skip
    summary = summary_confusion(pl.DataFrame(rows, schema=names, orient="row")).row(0, named=True)
    exact = [Fraction(v) for x in samples for v in x]
    mean = sum(exact) / len(exact)
    var = sum((v - mean) ** 2 for v in exact) / (len(exact) - 1)
    assert abs(summary["var_resp"] / float(var) - 1) < 1e-10
    assert abs(summary["mu_resp"] / float(mean) - 1) < 1e-15


def test_the_order_of_the_scans_changes_nothing(make_scan, make_images):
    _, tables = parts(make_scan, make_images())
    assert summary_confusion(pl.concat(tables)).equals(summary_confusion(pl.concat(tables[::-1])))


def test_one_scan_keeps_its_mean_and_gets_the_unbiased_variance(make_scan, make_images):
    _, (table,) = parts(make_scan, make_images(), repeats=(5,))
    summary = summary_confusion(table)
    np.testing.assert_allclose(summary["mu_resp"], table["mu_resp"], rtol=1e-14)
    np.testing.assert_allclose(summary["var_resp"], table["var_resp"] * 5 / 4, rtol=1e-12)


def test_one_repeat_has_no_variance_and_says_so(make_scan, make_images):
    _, (table,) = parts(make_scan, make_images(), repeats=(1,))
    summary = summary_confusion(table)
    assert summary["var_resp"].null_count() == summary["sem_resp"].null_count() == summary.height
    assert summary["mu_resp"].is_finite().all()
