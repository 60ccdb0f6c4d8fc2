"""Every limit at its edge, and what a person is told."""

import polars as pl
import pytest

from inception_loop.dataset.multi_dataset import LEAKAGE_WARNING
from inception_loop.quality.checks import CHECKS
from inception_loop.quality.findings import FINE_IF_IN_ORDER, IF_IN_ORDER, judge, severity, shown
from inception_loop.quality.rules import Limits, QualityRules

SOUND = {
    "training_trials": 2000,
    "validation_trials": 200,
    "test_trials": 400,
    "trials_lost": 0.001,
    "eye_tracked": 0.97,
    "pupil_change": 0.2,
    "gaze_change": 0.1,
    "running_tracked": 1.0,
    "top_speed": 20.0,
    "frames_missing": 0.0,
    "samples_filled": 0.0,
    "silent_units": 0.01,
    "dropout": 0.0,
    "drift": -0.1,
    "lag1": 0.08,
    "leakage": 0.03,
    "repeated_images": 100,
    "oracle": 0.2,
    "lookalikes": 0.0,
    "pairs_across_tiers": 0,
    "sources_in_two_tiers": 0,
}
TROUBLE = {  # finding: a value just on the fine side, one that is looked at, one that is bad
    "training_trials": (500, 499, 99),
    "validation_trials": (50, 49, 0),
    "test_trials": (1, 0, None),
    "gaze_change": (0.01, 0.009, 0.0),
    "lag1": (0.1, 0.101, None),  # the rule of the dataset stage
    "pairs_across_tiers": (0, 1, None),
    "sources_in_two_tiers": (0, 1, None),
    "trials_lost": (0.05, 0.051, 0.21),
    "eye_tracked": (0.8, 0.79, 0.49),
    "pupil_change": (0.02, 0.019, 0.004),
    "running_tracked": (0.95, 0.94, 0.49),
    "top_speed": (0.1, 0.09, None),
    "frames_missing": (0.005, 0.006, 0.051),
    "samples_filled": (0.01, 0.011, 0.051),
    "silent_units": (0.05, 0.051, 0.21),
    "dropout": (0.0, 0.02, 0.11),
    "drift": (0.3, -0.31, -0.51),
    "leakage": (0.1, 0.11, 0.21),
    "repeated_images": (10, 9, None),
    "oracle": (0.05, 0.049, 0.019),
    "lookalikes": (0.0, 0.01, 0.06),
}


def of(key, value):
    return judge({**SOUND, key: value}, QualityRules())


def test_every_check_has_a_limit_an_edge_here_and_words() -> None:
    keys = {check.key for check in CHECKS}
    assert keys == set(SOUND) == set(TROUBLE)
    assert keys | {"repeats"} == set(QualityRules.model_fields)
    for check in CHECKS:
        assert all((check.title, check.says, check.advice, check.absent))


def test_a_sound_recording_has_no_finding() -> None:
    table = judge(SOUND, QualityRules())
    assert set(table["severity"]) == {"ok"}
    assert set(table["advice"]) == {""}
    assert not table["text"].str.contains(r" only[ .]").any()


@pytest.mark.parametrize("key", TROUBLE)
def test_a_limit_is_fine_at_its_edge_and_counts_beyond(key) -> None:
    for value, expected in zip(TROUBLE[key], ("ok", "warn", "bad"), strict=True):
        if value is None:
            continue
        table = of(key, value)
        row = table.filter(key=key).row(0, named=True)
        assert (row["severity"], row["value"]) == (expected, value)
        assert bool(row["advice"]) == (expected != "ok")
        others = table.filter(pl.col("key") != key)
        assert set(others["severity"]) == {"ok"}


@pytest.mark.parametrize("key", TROUBLE)
def test_what_is_not_known_is_no_trouble_and_says_why(key) -> None:
    row = of(key, None).filter(key=key).row(0, named=True)
    assert (row["severity"], row["value"], row["advice"]) == ("unknown", None, "")
    assert row["text"].endswith(".")


def test_plain_correlation_warns_by_the_rule_of_the_dataset_however_slow_its_cause() -> None:
    assert QualityRules().lag1 == Limits(warn=LEAKAGE_WARNING)
    row = of("lag1", 0.8).filter(key="lag1").row(0, named=True)
    assert row["severity"] == "warn"
    assert "correlate by 0.80; of that, 0.03 is gone" in row["text"]
    assert "slow traces" in row["advice"]
    assert "drift" in row["advice"]
    unknown = judge({**SOUND, "lag1": 0.8, "leakage": None}, QualityRules())
    assert "an unknown part is gone" in unknown.filter(key="lag1")["text"].item()


def test_without_a_known_order_what_asks_for_it_is_neither_sound_nor_bad() -> None:
    asking = {"lag1", "leakage", "drift", "dropout"}
    assert {check.key for check in CHECKS if check.in_order} == asking
    sound = judge(SOUND, QualityRules(), ordered=False)
    assert set(sound.filter(severity="unknown")["key"]) == asking
    assert sound["value"].null_count() == 0
    assert set(sound.filter(severity="unknown")["text"]) == {FINE_IF_IN_ORDER}
    bad = judge({**SOUND, "leakage": 0.5, "oracle": 0.0}, QualityRules(), ordered=False)
    assert dict(bad.filter(severity="warn").select("key", "text").rows())["leakage"].endswith(IF_IN_ORDER)
    assert bad.filter(severity="bad")["key"].to_list() == ["oracle"]
    known = judge(SOUND, QualityRules())
    assert not known["text"].str.contains(IF_IN_ORDER, literal=True).any()


def test_a_better_reason_for_not_knowing_is_given_where_there_is_one() -> None:
    table = judge({**SOUND, "leakage": None}, QualityRules(), {"leakage": "Because.", "drift": "No."})
    assert table.filter(key="leakage")["text"].item() == "Because."
    assert "No." not in table["text"].to_list()


def test_limits_can_be_set_or_switched_off() -> None:
    assert severity(0.4, Limits(bad=0.3), "above") == "bad"
    assert severity(0.4, Limits(), "above") == "ok"
    rules = QualityRules(leakage=Limits(warn=0.5))
    assert judge({**SOUND, "leakage": 0.4}, rules).filter(key="leakage")["severity"].item() == "ok"


def test_the_text_has_the_number_in_it() -> None:
    assert "48 %" in of("eye_tracked", 0.4812).filter(key="eye_tracked")["text"].item()
    assert "−56 %" in of("drift", -0.56).filter(key="drift")["text"].item()
    rules = QualityRules(repeats=7)
    assert "7 or more" in judge(SOUND, rules).filter(key="repeated_images")["text"].item()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "share", "0 %"),
        (1.0, "share", "100 %"),
        (0.0004, "share", "under 0.1 %"),
        (0.05, "share", "5 %"),
        (0.051, "share", "5.1 %"),
        (0.996, "share", "99.6 %"),
        (0.123, "change", "+12 %"),
        (-0.004, "change", "+0 %"),
        (25.26, "cm/s", "25.3 cm/s"),
        (-0.004, "correlation", "0.00"),
    ],
)
def test_numbers_are_written_as_people_read_them(value, unit, text) -> None:
    assert shown(value, unit) == text
