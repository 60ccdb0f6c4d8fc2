"""What the animal does besides looking: pupil, eye movements and running, and how cameras see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.recordings.recording import EyeTrace, TreadmillTrace

Floats = npt.NDArray[np.float64]


class BehaviorConfig(Config):
    """Statistics of pupil, eye and running, and of the devices that record them.

    Orders of magnitude as in awake head-fixed mice: pupil radius 2.2 s.d. above zero, running in bouts, pupil
    wider while running, pupil size correlated with the horizontal eye position.
    """

    eye_hz: float = Field(default=20.0, gt=0, description="Frames of the eye camera a second.")
    treadmill_hz: float = Field(default=20.0, gt=0, description="Samples of the treadmill a second.")
    pupil_mean: float = Field(default=22.0, gt=0, description="Median pupil radius, px of the eye camera.")
    pupil_spread: float = Field(default=0.42, gt=0, description="S.d. of the logarithm of the pupil radius.")
    pupil_tau_s: float = Field(default=8.0, gt=0, description="Time constant of the pupil, s.")
    pupil_running: float = Field(default=0.4, ge=0, le=1, description="Correlation of pupil and running.")
    pupil_gaze: float = Field(
        default=0.3, ge=-1, le=1, description="Correlation of pupil and horizontal gaze."
    )
    center: tuple[float, float] = Field(default=(160.0, 120.0), description="Mean pupil centre (x, y), px.")
    center_sd: tuple[float, float] = Field(
        default=(9.0, 5.0), description="S.d. of the pupil centre (x, y), px."
    )
    gaze_tau_s: float = Field(default=3.0, gt=0, description="Time constant of the gaze, s.")
    bout_every_s: float = Field(
        default=45.0, gt=0, description="Mean time from one running bout to the next, s."
    )
    bout_s: float = Field(default=9.0, gt=0, description="Mean length of a running bout, s.")
    bout_speed: float = Field(default=12.0, gt=0, description="Mean speed in a bout, cm/s.")
    camera_noise: float = Field(
        default=0.03, ge=0, description="S.d. of the tracking noise over that of the signal."
    )
    blinks_per_s: float = Field(default=0.06, ge=0, description="Gaps of 1-2 untracked samples, a second.")
    lost_per_s: float = Field(
        default=0.004, ge=0, description="Gaps of 0.5-1.2 s without tracking, a second."
    )


@dataclass(frozen=True)
class TrialBehavior:
    """True behaviour at the instants of the trials, filtered as the rule of the data set asks; each (T,).

    Attributes
    ----------
    pupil, center_x, center_y : px of the eye camera
    dpupil : px/s
    running : cm/s, not negative
    """

    pupil: Floats
    dpupil: Floats
    running: Floats
    center_x: Floats
    center_y: Floats

    def take(self, rows: npt.NDArray[np.int64]) -> TrialBehavior:
        """Return the behaviour of some trials, in the order given."""
        return TrialBehavior(
            self.pupil[rows], self.dpupil[rows], self.running[rows], self.center_x[rows], self.center_y[rows]
        )


@dataclass(frozen=True)
class Norms:
    """Mean and s.d. of trial behaviour over a long reference day: fixed numbers of the animal."""

    pupil: tuple[float, float]
    dpupil: tuple[float, float]
    running: tuple[float, float]
    center_x: tuple[float, float]
    center_y: tuple[float, float]


@dataclass(frozen=True)
class Behavior:
    """Behaviour of a day: the recorded traces (noisy, with gaps) and the truth at the trials."""

    eye: EyeTrace
    treadmill: TreadmillTrace
    trials: TrialBehavior


def simulate_behavior(
    config: BehaviorConfig,
    instants: Floats,
    start: float,
    stop: float,
    window_s: float,
    rng: np.random.Generator,
) -> Behavior:
    """Simulate behaviour from ``start`` to ``stop`` and read its true value at ``instants`` (s, one clock).

    Parameters
    ----------
    config : BehaviorConfig
    instants : (T,) float64, s
    start, stop : float
        First and last time that the devices record, s.
    window_s : float
        Half the length of the Hamming window of the reading, s (the ``duration`` of the preprocessing).
    rng : numpy Generator
    """
    eye_time = np.arange(start, stop, 1 / config.eye_hz)
    tread_time = np.arange(start, stop, 1 / config.treadmill_hz)
    speed = _bouts(tread_time, config, rng)
    slow_speed = scipy.ndimage.gaussian_filter1d(speed, config.treadmill_hz, mode="nearest")
    arousal = np.interp(eye_time, tread_time, slow_speed)
    pupil, x, y = _eye(config, arousal, len(eye_time), rng)
    trials = TrialBehavior(
        pupil=hamming_sample(eye_time, pupil, instants, window_s),
        dpupil=hamming_sample(eye_time, np.gradient(pupil, eye_time), instants, window_s),
        running=np.abs(hamming_sample(tread_time, speed, instants, window_s)),
        center_x=hamming_sample(eye_time, x, instants, window_s),
        center_y=hamming_sample(eye_time, y, instants, window_s),
    )
    eye = _camera(eye_time, pupil, x, y, config, rng)
    noisy = speed + rng.normal(0, 0.05, len(speed))
    return Behavior(eye, TreadmillTrace(tread_time, noisy), trials)


def hamming_sample(times: Floats, values: Floats, at: Floats, window_s: float) -> Floats:
    """Low-pass with a unit-sum Hamming window of ``2·floor(window_s/dt)+1`` samples, then interpolate.

    Parameters
    ----------
    times, values : (F,) float64
    at : (T,) float64
    window_s : float
        Half the length of the window, s.

    Examples
    --------
    >>> t = np.arange(0, 10, 0.1)
    >>> bool(np.isclose(hamming_sample(t, 3 * t, np.array([5.03]), 0.5)[0], 15.09))
    True
    """
    half = int(np.floor(window_s / float(np.median(np.diff(times))) + 1e-6))
    window = np.hamming(2 * half + 1) if half else np.ones(1)
    filtered = np.convolve(values, window / window.sum(), mode="same")
    sampled: Floats = np.interp(at, times, filtered)
    return sampled


@lru_cache(maxsize=8)
def reference_behavior(config: BehaviorConfig) -> tuple[TrialBehavior, Norms]:
    """Return 1,000 trials of behaviour over 5,000 s from a fixed seed, and their mean and s.d."""
    instants = np.arange(1000, dtype=np.float64) * 5.0 + 5.0
    day = simulate_behavior(config, instants, 0.0, 5015.0, 0.5, np.random.default_rng(20190512)).trials
    moments = {
        name: (float(np.mean(value)), max(float(np.std(value)), 1e-9)) for name, value in vars(day).items()
    }
    return day, Norms(**moments)


def _noise(n: int, tau_samples: float, rng: np.random.Generator) -> Floats:
    """Gaussian noise of mean 0 and s.d. 1 with an exponential memory, smoothed over a tenth of it."""
    from scipy.signal import lfilter  # heavy, and every command would pay for it

    keep = np.exp(-1 / tau_samples)
    warm = int(10 * tau_samples)
    walk = lfilter([np.sqrt(1 - keep**2)], [1, -keep], rng.standard_normal(n + warm))
    # the smoothing takes a share of the variance; divide by what is left of an infinite stretch
    width = tau_samples / 10
    lag = np.arange(-int(8 * width) - 1, int(8 * width) + 2)
    weights = np.exp(-(lag**2) / (4 * width**2))
    left = float((weights * keep ** np.abs(lag)).sum() / weights.sum())
    smooth: Floats = scipy.ndimage.gaussian_filter1d(walk, width, mode="nearest")[warm:] / np.sqrt(left)
    return smooth


def _bouts(time: Floats, config: BehaviorConfig, rng: np.random.Generator) -> Floats:
    hz = config.treadmill_hz
    speed = np.zeros(len(time))
    t = time[0] + rng.exponential(config.bout_every_s)
    while t < time[-1]:
        length = rng.gamma(3.0, config.bout_s / 3)
        a, b = np.searchsorted(time, [t, t + length])
        speed[a:b] = rng.gamma(6.0, config.bout_speed / 6)
        t += length + rng.exponential(config.bout_every_s)
    wobble = 1 + 0.15 * _noise(len(time), 0.8 * hz, rng)
    smooth: Floats = scipy.ndimage.gaussian_filter1d(speed, 0.4 * hz, mode="nearest") * wobble
    return smooth


def _eye(
    config: BehaviorConfig, arousal: Floats, n: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    aroused = (arousal - 2.0) / 4.5  # rough mean and s.d. of smoothed running; only the sign and size matter
    own = _noise(n, config.pupil_tau_s * config.eye_hz, rng)
    state = np.sqrt(1 - config.pupil_running**2) * own + config.pupil_running * aroused
    gaze = [_noise(n, config.gaze_tau_s * config.eye_hz, rng) for _ in range(2)]
    x = config.pupil_gaze * own + np.sqrt(1 - config.pupil_gaze**2) * gaze[0]
    pupil = config.pupil_mean * np.exp(config.pupil_spread * np.clip(state, -3, 2.5))
    return pupil, config.center[0] + config.center_sd[0] * x, config.center[1] + config.center_sd[1] * gaze[1]


def _camera(
    time: Floats, pupil: Floats, x: Floats, y: Floats, config: BehaviorConfig, rng: np.random.Generator
) -> EyeTrace:
    noise = config.camera_noise
    scales = (config.pupil_mean * config.pupil_spread, *config.center_sd)
    seen = [
        value + rng.normal(0, noise * scale, len(time)) if noise else value.copy()
        for value, scale in zip((pupil, x, y), scales, strict=True)
    ]
    lost = np.zeros(len(time), dtype=bool)
    total = len(time) / config.eye_hz
    for rate, shortest, longest in (
        (config.blinks_per_s, 1, 2),
        (config.lost_per_s, int(np.ceil(0.5 * config.eye_hz)), int(np.ceil(1.2 * config.eye_hz))),
    ):
        for _ in range(max(1, round(rate * total)) if rate else 0):
            a = int(rng.integers(len(time)))
            lost[a : a + int(rng.integers(shortest, longest + 1))] = True
    for value in seen:
        value[lost] = np.nan
    return EyeTrace(time, seen[0], seen[1], seen[2])
