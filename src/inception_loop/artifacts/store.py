"""The artifact store: compute once, commit whole, read anywhere.

An artifact is immutable. Its address is the question that it answers, so asking again finds it; its manifest
is written last and create-only, so a reader never sees half of one and nothing is ever overwritten.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy.typing as npt
import polars as pl
import pyarrow as pa

from inception_loop.artifacts.address import LEASES, MANIFEST, Inputs, digest_of, folder_of, listed
from inception_loop.artifacts.attempt import Attempt, Progress
from inception_loop.artifacts.backend import Backend
from inception_loop.artifacts.computing import Build, Computation, Question
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import CATALOGUE, Arrays, Bundle, Kind, Table, upgraded
from inception_loop.artifacts.lease import Clock, Lease, reserve
from inception_loop.artifacts.manifest import InputRecord, Manifest, decode
from inception_loop.artifacts.places import backend_of
from inception_loop.artifacts.probing import probe
from inception_loop.artifacts.provenance import versions
from inception_loop.artifacts.reading import Located, Reader, StoredRows
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.soundness import settled, unsound
from inception_loop.artifacts.tables import conform
from inception_loop.artifacts.vectors import Positions, Singles, select_vectors
from inception_loop.artifacts.withdrawal import withdraw
from inception_loop.errors import ArtifactCorruptError, ArtifactNotFoundError, ConfigurationError
from inception_loop.settings import Settings

F = TypeVar("F", bound=Table | Arrays)

__all__ = ["ArtifactStore", "Attempt", "Outcome", "open_store"]


class Outcome(NamedTuple):
    """What `ArtifactStore.make` did: the artifact, and whether it stood already."""

    ref: ArtifactRef
    cached: bool


def open_store(
    uri: str | None = None,
    settings: Settings | None = None,
    *,
    on_progress: Progress | None = None,
    clock: Clock | None = None,
) -> ArtifactStore:
    """Open a store; nothing is written by it.

    Parameters
    ----------
    uri
        ``file:///folder``, a plain folder, ``s3://bucket/prefix`` or ``memory://name``; by default the
        setting ``store``.
    settings
        By default those of the environment.
    on_progress
        Receives ``(done, total, text)`` from every attempt made through this store.
    clock
        This process's clocks, for tests.

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
    settings = settings or Settings()
    backend = backend_of(uri or settings.store)
    backend.check()
    versions()  # read before the first step: a commit made while it runs is not what runs
    return ArtifactStore(backend, settings, on_progress, clock or Clock())


