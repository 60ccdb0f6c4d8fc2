"""Folders of thousands of small ``N.npy``, one a trial: read fast, trusted in nothing."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inception_loop.errors import RecordingError
from inception_loop.recordings.bounded import npy
from inception_loop.recordings.files import inside, passed_over

_NUMBERED = re.compile(r"(0|[1-9][0-9]{0,8})\.npy")
_NUMBERS = "biuf"


class NpyRows:
    """The files ``0.npy``, ``1.npy``, … of one folder, each with an array of the same shape.

    Files whose header equals that of the first one (all of them, in a sound recording) are read in one call
    into one buffer; any other goes through the slow, careful way.

    Parameters
    ----------
    root
        Folder of the recording; no link may leave it.
    name
        Folder of the files inside it, as ``data/responses``.

    Attributes
    ----------
    numbers : frozenset of int
        Numbers of the files that are there.

    Raises
    ------
    RecordingError
        If the folder cannot be read, or holds anything else than such files (what systems leave behind is
        passed over), or a link leaves the root.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self._root = root
        self._folder = str(inside(root, name))
        self.numbers = frozenset(self._listed())
        self._first: int | None = None

    def _listed(self) -> list[int]:
        numbers = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if passed_over(entry.name):
                        continue
                    found = _NUMBERED.fullmatch(entry.name)
                    where = f"{self.name}/{entry.name}"
                    if found is None:
                        raise self._refused(where, "is no file of a trial", "0.npy, 1.npy, …; move it away")
                    if entry.is_symlink():
                        inside(self._root, where)
                    if not entry.is_file():
                        raise self._refused(where, "is no plain file", "one .npy a trial")
                    numbers.append(int(found[1]))
        except OSError as error:
            reason = f"cannot be read ({error.strerror or error})"
            raise self._refused(self.name, reason, "a folder of one .npy a trial") from error
        return numbers

    def _refused(self, where: str, what: str, expected: str) -> RecordingError:
        return RecordingError(f"{where!r} in {str(self._root)!r} {what}; expected {expected}")

    def require(self, numbers: Sequence[int]) -> None:
        """Refuse a folder that lacks the file of a trial.

        Raises
        ------
        RecordingError
            Naming trial and file.
        """
        missing = sorted(set(numbers) - self.numbers)
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise self._refused(
                f"{self.name}/{missing[0]}.npy",
                f"is missing: trial {missing[0]} has no file there{more}",
                "one file a trial of meta/trials; fetch or unzip the recording again",
            )

    def read(self, number: int) -> npt.NDArray[Any]:
        """Return the array of one file; it is valid until the next call.

        Raises
        ------
        RecordingError
            Naming trial and file: absent, truncated, pickled, no numbers, or another shape than the first.
        """
        if self._first is None:
            self._learn(number)
        try:
            with io.FileIO(f"{self._folder}/{number}.npy") as file:
                got = file.readinto(self._buffer)
        except OSError:
            got = None  # the careful way says what is wrong
        if got == len(self._buffer) and self._buffer[: len(self._head)] == self._head:
            return self._row
        return self._carefully(number)

    def _carefully(self, number: int) -> npt.NDArray[Any]:
        array = self._load(number)
        if array.shape != self._row.shape:
            raise self._refused(
                f"{self.name}/{number}.npy",
                f"of trial {number} has shape {array.shape}",
                f"{self._row.shape} as in {self._first}.npy; write it again",
            )
        return array

    def _load(self, number: int) -> npt.NDArray[Any]:
        try:
            array = npy(Path(self._folder) / f"{number}.npy")
        except RecordingError as error:
            raise RecordingError(f"trial {number}: {error}") from error
        if array.dtype.kind not in _NUMBERS:
            raise self._refused(
                f"{self.name}/{number}.npy", f"of trial {number} holds {array.dtype}", "real numbers"
            )
        return array

    def _learn(self, number: int) -> None:
        """Take the header of one file as what to expect of all."""
        array = self._load(number)
        with io.FileIO(f"{self._folder}/{number}.npy") as file:
            start = file.read(12)
            wide = start[6] > 1
            length = int.from_bytes(start[8:12] if wide else start[8:10], "little") + (12 if wide else 10)
            file.seek(0)
            self._head = file.read(length)
        self._buffer = bytearray(length + array.nbytes)
        row = np.frombuffer(self._buffer, array.dtype, offset=length)
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        self._row = row.reshape(array.shape, order="F" if fortran else "C")
        self._first = number

    def table(self, numbers: Sequence[int], width: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return vectors of ``width`` numbers as the rows of one array, in the order of ``numbers``.

        Parameters
        ----------
        numbers
            Files to read; a file that is not there gives a row of NaN.
        width
            Numbers in each file (dimensions of length one are allowed beside it).
        dtype
            Floating type of the table.

        Raises
        ------
        RecordingError
            Naming trial and file; also where a value is infinite.
        """
        table = np.empty((len(numbers), width), dtype)
        with np.errstate(over="ignore"):  # what is too large for the type is infinite, and refused
            for row, number in enumerate(numbers):
                if number not in self.numbers:
                    table[row] = np.nan
                    continue
                values = self.read(number)
                if values.size != width or max(values.shape, default=1) != width:
                    raise self._refused(
                        f"{self.name}/{number}.npy",
                        f"of trial {number} has shape {values.shape}",
                        f"({width},); write it again",
                    )
                table[row] = values.reshape(width)
                if not math.isfinite(table[row].sum(dtype=np.float64)) and np.isinf(table[row]).any():
                    raise self._refused(
                        f"{self.name}/{number}.npy",
                        f"of trial {number} holds infinite values",
                        "numbers, NaN where there is none",
                    )
        return table
