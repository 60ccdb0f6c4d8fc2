"""What of a session fits into the time there is."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.errors import ConfigurationError
from inception_loop.stimuli.planner import fit


class Session(NamedTuple):
    """Units that all have as many images, at as many shifts."""

    units: int
    images_per_unit: int
    shifts: int = 1
    others: int = 0
    repeats: int = 20
    trial_s: float = 1.0

    def fit(self, minutes, min_repeats=None):
        centred = [self.others + unit * self.images_per_unit for unit in range(self.units + 1)]
        everything = self.others + self.units * self.images_per_unit * self.shifts
        limits = {"repeats": self.repeats, "trial_s": self.trial_s, "minutes": minutes}
        return fit(centred, everything, **limits, min_repeats=min_repeats)

    def minutes(self, units, shifted, repeats):
        shown = self.others + units * self.images_per_unit * (self.shifts if shifted else 1)
        return shown * repeats * self.trial_s / 60


PUBLISHED = Session(units=150, images_per_unit=2, shifts=9, trial_s=0.9)
SESSIONS = st.builds(
    Session,
    units=st.integers(1, 150),
    images_per_unit=st.integers(1, 3),
    shifts=st.sampled_from([1, 9]),
    others=st.integers(0, 40),
    repeats=st.integers(1, 20),
    trial_s=st.sampled_from([0.5, 0.8, 0.9]),
)


@given(SESSIONS, st.floats(1, 1000))
def test_what_is_left_fits_and_one_unit_more_would_not(session, minutes):
    try:
        kept = session.fit(minutes)
    except ConfigurationError:
        assert session.minutes(1, False, session.repeats) > minutes
        return
    assert session.minutes(*kept) <= minutes * (1 + 1e-9)
    assert kept.repeats == session.repeats
    if kept.units < session.units:
        assert not kept.shifted
        assert session.minutes(kept.units + 1, False, kept.repeats) > minutes
    elif not kept.shifted:
        assert session.minutes(session.units, True, session.repeats) > minutes


@given(SESSIONS, st.floats(1, 1000), st.floats(1, 1000), st.integers(1, 20))
def test_more_minutes_never_show_less(session, some, more, floor):
    def size(minutes):
        try:
            kept = session.fit(minutes, min(floor, session.repeats))
        except ConfigurationError:
            return (0, 0, False, 0)
        assert session.minutes(*kept) <= minutes * (1 + 1e-9)
        return (kept.units, kept.repeats, kept.shifted, session.minutes(*kept))

    less, not_less = sorted((some, more))
    assert all(one <= other for one, other in zip(size(less), size(not_less), strict=True) if other)


@given(SESSIONS, st.floats(1, 1000), st.integers(1, 20))
def test_no_unit_goes_before_the_repeats_are_at_their_floor(session, minutes, floor):
    floor = min(floor, session.repeats)
    try:
        kept = session.fit(minutes, floor)
    except ConfigurationError:
        return
    if kept.units < session.units:
        assert (kept.repeats, kept.shifted) == (floor, False)
        assert session.minutes(kept.units + 1, False, floor) > minutes
    elif kept.repeats < session.repeats:
        assert not kept.shifted
        assert session.minutes(kept.units, False, kept.repeats + 1) > minutes


def test_the_published_session_in_an_hour_shows_a_hundred_units_or_all_of_them_thirteen_times():
    assert PUBLISHED.fit(13.5 * 60) == (150, True, 20)
    assert PUBLISHED.fit(90) == (150, False, 20)
    assert PUBLISHED.fit(60) == (100, False, 20)
    assert PUBLISHED.fit(60, 10) == (150, False, 13)
    assert PUBLISHED.fit(30, 10) == (100, False, 10)


@pytest.mark.parametrize("minutes", [0, -5, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(minutes):
    with pytest.raises(ConfigurationError, match="expected a number above 0"):
        Session(units=5, images_per_unit=2).fit(minutes)


@pytest.mark.parametrize("floor", [0, 21])
def test_a_floor_of_repeats_that_is_none_is_refused(floor):
    with pytest.raises(ConfigurationError, match="expected 1 to 20"):
        Session(units=5, images_per_unit=2).fit(10, floor)


def test_too_little_time_is_refused_with_what_there_is_to_show():
    said = "10 min hold 30 images × 20 repeats; oracle images and blanks alone take 40"
    with pytest.raises(ConfigurationError, match=f"{said}, one unit 2 more; expected room for both; give"):
        Session(units=5, images_per_unit=2, others=40).fit(10)
    with pytest.raises(ConfigurationError, match=f"{said}; expected room for them; give more time"):
        Session(units=0, images_per_unit=2, others=40).fit(10)