class ArtifactStore:
    """A root under which artifacts are computed once and read.

    Parameters
    ----------
    backend
        The place that keeps the bytes.
    settings
        Whether hashes are checked, how long a silent worker is trusted, what the manifests record.
    on_progress
        Receives ``(done, total, text)`` from every attempt.
    clock
        This process's clocks.
    """

    def __init__(
        self, backend: Backend, settings: Settings, on_progress: Progress | None, clock: Clock
    ) -> None:
        self.backend = backend
        self.settings = settings
        self.reader = Reader(backend, verify_hashes=settings.verify_hashes)
        self._on_progress = on_progress
        self._clock = clock

    def __repr__(self) -> str:
        return f"ArtifactStore({self.uri!r})"

    @property
    def uri(self) -> str:
        """The root, without a trailing slash."""
        return self.backend.uri

    # --- making ---------------------------------------------------------------------------------------------

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
        repair: bool = False,
        on_progress: Progress | None = None,
        wait: bool = True,
    ) -> Outcome:
        """Return the artifact that answers a question; compute it only if nobody has.

        Parameters
        ----------
        kind, config, inputs
            The question. Inputs are artifacts of the same store, by role.
        build
            Computes and writes every declared payload through the attempt that it is given.
        repair
            Check the bytes of an artifact that stands, and replace it if they are not sound: its manifest is
            removed first, then a new attempt is committed that names what it replaces.
        on_progress
            Receives ``(done, total, text)`` from the attempt; by default what the store was opened with.
        wait
            Wait while another worker computes it. Otherwise only what is free is computed; what a worker of
            this machine left behind when it died is free.

        Returns
        -------
        Outcome
            ``cached`` is False only if this call computed the bytes that now stand there.

        Raises
        ------
        ArtifactNotFoundError
            If an input does not stand.
        ArtifactCorruptError
            If the artifact stands but its manifest is damaged, and it is not to be repaired.
        ReservedError
            If another worker computes it and nobody is to wait.
        StoreError
            If the store cannot be written; nothing was computed then.
        """
        roles = listed(inputs or {})
        ref = self.ref(kind, config, roles)
        broken = unsound(self, ref) if repair else None
        if settled(self, ref, broken):
            return Outcome(ref, cached=True)
        question = Question(
            kind, config, {role: list(map(self._record, refs)) for role, refs in roles.items()}
        )
        lease = self.reserve(ref, lambda: settled(self, ref, broken), wait=wait)
        if lease is None:
            return Outcome(ref, cached=True)
        with lease:
            if settled(self, ref, broken):  # committed between the last look and the claim
                return Outcome(ref, cached=True)
            if broken:
                withdraw(self.backend, self.key(ref), broken.reason)
            attempt = Attempt(self.backend, self.key(ref), kind, ref, on_progress or self._on_progress)
            computation = Computation(self.backend, self.key(ref), self.settings, self._clock)
            return Outcome(ref, cached=not computation.run(attempt, question, build, lease))

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Tell whoever opened the store how far a step is."""
        if self._on_progress is not None:
            self._on_progress(done, total, text)

    def reserve(self, ref: ArtifactRef, settled: Callable[[], bool], *, wait: bool = True) -> Lease | None:
        """Get the right to work on an artifact; None once somebody else has settled it."""
        folder = f"{LEASES}/{ref.kind}/{ref.digest}"
        return reserve(self.backend, folder, self.settings.lease_ttl_s, self._clock, settled, wait=wait)

    def _record(self, ref: ArtifactRef) -> InputRecord:
        hashes = {name: payload.sha256 for name, payload in self.manifest(ref).payloads.items()}
        return InputRecord(kind=ref.kind, digest=ref.digest, key=self.key(ref), payloads=hashes)

    # --- reading --------------------------------------------------------------------------------------------

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
        key = f"{self.key(ref)}/{MANIFEST}"
        data = self.backend.read(key)
        if data is None:
            raise ArtifactNotFoundError(
                f"no artifact stands at {ref.uri}; expected a committed '{ref.kind}'; "
                "run the step that makes it"
            )
        manifest = decode(data, self.backend.url(key))
        if (manifest.kind, manifest.digest) != (ref.kind, ref.digest):
            raise ArtifactCorruptError(
                f"the manifest {self.backend.url(key)} speaks of {manifest.kind}/{manifest.digest[:12]}; "
                f"expected {ref}; verify the store, then repair the artifact"
            )
        return manifest

    def inputs(self, ref: ArtifactRef) -> dict[str, list[ArtifactRef]]:
        """Return the artifacts that an artifact was made from, by role and in order."""
        return {
            role: [self.ref_of(record) for record in records]
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
        located = self.located(ref, name, "table")
        return _lifted(self.reader.table(located), ref, name, located, Table)

    def vectors(
        self,
        ref: ArtifactRef,
        name: str,
        column: str,
        rows: Positions | None = None,
        entries: Positions | None = None,
    ) -> Singles:
        """Return some rows and entries of a table's vector column, without the table ever being in memory.

        Parameters
        ----------
        ref, name, column
            The artifact, its table and the column.
        rows : (T,) int64
            Wanted rows in any order; by default all.
        entries : (M,) int64
            Wanted positions in each vector, in any order; by default all.

        Returns
        -------
        (T, M) float32, the caller's own

        Raises
        ------
        ArtifactCorruptError
            If the payload's size or hash is not what the manifest names.
        """
        located = self.located(ref, name, "table")
        declared = _declaration(ref, name, Table)
        if declared is not None and located.payload.schema_version != declared.version:
            return select_vectors(self.arrow(ref, name), f"'{name}' of {ref}", column, rows, entries)
        return self.reader.vectors(located, column, rows, entries)

    def arrays(self, ref: ArtifactRef, name: str) -> Bundle:
        """Return the arrays of a bundle, read-only; mapped, not read, where the store is on a local disk.

        Raises
        ------
        ArtifactCorruptError
            If its size or hash is not what the manifest names.
        """
        located = self.located(ref, name, "arrays")
        arrays: Bundle = _lifted(self.reader.arrays(located), ref, name, located, Arrays)
        return arrays

    def rows(self, ref: ArtifactRef, name: str, member: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the rows ``start`` to ``stop`` of one member of a bundle, reading nothing else.

        As it was written: neither lifted to a newer schema version nor checked against its hash.
        """
        return self.reader.rows(self.located(ref, name, "arrays"), member, start, stop)

    def block(self, ref: ArtifactRef, name: str, member: str) -> StoredRows:
        """Return one member of a bundle whose rows are read when asked for; see `rows`."""
        return self.reader.block(self.located(ref, name, "arrays"), member)

    def file(self, ref: ArtifactRef, name: str) -> bytes:
        """Return a payload's bytes, of whatever form it is.

        Raises
        ------
        ArtifactCorruptError
            If their number or hash is not what the manifest names.
        """
        return self.reader.data(self.located(ref, name))

    def located(self, ref: ArtifactRef, name: str, form: str | None = None) -> Located:
        """Return a payload's description and key.

        Raises
        ------
        ArtifactNotFoundError
            If the artifact, or such a payload of it, does not stand.
        """
        manifest = self.manifest(ref)
        payload = manifest.payloads.get(name)
        if payload is None or (form and payload.form != form):
            have = {name: payload.form for name, payload in manifest.payloads.items()}
            raise ArtifactNotFoundError(
                f"{ref} has no {form or 'payload'} '{name}'; it has {have}; ask for one of them"
            )
        return Located(f"{self.key(ref)}/{manifest.attempt}/{payload.object}", payload)

    def link(self, ref: ArtifactRef, name: str, seconds: float) -> str | None:
        """Return an address that shows a page or picture in any browser for a while; None: there is none."""
        located = self.located(ref, name, "file")
        content_type = mimetypes.guess_type(located.payload.object)[0] or "application/octet-stream"
        return self.backend.link(located.key, content_type, seconds, self.settings.public_s3)

    def probe(self) -> dict[str, str]:
        """Try what the store must be able to do; see `probing.probe`."""
        return probe(self.backend)

    # --- addresses ------------------------------------------------------------------------------------------

    def key(self, ref: ArtifactRef) -> str:
        """Return an artifact's folder, relative to the root.

        Raises
        ------
        ConfigurationError
            If the reference belongs to another store.
        """
        if not ref.uri.startswith(self.uri + "/"):
            raise ConfigurationError(
                f"{ref} lies at {ref.uri}; expected an address in {self.uri}; open the store that holds it"
            )
        return ref.uri.removeprefix(self.uri + "/")

    def ref_of(self, record: InputRecord) -> ArtifactRef:
        """Return the reference of a recorded input."""
        return ArtifactRef(kind=record.kind, digest=record.digest, uri=self.backend.url(record.key))


def _declaration(ref: ArtifactRef, name: str, form: type[F]) -> F | None:
    """Return what this process has declared of a payload, if anything."""
    kind = CATALOGUE.get(ref.kind)
    declared = kind.payloads.get(name) if kind is not None else None
    return declared if isinstance(declared, form) else None


def _lifted(value: Any, ref: ArtifactRef, name: str, located: Located, form: type[Table | Arrays]) -> Any:
    declared = _declaration(ref, name, form)
    if declared is None:
        return value  # a reader that knows no declaration takes the payload as it was written
    version, where = located.payload.schema_version, f"'{name}' of {ref}"
    lifted = upgraded(value, declared, version, where)
    if isinstance(declared, Table) and version != declared.version:
        return conform(declared, lifted, where)
    return lifted
