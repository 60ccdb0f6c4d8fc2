"""Length of a session, and what fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.errors import ConfigurationError
from inception_loop.stimuli.planner import SessionPlan

PLANS = st.builds(
    SessionPlan,
    units=st.integers(1, 150),
    images_per_unit=st.integers(1, 3),
    shifts=st.sampled_from([1, 9]),
    others=st.integers(0, 40),
    repeats=st.integers(1, 20),
    shown_s=st.just(0.5),
    gap_s=st.sampled_from([0.0, 0.3, 0.4]),
)


def test_the_published_session_takes_thirteen_and_a_half_hours_and_its_centre_images_ninety_minutes():
    plan = SessionPlan(units=150, images_per_unit=2, shifts=9, repeats=20, shown_s=0.5, gap_s=0.4)
    assert plan.minutes == pytest.approx(13.5 * 60)
    assert plan.model_copy(update={"shifts": 1}).minutes == pytest.approx(90)


@given(PLANS, st.floats(1, 1000))
def test_what_is_left_fits_and_one_unit_more_would_not(plan, minutes):
    try:
        cut = plan.within(minutes)
    except ConfigurationError:
        one = plan.model_copy(update={"units": 1, "shifts": 1})
        assert one.minutes > minutes
        return
    assert cut.minutes <= minutes * (1 + 1e-9)
    assert (cut.repeats, cut.others) == (plan.repeats, plan.others)
    if cut.units < plan.units:
        assert cut.shifts == 1
        assert cut.model_copy(update={"units": cut.units + 1}).minutes > minutes
    elif cut.shifts < plan.shifts:
        assert plan.minutes > minutes


@given(PLANS, st.floats(1, 1000), st.floats(1, 1000), st.integers(1, 20))
def test_more_minutes_never_show_less(plan, some, more, floor):
    def size(minutes):
        try:
            cut = plan.within(minutes, min(floor, plan.repeats))
        except ConfigurationError:
            return (0, 0, 0, 0)
        assert cut.minutes <= minutes * (1 + 1e-9)
        return (cut.units, cut.repeats, cut.shifts, cut.trials)

    less, not_less = sorted((some, more))
    assert all(one <= other for one, other in zip(size(less), size(not_less), strict=True) if other)


@given(PLANS, st.floats(1, 1000), st.integers(1, 20))
def test_no_unit_goes_before_the_repeats_are_at_their_floor(plan, minutes, floor):
    floor = min(floor, plan.repeats)
    try:
        cut = plan.within(minutes, floor)
    except ConfigurationError:
        return
    if cut.units < plan.units:
        assert (cut.repeats, cut.shifts) == (floor, 1)
        assert cut.model_copy(update={"units": cut.units + 1}).minutes > minutes
    elif cut.repeats < plan.repeats:
        assert cut.shifts == 1
        assert cut.model_copy(update={"repeats": cut.repeats + 1}).minutes > minutes


def test_the_published_session_in_an_hour_shows_a_hundred_units_or_all_of_them_thirteen_times():
    plan = SessionPlan(units=150, images_per_unit=2, shifts=9, repeats=20, shown_s=0.5, gap_s=0.4)
    assert (plan.within(60).units, plan.within(60).repeats) == (100, 20)
    assert (plan.within(60, 10).units, plan.within(60, 10).repeats) == (150, 13)
    assert (plan.within(30, 10).units, plan.within(30, 10).repeats) == (100, 10)
    assert plan.within(13.5 * 60) == plan


@pytest.mark.parametrize("minutes", [0, -5, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(minutes):
    plan = SessionPlan(units=5, images_per_unit=2, repeats=20, shown_s=0.5, gap_s=0.5)
    with pytest.raises(ConfigurationError, match="expected a number above 0"):
        plan.within(minutes)


@pytest.mark.parametrize("floor", [0, 21])
def test_a_floor_of_repeats_that_is_none_is_refused(floor):
    plan = SessionPlan(units=5, images_per_unit=2, repeats=20, shown_s=0.5, gap_s=0.5)
    with pytest.raises(ConfigurationError, match="expected 1 to 20"):
        plan.within(10, floor)


def test_shifted_copies_go_before_units():
    plan = SessionPlan(units=150, images_per_unit=2, shifts=9, repeats=20, shown_s=0.5, gap_s=0.4)
    cut = plan.within(90)
    assert (cut.units, cut.shifts) == (150, 1)


def test_too_little_time_is_refused():
    plan = SessionPlan(units=5, images_per_unit=2, others=40, repeats=20, shown_s=0.5, gap_s=0.5)
    with pytest.raises(ConfigurationError, match="10 min hold 30 images × 20 repeats, 40 of them"):
        plan.within(10)
