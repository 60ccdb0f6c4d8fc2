"""A small simulated animal and a day of it, shared by the tests of this room."""

import numpy as np
import pytest

from inception_loop.animals.session import NaturalSessionConfig, natural_session
from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig


@pytest.fixture(scope="session")
def animal():
    """80 cells."""
    return SimulatedAnimal(SimulatedConfig(n_units=80, seed=4))


@pytest.fixture(scope="session")
def session():
    """400 images once, 20 images 8 times."""
    return natural_session(NaturalSessionConfig(n_train=400, n_repeated=20, repeats=8, seed=4))


@pytest.fixture(scope="session")
def day(animal, session):
    """Recording and truth of the first day."""
    return animal.record(session, 0)


def slow_sample(times, values, at, duration):
    """Filter and interpolate one trace by the rule, in plain loops over trials; NaNs filled linearly."""
    values = np.array(values, dtype=float)
    bad = np.isnan(values)
    values[bad] = np.interp(times[bad], times[~bad], values[~bad])
    half = int(duration / np.median(np.diff(times)) + 1e-6)
    weight = [0.54 - 0.46 * np.cos(2 * np.pi * i / (2 * half)) for i in range(2 * half + 1)]
    filtered = np.full(len(values), np.nan)
    for f in range(half, len(values) - half):
        filtered[f] = sum(w * values[f + i - half] for i, w in enumerate(weight)) / sum(weight)
    out = np.empty(len(at))
    for k, t in enumerate(at):
        f = int(np.searchsorted(times, t)) - 1
        share = (t - times[f]) / (times[f + 1] - times[f])
        out[k] = (1 - share) * filtered[f] + share * filtered[f + 1]
    return out


@pytest.fixture(scope="session")
def sample():
    """The slow, obvious reading of one trace."""
    return slow_sample


@pytest.fixture(scope="session")
def responses(day):
    """(T, N) responses of the somata read from the first day's traces, ascending unit id."""
    recording, _ = day
    clock = recording.activity.frame_times
    at = recording.trials["onset_flip"].to_numpy() + 0.05 + 0.25
    somata = recording.units.with_row_index("row").filter(mask_type="soma").sort("unit_id")
    return np.stack(
        [
            slow_sample(
                clock + unit["ms_delay"] / 1000, recording.activity.values[unit["row"], : len(clock)], at, 0.5
            )
            for unit in somata.iter_rows(named=True)
        ],
        axis=1,
    )


def small_twin(form):
    """Members of a small network of the twin's form: 6 channels, 12 cells."""
    rng = np.random.default_rng(9)
    channels, cells, inputs = 6, 12, {"image": 1, "behavior": 4}[form]

    def normal(*shape, scale=1.0):
        return (scale * rng.normal(size=shape)).astype(np.float32)

    members = {"conv0": normal(channels, inputs, 9, 9, scale=0.1)}
    for layer in range(4):
        members[f"scale{layer}"] = 1 + normal(channels, scale=0.2)
        members[f"shift{layer}"] = normal(channels, scale=0.2)
        if layer:
            members[f"mix{layer}a"] = normal(channels, channels, scale=0.5)
            members[f"depth{layer}"] = normal(channels, 5, 5, scale=0.15)
            members[f"mix{layer}b"] = normal(channels, channels, scale=0.5)
    members["pos"] = rng.uniform(-0.8, 0.8, (cells, 2)).astype(np.float32)
    members["cortex_xy"] = rng.uniform(-1, 1, (cells, 2)).astype(np.float32)
    members["feat"] = normal(cells, channels, scale=0.5)
    members["bias"] = normal(cells, scale=0.3) - 0.5
    if form == "behavior":
        for layer, (after, before) in enumerate([(5, 2), (5, 5), (2, 5)]):
            members[f"shift_w{layer}"] = normal(after, before, scale=0.3)
            members[f"shift_b{layer}"] = normal(after, scale=0.1)
    return members


@pytest.fixture
def twin_file(tmp_path):
    """Write a small twin, with members replaced or (None) left out; return its path and members."""

    def write(form, **changes):
        members = {k: v for k, v in (small_twin(form) | changes).items() if v is not None}
        path = tmp_path / f"{form}.npz"
        np.savez(path, session=np.array("test"), **members)
        return path, members

    return write
