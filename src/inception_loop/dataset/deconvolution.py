"""Raw fluorescence becomes deconvolved activity, by a library that this project does not depend on."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from inception_loop.dataset.config import RawFluorescence
from inception_loop.errors import ConfigurationError, RecordingError

Singles = npt.NDArray[np.float32]
LIBRARY = "oasis-deconv"


class Deconvolution:
    """OASIS of order 1: traces decay exponentially after each event, events are not negative and sparse.

    Friedrich, Zhou & Paninski 2017, "Fast online deconvolution of calcium imaging data". Baseline and noise
    are estimated for every unit on its own; so is the decay, where the configuration gives none.

    Parameters
    ----------
    config
        Its policy is ``oasis``.
    dt
        Interval of the frames, s.

    Raises
    ------
    ConfigurationError
        If the library is not installed.
    """

    def __init__(self, config: RawFluorescence, dt: float) -> None:
        try:
            self._library: Any = importlib.import_module("oasis.functions")
        except ImportError as error:
            raise ConfigurationError(
                f"raw_fluorescence.policy is {config.policy!r} but the package {LIBRARY} is not installed; "
                "expected it for raw ΔF/F; install it with: pip install 'inception-loop[deconvolution]'"
            ) from error
        self._model: dict[str, Any] = {"b_nonneg": False}  # ΔF/F may lie below 0
        if config.tau is not None:
            self._model |= {"tau_d": config.tau, "framerate": 1 / dt}
        self._dt = dt
        self._tau: list[float] = []
        self._silent = 0

    def __call__(self, traces: Singles, unit_ids: npt.NDArray[np.int64]) -> Singles:
        """Deconvolve traces (U, F) without NaN; a unit whose trace never changes has no activity.

        Raises
        ------
        RecordingError
            If a trace cannot be deconvolved; it names the unit.
        """
        out = np.zeros_like(traces)
        for row, (trace, unit) in enumerate(zip(traces, unit_ids, strict=True)):
            if trace.min() == trace.max():
                self._silent += 1
                continue
            try:
                with np.errstate(all="ignore"):
                    found = self._library.deconvolve(trace.astype(np.float64), **self._model)
            except (ValueError, ArithmeticError) as error:
                raise _refusal(unit, str(error)) from error
            decay = float(np.ravel(found.g)[0])
            if not (np.isfinite(found.s).all() and 0 < decay < 1):
                raise _refusal(unit, f"a decay of {decay:.3g} a frame was found")
            self._tau.append(-self._dt / float(np.log(decay)))
            out[row] = np.maximum(found.s, 0)  # rounding leaves a few at -1e-16
        return out

    @property
    def findings(self) -> dict[str, Any]:
        """How many units, and the decays that were found (s), for the manifest."""
        tau = np.quantile(self._tau, [0.05, 0.5, 0.95]).tolist() if self._tau else [None] * 3
        return {
            "policy": "oasis",
            "library": f"{LIBRARY} {version(LIBRARY)}",
            "n_units": len(self._tau) + self._silent,
            "n_without_activity": self._silent,
            **dict(zip(("tau_s_5_percent", "tau_s_median", "tau_s_95_percent"), tau, strict=True)),
        }


def _refusal(unit: int, reason: str) -> RecordingError:
    return RecordingError(
        f"unit {unit} cannot be deconvolved ({' '.join(reason.split())}); expected a trace that decays after "
        "its events; give raw_fluorescence.tau, or leave the unit out"
    )
