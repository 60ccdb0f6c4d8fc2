"""What stands in a store: listed lazily and by pages, in the order of the addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from inception_loop.artifacts.address import MANIFEST
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError, UnknownNameError

_WHOLE = re.compile(r"[a-z][a-z0-9_]*(/.+)?/[0-9a-f]{64}")


class Listed(NamedTuple):
    """One artifact of a listing.

    Attributes
    ----------
    ref
        Its reference.
    partition
        The readable part of its address, for example ``animal_id=1/session=2/scan_idx=3``.
    modified
        When its manifest was written, s since 1970 by the store's clock.
    """

    ref: ArtifactRef
    partition: str
    modified: float


class Page(NamedTuple):
    """Some artifacts, and where the next page begins (empty: there is none)."""

    artifacts: list[Listed]
    after: str


def artifacts(store: ArtifactStore, kind: str = "", partition: str = "", after: str = "") -> Iterator[Listed]:
    """Yield the artifacts that stand, lazily: a store of any size begins to answer at once.

    Parameters
    ----------
    store
        The store.
    kind, partition
        Only this kind, only this partition of it (any number of its levels, from the first).
    after
        Only what comes after this place, as `Page` gives it.
    """
    if partition and not kind:
        raise ConfigurationError(
            f"a listing asks for the partition '{partition}' of no kind; name the kind too"
        )
    prefix = "/".join(part.strip("/") for part in (kind, partition) if part)
    for entry in store.backend.walk(prefix, after):
        folder, _, name = entry.key.rpartition("/")
        if name != MANIFEST or not _WHOLE.fullmatch(folder):
            continue
        levels = folder.split("/")
        ref = ArtifactRef(kind=levels[0], digest=levels[-1], uri=store.backend.url(folder))
        yield Listed(ref, "/".join(levels[1:-1]), entry.modified)


def page(
    store: ArtifactStore, kind: str = "", partition: str = "", *, after: str = "", limit: int = 100
) -> Page:
    """Return the next artifacts of a listing, at most ``limit``."""
    found = list(islice(artifacts(store, kind, partition, after), limit + 1))
    more = len(found) > limit
    last = f"{store.key(found[limit - 1].ref)}/{MANIFEST}" if more else ""
    return Page(found[:limit], last)


def resolve(store: ArtifactStore, text: str) -> ArtifactRef:
    """Return the one artifact that a person means by a URI, or by a kind and the beginning of a digest.

    Parameters
    ----------
    store
        The store.
    text
        ``kind/0123abcd`` or the folder of an artifact.

    Raises
    ------
    UnknownNameError
        If no artifact, or more than one, is meant.
    """
    key = text.removeprefix(store.uri + "/").strip("/")
    kind, _, rest = key.partition("/")
    begin = rest.rpartition("/")[2]
    # Sound or not: a repair must find it.
    if _WHOLE.fullmatch(key) and store.backend.size(f"{key}/{MANIFEST}") is not None:
        return ArtifactRef(kind=kind, digest=begin, uri=store.backend.url(key))
    found = (
        [listed.ref for listed in artifacts(store, kind) if listed.ref.digest.startswith(begin)]
        if kind
        else []
    )
    if len(found) != 1:
        raise UnknownNameError(
            f"'{text}' means {len(found)} artifacts in {store.uri}; expected exactly one; "
            "give a kind and more of the digest, such as frame/0123abcd"
        )
    return found[0]
