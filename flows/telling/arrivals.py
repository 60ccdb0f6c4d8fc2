"""What a look at a watched folder has found, in words and as a table: what somebody has to see to first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from inception_loop.recordings.arrivals.listing import Arrival
from inception_loop.recordings.arrivals.looks import BAD, Seen

Row = dict[str, object]


def rows(arrivals: Mapping[str, Arrival], seen: Mapping[str, Seen], news: set[str]) -> list[Row]:
    """Return the table of a look: what is news before the rest, and of both what is bad first.

    Parameters
    ----------
    arrivals, seen
        What lies there, and what became of it, by name.
    news
        Names of what something became of in this look.
    """
    names = sorted(arrivals, key=lambda name: (_rank(seen[name]), name not in news, name))
    return [_row(arrivals[name], seen[name], name in news) for name in names]


def _rank(one: Seen) -> int:
    return BAD.index(one.fate) if one.fate in BAD else len(BAD)


def _row(arrival: Arrival, one: Seen, new: bool) -> Row:
    state = "already there" if one.fate == "imported" and not new else one.fate
    return {
        "recording": arrival.name,
        "scan": str(arrival.scan),
        "state": state,
        "why": one.said or (f"{arrival.unfinished} is being written" if arrival.unfinished else ""),
        "MB": round(arrival.size / 1e6, 1),
        "artifact": one.recording.rpartition("/")[2][:12],
    }


def in_words(folder: str, table: Sequence[Row]) -> str:
    """Return how much lies in a folder, and what became of it."""
    counts = Counter(str(row["state"]) for row in table)
    words = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "nothing"
    return f"{len(table)} recordings in {folder}: {words}"


def reason(seen: Mapping[str, Seen], names: Sequence[str]) -> list[str]:
    """Return why the first of some recordings is bad, and how many more are; nothing where none is named."""
    more = f" (and {len(names) - 1} more)" if names[1:] else ""
    return [f"{name} {seen[name].fate}: {seen[name].said}{more}" for name in names[:1]]
