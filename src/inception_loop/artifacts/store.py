"""The artifact store: compute once, commit whole, read anywhere.

An artifact is immutable. Its address is the question that it answers, so asking again finds it; its manifest
is written last and create-only, so a reader never sees half of one and nothing is ever overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
import polars as pl
import pyarrow as pa

from inception_loop.artifacts import manifest as manifests
from inception_loop.artifacts import npz, tables
from inception_loop.artifacts.address import LEASES, MANIFEST, Inputs, digest_of, folder_of, listed
from inception_loop.artifacts.attempt import Attempt, Progress
from inception_loop.artifacts.backend import Backend
from inception_loop.artifacts.identity import Config, canonical
from inception_loop.artifacts.kind import CATALOGUE, Arrays, Kind, Table
from inception_loop.artifacts.lease import Lease, Timing, reserve
from inception_loop.artifacts.manifest import InputRecord, Manifest, Payload
from inception_loop.artifacts.provenance import this_process, versions
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import (
    ArtifactCorruptError,
    ArtifactExistsError,
    ArtifactNotFoundError,
    ConfigurationError,
    StoreError,
)
from inception_loop.settings import Settings, load_settings

__all__ = ["ArtifactStore", "Attempt", "Outcome", "open_store"]

log = logging.getLogger(__name__)
Build = Callable[[Attempt], None]


class Outcome(NamedTuple):
    """What `ArtifactStore.make` did: the artifact, and whether it stood already."""

    ref: ArtifactRef
    cached: bool


def open_store(uri: str | None = None, settings: Settings | None = None) -> ArtifactStore:
    """Open a store; nothing is written by it.

    Parameters
    ----------
    uri
        ``file:///folder``, a plain folder, ``s3://bucket/prefix`` or ``memory://name``; by default the
        setting ``store``.
    settings
        By default those of the environment.

    Raises
    ------
    ConfigurationError
        If the scheme is unknown or the URI holds credentials.
    StoreError
        If the place cannot be reached: no such bucket, wrong credentials, a file instead of a folder.

    Examples
    --------
    >>> open_store("memory://example").uri
    'memory://example'
    """
    settings = settings or load_settings()
    backend = _backend(uri or settings.store)
    backend.check()
    return ArtifactStore(backend, settings)


def _backend(uri: str) -> Backend:
    scheme, divider, rest = uri.partition("://")
    if divider and "@" in rest.partition("/")[0]:
        raise ConfigurationError(
            f"the store's URI ({scheme}://…) holds credentials; expected none in it; "
            "use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    rest = rest.rstrip("/")
    if scheme == "s3" and divider and rest:
        from inception_loop.artifacts.s3 import S3Backend

        return S3Backend(f"s3://{rest}")
    if scheme == "memory" and divider:
        from inception_loop.artifacts.memory import MemoryBackend

        return MemoryBackend(f"memory://{rest}")
    if not divider or (scheme == "file" and rest.startswith("/")):
        from inception_loop.artifacts.disk import DiskBackend

        return DiskBackend(Path(rest if divider else uri).expanduser().absolute())
    raise ConfigurationError(
        f"the store's URI is {uri!r}; expected file:///folder, a plain folder, s3://bucket/prefix or memory://name; "
        "correct INCEPTION_LOOP_STORE or --store"
    )


class ArtifactStore:
    """A root under which artifacts are computed once and read.

    Parameters
    ----------
    backend
        The place that keeps the bytes.
    settings
        Whether hashes are checked, how long a silent worker is trusted, what the manifests record.
    timing
        Clock of the leases, for tests; by default this process's.
    """

    def __init__(self, backend: Backend, settings: Settings, timing: Timing | None = None) -> None:
        self.backend = backend
        self.settings = settings
        self._timing = timing or Timing(settings.lease_ttl_s)
        self._sound: set[tuple[str, int, int]] = set()

    @property
    def uri(self) -> str:
        """The root, without a trailing slash."""
        return self.backend.uri

    def ref(self, kind: Kind, config: Config, inputs: Inputs | None = None) -> ArtifactRef:
        """Return the reference of the artifact that answers a question, whether it stands or not. No I/O."""
        digest = digest_of(kind, config, inputs or {})
        uri = self.backend.url(folder_of(kind, config, digest))
        return ArtifactRef(kind=kind.name, digest=digest, uri=uri)

    def make(
        self,
        kind: Kind,
        config: Config,
        build: Build,
        inputs: Inputs | None = None,
        *,
        on_progress: Progress | None = None,
    ) -> Outcome:
        """Return the artifact that answers a question; compute it only if nobody has.

        Parameters
        ----------
        kind, config, inputs
            The question. Inputs are artifacts of the same store, by role.
        build
            Computes and writes every declared payload through the attempt that it is given.
        on_progress
            Receives ``(done, total, text)`` from the attempt.

        Returns
        -------
        Outcome
            ``cached`` is False only if this call computed the bytes that now stand there.

        Raises
        ------
        ArtifactNotFoundError
            If an input does not stand.
        StoreError
            If the store cannot be written; nothing was computed then.
        """
        inputs = listed(inputs or {})
        ref = self.ref(kind, config, inputs)
        if self.exists(ref):
            return Outcome(ref, cached=True)
        records = {role: [self._record(one) for one in refs] for role, refs in inputs.items()}
        folder = f"{LEASES}/{ref.kind}/{ref.digest}"
        lease = reserve(self.backend, folder, self._timing, lambda: self.exists(ref))
        if lease is None:
            return Outcome(ref, cached=True)
        with lease:
            if self.exists(ref):  # committed between the last look and the claim
                return Outcome(ref, cached=True)
            attempt = Attempt(self.backend, self._key(ref), kind, ref, on_progress)
            return self._compute(attempt, kind, config, build, records, lease)

    def _compute(
        self,
        attempt: Attempt,
        kind: Kind,
        config: Config,
        build: Build,
        records: dict[str, list[InputRecord]],
        lease: Lease,
    ) -> Outcome:
        started, clock = datetime.now(UTC), time.monotonic()
        won = False
        try:
            build(attempt)
            attempt.check_complete()
            manifest = Manifest(
                kind=kind.name,
                version=kind.version,
                digest=attempt.ref.digest,
                attempt=attempt.name,
                config=config.model_dump(mode="json"),
                question=_mapping(canonical(config)),
                inputs=records,
                payloads=attempt.payloads,
                findings=attempt.findings,
                seed=_seed(config),
                device=self.settings.device,
                threads=self.settings.threads,
                versions=versions(),
                process=this_process(),
                lease_generation=lease.number,
                started=started.isoformat(),
                finished=datetime.now(UTC).isoformat(),
                seconds=round(time.monotonic() - clock, 6),
            )
            won = self._commit(attempt.ref, manifest)
        finally:
            if not won:
                with contextlib.suppress(StoreError):  # what stays is removed by a sweep
                    attempt.discard()
        log.info("%s %s in attempt %s", "computed" if won else "lost the race for", attempt.ref, attempt.name)
        return Outcome(attempt.ref, cached=not won)

    def _commit(self, ref: ArtifactRef, manifest: Manifest) -> bool:
        key = f"{self._key(ref)}/{MANIFEST}"
        try:
            self.backend.create(key, manifests.encode(manifest))
        except ArtifactExistsError:
            # A put whose answer got lost is repeated by the client and then meets itself.
            return self.manifest(ref).attempt == manifest.attempt
        return True

    def exists(self, ref: ArtifactRef) -> bool:
        """Tell whether an artifact stands; its manifest is read and checked.

        Raises
        ------
        ArtifactCorruptError
            If the manifest is damaged.
        """
        try:
            self.manifest(ref)
        except ArtifactNotFoundError:
            return False
        return True

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """Return an artifact's manifest, checked against its reference.

        Raises
        ------
        ArtifactNotFoundError
            If no artifact stands there.
        ArtifactCorruptError
            If it is damaged or belongs to another artifact.
        """
        key = f"{self._key(ref)}/{MANIFEST}"
        data = self.backend.read(key)
        if data is None:
            raise ArtifactNotFoundError(
                f"no artifact stands at {ref.uri}; expected a committed '{ref.kind}'; run the step that makes it"
            )
        manifest = manifests.decode(data, self.backend.url(key))
        if (manifest.kind, manifest.digest) != (ref.kind, ref.digest):
            raise ArtifactCorruptError(
                f"the manifest {self.backend.url(key)} speaks of {manifest.kind}/{manifest.digest[:12]}; "
                f"expected {ref}; verify the store, then repair the artifact"
            )
        return manifest

    def inputs(self, ref: ArtifactRef) -> dict[str, list[ArtifactRef]]:
        """Return the artifacts that an artifact was made from, by role and in order."""
        return {
            role: [self._ref_of(record) for record in records]
            for role, records in self.manifest(ref).inputs.items()
        }

    def table(self, ref: ArtifactRef, name: str) -> pl.DataFrame:
        """Return a table; vector columns are ``pl.Array(Float32, N)``.

        Raises
        ------
        ArtifactCorruptError
            If its size or hash is not what the manifest names.
        """
        return pl.DataFrame(pl.from_arrow(self.arrow(ref, name)))

    def arrow(self, ref: ArtifactRef, name: str) -> pa.Table:
        """Return a table as Arrow, lifted to the declared schema version."""
        payload, key = self._payload(ref, name, "table")
        self._check_size(payload, key)
        path = self.backend.local_path(key)
        if path is None:
            source: Any = pa.BufferReader(self._checked_bytes(payload, key))
        else:
            self._check_hash(payload, key)
            source = path
        declared = _declared(ref, name, Table)
        return tables.read_table(source, declared, payload.schema_version, self.backend.url(key))

    def arrays(self, ref: ArtifactRef, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a bundle, read-only; mapped, not read, where the store is on a local disk.

        Raises
        ------
        ArtifactCorruptError
            If its size or hash is not what the manifest names.
        """
        payload, key = self._payload(ref, name, "arrays")
        self._check_size(payload, key)
        url, path = self.backend.url(key), self.backend.local_path(key)
        found = npz.members(lambda start, stop: self.backend.read_range(key, start, stop), payload.size, url)
        if path is None:
            arrays = npz.stream_arrays(self._checked(payload, key), found)
        else:
            self._check_hash(payload, key)
            arrays = npz.map_arrays(path, found)
        declared = _declared(ref, name, Arrays)
        return arrays if declared is None else npz.upgraded(arrays, declared, payload.schema_version, url)

    def file(self, ref: ArtifactRef, name: str) -> bytes:
        """Return a payload's bytes.

        Raises
        ------
        ArtifactCorruptError
            If their number or hash is not what the manifest names.
        """
        payload, key = self._payload(ref, name, None)
        self._check_size(payload, key)
        return self._checked_bytes(payload, key)

    def _payload(self, ref: ArtifactRef, name: str, form: str | None) -> tuple[Payload, str]:
        manifest = self.manifest(ref)
        payload = manifest.payloads.get(name)
        if payload is None or (form and payload.form != form):
            have = {name: payload.form for name, payload in manifest.payloads.items()}
            raise ArtifactNotFoundError(
                f"{ref} has no {form or 'payload'} '{name}'; it has {have}; ask for one of them"
            )
        return payload, f"{self._key(ref)}/{manifest.attempt}/{payload.object}"

    def _check_size(self, payload: Payload, key: str) -> None:
        size = self.backend.size(key)
        if size != payload.size:
            raise ArtifactCorruptError(
                f"{self.backend.url(key)} {'is missing' if size is None else f'has {size} bytes'}; expected "
                f"{payload.size} bytes; repair the artifact"
            )

    def _check_hash(self, payload: Payload, key: str) -> None:
        path = self.backend.local_path(key)
        if not self.settings.verify_hashes:
            return
        stat = path.stat() if path is not None else None
        mark = (key, stat.st_mtime_ns, stat.st_ino) if stat is not None else None
        if mark is not None and mark in self._sound:
            return  # the same file, checked by this store before
        for _ in self._checked(payload, key):
            pass
        if mark is not None:
            self._sound.add(mark)

    def _checked_bytes(self, payload: Payload, key: str) -> bytes:
        return b"".join(self._checked(payload, key))

    def _checked(self, payload: Payload, key: str) -> Any:
        check = hashlib.sha256()
        for piece in self.backend.chunks(key):
            if self.settings.verify_hashes:
                check.update(piece)
            yield piece
        if self.settings.verify_hashes and check.hexdigest() != payload.sha256:
            raise ArtifactCorruptError(
                f"{self.backend.url(key)} has the SHA-256 {check.hexdigest()[:12]}…; expected "
                f"{payload.sha256[:12]}…; repair the artifact"
            )

    def _key(self, ref: ArtifactRef) -> str:
        if not ref.uri.startswith(self.uri + "/"):
            raise ConfigurationError(
                f"{ref} lies at {ref.uri}; expected an address in the store {self.uri}; open the store that holds it"
            )
        return ref.uri.removeprefix(self.uri + "/")

    def _record(self, ref: ArtifactRef) -> InputRecord:
        manifest = self.manifest(ref)
        hashes = {name: payload.sha256 for name, payload in manifest.payloads.items()}
        return InputRecord(kind=ref.kind, digest=ref.digest, key=self._key(ref), payloads=hashes)

    def _ref_of(self, record: InputRecord) -> ArtifactRef:
        return ArtifactRef(kind=record.kind, digest=record.digest, uri=self.backend.url(record.key))


def _declared(ref: ArtifactRef, name: str, form: Any) -> Any:
    kind = CATALOGUE.get(ref.kind)
    declared = kind.payloads.get(name) if kind is not None else None
    return declared if isinstance(declared, form) else None


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value)


def _seed(config: Config) -> int | None:
    seed = getattr(config, "seed", None)
    return seed if isinstance(seed, int) else None
