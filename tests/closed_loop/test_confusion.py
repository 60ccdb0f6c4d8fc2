import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.confusion import confusion, cut
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

SCAN = ScanKey(animal_id=1, session=2, scan_idx=3)
MATCHES = pl.DataFrame({"source_unit_id": [1, 2, 3, 50], "unit_id": [104, 101, 104, 102]})


def slow_confusion(scan, matches, images, center):
    column = {unit: i for i, unit in enumerate(scan.unit_ids)}
    rows = {}
    for _, model, image_unit in images.rows():
        names = images.filter(model_type=model, image_unit_id=image_unit)["condition_hash"].to_list()
        for source, unit in matches.rows():
            y = scan.values[:, column[unit]].astype(np.float64)
            kept = y[scan.kept]
            scaled = (y - kept.mean() * center) / kept.std(ddof=1)
            x = scaled[scan.kept & np.isin(scan.shown, names)]
            rows[model, image_unit, source] = (unit, x.mean(), x.var(), len(x))
    return rows


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_query_equals_the_slow_version(make_scan, make_images, center, dtype):
    images = make_images()
    conditions = [*images["condition_hash"], "oracle-1", "oracle-2", "blank"]
    scan = make_scan(conditions, seed=4, dtype=dtype)
    found = confusion(
        scan.responses, scan.columns, MATCHES, images, center=center, scan=SCAN, excluded_trials=scan.excluded
    )
    expected = slow_confusion(scan, MATCHES.filter(pl.col("source_unit_id") < 50), images, center)
    assert found.height == len(expected) == 27
    assert found.select("animal_id", "session", "scan_idx").unique().row(0) == (1, 2, 3)
    for row in found.iter_rows(named=True):
        unit, mean, var, n = expected[row["model_type"], row["image_unit_id"], row["source_unit_id"]]
        assert (row["unit_id"], row["n_repeats"]) == (unit, n)
        np.testing.assert_allclose([row["mu_resp"], row["var_resp"]], [mean, var], rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(row["pilot_resp"] + row["offset_resp"], row["mu_resp"], rtol=1e-12)


def test_rows_do_not_depend_on_the_order_of_trials_columns_or_matches(make_scan, make_images):
    images = make_images()
    scan = make_scan(images["condition_hash"].to_list(), seed=5)
    first = confusion(scan.responses, scan.columns, MATCHES, images, center=True, scan=SCAN)
    shuffled = confusion(
        scan.responses.sort("trial_idx", descending=True),
        scan.columns.reverse(),
        MATCHES.reverse(),
        images.reverse(),
        center=True,
        scan=SCAN,
    )
    assert first.equals(shuffled)


def test_z_scores_ignore_gain_and_offset_of_a_cell(make_scan, make_images):
    images = make_images()
    conditions = images["condition_hash"].to_list()
    plain, scaled = (make_scan(conditions, seed=6, offset=o, spread=s) for o, s in ((0, 1), (-40, 7)))
    tables = [
        confusion(s.responses, s.columns, MATCHES, images, center=True, scan=SCAN)["mu_resp"]
        for s in (plain, scaled)
    ]
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-10)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("first", [None, 0.0])
def test_a_huge_common_offset_leaves_the_variance_exact(make_scan, make_images, center, first):
    images = make_images()
    scan = make_scan(images["condition_hash"].to_list(), seed=7, offset=1e6, spread=1e-3)
    if first is not None:  # one response far from all others, where a naive pilot would sit
        scan.values[0] = first
    responses = pl.DataFrame({"trial_idx": scan.trial_idx, "condition_hash": scan.shown}).with_columns(
        pl.Series("response", scan.values, dtype=pl.Array(pl.Float64, scan.values.shape[1]))
    )
    found = confusion(responses, scan.columns, MATCHES, images, center=center, scan=SCAN)
    y = scan.values.astype(np.longdouble)
    z = (y - y.mean(0)) / y.std(0, ddof=1)  # the variance is the same with the mean as without
    for row in found.iter_rows(named=True):
        (name,) = images.filter(model_type=row["model_type"], image_unit_id=row["image_unit_id"])[
            "condition_hash"
        ]
        x = z[scan.shown == name, scan.unit_ids.tolist().index(row["unit_id"])]
        assert abs(row["var_resp"] / float(x.var()) - 1) < (1e-10 if first is None else 1e-5)


def test_a_picture_shown_for_two_units_counts_for_both(make_scan, make_images):
    images = pl.concat(
        [
            make_images(model_types=("cnn",)),
            pl.DataFrame({"condition_hash": ["p", "p"], "model_type": "natural", "image_unit_id": [1, 2]}),
        ]
    )
    scan = make_scan([*images["condition_hash"].unique().sort()], seed=8)
    found = confusion(scan.responses, scan.columns, MATCHES, images, center=False, scan=SCAN)
    natural = found.filter(model_type="natural")
    by_image = natural.partition_by("image_unit_id", as_dict=True)
    assert by_image[1,]["mu_resp"].equals(by_image[2,]["mu_resp"])


def test_a_cell_whose_responses_do_not_vary_has_no_row(make_scan, make_images):
    images = make_images()
    scan = make_scan(images["condition_hash"].to_list(), seed=9)
    flat = scan.values.copy()
    flat[:, scan.unit_ids.tolist().index(101)] = 0.25
    responses = pl.DataFrame({"trial_idx": scan.trial_idx, "condition_hash": scan.shown}).with_columns(
        pl.Series("response", flat, dtype=pl.Array(pl.Float64, flat.shape[1]))
    )
    found = confusion(responses, scan.columns, MATCHES, images, center=True, scan=SCAN)
    assert found["source_unit_id"].unique().sort().to_list() == [1, 3]


@pytest.mark.parametrize("wild", [np.nan, np.inf])
def test_a_response_that_is_no_number_is_refused_with_its_unit(make_scan, make_images, wild):
    images = make_images()
    scan = make_scan([*images["condition_hash"], "oracle"], seed=9)
    values = scan.values.copy()
    values[3, scan.unit_ids.tolist().index(104)] = wild
    responses = pl.DataFrame({"trial_idx": scan.trial_idx, "condition_hash": scan.shown}).with_columns(
        pl.Series("response", values, dtype=pl.Array(pl.Float64, values.shape[1]))
    )
    with pytest.raises(DataError, match="scan 1-2-3: responses of unit 104 hold NaN or infinite"):
        confusion(responses, scan.columns, MATCHES, images, center=True, scan=SCAN)


def test_an_image_shown_once_has_variance_zero_with_divisor_n(make_scan, make_images):
    images = make_images()
    scan = make_scan(images["condition_hash"].to_list(), seed=10, repeats=1)
    found = confusion(scan.responses, scan.columns, MATCHES, images, center=True, scan=SCAN)
    assert found["n_repeats"].unique().to_list() == [1]
    assert found["var_resp"].unique().to_list() == [0.0]


def test_units_without_responses_are_refused_by_name():
    columns = pl.DataFrame({"neuron_column": [0], "unit_id": [5]})
    with pytest.raises(DataError, match="first unit 6"):
        cut(columns, pl.Series([5, 6]))
    with pytest.raises(DataError, match="no unit is wanted"):
        cut(columns, pl.Series([], dtype=pl.Int64))
