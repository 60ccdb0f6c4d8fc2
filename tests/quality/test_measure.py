"""Every number of a member that is known by heart, and every table as declared."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.kind import Table
from inception_loop.artifacts.tables import conform
from inception_loop.quality.kind import DATASET_REPORT
from inception_loop.quality.measure import fates, measure
from inception_loop.quality.numbers import NUMBERS
from inception_loop.quality.responses import jackknife_oracle, lag_correlations, leakage
from inception_loop.quality.rules import QualityRules
from inception_loop.quality.units import histogram

RULES = QualityRules()


def numbers(member, rules=RULES):
    return dict(measure(member, rules).numbers.select("key", "value").rows())


def test_counts_and_shares_are_those_written_down(member) -> None:
    found = numbers(member)
    expected = {
        "n_trials": 120,
        "n_used": 115,  # one without flip, two without eye, one excluded, one without tier
        "test_trials": 20,
        "trials_lost": 2 / 120,  # eye and tier do not count here
        "eye_tracked": 118 / 120,
        "running_tracked": 1,
        "running_share": 30 / 120,
        "top_speed": 5,
        "frames_missing": 0,
        "samples_filled": 13 / 1300,
        "n_units": 4,
        "silent_units": 0.25,
        "zero_share": 0,
        "dropout": 0,
        "repeated_images": 2,
        "oracle_trials": 20,
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert found["training_trials"] + found["validation_trials"] == 95


def test_the_pupil_changes_by_what_numpy_says(member) -> None:
    pupil = member.eye["pupil"].drop_nulls().to_numpy()
    assert numbers(member)["pupil_change"] == pytest.approx(pupil.std(ddof=1) / pupil.mean())


def test_images_of_the_test_tier_alone_count_as_seen_before(member) -> None:
    images = set(member.trials.filter(pl.col("used"), tier="test")["condition_hash"])
    assert numbers(member)["lookalikes"] == 1 / len(images)
    assert numbers(replace(member, lookalikes=None))["lookalikes"] is None


def test_how_often_is_often_enough_is_a_rule(member) -> None:
    shown = member.trials.filter(pl.col("used"), tier="test")["condition_hash"].value_counts()
    for repeats in (2, 5, 10, 11):
        expected = shown.filter(pl.col("count") >= repeats).height
        assert numbers(member, QualityRules(repeats=repeats))["repeated_images"] == expected


def test_medians_are_over_the_units_that_vary(member) -> None:
    found = measure(member, RULES)
    rows = np.array([i for i in range(120) if i not in (7, 10)])
    lags = lag_correlations(member.responses, rows)
    value = dict(found.numbers.select("key", "value").rows())
    assert value["lag1"] == pytest.approx(np.median(lags[0, :3]))
    assert value["leakage"] == pytest.approx(np.median(leakage(lags)[:3]))
    test = member.trials.filter(pl.col("used"), tier="test")
    image = test["condition_hash"].str.slice(1).cast(pl.Int64).to_numpy()
    oracle = jackknife_oracle(member.responses[test["response_row"].to_numpy()], image)
    assert value["oracle"] == pytest.approx(np.median(oracle[:3]))
    assert found.units["oracle"][3] is None
    assert found.units["silent"].to_list() == [False, False, False, True]
    assert found.lags["correlation"].to_list() == pytest.approx(np.nanmedian(lags, axis=1).tolist())


def test_drift_is_the_change_from_the_first_third_to_the_last(make_member) -> None:
    responses = np.ones((118, 4), np.float32)
    responses[:39, :3] = 3
    responses[79:, :3] = 2
    found = measure(make_member(responses=responses), RULES)
    mean = (39 * 3 + 40 + 39 * 2) / 118
    value = found.numbers.filter(key="drift")["value"].item()
    assert value == pytest.approx((2 - 3) / mean)
    assert found.units["drift"].to_list() == pytest.approx([(2 - 3) / mean] * 3 + [0])


def test_a_stretch_without_activity_is_a_share_of_the_session(make_member, member) -> None:
    responses = member.responses.copy()
    responses[58:, :3] = 0  # from the 60th trial on: half of the six parts
    found = numbers(make_member(responses=responses))
    assert found["dropout"] == 0.5


def test_gaps_of_the_clock_are_missing_frames(member) -> None:
    activity = member.recording.activity
    times = activity.frame_times.copy()
    times[650:] += 13.0
    broken = replace(activity, frame_times=times, behavior_frame_times=1000 + 2 * times)
    found = numbers(replace(member, recording=replace(member.recording, activity=broken)))
    assert found["frames_missing"] == pytest.approx(13 / 143, rel=1e-6)


def test_what_was_lost_and_filled_is_counted(member) -> None:
    rows = {row["part"]: row for row in measure(member, RULES).lost_samples.to_dicts()}
    samples = member.recording.eye.time.size
    assert rows["traces"] == {
        "name": member.name,
        "part": "traces",
        "recorded": True,
        "n_samples": 4 * 1300,
        "n_lost": 52,
        "n_filled": 52,
        "n_trials_without": 2,
    }
    assert (rows["eye"]["n_samples"], rows["eye"]["n_lost"]) == (3 * samples, 100)
    assert (rows["eye"]["n_filled"], rows["eye"]["n_trials_without"]) == (4, 2)
    assert (rows["treadmill"]["n_samples"], rows["treadmill"]["n_lost"]) == (samples, 0)


def test_trials_are_told_by_their_fate_and_add_up(member) -> None:
    found = measure(member, RULES).trials
    assert found.select("fate", "n").rows() == [
        ("used", 115),
        ("eye untracked", 2),
        ("excluded: moved", 1),
        ("image without a tier", 1),
        ("no onset flip", 1),
    ]


def test_units_are_counted_by_place(member) -> None:
    rows = measure(member, RULES).places.select("brain_area", "layer", "n_units", "n_silent").rows()
    assert rows == [("LM", "L2/3", 1, 1), ("V1", "L2/3", 3, 0)]


def test_parts_of_the_session_hold_twenty_trials_each(member) -> None:
    blocks = measure(member, RULES).blocks
    assert blocks["n_trials"].to_list() == [20] * 6
    assert blocks["n_used"].to_list() == [15] + [20] * 5
    assert blocks["eye_tracked"].to_list() == pytest.approx([0.9] + [1] * 5)
    assert blocks["position"][1] == pytest.approx(1 + 29.5)  # trials 20..39, a second each, from 1 s on
    weights = [18, 20, 20, 20, 20, 20]
    assert np.average(blocks["response"], weights=weights) == pytest.approx(1)


@pytest.mark.parametrize("which", ["member", "binned"])
def test_every_table_is_as_declared(which, request) -> None:
    found = measure(request.getfixturevalue(which), RULES)
    for name, frame in found.tables().items():
        declared = DATASET_REPORT.payloads[name]
        assert isinstance(declared, Table)
        assert conform(declared, frame, name).num_rows == frame.height
        assert list(frame["name"].unique()) == [found.names[0]], name
    assert set(DATASET_REPORT.payloads) - set(found.tables()) == {"report"}
    assert found.numbers["key"].to_list() == list(NUMBERS)


def test_what_a_binned_recording_lacks_is_not_known_and_the_rest_is(binned, member) -> None:
    found, full = numbers(binned), numbers(member)
    unknown = {
        "eye_tracked",
        "pupil_change",
        "running_tracked",
        "running_share",
        "top_speed",
        "frames_missing",
        "samples_filled",
    }
    assert {key for key, value in found.items() if value is None} == unknown
    same = {"silent_units", "leakage", "oracle", "drift", "training_trials", "sparseness"}
    assert {key: found[key] for key in same} == pytest.approx({key: full[key] for key in same})
    quality = measure(binned, RULES)
    assert quality.scans["clock"].item() == "trial"
    assert quality.lost_samples["recorded"].to_list() == [True, False, False]
    assert quality.lost_samples["n_lost"].to_list() == [8, None, None]
    assert set(quality.overview["channel"]) == {"activity"}
    assert quality.blocks["eye_tracked"].null_count() == 6


def test_of_few_trials_no_change_over_the_session_is_known(member) -> None:
    few = member.trials.head(15)
    short = replace(
        member,
        trials=few,
        status=member.status.head(15),
        responses=member.responses[:13],
        eye=member.eye.head(15),
        treadmill=member.treadmill.head(15),
        recording=replace(member.recording, trials=member.recording.trials.head(15)),
    )
    found = numbers(short)
    assert (found["drift"], found["dropout"], found["oracle"]) == (None, None, None)
    assert found["n_trials"] == 15


def test_silent_units_alone_leave_nothing_to_judge_but_that(make_member) -> None:
    found = measure(make_member(responses=np.ones((118, 4), np.float32)), RULES)
    by_key = {row["key"]: row["severity"] for row in found.findings.to_dicts()}
    assert by_key["silent_units"] == "bad"
    assert (by_key["leakage"], by_key["drift"], by_key["oracle"]) == ("unknown",) * 3
    assert found.lags.height == found.oracle_histogram.height == 0


def test_a_histogram_holds_every_value_once() -> None:
    values = pl.Series([-1.0, -0.051, -0.05, 0.0, 0.049, 0.05, 0.999, 1.0, None])
    table = histogram(values)
    assert table["n"].sum() == 8
    counts = {round(low, 2): n for low, _, n in table.rows() if n}
    assert counts == {-1.0: 1, -0.1: 1, -0.05: 1, 0.0: 2, 0.05: 1, 0.95: 2}
    assert histogram(pl.Series([], dtype=pl.Float64)).height == 0


def test_fates_put_the_used_first_then_the_commonest() -> None:
    table = fates(pl.DataFrame({"reason": ["b", "a", "a", "c", ""]}))
    assert table.rows() == [("used", 1), ("a", 2), ("b", 1), ("c", 1)]
