"""Every number of a member that is known by heart, and every table as declared."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.kind import Table
from inception_loop.artifacts.tables import conform
from inception_loop.dataset.leakage import lag_correlations
from inception_loop.dataset.oracle import jackknife_oracle
from inception_loop.quality.kind import DATASET_REPORT
from inception_loop.quality.measure import fates, measure
from inception_loop.quality.numbers import NUMBERS
from inception_loop.quality.responses import LAGS, leakage
from inception_loop.quality.rules import QualityRules
from inception_loop.quality.units import histogram
from inception_loop.selection.oracle import OracleConfig, oracle

RULES = QualityRules()


def numbers(member, rules=RULES):
    return dict(measure(member, rules).numbers.select("key", "value").rows())


def test_counts_and_shares_are_those_written_down(member) -> None:
    found = numbers(member)
    expected = {
        "n_trials": 120,
        "n_used": 115,  # one without flip, two without eye, one excluded, one without tier
        "test_trials": 20,
        "trials_excluded": 1,
        "trials_lost": 1 / 119,  # eye, tier and what was left out on purpose do not count here
        "eye_tracked": 117 / 119,
        "running_tracked": 1,
        "running_share": 29 / 119,
        "lag1": 0.07,
        "pairs_across_tiers": 1,
        "sources_in_two_tiers": 0,
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
    pupil = member.eye.filter(pl.col("trial_idx") != 10)["pupil"].drop_nulls().to_numpy()
    change = pupil.std(ddof=1) / pupil.mean()
    found = numbers(member)
    assert found["pupil_change"] == pytest.approx(change)
    assert found["gaze_change"] == pytest.approx(change / 8)


def severities(member, rules=RULES):
    return dict(measure(member, rules).findings.select("key", "severity").rows())


@pytest.mark.parametrize("radius", [0.0, 7.3])
def test_a_pupil_of_no_size_or_one_size_is_bad(member, radius) -> None:
    eye = member.eye.with_columns(pupil=pl.when("valid").then(radius))
    assert severities(replace(member, eye=eye))["pupil_change"] == "bad"


@pytest.mark.parametrize("names", [["center_x"], ["center_y"], ["center_x", "center_y"]])
@pytest.mark.parametrize("at", [0.0, 211.7])
def test_a_centre_that_stands_still_is_bad_though_the_radius_moves(member, names, at) -> None:
    eye = member.eye.with_columns(pl.when("valid").then(at).alias(name) for name in names)
    found = severities(replace(member, eye=eye))
    assert (found["gaze_change"], found["pupil_change"]) == ("bad", "ok")


def test_without_centres_their_movement_is_not_known(member) -> None:
    eye = member.eye.with_columns(center_x=pl.lit(None, pl.Float64), center_y=pl.lit(None, pl.Float64))
    assert severities(replace(member, eye=eye))["gaze_change"] == "unknown"


def test_trials_left_out_on_purpose_are_no_loss(member) -> None:
    rest = pl.col("trial_idx") >= 60
    why = "excluded: responses withheld by the source"
    trials = member.trials.with_columns(
        used=pl.col("used") & ~rest, reason=pl.when(rest).then(pl.lit(why)).otherwise("reason")
    )
    eye = member.eye.with_columns(valid=pl.col("valid") & ~rest)
    found = numbers(replace(member, trials=trials, eye=eye))
    assert found["trials_excluded"] == 61
    assert found["trials_lost"] == 1 / 59
    assert found["eye_tracked"] == pytest.approx(57 / 59)


@pytest.mark.parametrize(("tier", "key", "found"), [("validation", "validation_trials", "bad"),
                                                    ("test", "test_trials", "warn")])  # fmt: skip
def test_without_trials_to_stop_by_or_to_test_on_somebody_says_so(member, tier, key, found) -> None:
    trials = member.trials.with_columns(
        tier=pl.when(pl.col("tier") == tier).then(pl.lit("train")).otherwise("tier")
    )
    assert numbers(replace(member, trials=trials))[key] == 0
    assert severities(replace(member, trials=trials))[key] == found


def test_the_oracle_takes_the_images_that_the_selection_takes(member) -> None:
    assert RULES.repeats == OracleConfig.model_fields["min_repeats"].default
    test = member.trials.filter(pl.col("used"), tier="test").with_row_index("n_th")
    fewer = test.filter(pl.col("n_th").rank("ordinal").over("condition_hash") <= 4)["trial_idx"]
    drop = (pl.col("condition_hash") == "t2") & ~pl.col("trial_idx").is_in(fewer.to_list())
    one_left = member.trials.with_columns(used=pl.col("used") & ~drop)
    found = numbers(replace(member, trials=one_left))
    assert (found["repeated_images"], found["oracle_trials"], found["oracle"]) == (1, 10, None)
    text = measure(replace(member, trials=one_left), RULES).findings.filter(key="oracle")["text"].item()
    assert text == "No two test images have 5 or more used trials."
    lower = numbers(replace(member, trials=one_left), QualityRules(repeats=4))
    assert (lower["repeated_images"], lower["oracle_trials"]) == (2, 14)
    rows = test["response_row"].to_numpy()
    expected = oracle(member.responses[rows], test["condition_hash"].to_numpy(), RULES.repeats)
    measured = measure(member, RULES).units["oracle"]
    assert measured.to_list() == pytest.approx(expected["oracle_pearson"].to_list())


def test_with_every_second_trial_left_out_the_reason_for_not_knowing_is_said(member) -> None:
    odd = pl.col("trial_idx") % 2 == 1
    status = member.status.with_columns(
        status=pl.when(odd).then(pl.lit("excluded: half")).otherwise(pl.lit(""))
    )
    even = replace(member, status=status, responses=member.responses[:60], lag1=None)
    trials = member.trials.with_columns(
        used=~odd,
        reason=pl.when(odd).then(pl.lit("excluded: half")).otherwise(pl.lit("")),
        response_row=pl.when(~odd).then(pl.col("trial_idx") // 2),
    )
    found = measure(replace(even, trials=trials), RULES).findings
    for key in ("lag1", "leakage"):
        row = found.filter(key=key).row(0, named=True)
        assert row["severity"] == "unknown"
        assert row["text"].startswith(
            "60 of 120 trials have a response, but only 0 of them follow one directly"
        )


def test_without_any_onset_the_order_is_not_known_and_with_one_it_is(member) -> None:
    trials = member.recording.trials.with_columns(onset_flip=pl.lit(float("nan")))
    found = severities(replace(member, recording=replace(member.recording, trials=trials)))
    assert {found[key] for key in ("lag1", "leakage", "drift", "dropout")} == {"unknown"}
    assert severities(member)["lag1"] == "ok"


@pytest.mark.parametrize("baseline", [0.0, 1.0, 50.0])
def test_a_subtracted_baseline_neither_hides_nor_feigns_vanished_activity(member, baseline) -> None:
    responses = member.responses - np.float32(baseline)
    assert numbers(replace(member, responses=responses))["dropout"] == 0
    scored = (responses - responses.mean(0)) / np.maximum(responses.std(0), 1e-6)
    assert numbers(replace(member, responses=scored))["dropout"] == 0
    gone = responses.copy()
    gone[58:] = -baseline  # from the 60th trial on: half of the six parts
    assert numbers(replace(member, responses=gone))["dropout"] == 0.5


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
    lags = lag_correlations(member.responses, rows, LAGS)
    value = dict(found.numbers.select("key", "value").rows())
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
        "gaze_change",
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
