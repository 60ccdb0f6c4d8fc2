"""Errors by meaning: each says what, got, expected and what to do, in one line.

Every class also refines the builtin that a caller without knowledge of this project would catch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


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


class Refusal(NamedTuple):
    """Why some units of a batch are refused: what is wrong, with which of them, and what was expected.

    ``units`` says of each unit what was found; nothing, where ``what`` says it all.
    """

    what: str
    units: Mapping[str, str]
    expected: str


class RefusedUnitsError(DataError):
    """Nothing can be made of some units; all of them are named, for the others can go on without them.

    Parameters
    ----------
    refusals
        Of one batch or of several.

    Examples
    --------
    >>> dark = Refusal("an activation of 0 everywhere", {"a/5": "", "a/7": "-0"}, "expected one above 0")
    >>> print(RefusedUnitsError(dark, dark._replace(units={"a/9": ""})))
    an activation of 0 everywhere: a/5, a/7 (-0), a/9; expected one above 0
    """

    def __init__(self, *refusals: Refusal) -> None:
        super().__init__(*refusals)
        self.refusals = refusals

    @property
    def units(self) -> tuple[str, ...]:
        """Every refused unit once."""
        return tuple(dict.fromkeys(unit for refusal in self.refusals for unit in refusal.units))

    def __str__(self) -> str:
        together: dict[tuple[str, str], dict[str, str]] = {}
        for what, units, expected in self.refusals:
            together.setdefault((what, expected), {}).update(units)
        said = []
        for (what, expected), units in together.items():
            called = ", ".join(f"{unit} ({found})" if found else unit for unit, found in units.items())
            said.append(f"{what}: {called}; {expected}")
        return " ".join("; and ".join(said).splitlines())


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


class UnknownNameError(ArtifactNotFoundError):
    """What a person calls an artifact means none, or several."""


class ArtifactExistsError(InceptionLoopError, FileExistsError):
    """Something already stands at this address and nothing here is ever overwritten."""


class ArtifactCorruptError(InceptionLoopError, ValueError):
    """The bytes in the store are not the bytes that the manifest names."""
