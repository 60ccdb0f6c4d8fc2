"""What a stage is asked for becomes a target once it is known whether the monitor was measured."""

from pydantic import TypeAdapter

from inception_loop.images.monitor.shown_target import AskedTarget, BestKnown, GreyTarget, LuminanceTarget


def test_the_best_known_is_light_where_the_monitor_was_measured():
    asked = TypeAdapter(AskedTarget).validate_python({"type": "best_known"})
    assert asked == BestKnown()
    assert asked.resolved(measured=True) == LuminanceTarget()
    assert asked.resolved(measured=False) == GreyTarget()
