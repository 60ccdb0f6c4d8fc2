"""What ``meta`` of a Sensorium 2022 folder says of trials and neurons, checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inception_loop.errors import RecordingError
from inception_loop.recordings.bounded import npy
from inception_loop.recordings.files import files_of, inside
from inception_loop.recordings.recording import ScanKey

_TIERS = ("train", "validation", "test")
_COMPETITION = re.compile(r"(live|final)_test(_[a-z]+)?")
_IMAGE_ID = ("frame_image_id", "image_id")
_IMAGE_CLASS = ("frame_image_class", "image_class")
_SCAN = {"animal_ids": "animal_id", "sessions": "session", "scan_idx": "scan_idx"}
_JITTER_S = 0.05


class Meta:
    """Trials and neurons of one folder.

    Attributes
    ----------
    n_trials : int
    tiers : list of str, as the source names them; row N: files N.npy
    tier_of : list of str, one of train, validation, test
    trial_idx : (T,) int64; the number of the file where the source hides the real one
    order : (T,) int64, numbers of the files in the order of ``trial_idx``
    image_ids : (T,) int64 or None
    image_classes : list of str or None
    shown_s : float or None, how long an image is on
    unit_ids : (N,) int64
    coordinates : (N, 3) float64 µm, NaN not known
    areas, layers : list of str, or None where the source does not say

    Raises
    ------
    RecordingError
        Naming file and trial or unit; nothing is unpickled.
    """

    def __init__(self, path: Path, scan: ScanKey) -> None:
        self._path = path
        self._arrays = _load(path)
        self.tiers = self._text("trials/tiers", self._required("trials/tiers").size)
        self.n_trials = len(self.tiers)
        self.tier_of = [self._tier(number, tier) for number, tier in enumerate(self.tiers)]
        self.trial_idx = self._trial_idx()
        self.order = np.argsort(self.trial_idx, kind="stable")
        self.image_ids = self._first_of(_IMAGE_ID, self._integers)
        self.image_classes = self._first_of(_IMAGE_CLASS, self._text)
        self.shown_s = self._shown_s()
        self.unit_ids = self._unit_ids()
        n_units = len(self.unit_ids)
        self.coordinates = self._coordinates(n_units)
        self.areas = self._labels("neurons/area", n_units)
        self.layers = self._labels("neurons/layer", n_units)
        self._check_scan(scan, n_units)

    def fail(self, what: str) -> RecordingError:
        """Return an error of this folder."""
        return RecordingError(f"Sensorium folder {str(self._path)!r}: {what}")

    def _required(self, name: str) -> npt.NDArray[Any]:
        if name not in self._arrays:
            raise self.fail(f"meta/{name}.npy is missing; fetch or unzip the recording again")
        array = self._arrays[name]
        if array.ndim != 1 or not array.size:
            of = name.partition("/")[0].removesuffix("s")
            raise self.fail(f"meta/{name}.npy has shape {array.shape}; expected one value a {of}")
        return array

    def _column(self, name: str, n: int) -> npt.NDArray[Any]:
        array = self._required(name)
        if len(array) != n:
            of = "tiers" if name.startswith("trials") else "unit_ids"
            raise self.fail(
                f"meta/{name}.npy has {len(array)} rows, but {of}.npy has {n}; expected one a "
                f"{name.partition('/')[0].removesuffix('s')}; fetch or unzip the recording again"
            )
        return array

    def _text(self, name: str, n: int) -> list[str]:
        array = self._column(name, n)
        try:
            texts = (np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array).tolist()
            if array.dtype.kind in "SU":
                "".join(texts).encode()  # half characters are no text
                return [str(text) for text in texts]
        except ValueError:
            pass
        raise self.fail(f"meta/{name}.npy holds {array.dtype}, or no sound text; expected words")

    def _integers(self, name: str, n: int) -> npt.NDArray[np.int64]:
        array = self._column(name, n)
        if array.dtype.kind in "iu" and int(array.max()) < 2**63:
            return array.astype(np.int64)
        if array.dtype.kind == "f" and np.isfinite(array).all() and (np.abs(array) < 2**53).all():
            whole = array.astype(np.int64)
            if (whole == array).all():
                return whole
        raise self.fail(f"meta/{name}.npy holds {array.dtype} with {array[0]!r}; expected whole numbers")

    def _first_of(self, names: tuple[str, ...], how: Any) -> Any:
        for name in names:
            if f"trials/{name}" in self._arrays:
                return how(f"trials/{name}", self.n_trials)
        return None

    def _tier(self, number: int, tier: str) -> str:
        if tier in _TIERS:
            return tier
        if _COMPETITION.fullmatch(tier):
            return "test"
        raise self.fail(
            f"trial {number} has the tier {tier[:40]!r} in meta/trials/tiers.npy; expected train, "
            "validation, test, final_test or live_test; name the trials to be used so"
        )

    def _trial_idx(self) -> npt.NDArray[np.int64]:
        own = np.arange(self.n_trials)
        if "trials/trial_idx" not in self._arrays:
            return own
        hidden = self._arrays["trials/trial_idx"].dtype.kind in "SU"
        named = (self._text if hidden else self._integers)("trials/trial_idx", self.n_trials)
        self._check_unique("meta/trials/trial_idx.npy", "trials", named)
        return own if hidden else np.asarray(named)

    def _unit_ids(self) -> npt.NDArray[np.int64]:
        ids = self._integers("neurons/unit_ids", self._required("neurons/unit_ids").size)
        self._check_unique("meta/neurons/unit_ids.npy", "rows", ids)
        return ids

    def _check_unique(self, name: str, rows: str, ids: Any) -> None:
        values, first, counts = np.unique(ids, return_index=True, return_counts=True)
        if (counts > 1).any():
            at = int((counts > 1).argmax())
            again = np.flatnonzero(np.asarray(ids) == values[at])[1]
            raise self.fail(
                f"{name} gives {str(values[at])[:40]!r} to the {rows} {first[at]} and {again}; "
                "expected each once"
            )

    def _coordinates(self, n: int) -> npt.NDArray[np.float64]:
        found = self._arrays.get("neurons/cell_motor_coordinates")
        if found is None:
            return np.full((n, 3), np.nan)
        if found.dtype.kind not in "iuf" or found.shape != (n, 3) or np.isinf(found).any():
            raise self.fail(
                f"meta/neurons/cell_motor_coordinates.npy is {found.dtype} of shape {found.shape}; "
                f"expected x, y, z in µm of {n} neurons, NaN where not known"
            )
        return found.astype(np.float64)

    def _labels(self, name: str, n: int) -> list[str | None] | None:
        if name not in self._arrays:
            return None
        return [text or None for text in self._text(name, n)]

    def _shown_s(self) -> float | None:
        """Return the one time for which all images are on; clocks jitter by less than 50 ms."""
        name = "trials/frame_presentation_time"
        if name not in self._arrays or self._arrays[name].dtype.kind not in "iuf":
            return None
        times = self._column(name, self.n_trials).astype(np.float64)
        usual = float(np.median(times))
        odd = ~(np.abs(times - usual) <= _JITTER_S) | ~(times > 0)
        if odd.any():
            trial = int(odd.argmax())
            raise self.fail(
                f"meta/{name}.npy says that the image of trial {trial} is on for {times[trial]:g} s and "
                f"usually for {usual:g} s; expected one time for all; "
                "correct it, or remove it and give shown_s"
            )
        return round(usual, 3)

    def _check_scan(self, scan: ScanKey, n: int) -> None:
        for name, part in _SCAN.items():
            said = self._arrays.get(f"neurons/{name}")
            if said is None or said.dtype.kind not in "iu":
                continue
            others = np.unique(self._column(f"neurons/{name}", n))
            if len(others) != 1 or int(others[0]) != getattr(scan, part):
                found = ", ".join(str(other) for other in others[:3].tolist())
                raise self.fail(
                    f"meta/neurons/{name}.npy says {part} {found}; expected {getattr(scan, part)}, as in the "
                    f"scan {scan} to be imported; import it as the scan that it is"
                )


def _load(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return every array under ``meta`` by its name without ``.npy``; none of them may be pickled."""
    root = inside(path, "meta")
    arrays = {}
    try:
        for name, file in files_of(root):
            if name.endswith(".npy"):
                inside(path, f"meta/{name}")
                arrays[name.removesuffix(".npy")] = npy(file)
    except RecordingError as error:
        if "pickle" not in str(error):
            raise
        raise RecordingError(
            f"{error}; where you trust the file, save it again with a dtype of text or numbers, "
            "as np.save(file, array.astype('U')), or remove it if it is not needed"
        ) from error
    except OSError as error:
        raise RecordingError(f"{str(root)!r} cannot be read: {error.strerror or error}") from error
    return arrays
