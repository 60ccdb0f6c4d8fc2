"""A sound day of a simulated animal, and the same day spoilt in known ways."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl

from inception_loop.animals.session import NaturalSessionConfig, natural_session
from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.config import AreaRules, DatasetConfig, LayerRules, MissingData
from inception_loop.dataset.stage import make_dataset
from inception_loop.recordings.archive import RECORDING, save_recording
from inception_loop.recordings.recording import Recording, ScanKey, TrialResponses
from inception_loop.report.dataset_report import DatasetReportConfig, make_dataset_report

LAX = {
    "missing": MissingData(no_eye="omit", no_treadmill="omit", no_positions="keep"),
    "areas": AreaRules(otherwise="V1"),
    "layers": LayerRules(otherwise="unset"),
}


class SpoiltConfig(Config):
    """Which recording."""

    scan: ScanKey
    variant: str


def sound_day(n_units: int = 60, n_train: int = 1500, n_repeated: int = 12, repeats: int = 15) -> Recording:
    """Return a day on which everything went well, of which a third is enough to learn from."""
    session = NaturalSessionConfig(
        n_train=n_train, n_repeated=n_repeated, repeats=repeats, height=36, width=64
    )
    return SimulatedAnimal(SimulatedConfig(n_units=n_units)).record(natural_session(session), 0)[0]


def eye_lost(day: Recording, since: float = 0.4) -> Recording:
    """Lose the pupil for the last part of the session, as when the lamp fails."""
    eye = day.eye
    radius, x, y = (np.array(values) for values in (eye.pupil_radius, eye.center_x, eye.center_y))
    begin, end = day.activity.behavior_frame_times[[0, -1]]
    lost = eye.time > begin + since * (end - begin)
    for values in (radius, x, y):
        values[lost] = np.nan
    return replace(day, eye=replace(eye, pupil_radius=radius, center_x=x, center_y=y))


def with_traces(day: Recording, change: Callable[[np.ndarray], np.ndarray]) -> Recording:
    """Replace the traces (N, F)."""
    values = np.asarray(day.activity.values[:], np.float32)
    return replace(day, activity=replace(day.activity, values=change(values).astype(np.float32)))


def leaking(day: Recording, tau: float = 1.5) -> Recording:
    """Hand over the indicator's slow decay, s, as if it were deconvolved."""
    dt = float(np.median(np.diff(day.activity.frame_times)))
    keep = np.exp(-dt / tau)

    def smear(values: np.ndarray) -> np.ndarray:
        out = np.where(np.isnan(values), 0, values).astype(np.float64)
        for frame in range(1, out.shape[1]):
            out[:, frame] += keep * out[:, frame - 1]
        return out

    return with_traces(day, smear)


def slow_background(day: Recording, tau: float = 25.0) -> Recording:
    """Add to every unit a background of its own that changes over ``tau``, s, and leaks nothing."""
    dt = float(np.median(np.diff(day.activity.frame_times)))
    keep = np.exp(-dt / tau)
    rng = np.random.default_rng(0)

    def drown(values: np.ndarray) -> np.ndarray:
        fresh = rng.normal(size=values.shape)
        slow = np.empty(values.shape)
        slow[:, 0] = fresh[:, 0]
        for frame in range(1, values.shape[1]):
            slow[:, frame] = keep * slow[:, frame - 1] + (1 - keep**2) ** 0.5 * fresh[:, frame]
        return values + 0.5 * np.nanstd(values, axis=1, keepdims=True) * (slow + 4)

    return with_traces(day, drown)


def silent_and_drifting(day: Recording, left: float = 0.3) -> Recording:
    """Silence every other unit and let the rest fade to a part of what they were."""

    def fade(values: np.ndarray) -> np.ndarray:
        out = values * np.linspace(1, left, values.shape[1])
        out[::2] = 0
        return out

    return with_traces(day, fade)


def binned(day: Recording) -> Recording:
    """Hand over one value a trial and unit, each image once, and nothing else."""
    rng = np.random.default_rng(0)
    once = day.trials.unique("condition_hash", keep="first", maintain_order=True)
    missing = pl.lit(float("nan"))
    trials = once.with_columns(missing.alias(name) for name in ("clear_flip", "onset_flip", "offset_flip"))
    values = rng.gamma(0.5, 1.0, (trials.height, day.units.height)).astype(np.float32)
    places = [missing.alias(name) for name in ("px_x", "px_y", "um_x", "um_y", "um_z")]
    return replace(
        day,
        activity=TrialResponses(values),
        trials=trials,
        units=day.units.with_columns(places),
        eye=None,
        treadmill=None,
        calibration=None,
        stack_coordinates=day.stack_coordinates.clear(),
        excluded_trials=day.excluded_trials.clear(),
    )


SPOILT: dict[str, Callable[[Recording], Recording]] = {
    "sound": lambda day: day,
    "eye_lost": eye_lost,
    "leaking": leaking,
    "slow_background": slow_background,
    "silent_and_drifting": silent_and_drifting,
    "binned": binned,
}


def report_of(
    store: ArtifactStore, *days: Recording, variant: str = "", group_id: int = 0, **rules: object
) -> ArtifactRef:
    """Put recordings into a store, make their dataset and return its report."""
    refs = []
    for day in days:
        config = SpoiltConfig(scan=day.scan, variant=variant)
        refs.append(store.make(RECORDING, config, lambda attempt, day=day: save_recording(attempt, day)).ref)
    made = make_dataset(store, DatasetConfig(group_id=group_id, **LAX), refs)
    dataset = made["static_multi_dataset"][0].ref
    return make_dataset_report(store, DatasetReportConfig(group_id=group_id, **rules), dataset=dataset).ref
