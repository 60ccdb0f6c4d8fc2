"""The verdict comes first, in words that say what to do."""

from dataclasses import replace

import polars as pl
import pytest

from inception_loop.quality.kind import Quality
from inception_loop.quality.measure import measure
from inception_loop.quality.rules import Limits, QualityRules
from inception_loop.quality.words import (
    headline,
    limit,
    markdown,
    troubles,
    verdict,
    verdict_lines,
)

OFF = ("silent_units", "repeated_images", "training_trials", "oracle", "lookalikes", "leakage", "drift")
OFF += ("samples_filled", "validation_trials", "pairs_across_tiers")
FINE = QualityRules(**dict.fromkeys(OFF, Limits()))


def joined(*parts: Quality) -> Quality:
    tables = [part.tables() for part in parts]
    return Quality(**{name: pl.concat([one[name] for one in tables]) for name in tables[0]})


@pytest.fixture
def sound(member) -> Quality:
    return measure(member, FINE)


@pytest.fixture
def bad(member) -> Quality:
    rules = FINE.model_copy(
        update={"silent_units": Limits(warn=0.05, bad=0.2), "trials_lost": Limits(warn=0.005)}
    )
    return measure(replace(member, name="group000-3-2-2"), rules)


def test_a_sound_recording_is_said_to_be_in_one_line(sound) -> None:
    assert verdict(sound) == "ok"
    assert headline(sound) == "The recording is sound: nothing stands out."
    assert verdict_lines(sound) == ["✓ scan 3-2-1 is sound (115 of 120 trials used, 4 units)"]


def test_a_bad_one_says_what_is_wrong_and_what_to_do_the_bad_first(bad) -> None:
    assert headline(bad) == "The recording is bad: silent units (25 %)."
    first, *lines = verdict_lines(bad)
    assert first.startswith("✗ scan 3-2-1 is bad (")
    assert [line[:3] for line in lines[::2]] == ["  ✗", "  !"]
    assert "25 % of the units never change" in lines[0]
    assert "(bad above 20 %)" in lines[0]
    assert all(line.startswith("      ") and line.strip() for line in lines[1::2])
    assert [one["severity"] for one in troubles(bad.findings)] == ["bad", "warn"]


def test_of_several_the_bad_ones_are_counted(sound, bad) -> None:
    both = joined(sound, bad)
    assert headline(both) == "1 of 2 recordings is bad: silent units (25 %)."
    assert headline(joined(sound, sound)) == "All 2 recordings are sound: nothing stands out."
    assert len([line for line in verdict_lines(both) if not line.startswith(" ")]) == 2


def test_what_is_not_known_is_named(binned) -> None:
    lines = verdict_lines(measure(binned, FINE))
    assert lines[0].startswith("✓")
    assert lines[1].startswith("  – not known: eye tracked, pupil changes")


def test_markdown_has_the_verdict_first_and_every_check_in_a_table(bad) -> None:
    lines = markdown(bad, "See `here`.").splitlines()
    assert lines[0] == "# ✗ The recording is bad: silent units (25 %)."
    assert lines[2] == "See `here`."
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + bad.findings.height
    assert {line.count("|") for line in rows} == {5}


def test_a_limit_that_is_switched_off_is_not_named(sound) -> None:
    row = sound.findings.filter(key="leakage").row(0, named=True)
    assert limit(row) == ""
    assert limit({**row, "warn": None, "bad": 0.2}) == "fine up to 0.20"
