"""From a build function to a committed artifact: one attempt, its manifest last and create-only."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from inception_loop.artifacts.address import MANIFEST
from inception_loop.artifacts.attempt import Attempt
from inception_loop.artifacts.backend import Backend
from inception_loop.artifacts.identity import Config, canonical
from inception_loop.artifacts.kind import Kind
from inception_loop.artifacts.lease import Clock, Lease
from inception_loop.artifacts.manifest import InputRecord, Manifest, decode, encode
from inception_loop.artifacts.provenance import this_process, versions
from inception_loop.artifacts.withdrawal import withdrawn
from inception_loop.errors import ArtifactExistsError, StoreError, TransientStoreError
from inception_loop.settings import Settings

log = logging.getLogger(__name__)
Build = Callable[[Attempt], None]
# Longer than this, and a sweep may have taken the payloads of an attempt for those of a dead writer.
LONG_S = 3600.0


class Question(NamedTuple):
    """What an artifact answers: its kind, its configuration and the artifacts that it reads, by role."""

    kind: Kind
    config: Config
    inputs: dict[str, list[InputRecord]]


class Computation(NamedTuple):
    """One computation under a lease.

    Parameters
    ----------
    backend
        The store's place.
    folder
        The artifact's folder, relative to the root.
    settings
        What the manifest records of this machine.
    clock
        This process's clocks.
    """

    backend: Backend
    folder: str
    settings: Settings
    clock: Clock

    def run(self, attempt: Attempt, question: Question, build: Build, lease: Lease) -> bool:
        """Build and commit; tell whether this attempt is the one that stands now.

        Raises
        ------
        Exception
            What ``build`` raises; what it had written is removed then.
        """
        began, began_at = self.clock.monotonic(), self._now()
        try:
            build(attempt)
            attempt.check_complete()
            seconds = self.clock.monotonic() - began
            if seconds > LONG_S:
                attempt.check_standing()
        except BaseException:
            _discard(attempt)
            raise
        # If the answer to this write gets lost, nobody knows here whether it was done: then nothing is
        # discarded, and a sweep removes the attempt if no manifest names it.
        try:
            won = self._commit(self._manifest(attempt, question, lease, began_at, seconds))
        except TransientStoreError:
            raise
        except StoreError:
            if self._absent():  # refused for good, by a full disk as a rule: its rest would take space
                _discard(attempt)
            raise
        if not won:
            _discard(attempt)
        with contextlib.suppress(StoreError):  # what stays is removed by a sweep
            attempt.forget_checkpoints()
        what = "computed" if won else "another was first with"
        log.info("%s %s, attempt %s", what, attempt.ref, attempt.name)
        return won

    def _commit(self, manifest: Manifest) -> bool:
        key = f"{self.folder}/{MANIFEST}"
        try:
            self.backend.create(key, encode(manifest))
        except ArtifactExistsError:
            # A put whose answer got lost is repeated by the client and then meets itself.
            standing = self.backend.read(key) or b""
            return decode(standing, self.backend.url(key)).attempt == manifest.attempt
        return True

    def _absent(self) -> bool:
        try:
            return self.backend.read(f"{self.folder}/{MANIFEST}") is None
        except StoreError:
            return False

    def _manifest(
        self, attempt: Attempt, question: Question, lease: Lease, began_at: str, seconds: float
    ) -> Manifest:
        kind, config, inputs = question
        asked = canonical(config)
        seed = getattr(config, "seed", None)
        return Manifest(
            kind=kind.name,
            version=kind.version,
            digest=attempt.ref.digest,
            attempt=attempt.name,
            config=config.model_dump(mode="json"),
            question=asked if isinstance(asked, dict) else {},
            inputs=inputs,
            payloads=attempt.payloads,
            findings=attempt.findings,
            seed=seed if isinstance(seed, int) else None,
            device=self.settings.device,
            threads=self.settings.threads,
            versions=versions(),
            process=this_process(),
            lease_generation=lease.number,
            started=began_at,
            finished=self._now(),
            seconds=round(seconds, 6),
            replaces=withdrawn(self.backend, self.folder),
        )

    def _now(self) -> str:
        return datetime.fromtimestamp(self.clock.wall(), UTC).isoformat()


def _discard(attempt: Attempt) -> None:
    with contextlib.suppress(StoreError):  # what stays is removed by a sweep
        attempt.discard()
