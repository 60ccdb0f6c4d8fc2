"""The truth about one recorded day of a digital animal, kept apart from the recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.animals.cells import Cells
from inception_loop.errors import DataError

Float32s = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """What a day's recording cannot tell. N somata in ascending ``unit_id``, T trials in order.

    Attributes
    ----------
    units : table, one row a soma: ``unit_id`` (of that recording), ``cell_id`` (the same on all days),
        ``kind`` ("simple", "complex", "mixed", "unresponsive", "network"), ``complexity`` 0..1, ``rf_x``,
        ``rf_y`` px, ``signal_variance`` S and ``noise_variance`` V (see below), parameters of the cell;
        every column is explained in `inception_loop.animals.truth_archive.ANIMAL_TRUTH`
    trial_idx : (T,) int64
    expected : (T, N) conditional mean of the response given image, eye and behaviour
    gain : (T, N) factor by which behaviour scales the response (ones where the animal has no such factor)
    shift_px : (T, 2) displacement (x, y) of all receptive fields by the eye, px of the 36×64 image
    filters : (N, 2, 36, 64) even and odd filter, zero-mean, orthogonal, unit norm; odd is zero for pure
        simple cells, both for unresponsive ones; (0, 2, 36, 64) where the animal has no filters
    best_image : (N, 36, 64) zero-mean direction of unit norm that drives the cell best under a norm; zero for
        unresponsive cells; (0, 36, 64) where it is not known in closed form
    image_hash : I condition hashes over which S and V are meant: the repeated images, else up to 64 of those
        shown
    image_mean : (I, N) mean over eye and behaviour of the conditional mean for each of these images

    Notes
    -----
    S is the variance (ddof 1) over these images of the mean over eye and behaviour; V the mean over them of
    the variance within an image: trial noise, eye movement and gain together.
    """

    units: pl.DataFrame
    trial_idx: npt.NDArray[np.int64]
    expected: Float32s
    gain: Float32s
    shift_px: Float32s
    filters: Float32s
    best_image: Float32s
    image_hash: list[str]
    image_mean: Float32s

    def cells(self) -> Cells:
        """Rebuild the cells, so that any image's true response can be computed from the artifact alone.

        Raises
        ------
        DataError
            If the animal is no set of simulated cells.
        """
        if len(self.filters) != self.units.height:
            raise DataError("this truth has no filters; expected that of a simulated animal")
        column = {name: self.units[name].to_numpy() for name in self.units.columns if name != "kind"}
        flat = self.filters.reshape(len(self.filters), 2, -1)
        return Cells(
            kind=np.array(self.units["kind"].to_list()),
            even=flat[:, 0],
            odd=flat[:, 1],
            **{name: column[name] for name in PARAMETERS},
        )


PARAMETERS = (
    "cell_id",
    "complexity",
    "rf_x",
    "rf_y",
    "wavelength",
    "orientation",
    "phase",
    "sigma",
    "baseline",
    "simple",
    "complex",
    "threshold",
    "softness",
    "fano",
    "gain_pupil",
    "gain_running",
    "log_gain",
)
"""Fields of `Cells` that stand as columns in the table of units."""

TRUTH_COLUMNS = ("unit_id", "cell_id", "kind", "signal_variance", "noise_variance", *PARAMETERS[1:])
"""Columns of the table of units; parameters are null where the animal is no set of simulated cells."""
