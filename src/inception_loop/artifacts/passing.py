"""A payload that passes by once, front to back, so that one pass both checks its hash and reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

TAIL_BYTES = 2**20


class Passing:
    """Serves ranges of a payload out of the pieces that pass by, holding no more of it than a range needs.

    Ranges must rise. One that lies behind what has passed, or in the last MiB (where formats keep their
    directory, which is read first), is fetched by itself.

    Parameters
    ----------
    pieces
        The payload front to back; raises at the end if it is not sound.
    fetch
        ``fetch(start, stop)`` returns these bytes of the payload.
    size
        Its bytes.
    """

    def __init__(self, pieces: Iterator[bytes], fetch: Callable[[int, int], bytes], size: int) -> None:
        self._pieces = pieces
        self._fetch = fetch
        self._tail = size - TAIL_BYTES
        self._start = 0
        self._held = bytearray()

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes ``start`` to ``stop``."""
        if start < self._start or start >= self._tail:
            return self._fetch(start, stop)
        self._pass_by(start)
        while self._start + len(self._held) < stop:
            self._held += next(self._pieces)
        return bytes(self._held[: stop - start])

    def _pass_by(self, start: int) -> None:
        """Let go of everything before a position."""
        while self._start + len(self._held) <= start:
            self._start += len(self._held)
            self._held = bytearray(next(self._pieces))
        del self._held[: start - self._start]
        self._start = start

    def finish(self) -> None:
        """Let the rest pass by, so that all of it is checked."""
        self._held.clear()
        for _ in self._pieces:
            pass
