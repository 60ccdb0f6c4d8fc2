"""Addresses that open a page or picture of the store in a browser: only a bucket has such."""

from __future__ import annotations

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore

DAYS = 7
"""So long such an address holds; no server grants more."""


def link(store: ArtifactStore, ref: ArtifactRef, payload: str) -> str | None:
    """Return the address of a payload; None where the store is on a disk, or its keys are temporary."""
    return store.link(ref, payload, DAYS * 86_400)


def opened(store: ArtifactStore, ref: ArtifactRef, payload: str) -> str:
    """Return a sentence with the address, in Markdown; nothing where there is none."""
    url = link(store, ref, payload)
    return f" [Open it]({url}) (for {DAYS} days)." if url else ""
