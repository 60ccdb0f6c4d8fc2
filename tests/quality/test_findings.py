"""Every limit at its edge, and what a person is told."""

import polars as pl
import pytest

from inception_loop.quality.findings import CHECKS, judge, severity, shown
from inception_loop.quality.rules import Limits, QualityRules

SOUND = {
    "training_trials": 2000,
    "trials_lost": 0.001,
    "eye_tracked": 0.97,
    "pupil_change": 0.2,
    "running_tracked": 1.0,
    "top_speed": 20.0,
    "frames_missing": 0.0,
    "samples_filled": 0.0,
    "silent_units": 0.01,
    "dropout": 0.0,
    "drift": -0.1,
    "leakage": 0.03,
    "repeated_images": 100,
    "oracle": 0.2,
    "lookalikes": 0.0,
}
TROUBLE = {  # finding: a value just on the fine side, one that is looked at, one that is bad
    "training_trials": (500, 499, 99),
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
    assert not table["text"].str.contains(" only").any()


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
        (25.26, "cm/s", "25.3 cm/s"),
        (-0.004, "correlation", "0.00"),
    ],
)
def test_numbers_are_written_as_people_read_them(value, unit, text) -> None:
    assert shown(value, unit) == text
