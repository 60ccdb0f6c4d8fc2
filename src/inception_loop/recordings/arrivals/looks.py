"""What is remembered from one look at a folder to the next, and when a recording is at rest.

Times are those of the store's clock, which stamps the objects of the store: looks from several hosts agree
about it, whatever their own clocks say. The times of the watched files are never compared with it, only
with themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from inception_loop.artifacts.backend import Backend

BAD = ("quarantined", "failed", "other bytes")
"""Fates that somebody has to see to, the worst first."""
ARRIVALS = "_arrivals"
FORMAT = 1
Fate = Literal["waiting", "imported", "already there", "other bytes", "quarantined", "failed"]
AGAIN_S = 240.0
"""What has failed waits so long, less than from look to look; twice as long each time it fails again."""
LONGEST_S = 4 * 3600.0
SETTLED: tuple[Fate, ...] = ("imported", "already there", "other bytes")


class Seen(BaseModel):
    """What is known of one recording in a watched folder.

    Attributes
    ----------
    signature
        Names, sizes and times of its files at the last look.
    since
        When they were first seen like this, s by the store's clock.
    fate
        What became of it.
    said
        Why, in a line.
    recording
        URI of its artifact.
    failures, tried
        How often it failed like this, and when the last time, s by the store's clock.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer project may say more

    signature: str
    since: float
    fate: Fate = "waiting"
    said: str = ""
    recording: str = ""
    failures: int = 0
    tried: float = 0.0

    def failed(self, said: str, now: float) -> Seen:
        """Return what is known after it failed once more."""
        failures = self.failures + 1
        more = {"fate": "failed", "said": said, "failures": failures, "tried": now}
        return self.model_copy(update=more)

    def waits(self, now: float) -> bool:
        """Whether it has failed so lately that it is not tried again yet.

        Examples
        --------
        >>> often = Seen(signature="abc", since=0.0, fate="failed", failures=3, tried=1000.0)
        >>> [often.waits(now) for now in (1959.0, 1960.0, 900.0)]
        [True, False, False]
        """
        wait = min(AGAIN_S * 2.0 ** min(self.failures - 1, 20), LONGEST_S)
        return self.fate == "failed" and 0 <= now - self.tried < wait


def looked(
    before: Mapping[str, Seen],
    signatures: Mapping[str, str],
    now: float,
    settle_s: float,
    *,
    patient: bool = False,
) -> tuple[dict[str, Seen], tuple[str, ...]]:
    """Take a look: what is remembered after it, and which recordings are at rest and nothing became of yet.

    At rest is what looks the same for ``settle_s``, over two looks at least. With ``settle_s = 0`` one look
    is enough. A clock that was put back only makes the wait longer.

    Parameters
    ----------
    before
        What was remembered.
    signatures
        What lies there now, see `Arrival.signature`; empty where a file of it is still being written.
    now
        s by the store's clock.
    settle_s
        How long nothing may change.
    patient
        Leave alone what has failed lately: a recording may be large, and reading it all for nothing.

    Examples
    --------
    >>> once, ready = looked({}, {"17-1-2.nwb": "abc"}, now=100.0, settle_s=60.0)
    >>> ready
    ()
    >>> looked(once, {"17-1-2.nwb": "abc"}, now=160.0, settle_s=60.0)[1]
    ('17-1-2.nwb',)
    """
    # What is gone may be back: a folder that is not mounted for a while is empty.
    after = {name: one for name, one in before.items() if one.fate in SETTLED}
    ready: list[str] = []
    for name, signature in signatures.items():
        known = before.get(name, Seen(signature="", since=now))
        if known.signature != signature:
            known = Seen(signature=signature, since=now)
        elif now < known.since and known.fate not in SETTLED:
            known = known.model_copy(update={"since": now})
        after[name] = known
        if (
            signature
            and known.fate not in SETTLED
            and now - known.since >= settle_s
            and not (patient and known.waits(now))
        ):
            ready.append(name)
    return after, tuple(ready)


def folder_key(folder: str) -> str:
    """Return where the store remembers what is known of a watched folder."""
    return f"{ARRIVALS}/{hashlib.sha256(folder.encode()).hexdigest()[:16]}"


def load_looks(backend: Backend, folder: str) -> dict[str, Seen]:
    """Return what is remembered of a folder; nothing where that is damaged: all is looked at anew then."""
    data = backend.read(f"{folder_key(folder)}/looks.json")
    try:
        body = json.loads(data or b"{}")
        names = body["names"] if body.get("format") == FORMAT else {}
        return {str(name): Seen.model_validate(value) for name, value in names.items()}
    except (ValueError, KeyError, AttributeError, TypeError, ValidationError):
        return {}


def save_looks(backend: Backend, folder: str, seen: Mapping[str, Seen]) -> None:
    """Remember what is known of a folder: the whole of it or, if that fails, what was remembered before."""
    names = {name: one.model_dump(exclude_defaults=True) for name, one in sorted(seen.items())}
    body = {"format": FORMAT, "folder": folder, "names": names}
    backend.replace(f"{folder_key(folder)}/looks.json", json.dumps(body, indent=1).encode())
