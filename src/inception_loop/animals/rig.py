"""The rig around an animal: clocks, trials, deconvolved traces, calibration; the same for every animal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from inception_loop.animals.behavior import Behavior, BehaviorConfig, hamming_sample, simulate_behavior
from inception_loop.animals.session import Session
from inception_loop.artifacts.identity import Config
from inception_loop.recordings.recording import Calibration

Floats = npt.NDArray[np.float64]
FLIP_S = 1 / 60
LEAD_S = 3.0  # recorded before the first and after the last trial


class RigConfig(Config):
    """Clocks and faults of the rig.

    The activity of a trial is a short pulse around the instant at which the preprocessing rule samples it
    (onset + ``response_offset_s`` + half the shown time), so that the filtered trace there equals the trial's
    response and no pulse reaches into a neighbour's window.
    """

    frame_hz: float = Field(default=10.2, ge=6, le=60, description="Imaging frames a second.")
    gap_s: tuple[float, float] = Field(default=(0.3, 0.5), description="Shortest and longest blank gap, s.")
    response_offset_s: float = Field(default=0.05, ge=0, description="Delay of the response window, s.")
    pulse_s: float = Field(default=0.2, gt=0, le=0.3, description="Half the length of a response's pulse, s.")
    stimulus_clock_s: float = Field(default=12.3, description="Stimulus clock at the first frame, s.")
    behavior_clock_s: float = Field(default=841.7, description="Behaviour clock at the first frame, s.")
    drift: float = Field(default=3e-5, description="Gain of the behaviour clock over the stimulus clock.")
    dropped_frames: int = Field(
        default=1, ge=0, description="Frames lost between trials: NaN in all traces, to be interpolated."
    )
    dropped_in_pulses: int = Field(
        default=0,
        ge=0,
        description="Frames lost while the animal responds; interpolating them costs a little.",
    )
    cut_frame: bool = Field(
        default=True, description="Whether the last frame has no time (the scan stopped during it)."
    )
    excluded_trials: int = Field(
        default=1, ge=0, description="Trials spoilt by movement of the brain and excluded with that reason."
    )
    gamma: float = Field(default=2.1, gt=0, description="Exponent of the monitor.")
    luminance: tuple[float, float] = Field(
        default=(0.15, 24.0), description="Luminance of black and white, cd/m²."
    )
    luminance_noise: float = Field(default=0.01, ge=0, description="Relative s.d. of the luminance meter.")


@dataclass(frozen=True)
class Timeline:
    """Clocks of one scan. Times in s; ``instants`` (T,) is when each trial's response is read.

    ``frame_times``, ``clear``, ``onset``, ``offset``, ``instants`` are on the stimulus clock.
    """

    frame_times: Floats
    clear: Floats
    onset: Floats
    offset: Floats
    instants: Floats
    shown_s: float
    stimulus_clock_s: float
    behavior_clock_s: float
    drift: float

    def to_behavior(self, stimulus_time: Floats) -> Floats:
        """Read the behaviour clock at times of the stimulus clock, s."""
        return self.behavior_clock_s + (stimulus_time - self.stimulus_clock_s) * (1 + self.drift)


def schedule(session: Session, config: RigConfig, rng: np.random.Generator) -> Timeline:
    """Lay out the trials of a session in time, flips on the monitor's refreshes."""
    t = len(session.order)
    gap = np.round(rng.uniform(*config.gap_s, t) / FLIP_S) * FLIP_S
    shown = round(session.shown_s / FLIP_S) * FLIP_S
    onset = config.stimulus_clock_s + LEAD_S + np.cumsum(gap) + shown * np.arange(t)
    stop = onset[-1] + shown + LEAD_S
    frames = int((stop - config.stimulus_clock_s) * config.frame_hz)
    return Timeline(
        frame_times=config.stimulus_clock_s + np.arange(frames) / config.frame_hz,
        clear=onset - gap,
        onset=onset,
        offset=onset + shown,
        instants=onset + config.response_offset_s + session.shown_s / 2,
        shown_s=session.shown_s,
        stimulus_clock_s=config.stimulus_clock_s,
        behavior_clock_s=config.behavior_clock_s,
        drift=config.drift,
    )


