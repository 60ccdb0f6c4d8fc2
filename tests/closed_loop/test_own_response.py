import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.confusion import confusion
from inception_loop.closed_loop.own_response import own_response
from inception_loop.recordings.recording import ScanKey

SCAN = ScanKey(animal_id=1, session=2, scan_idx=3)
MATCHES = pl.DataFrame({"source_unit_id": [1, 2, 3, 50], "unit_id": [104, 101, 104, 102]})


def slow_own(scan, images):
    """Every trial with an own image, its response and its z-score, by plain numpy."""
    rows = []
    for source, unit in MATCHES.rows():
        y = scan.values[:, scan.unit_ids.tolist().index(unit)].astype(np.float64)
        z = (y - y[scan.kept].mean()) / y[scan.kept].std(ddof=1)
        for condition, model, image_unit in images.rows():
            for trial in np.flatnonzero(scan.kept & (scan.shown == condition)):
                if image_unit == source:
                    rows.append((model, source, scan.trial_idx[trial], unit, condition, y[trial], z[trial]))
    return sorted(rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_query_equals_the_slow_version(make_scan, make_images, dtype):
    images = make_images()
    scan = make_scan([*images["condition_hash"], "oracle-1", "blank"], seed=4, dtype=dtype)
    found = own_response(
        scan.responses, scan.columns, MATCHES, images, scan=SCAN, excluded_trials=scan.excluded
    )
    expected = slow_own(scan, images)
    columns = ["model_type", "source_unit_id", "trial_idx", "unit_id", "condition_hash", "response"]
    assert found.select(columns).rows() == [row[:6] for row in expected]
    np.testing.assert_allclose(found["z_response"], [row[6] for row in expected], rtol=1e-10, atol=1e-12)
    assert found.select("animal_id", "session", "scan_idx").unique().row(0) == (1, 2, 3)


@pytest.mark.parametrize(("offset", "spread"), [(0.0, 1.0), (1e6, 1e-3)])
def test_its_means_are_the_diagonal_of_the_z_scored_confusion_to_the_last_bit(
    make_scan, make_images, offset, spread
):
    images = make_images()
    scan = make_scan([*images["condition_hash"], "oracle"], repeats=20, seed=5, offset=offset, spread=spread)
    arguments = (scan.responses, scan.columns, MATCHES, images)
    own = own_response(*arguments, scan=SCAN, excluded_trials=scan.excluded)
    table = confusion(*arguments, center=True, scan=SCAN, excluded_trials=scan.excluded)
    diagonal = table.filter(pl.col("image_unit_id") == pl.col("source_unit_id"))
    assert diagonal.height == own.select("model_type", "source_unit_id").n_unique() == 9
    for row in diagonal.iter_rows(named=True):
        z = own.filter(model_type=row["model_type"], source_unit_id=row["source_unit_id"])
        z = z.sort("trial_idx")["z_response"].to_list()
        median = sorted(z)[(len(z) - 1) // 2]
        mean = median + sum(value - median for value in z) / len(z)
        assert (row["mu_resp"], row["n_repeats"]) == (mean, len(z))


def test_rows_do_not_depend_on_the_order_of_trials_columns_or_matches(make_scan, make_images):
    images = make_images()
    scan = make_scan(images["condition_hash"].to_list(), seed=5)
    first = own_response(scan.responses, scan.columns, MATCHES, images, scan=SCAN)
    shuffled = own_response(
        scan.responses.reverse(), scan.columns.reverse(), MATCHES.reverse(), images.reverse(), scan=SCAN
    )
    assert first.equals(shuffled)
    assert first["source_unit_id"].unique().sort().to_list() == [1, 2, 3]


def test_a_cell_whose_responses_do_not_vary_has_no_row(make_scan, make_images):
    images = make_images()
    scan = make_scan(images["condition_hash"].to_list(), seed=9)
    flat = scan.values.copy()
    flat[:, scan.unit_ids.tolist().index(101)] = 0.25
    responses = pl.DataFrame({"trial_idx": scan.trial_idx, "condition_hash": scan.shown}).with_columns(
        pl.Series("response", flat, dtype=pl.Array(pl.Float64, flat.shape[1]))
    )
    found = own_response(responses, scan.columns, MATCHES, images, scan=SCAN)
    assert found["source_unit_id"].unique().sort().to_list() == [1, 3]
