"""Errors by meaning: each says what, got, expected and what to do, in one line.

Every class also refines the builtin that a caller without knowledge of this project would catch.
"""

from __future__ import annotations


class InceptionLoopError(Exception):
    """Base of every error that the project raises on purpose.

    Its text is one line, whatever names of files, columns and units it speaks of.
    """

    def __str__(self) -> str:
        return " ".join(super().__str__().splitlines())


class ConfigurationError(InceptionLoopError, ValueError):
    """A setting, parameter or configuration is wrong; nothing was started."""


class RecordingError(InceptionLoopError, ValueError):
    """What a rig (or an animal) handed over contradicts itself or lacks something needed."""


class DataError(InceptionLoopError, ValueError):
    """The data are sound but do not allow the step asked for (too few units, images or trials)."""


class TrainingError(InceptionLoopError, ArithmeticError):
    """Training left the numbers it can go on with (a loss that is not finite)."""


class StoreError(InceptionLoopError, OSError):
    """The artifact store cannot be read or written as asked; retrying does not help."""


class TransientStoreError(StoreError, ConnectionError):
    """The store did not answer; the same call may succeed later."""


class ReservedError(InceptionLoopError, BlockingIOError):
    """Another worker computes this artifact now; the same call may find it later."""


class ArtifactNotFoundError(InceptionLoopError, LookupError):
    """No committed artifact stands at this reference."""


class ArtifactExistsError(InceptionLoopError, FileExistsError):
    """Something already stands at this address and nothing here is ever overwritten."""


class ArtifactCorruptError(InceptionLoopError, ValueError):
    """The bytes in the store are not the bytes that the manifest names."""
