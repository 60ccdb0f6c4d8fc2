"""How much of the true cells the networks of one group have learnt; plain numbers, each with its n."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.animals.truth import Truth
from inception_loop.dataset.member import MemberData
from inception_loop.errors import DataError
from inception_loop.network.modulators import NoModulator
from inception_loop.network.shifters import NoShifter
from inception_loop.training.model import Model
from inception_loop.training.recovery import (
    ceiling_fraction,
    center_error,
    learnt_log_gain,
    learnt_shift,
    log_gain_correlation,
    receptive_field_centers,
)
from inception_loop.training.scan_data import predict, scan_data
from inception_loop.training.scores import pearson

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Aligned:
    """The truth of the units and trials that a member reads out, in the member's order.

    Attributes
    ----------
    kind : (N,) str
    complexity : (N,) 0 simple … 1 complex, NaN for cells that ignore the image
    expected, gain : (T, N) conditional mean and gain factor
    shift_px : (T, 2) displacement of the receptive fields, px
    centers : (N, 2) receptive-field centres x, y, px
    """

    kind: npt.NDArray[np.str_]
    complexity: Floats
    expected: npt.NDArray[np.float32]
    gain: npt.NDArray[np.float32]
    shift_px: npt.NDArray[np.float32]
    centers: Floats

    @property
    def driven(self) -> npt.NDArray[np.bool_]:
        """(N,) cells that answer to images."""
        return np.asarray(self.kind != "unresponsive")


def rows_of(wanted: Sequence[int] | npt.NDArray[np.int64], known: npt.NDArray[np.int64], what: str) -> Any:
    """Return the row of each wanted number in ``known``.

    Raises
    ------
    DataError
        If one is missing there.
    """
    where = {int(number): row for row, number in enumerate(known)}
    missing = [int(number) for number in wanted if int(number) not in where]
    if missing:
        raise DataError(
            f"the truth does not know {what} {missing[0]}; expected the truth of the same recording"
        )
    return np.array([where[int(number)] for number in wanted], np.int64)


def align(truth: Truth, member: MemberData) -> Aligned:
    """Bring a truth into the order of a member's units and trials."""
    columns = rows_of(member.units["unit_id"].to_numpy(), truth.units["unit_id"].to_numpy(), "unit")
    rows = rows_of(member.trial_idx, truth.trial_idx, "trial")
    units = truth.units[columns]
    return Aligned(
        kind=np.array(units["kind"].to_list()),
        complexity=units["complexity"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        expected=truth.expected[np.ix_(rows, columns)],
        gain=truth.gain[np.ix_(rows, columns)],
        shift_px=truth.shift_px[rows],
        centers=units.select("rf_x", "rf_y").to_numpy(),
    )


def ceiling_fractions(model: Model, member: MemberData, aligned: Aligned) -> Floats:
    """Return (N,) test correlation over its ceiling of one model; NaN for cells that ignore the image.

    The ceiling is the correlation of the responses with their conditional mean given image, eye and
    behaviour, on the same test trials.
    """
    rows = member.trials_of("test")
    predicted = predict(model.network, scan_data(member, model.config.data), rows)
    fractions = ceiling_fraction(predicted, member.responses[rows], aligned.expected[rows])
    dead = aligned.driven & np.isnan(fractions)  # a constant prediction has learnt nothing of a driven cell
    return np.where(aligned.driven, np.where(dead, 0.0, fractions), np.nan)


def rf_center_offset(model: Model, member: MemberData, aligned: Aligned) -> float:
    """Return the px that all learnt receptive-field centres of driven units lie off together.

    A core whose filters stand off their kernels' centres, all positions moved the other way, is the same
    network; the errors are therefore taken without this offset, which is told beside them.
    """
    learnt = receptive_field_centers(model.network, member.name, (0.0, 0.0))
    offset = center_error(learnt[aligned.driven], aligned.centers[aligned.driven]).offset
    return float(np.linalg.norm(offset))


def rf_center_errors(model: Model, member: MemberData, aligned: Aligned) -> Floats:
    """Return (N,) px between learnt and true centres of driven units, the common offset taken off."""
    learnt = receptive_field_centers(model.network, member.name, (0.0, 0.0))
    out = np.full(len(learnt), np.nan)
    out[aligned.driven] = center_error(learnt[aligned.driven], aligned.centers[aligned.driven]).centred
    return out


def shift_correlation(model: Model, member: MemberData, aligned: Aligned) -> float:
    """Return the correlation of learnt and true eye shifts over all used trials, mean of x and y.

    NaN where the network has no shifter or the eye was not recorded.
    """
    scan = scan_data(member, model.config.data)
    if scan.eye is None or isinstance(model.config.network.shifter, NoShifter):
        return float("nan")
    learnt = learnt_shift(model.network, member.name, scan.eye.cpu().numpy())
    return float(pearson(learnt, aligned.shift_px.astype(np.float64)).mean())


def gain_correlations(model: Model, member: MemberData, aligned: Aligned) -> Floats:
    """Return (N,) correlation over trials of learnt and true log gain; NaN for unresponsive cells.

    All NaN where the network has no modulator or behaviour was not recorded.
    """
    scan = scan_data(member, model.config.data)
    if scan.behavior is None or isinstance(model.config.network.modulator, NoModulator):
        return np.full(scan.n_units, np.nan)
    learnt = learnt_log_gain(model.network, member.name, scan.behavior.cpu().numpy())
    return np.where(aligned.driven, log_gain_correlation(learnt, aligned.gain), np.nan)
