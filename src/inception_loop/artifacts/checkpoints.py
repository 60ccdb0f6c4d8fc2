"""Checkpoints of a computation that takes long: beside the artifacts, gone once theirs is committed.

They lie under ``_checkpoints/<kind>/<digest>/``, one object a step, named by its number and the SHA-256 of
its bytes. Only the holder of the artifact's lease writes them.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inception_loop.artifacts.address import CHECKPOINTS
from inception_loop.artifacts.backend import Backend
from inception_loop.artifacts.npz import members, stream_arrays, write_npz
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import ArtifactCorruptError

log = logging.getLogger(__name__)
Arrays = Mapping[str, npt.NDArray[Any]]
WRITTEN_BY = "written_by"
"""Member that says what wrote a checkpoint."""
_NAME = re.compile(r"(?P<step>[0-9]{8})-(?P<sha256>[0-9a-f]{64})\.npz")


class _Found(NamedTuple):
    step: int
    key: str
    sha256: str


class StoredCheckpoints:
    """The checkpoints of one artifact in the making.

    Parameters
    ----------
    backend
        The store's place.
    ref
        The artifact.
    written_by
        What must be the same for the computation to go on to the same bytes: versions, threads, device. A
        checkpoint of another is left aside, with a line in the log.

    Examples
    --------
    >>> from inception_loop.artifacts.memory import MemoryBackend
    >>> ref = ArtifactRef(kind="model", digest="0" * 64, uri="memory://c/model")
    >>> kept = StoredCheckpoints(MemoryBackend("memory://c"), ref, "torch 2, 1 thread")
    >>> kept.save(3, {"weights": np.arange(2.0)})
    >>> kept.epochs(), kept.load(3)["weights"]
    ([3], array([0., 1.]))
    >>> kept.drop()
    >>> kept.epochs()
    []
    """

    def __init__(self, backend: Backend, ref: ArtifactRef, written_by: str) -> None:
        self._backend = backend
        self._folder = f"{CHECKPOINTS}/{ref.kind}/{ref.digest}"
        self._written_by = f"{ref.kind}/{ref.digest}, {written_by}"

    def epochs(self) -> list[int]:
        """Epochs of which a checkpoint is there, the newest first."""
        return list(dict.fromkeys(found.step for found in self._found()))

    def load(self, epoch: int) -> Arrays | None:
        """Return the arrays of an epoch; None, and a line in the log, if they are not as written."""
        for found in self._found():
            if found.step == epoch:
                arrays = self._read(found)
                if arrays is not None:
                    return arrays
        return None

    def save(self, epoch: int, state: Arrays) -> None:
        """Keep arrays: all of them are there under the epoch's name, or nothing is."""
        sink = io.BytesIO()
        write_npz(sink, {**state, WRITTEN_BY: np.array(self._written_by)})
        name = f"{epoch:08d}-{hashlib.sha256(sink.getbuffer()).hexdigest()}.npz"
        self._backend.replace(f"{self._folder}/{name}", sink.getvalue())

    def drop(self, before: float = float("inf")) -> None:
        """Remove the checkpoints of earlier epochs, by default all."""
        self._backend.remove([found.key for found in self._found() if found.step < before])

    def _found(self) -> list[_Found]:
        keys = [entry.key for entry in self._backend.walk(self._folder)]
        matches = [(key, _NAME.fullmatch(key.rpartition("/")[2])) for key in keys]
        found = [_Found(int(m["step"]), key, m["sha256"]) for key, m in matches if m is not None]
        return sorted(found, reverse=True)

    def _read(self, found: _Found) -> Arrays | None:
        data = self._backend.read(found.key) or b""
        where = self._backend.url(found.key)
        if hashlib.sha256(data).hexdigest() != found.sha256:
            log.warning(
                "the checkpoint %s is cut short or damaged (%d bytes); expected the bytes of its name; "
                "it is left aside, and an earlier one or the beginning is gone on from",
                where,
                len(data),
            )
            return None
        try:
            arrays = dict(stream_arrays([data], members(lambda a, b: data[a:b], len(data), where)))
        except ArtifactCorruptError as error:
            log.warning("%s", error)
            return None
        written_by = str(arrays.pop(WRITTEN_BY, "nobody"))
        if written_by != self._written_by:
            log.warning(
                "the checkpoint %s was written by %s; expected %s, which alone goes on to the same bytes; "
                "it is left aside",
                where,
                written_by,
                self._written_by,
            )
            return None
        return arrays
