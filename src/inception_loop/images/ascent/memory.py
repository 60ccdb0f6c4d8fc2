"""Work on a batch in parts that fit into memory: halved where it runs out, never crashed."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from inception_loop.errors import InceptionLoopError

log = logging.getLogger(__name__)
T = TypeVar("T")

CPU_SIGNS = ("can't allocate memory", "not enough memory")
"""What a `RuntimeError` says when the CPU's allocator, on Linux and elsewhere, has nothing left to give."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that there is no memory left, on a GPU, in torch on the CPU or in Python.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to …"))
    True
    >>> is_out_of_memory(RuntimeError("shapes differ"))
    False
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in CPU_SIGNS)


class FittingBatches:
    """Does the work on a batch at once, or in parts where the memory holds no more; remembers what fits.

    Parameters
    ----------
    size
        Rows to try at once; None: all of them.

    Attributes
    ----------
    size : int or None
        Rows at once that fit so far.
    halved : bool
        Whether the memory ever ran out.

    Examples
    --------
    >>> def sum_of_at_most_3(rows: slice) -> int:
    ...     if rows.stop - rows.start > 3:
    ...         raise MemoryError
    ...     return sum(range(8)[rows])
    >>> logging.disable(logging.WARNING)
    >>> batches = FittingBatches()
    >>> batches(8, sum_of_at_most_3), batches.size, batches.halved
    ([1, 5, 9, 13], 2, True)
    >>> logging.disable(logging.NOTSET)
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size
        self.halved = False

    def __call__(self, count: int, work: Callable[[slice], T]) -> list[T]:
        """Return ``work(rows)`` of consecutive parts of ``count`` rows.

        Raises
        ------
        InceptionLoopError
            If not even one row fits.
        """
        done: list[T] = []
        start = 0
        while start < count:
            rows = slice(start, min(count, start + (self.size or count)))
            try:
                done.append(work(rows))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                start = rows.stop
                continue
            self._halve(rows.stop - rows.start)  # outside of the block that holds on to the memory
        return done

    def _halve(self, failed: int) -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if failed == 1:
            raise InceptionLoopError(
                "not even one image of the batch fits into memory; expected room for one; free memory, take "
                "fewer networks or precision bfloat16, or another device"
            )
        self.size, self.halved = (failed + 1) // 2, True
        log.warning(
            "no memory for %d images at once; expected enough; they go on %d at a time", failed, self.size
        )

    def findings(self, did: str = "images") -> dict[str, object]:
        """Return what an artifact's manifest shall say: nothing, or how many images went at once."""
        return {f"{did}_at_once_for_memory": self.size} if self.halved else {}