def watch(timeline: Timeline, config: BehaviorConfig, rng: np.random.Generator) -> Behavior:
    """Simulate the behaviour of a scan on the behaviour clock."""
    ends = timeline.to_behavior(timeline.frame_times[[0, -1]])
    instants = timeline.to_behavior(timeline.instants)
    return simulate_behavior(config, instants, ends[0] - 1.0, ends[1] + 1.0, timeline.shown_s, rng)


def traces(
    responses: npt.NDArray[np.float32],
    delay_s: Floats,
    timeline: Timeline,
    config: RigConfig,
    rng: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """Turn responses into deconvolved traces that give them back under the preprocessing rule.

    Parameters
    ----------
    responses : (T, M) float32
    delay_s : (M,) float64
        How much later than the frame time the scanner reaches each mask, s.
    timeline, config, rng

    Returns
    -------
    (M, F) float32, or (M, F + 1) with ``cut_frame``.
    """
    times = timeline.frame_times
    out = np.zeros((responses.shape[1], len(times) + config.cut_frame), dtype=np.float32)
    scale = 1 / pulse_reading(timeline, config)
    latest = float(delay_s.max(initial=0))
    first = np.searchsorted(times, timeline.instants - config.pulse_s - latest)
    last = np.searchsorted(times, timeline.instants + config.pulse_s)
    for k, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        at = times[a:b] + delay_s[:, None] - timeline.instants[k]
        out[:, a:b] += responses[k][:, None] * (scale * pulse(at, config.pulse_s)).astype(np.float32)
    # a frame and both its neighbours are silent, so that interpolating over it changes no response
    quiet = np.flatnonzero(_away(times, timeline.instants) > config.pulse_s + latest + 1.01 / config.frame_hz)
    loud = np.flatnonzero(_away(times, timeline.instants) < config.pulse_s)
    for candidates, wanted in ((quiet, config.dropped_frames), (loud, config.dropped_in_pulses)):
        if wanted and len(candidates):
            lost = rng.choice(candidates, size=min(wanted, len(candidates)), replace=False)
            out[:, lost] = np.nan
    return out


def pulse(at: Floats, half: float) -> Floats:
    """Return a raised cosine of height 1 at 0 that ends at ±``half`` (s)."""
    return np.where(np.abs(at) < half, 0.5 + 0.5 * np.cos(np.pi * at / half), 0.0)


def pulse_reading(timeline: Timeline, config: RigConfig) -> float:
    """Return what the preprocessing rule reads at the centre of a pulse of height 1, mean over its phase."""
    dt = 1 / config.frame_hz
    around = np.arange(-40, 41, dtype=np.float64) * dt
    phases = (np.arange(50) + 0.5) / 50 * dt
    read = [
        hamming_sample(around, pulse(around - phase, config.pulse_s), np.array([phase]), timeline.shown_s)[0]
        for phase in phases
    ]
    return float(np.mean(read))


def _away(times: Floats, instants: Floats) -> Floats:
    """Distance of each time from the nearest instant, s."""
    right = np.clip(np.searchsorted(instants, times), 0, len(instants) - 1)
    left = np.maximum(right - 1, 0)
    return np.minimum(np.abs(instants[left] - times), np.abs(instants[right] - times))


def trial_table(timeline: Timeline, hashes: list[str]) -> pl.DataFrame:
    """Return the table of trials; ``trial_idx`` counts from 0 in the order of presentation."""
    return pl.DataFrame(
        {
            "trial_idx": np.arange(len(hashes)),
            "condition_hash": hashes,
            "clear_flip": timeline.clear,
            "onset_flip": timeline.onset,
            "offset_flip": timeline.offset,
        }
    )


def excluded(session: Session, config: RigConfig, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw the trials that a movement spoils, among those whose image is shown once where there are any."""
    count = np.bincount(session.order, minlength=session.conditions.height)[session.order]
    candidates = np.flatnonzero(count == count.min())
    return np.sort(
        rng.choice(candidates, size=min(config.excluded_trials, len(candidates) - 1), replace=False)
    )


def calibrate(config: RigConfig, day: int, rng: np.random.Generator) -> Calibration:
    """Measure the monitor at 80 grey levels."""
    pixel = np.linspace(0, 255, 80)
    black, white = config.luminance
    luminance = black + (white - black) * (pixel / 255) ** config.gamma
    luminance = luminance * (1 + rng.normal(0, config.luminance_noise, len(pixel)))
    stamp = np.datetime64("2019-03-04T09:30:00") + np.timedelta64(day, "D")
    return Calibration(pixel, luminance, str(stamp))
