"""`il.compare` gives the numbers of the loop, whatever form the responses have, and says what is wrong."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import inception_loop as il
from inception_loop.closed_loop.confusion import confusion
from inception_loop.closed_loop.diagonal import diagonal_entry
from inception_loop.closed_loop.matrix import confusion_matrix
from inception_loop.closed_loop.own_response import own_response
from inception_loop.closed_loop.statistics.of_loop import loop_tests, loop_unit_tests
from inception_loop.closed_loop.summary import summary_confusion
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.recordings.recording import ScanKey

UNITS = tuple(range(1, 9))
SCAN = ["animal_id", "session", "scan_idx"]
FEW = {"n_permutations": 999, "n_unit_permutations": 199}
LOOP = {
    "unit": "source_unit_id",
    "image": "model_type",
    "response": "z_response",
    "scan": SCAN,
    "labels": ("cnn", "linear"),
    "scale": "z",
}


@pytest.fixture
def loop(make_scan, make_images):
    """Two later days of one loop, through the functions of the stage: own trials and pooled confusion."""
    images = make_images(UNITS, ("cnn", "linear"))
    conditions = images["condition_hash"].to_list()
    trials, parts = [], []
    for session in (2, 3):
        tuning = np.zeros((len(conditions), 9))
        tuning[:8] = 0.8 * np.eye(9)[:8]
        scan = make_scan(conditions, repeats=5, seed=session, tuning=tuning)
        matches = pl.DataFrame({"source_unit_id": UNITS, "unit_id": scan.unit_ids[:8]})
        rows = (scan.responses, scan.columns, matches, images)
        of = {"scan": ScanKey(animal_id=1, session=session, scan_idx=1), "excluded_trials": scan.excluded}
        trials.append(own_response(*rows, **of))
        parts.append(confusion(*rows, center=True, **of))
    return pl.concat(trials), summary_confusion(pl.concat(parts))


def numbers(table):
    """The rows of a table of tests without their names, by how the names end."""
    kinds = ("own_over_others", "interval", "sign_flip", "wilcoxon", "share", "per_unit", "diagonal")
    of = {next(kind for kind in kinds if key.endswith(kind)): row for key, *row in table.iter_rows()}
    names = table.columns[1:]
    texts = ("what", "words")
    return {
        kind: {n: v for n, v in zip(names, row, strict=True) if n not in texts} for kind, row in of.items()
    }


def test_trials_of_a_loop_give_its_diagonal_entries_and_tests_bit_for_bit(loop):
    trials, summary = loop
    found = il.compare(trials, **LOOP, **FEW)
    entry = diagonal_entry(summary, "linear")
    same = {"own": "cnn_resp", "own_sem": "cnn_sem", "n_own": "cnn_repeats", "control_sem": "rf_sem"}
    for name, published in (same | {"difference": "diff_resp", "t": "t_diff"}).items():
        assert found.units[name].to_list() == entry[published].to_list(), name
    by_unit = loop_unit_tests(trials, ["linear"], n_permutations=199)
    for name in ("p_value", "q_value", "p_smallest", "method", "reason"):
        assert found.units[name].to_list() == by_unit[name].to_list(), name
    matrix = confusion_matrix(summary, UNITS)
    tests = numbers(loop_tests({"linear": entry}, trials, by_unit, {"cnn": matrix}, n_permutations=999))
    assert numbers(found.tests) == {kind: tests[kind] for kind in numbers(found.tests)}
    both = il.compare(confusion=matrix.responses, units=UNITS, scale="z", **FEW)
    assert numbers(both.tests) == {kind: tests[kind] for kind in ("diagonal", "own_over_others")}
    assert len(numbers(found.tests)) + len(numbers(both.tests)) == len(tests)


def test_means_and_errors_over_scans_are_those_of_all_trials_on_a_mean_of_1e6_and_a_spread_of_1e_minus_3():
    rng = np.random.default_rng(2)
    values = 1e6 + 1e-3 * rng.standard_normal((6, 2, 3, 7))  # unit, image, scan, trial
    rows = [(u, ("own", "control")[i], s, x) for (u, i, s, _), x in np.ndenumerate(values)]
    table = pl.DataFrame(rows, schema=["unit", "image", "scan", "response"], orient="row")
    found = il.compare(table, **FEW).units
    for unit, row in enumerate(found.iter_rows(named=True)):
        exact = [Fraction(float(x)) for x in values[unit, 0].ravel()]
        mean = sum(exact) / len(exact)
        variance = float(sum((x - mean) ** 2 for x in exact) / (len(exact) - 1))
        assert row["own"] == pytest.approx(float(mean), rel=1e-15)
        assert row["own_sem"] == pytest.approx((variance / len(exact)) ** 0.5, rel=1e-9)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(4)
    own, control = rng.normal(0.9, 1, (9, 6)), rng.normal(0, 1, (9, 5))
    own[2, 4:] = control[5, 0] = np.nan
    return own, control


def as_rows(own, control, **more):
    rows = [
        {"unit": unit, "image": image, "response": one, **more}
        for image, values in (("own", own), ("control", control))
        for unit, vector in enumerate(values)
        for one in vector[~np.isnan(vector)]
    ]
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_every_form_of_the_same_trials_gives_the_same_result(arrays):
    own, control = arrays
    columns = as_rows(own, control)
    expected = il.compare(own=own, control=control, **FEW)
    ragged = [[vector[~np.isnan(vector)] for vector in values] for values in arrays]
    forms = [
        il.compare(form, **FEW)
        for form in (pl.DataFrame(columns), pl.LazyFrame(columns), pd.DataFrame(columns), columns)
    ]
    forms += [
        il.compare(own=ragged[0], control=ragged[1], **FEW),
        il.compare(own=pd.DataFrame(own), control=pd.DataFrame(control), **FEW),
        il.compare(pl.DataFrame(columns).to_arrow(), **FEW),
        il.compare(pd.DataFrame(columns).astype({"image": "category"}), **FEW),
        il.compare(own=own, control=control, units=np.arange(9), **FEW),
    ]
    for found in forms:
        for table in ("evidence", "units", "tests"):
            assert_frame_equal(found.to_frame(table), expected.to_frame(table))
    assert expected.units["n_own"].to_list() == [6, 6, 4, 6, 6, 6, 6, 6, 6]
    np.testing.assert_allclose(expected.units["own"], np.nanmean(own, axis=1), rtol=1e-14)
    named = il.compare(own=own, control=control, units=[f"c{unit}" for unit in range(9)], **FEW)
    assert_frame_equal(named.tests, expected.tests)
    assert named.units["unit"].to_list()[:2] == ["c0", "c1"]


def test_the_image_unit_column_fills_the_confusion_matrix():
    rng = np.random.default_rng(0)
    trials = rng.normal(size=(6, 6, 4)) + 2 * np.eye(6)[:, :, None]
    rows = [
        (f"u{unit}", "own", f"u{image}", trials[image, unit, repeat])
        for image in range(6) for unit in range(6) for repeat in range(4)
    ]  # fmt: skip
    rows += [(f"u{unit}", "control", None, value) for unit in range(6) for value in rng.normal(size=4)]
    table = pl.DataFrame(rows, schema=["unit", "image", "image_unit", "response"], orient="row")
    found = il.compare(table, **FEW)
    given = il.compare(confusion=trials, units=[f"u{unit}" for unit in range(6)], **FEW)
    np.testing.assert_allclose(found.confusion["response"], given.confusion["response"], rtol=1e-13)
    assert found.confusion.select("image_unit", "unit").rows()[:2] == [("u0", "u0"), ("u0", "u1")]
    assert numbers(found.tests)["diagonal"]["p_value"] == numbers(given.tests)["diagonal"]["p_value"]
    keys = dict(found.evidence.select("key", "count").rows())
    assert keys["own_image_is_best_share"] == int((trials.mean(2).argmax(0) == np.arange(6)).sum())
    beside = il.compare(
        own=trials[range(6), range(6)], control=rng.normal(size=(6, 4)), confusion=trials, **FEW
    )
    assert numbers(beside.tests)["diagonal"] == numbers(given.tests)["diagonal"]
    frame = pd.DataFrame(trials.mean(2), columns=[f"u{unit}" for unit in range(6)])
    assert_frame_equal(il.compare(confusion=frame, **FEW).units, given.units)


def test_units_of_several_animals_are_compared_animal_by_animal_and_animals_refused_below_five():
    rng = np.random.default_rng(1)
    where = np.repeat(["b", "a", "c"], 7)
    own, control = rng.normal(1, 1, (21, 5)), rng.normal(0, 1, (21, 5))
    found = il.compare(own=own, control=control, animals=where, units=list(range(7)) * 3, **FEW)
    alone = il.compare(own=own[:7], control=control[:7], **FEW)
    by_key = {row["key"]: row for row in found.tests.iter_rows(named=True)}
    assert by_key["own_control_loop_b"]["p_value"] == numbers(alone.tests)["sign_flip"]["p_value"]
    assert by_key["own_control_pooled_units"]["n"] == 21
    assert "3 animals; expected at least 5" in by_key["own_control_animals_interval"]["words"]
    assert by_key["b_own_control_per_unit"]["value"] == numbers(alone.tests)["per_unit"]["value"]
    assert found.units["animal"].unique(maintain_order=True).to_list() == ["b", "a", "c"]
    assert "21 units, 3 animals" in str(found)


def test_what_cannot_be_computed_is_said_and_not_nan():
    rng = np.random.default_rng(0)
    own, control = rng.normal(1, 1, (8, 4)), rng.normal(0, 1, (8, 4))
    own[1, 1:] = np.nan
    own[2], control[2] = 0.5, 0.5
    found = il.compare(own=own, control=control, **FEW)
    assert found.notes == (
        "1 of 8 units could not be tested by themselves: 1 trial of the own image: the variance is "
        "undefined; at least 2 are needed",
        "1 of 8 units could not be tested by themselves: all 8 responses are 0.5: zero variance",
    )
    assert found.units["p_value"].null_count() == 2
    assert not any(found.units[name].is_nan().any() for name in ("own_sem", "t", "p_value", "q_value"))
    once = il.compare(own=own[:, 0], control=control[:, 0], **FEW)
    assert "not done: none of 8 units could be tested: 1 trial of the own image" in str(once).replace(
        "\n  ", " "
    )
    flat = il.compare(own=np.ones((6, 3)), control=np.ones((6, 3)), **FEW)
    assert "all 6 differences are 0" in str(flat).replace("\n  ", " ")


def test_an_offset_between_scans_that_may_count_is_noted():
    rng = np.random.default_rng(5)
    shown = [("own", 1, 8), ("own", 2, 2), ("control", 1, 2), ("control", 2, 8)]
    rows = [
        (unit, image, scan, rng.normal() + 10 * (scan == 1))
        for unit in range(6) for image, scan, n in shown for _ in range(n)
    ]  # fmt: skip
    table = pl.DataFrame(rows, schema=["unit", "image", "scan", "response"], orient="row")
    found = il.compare(table, **FEW)
    assert found.notes[0] == (
        "6 of 6 units have own and control trials in unequal parts of their scans: up to 60 % of an offset "
        "between scans counts as difference; z-score each scan first"
    )
    assert found.units["difference"].mean() == pytest.approx(6, abs=1)
    assert il.compare(table.filter(scan=1), **FEW).notes == ()


def test_trials_without_a_response_are_left_out_when_asked_and_a_named_index_is_a_column(arrays):
    columns = as_rows(*arrays)
    expected = il.compare(columns, **FEW)
    spoilt = pl.concat([pl.DataFrame(columns), pl.DataFrame(columns)[:2].with_columns(response=np.nan)])
    found = il.compare(spoilt, incomplete="leave_out", **FEW)
    assert found.notes[0] == f"left out: 2 of {spoilt.height} trials without a response"
    words = spoilt.with_columns(pl.col("response").cast(pl.String).replace("NaN", "x"))
    with pytest.raises(DataError, match="2 of 98 responses are missing, NaN, infinite or no number"):
        il.compare(words, incomplete="leave_out")
    indexed = pd.DataFrame(columns).set_index("unit")
    for table in ("evidence", "units", "tests"):
        assert_frame_equal(found.to_frame(table), expected.to_frame(table))
        assert_frame_equal(il.compare(indexed, **FEW).to_frame(table), expected.to_frame(table))


def test_one_unit_has_no_best_image_of_all():
    found = il.compare(confusion=[[1.0]])
    assert "respond most" not in str(found)
    assert found.units["own_image_is_best"].to_list() == [None]


def test_several_animals_are_called_animals_and_a_refusal_is_said_once():
    rng = np.random.default_rng(0)
    rows = [
        (animal, unit, image, made_for, rng.normal())
        for animal, n, others in (("m0", 6, True), ("m1", 3, False))
        for unit in range(n) for made_for in range(n) for image in ("own", "control") for _ in range(3)
        if made_for == unit or (others and image == "own")
    ]  # fmt: skip
    names = ["animal", "unit", "image", "image_unit", "response"]
    found = il.compare(pl.DataFrame(rows, schema=names, orient="row"), **FEW)
    text = " ".join(str(found).split())
    assert "loop m" not in text
    assert "animal m1 has 3 units; expected at least 5 in each animal" in text
    assert "animal m1: not done: no unit was shown the images of the others" in text
    assert text.count("there are 2 animals; expected at least 5") == 1


def test_the_words_of_the_user_stay_as_they_are_and_animals_are_never_loops():
    rng = np.random.default_rng(4)
    what = "MEI: loop 2 in each loop, without loop 3 within loops"
    rows = [
        (animal, unit, image, made_for, rng.normal(image == "own" and made_for == unit))
        for animal in ("a", "b") for unit in range(6) for made_for in range(6) for image in ("own", "control")
        for _ in range(4) if made_for == unit or image == "own"
    ]  # fmt: skip
    names = ["animal", "unit", "image", "image_unit", "response"]
    found = il.compare(pl.DataFrame(rows, schema=names, orient="row"), what=what, **FEW)
    text = " ".join(str(found).split())
    assert what in text
    assert "loop" not in text.replace(what, "")
    assert "An interval over units of several animals speaks of the mean over units like these of" in text
    assert "noise that units of an animal share" in text
    assert "999 permutations of images within animals, one-sided" in text
    (row,) = found.tests.filter(key="own_others_pooled_diagonal").iter_rows(named=True)
    assert row["n"] == 12
    assert row["p_value"] < 0.05


def test_a_control_of_all_under_the_number_of_no_unit_is_named():
    rows = [(unit, *image) for unit in range(6) for image in (("own", unit), ("control", 99)) for _ in "ab"]
    trials = pl.DataFrame(rows, schema=["unit", "image", "image_unit"], orient="row").with_columns(
        response=pl.int_range(len(rows))
    )
    with pytest.raises(DataError, match="image_unit holds 99, which is no unit: an image that was shown"):
        il.compare(trials, **FEW)
    made_for = pl.when(pl.col("image_unit") == 99).then(None).otherwise(pl.col("image_unit"))
    assert il.compare(trials.with_columns(image_unit=made_for), **FEW).units.height == 6


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"n_permutations": True}, "n_permutations is True; expected a whole number"),
        ({"seed": False}, "seed is False; expected a whole number"),
        ({"labels": "own"}, "labels is 'own'; expected what the column image calls own and control image"),
        ({"labels": ("own", "own")}, "labels is"),
    ],
)
def test_arguments_that_only_look_right_are_refused_by_name(arrays, given, why):
    with pytest.raises(ConfigurationError, match=why):
        il.compare(own=arrays[0], control=arrays[1], **given)


def test_units_shown_one_of_their_images_are_left_out_when_asked(arrays):
    own, control = arrays
    own[3] = np.nan
    with pytest.raises(DataError, match=r"^1 of 9 units .* both images, first unit 3 \(own 0, control 5"):
        il.compare(own=own, control=control)
    found = il.compare(own=own, control=control, incomplete="leave_out", **FEW)
    assert found.units["unit"].to_list() == [0, 1, 2, 4, 5, 6, 7, 8]
    assert "left out: 1 of 9 units" in found.notes[0]


def test_frames_are_paired_by_the_names_of_their_rows_and_columns(arrays):
    names = [f"c{k}" for k in range(9)]
    own, control = (pd.DataFrame(values, index=names) for values in arrays)
    rng = np.random.default_rng(3)
    order = rng.permutation(9)
    matrix = pd.DataFrame(rng.normal(size=(9, 9)) + np.eye(9), index=names, columns=names)
    expected = il.compare(own=arrays[0], control=arrays[1], units=names, confusion=matrix.to_numpy(), **FEW)
    for given in (
        {"own": own, "control": control.iloc[order], "confusion": matrix.to_numpy()},
        {"own": own.iloc[order], "control": control, "confusion": matrix, "units": names},
        {"own": own.iloc[order], "control": arrays[1][order], "confusion": matrix},
        {"own": own, "control": control, "confusion": pd.DataFrame(matrix.to_numpy())},
    ):
        found = il.compare(**given, **FEW)
        for table in ("evidence", "units", "tests", "confusion"):
            assert_frame_equal(found.to_frame(table), expected.to_frame(table))
    assert il.compare(own=own, control=control.iloc[order], **FEW).units["unit"].to_list() == names
    mice = pd.Series(np.repeat(["a", "b"], [4, 5]), index=names)
    found = il.compare(own=own, control=control, animals=mice.iloc[order], **FEW)
    assert found.units.filter(animal="a")["unit"].to_list() == names[:4]
    others = {
        "own names the units c0, c1, c2, …, expected were d0": {"units": [f"d{k}" for k in range(9)]},
        "first that differs z; give": {"control": control.rename({"c8": "z"})},
        "of own names the units c0, c1, c2": {"confusion": matrix.set_axis(list("abcdefghi"), axis=1)},
        "the units c8, c7, c6; expected the same order": {"units": names[::-1], "confusion": matrix},
        "control names units twice and in another order": {
            "own": own.set_axis([*names[:8], "c0"]),
            "control": control.set_axis([*names[7::-1], "c0"]),
            "animals": [1] * 8 + [2],
        },
        "of own are called 8, 7, 6, …, those": {
            "own": own.reset_index(drop=True)[::-1],
            "control": control.reset_index(drop=True),
        },
    }
    for said, more in others.items():
        with pytest.raises(DataError, match=said):
            il.compare(**({"own": own, "control": control} | more))


TABLE = {"unit": [1, 1], "image": ["own", "control"], "response": [1.0, 2.0]}
TWO = {"own": np.ones((2, 2)), "control": np.ones((2, 2))}
THREE = {"unit": [1, 1, 1], "image": ["own", "control", "x"], "response": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({}, ConfigurationError, "no responses are given; expected a table of trials, or"),
        ({"own": [[1.0]]}, ConfigurationError, "own is given without control; expected"),
        ({"trials": TABLE, "own": [[1.0]]}, ConfigurationError, "a table of trials is given and own too"),
        ({"own": [[1.0]], "control": [[1.0]], "unit": "cell"}, ConfigurationError, "unit name columns"),
        ({"confusion": np.eye(3), "animals": [1, 1, 1]}, ConfigurationError, "animals are given for"),
        ({"trials": {"units": [1], "image": ["own"], "response": [1.0]}}, ConfigurationError,
         "no column 'unit'; did you mean 'units'.; they have units, image, response; say which"),
        ({"trials": TABLE, "response": "resp"}, ConfigurationError, "no column 'resp'; did you mean"),
        ({"trials": TABLE, "animal": "mouse"}, ConfigurationError, "no column 'mouse'"),
        ({"trials": TABLE | {"image": ["mei", "rf"]}}, DataError, "holds 'mei', 'rf'; expected"),
        ({"trials": THREE}, DataError, "holds 'x'; expected 'own' and 'control'; leave these trials out"),
        ({"trials": TABLE | {"response": [1.0, np.nan]}}, DataError, "1 of 2 responses are missing, NaN"),
        ({"trials": TABLE | {"response": ["a", "b"]}}, DataError, "2 of 2 responses are missing"),
        ({"trials": TABLE | {"response": [1.0]}}, DataError, "cannot be read as a data frame"),
        ({"trials": 5}, DataError, "the trials are int; expected a data frame"),
        ({"trials": {name: [] for name in TABLE}}, DataError, "there is no trial"),
        ({"trials": TABLE | {"image_unit": ["x", "y"]}}, DataError, "the column image_unit holds String"),
        ({"own": np.ones((3, 2)), "control": np.ones((4, 2))}, DataError, "own 3, control 4, units 3"),
        ({"own": np.ones((2, 2)), "control": np.ones((2, 2)), "units": [1]}, DataError, "units 1"),
        ({"own": np.ones((2, 2)), "control": np.ones((2, 2)), "units": [1, 1]}, DataError, "named twice"),
        ({"own": np.ones((2, 2, 2)), "control": np.ones((2, 2))}, DataError, r"own has the shape \(2, 2"),
        ({"own": [["a"]], "control": [[1.0]]}, DataError, "own is no array of numbers"),
        ({"own": [[np.inf]], "control": [[1.0]]}, DataError, "1 of 2 responses are missing, NaN, infinite"),
        ({"own": [[np.nan]], "control": [[np.nan]]}, DataError, "there is no response"),
        ({**TWO, "incomplete": "drop"}, ConfigurationError, "incomplete is 'drop'; expected 'refuse' or"),
        ({**TWO, "seed": -1}, ConfigurationError, "seed is -1; expected a whole number of at least 0"),
        ({**TWO, "seed": 0.5}, ConfigurationError, "seed is 0.5; expected a whole number"),
        ({**TWO, "n_permutations": 0}, ConfigurationError, "n_permutations is 0; expected a whole number"),
        ({**TWO, "n_unit_permutations": 0}, ConfigurationError, "n_unit_permutations is 0; expected"),
        ({**TWO, "animals": ["a", None]}, DataError, "4 of 8 trials are of no animal, first of unit 1"),
        ({**TWO, "animals": [1.0, np.nan]}, DataError, "4 of 8 trials are of no animal, first of unit 1"),
        ({"trials": TABLE | {"animal": ["a", None]}}, DataError, "1 of 2 trials are of no animal, first"),
        ({"trials": TABLE | {"animal": [np.nan, 1.0]}}, DataError, "1 of 2 trials are of no animal, first"),
        ({"confusion": np.ones((3, 4))}, DataError, r"the shape \(3, 4\); expected images"),
        ({"confusion": np.full((3, 3), np.nan)}, DataError, "9 of 9 mean responses"),
        ({"confusion": np.full((3, 3, 2), np.nan)}, DataError, "an image and unit without a trial"),
        ({"confusion": pd.DataFrame(np.eye(2), index=["b", "a"], columns=["a", "b"])}, DataError,
         "row 0 of the confusion matrix is called b, column 0 a; expected images and units in the same"),
        ({"confusion": "matrix"}, DataError, "is no array of numbers"),
        ({"confusion": np.eye(3), "units": ["a"]}, DataError, "1 units are named"),
        ({"own": np.ones((3, 2)), "control": np.ones((3, 2)), "confusion": np.eye(4)}, DataError,
         "hold 3 units, the confusion matrix 4"),
    ],
)  # fmt: skip
def test_every_fault_is_one_line_that_says_what_to_do(given, error, said):
    with pytest.raises(error, match=said) as raised:
        il.compare(**given)
    assert "\n" not in str(raised.value)


def test_a_result_is_read_as_text_and_saved_as_parquet_and_csv(arrays, tmp_path):
    found = il.compare(own=arrays[0], control=arrays[1], what="MEI against RF image", scale="z", **FEW)
    text = str(found)
    assert text.startswith("MEI against RF image: 9 units\n\n• mean difference ")
    assert text.count("the mean over units like these") == 1
    assert max(map(len, text.splitlines())) <= 100
    files = found.save(tmp_path / "new" / "folder")
    assert sorted(file.name for file in files) == sorted(
        [
            f"{name}.{end}"
            for name in ("evidence", "units", "tests", "confusion")
            for end in ("csv", "parquet")
        ]
        + ["words.txt"]
    )
    assert_frame_equal(pl.read_parquet(tmp_path / "new/folder/tests.parquet"), found.to_frame())
    with pytest.raises(ConfigurationError, match="there is no table 'unit'; did you mean 'units'"):
        found.to_frame("unit")


def test_importing_the_package_costs_no_statistics():
    code = "import sys, inception_loop as il; assert 'compare' in dir(il); print('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
