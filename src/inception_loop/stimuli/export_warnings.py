"""What is wrong with a session though it can be exported: in words, with what to change."""

from __future__ import annotations

import math

import polars as pl

from inception_loop.stimuli.export_session import Session
from inception_loop.stimuli.oracle import ENOUGH_REPEATS, too_few
from inception_loop.stimuli.session import ORACLE
from inception_loop.stimuli.unequal_light import unequal_light


def warnings_of(session: Session) -> list[str]:
    """Return a line for each thing that whoever shows a session may regret."""
    found = [_oracle(session), _light(session), *_untimed(session)]
    return [line for line in found if line]


def _oracle(session: Session) -> str:
    plan = session.plan
    shown, held = (_oracle_images(table) for table in (session.conditions, session.source.conditions))
    said = too_few(shown, plan.cut.repeats)
    if not said:
        return ""
    if held == 0:
        change = "allow more by session.max_oracle of the stage stimulus and make the set again"
    elif shown == 0:
        change = "do not name their class in --leave-out"
    elif plan.full.repeats < ENOUGH_REPEATS:
        change = (
            f"set session.repeats of the stage stimulus to {ENOUGH_REPEATS} or more and make the set again"
        )
    else:
        minutes = math.ceil(10 * plan.cut.minutes * ENOUGH_REPEATS / plan.cut.repeats - 1e-9) / 10
        change = (
            f"give --min-repeats {ENOUGH_REPEATS} (units go instead), and --minutes {minutes:g} to keep all "
            "that is shown now"
        )
    return f"{said}; {change}"


def _oracle_images(conditions: pl.DataFrame) -> int:
    return conditions.filter(model_type=ORACLE)["image_row"].n_unique()


def _light(session: Session) -> str:
    filled = session.source.filled
    if filled is None:
        return ""
    shown = session.conditions.select("image_class", name="source_name", unit_id="source_unit_id")
    return unequal_light(filled.join(shown, on=["image_class", "name", "unit_id"], how="semi"))


def _untimed(session: Session) -> list[str]:
    monitor = session.source.monitor
    if not any(target.get("type") == "luminance" for target in monitor.get("targets", [])):
        return []
    return [
        f"the images are brought to cd/m² by the calibration {curve['digest'][:12]}, of which nobody knows "
        "when it was measured; give its time when the recording with it is imported, or measure the monitor"
        for curve in monitor.get("calibrations", [])
        if not curve.get("timestamp")
    ]
