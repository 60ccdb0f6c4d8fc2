"""A run on a cluster in a process of its own: ``python dask_run.py MARK NUMBER…``; ends as a command does."""

from __future__ import annotations

import sys

from counting_steps import count_beside

from flows import _interrupt
from flows.observing import observed


def main() -> int:
    """Count, and say how it ended."""
    mark, *values = sys.argv[1:]
    try:
        with _interrupt.handled(), observed(lambda event: None):
            count_beside(*map(int, values), mark=mark)
    except KeyboardInterrupt:
        _interrupt.announce()
        return _interrupt.STATUS
    return 0


if __name__ == "__main__":
    sys.exit(main())
