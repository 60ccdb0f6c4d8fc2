"""The console script on another host, whose clock is wrong: ``python elsewhere.py SECONDS WORD…``.

Its processes mean nothing to this host, so that nobody can look whether one of them still runs; its time of
day is SECONDS ahead. ``sweep SECONDS_OLD`` in place of a command removes what is that old.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path


def shift_clock(seconds: float) -> None:
    """Let every clock of the day that a program here asks be ahead."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1e9)

    import botocore.auth
    import prefect.types._datetime as prefects

    prefect_now, signing = prefects.now, botocore.auth.get_current_datetime
    prefects.now = lambda *a, **k: prefect_now(*a, **k) + timedelta(seconds=seconds)
    botocore.auth.get_current_datetime = lambda *a, **k: signing(*a, **k) + timedelta(seconds=seconds)


def move_house() -> None:
    """Have another name and boot."""
    from inception_loop.artifacts import provenance

    text = provenance._text
    provenance.socket = type("Elsewhere", (), {"gethostname": staticmethod(lambda: "elsewhere")})
    provenance._text = lambda path: "another boot" if Path(path).name == "boot_id" else text(path)


def sweep(older_than_s: float) -> int:
    """Remove what is so old, by whatever clock a sweep asks, and print how much that was."""
    from inception_loop.artifacts import upkeep
    from inception_loop.artifacts.store import open_store

    sys.stdout.write(str(len(upkeep.sweep(open_store(), older_than_s=older_than_s).keys)))
    return 0


def main(seconds: float, words: list[str]) -> int:
    """Run a command there."""
    shift_clock(seconds)
    move_house()
    if words[0] == "sweep":
        return sweep(float(words[1]))
    from flows import cli

    cli.main(words)
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
