"""What a stage is asked for becomes a target once it is known whether the monitor was measured."""

from pydantic import TypeAdapter

from inception_loop.artifacts.identity import canonical_json
from inception_loop.images.monitor.shown_target import (
    PUBLISHED,
    AskedTarget,
    BestKnown,
    GreyTarget,
    LuminanceTarget,
)


def test_the_best_known_is_light_where_the_monitor_was_measured():
    asked = TypeAdapter(AskedTarget).validate_python({"type": "best_known"})
    assert asked == BestKnown()
    assert asked.resolved(measured=True) == LuminanceTarget()
    assert asked.resolved(measured=False) == GreyTarget()


def test_a_target_left_open_is_another_question_than_the_published_ones():
    texts = {canonical_json(target) for target in (LuminanceTarget(), *(target for target, _ in PUBLISHED))}
    assert len(texts) == 7
    assert canonical_json(LuminanceTarget(mean=10, contrast=2)) == '{"type":"luminance"}'  # as it always was
