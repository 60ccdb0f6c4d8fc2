"""A word about networks that are asked for in a precision that this machine does not have."""

from __future__ import annotations

from collections.abc import Iterable

from flows._stage import configured_store
from flows.observing import say
from inception_loop.images.ascent.precision import fastest_precision
from inception_loop.network.config import Precision


def warn_if_emulated(stage: str, precisions: Iterable[Precision]) -> None:
    """Say that bfloat16 is asked for where float32 is many times faster; it is done all the same."""
    device = configured_store().settings.device
    if "bfloat16" in precisions and fastest_precision(device) == "float32":
        say(
            stage,
            f"warning: bfloat16 is asked for, which {device} of this machine emulates, up to thirty times "
            'slower than float32; ask for precision = "float32", or run it on another machine',
        )
