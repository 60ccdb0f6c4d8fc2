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


def test_shifted_copies_go_before_units():
    plan = SessionPlan(units=150, images_per_unit=2, shifts=9, repeats=20, shown_s=0.5, gap_s=0.4)
    cut = plan.within(90)
    assert (cut.units, cut.shifts) == (150, 1)


def test_too_little_time_is_refused():
    plan = SessionPlan(units=5, images_per_unit=2, others=40, repeats=20, shown_s=0.5, gap_s=0.5)
    with pytest.raises(ConfigurationError, match="10 min hold 30 images × 20 repeats, 40 of them"):
        plan.within(10)
