"""Workers that populate one grid, killed at random: every model is trained once, to the undisturbed bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.upkeep import sweep, verify
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.stage import make_dataset
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.recordings.recording import ScanKey
from inception_loop.training.config import ModelConfig, TrainConfig
from inception_loop.training.grid import PartsGrid, fill
from inception_loop.training.populate import populate

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="owners are looked up in /proc"),
]
KILLS = {"short": 1, "long": 10}
SEEDS = {"short": (1, 2), "long": tuple(range(8))}
WORKERS = 2
PATIENCE_S = 300.0
WORKER = Path(__file__).with_name("populating.py")


class Worker:
    """One process that populates, and what it says."""

    def __init__(self, folder: Path, words: list[str], number: int) -> None:
        self.log = folder / f"worker-{number}.log"
        self.out = folder / f"worker-{number}.json"
        # A lease of a killed worker that had to time out would outlast the test.
        environment = {**os.environ, "INCEPTION_LOOP_LEASE_TTL_S": "7200", "OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as log, self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(WORKER), *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=environment,
            )

    @property
    def at_work(self) -> bool:
        """Whether it lives and has got beyond its imports."""
        return self.process.poll() is None and "at work" in self.log.read_text()

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it, which it can do nothing about."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ArtifactRef]:
    """A store with a tiny dataset."""
    folder = tmp_path_factory.mktemp("populate") / "day"
    store = open_store(str(folder))
    config = AnimalDayConfig(
        scan=ScanKey(animal_id=1, session=1, scan_idx=1),
        animal=SimulatedConfig(n_units=30),
        session=NaturalSessionConfig(n_train=120, n_repeated=5, repeats=5),
    )
    recording, _ = make_recorded_day(store, config)
    made = make_dataset(store, DatasetConfig(group_id=0), [recording.ref])
    return folder, made["static_multi_dataset"][0].ref


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start workers; whatever still runs at the end of the test is ended."""
    started: list[Worker] = []

    def start(*words: str) -> Worker:
        started.append(Worker(tmp_path, list(words), len(started)))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()


def candidates(seeds: tuple[int, ...]) -> list[ModelConfig]:
    """Return two networks, a nonlinear and a linear one, with every seed."""
    shape = {"hidden_channels": (2,), "input_kern": (9,), "hidden_kern": (3,), "layers": (2,)}
    return PartsGrid(
        cores=(*fill(GaussianLaplace, shape), *fill(StackedLinearGaussianLaplace, shape)),
        readouts=(SpatialTransformerPyramid2d(scale_n=1, downsample=False),),
        trains=(TrainConfig(learning_rates=(0.01, 0.005), stage_epochs=(3, 2), patience=5),),
        seeds=seeds,
    ).models(0)


def manifests(store: Path) -> dict[str, dict]:
    """Return the manifests of the models by digest."""
    found = (json.loads(path.read_text()) for path in store.glob("model/**/manifest.json"))
    return {manifest["digest"]: manifest for manifest in found}


def payloads(store: Path) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of every model's payloads."""
    return {
        digest: {name: payload["sha256"] for name, payload in manifest["payloads"].items()}
        for digest, manifest in manifests(store).items()
    }


def attempts(store: Path) -> dict[str, set[str]]:
    """Return the attempt folders of every model."""
    files = (path for path in store.glob("model/*/*/*/*") if path.is_file())
    found: dict[str, set[str]] = {}
    for path in files:
        found.setdefault(path.parents[1].name, set()).add(path.parent.name)
    return found


def unfinished(store: Path) -> int:
    """Return how many models somebody works on."""
    owners = store.glob("_leases/model/*/*.owner")
    return sum(not path.with_suffix(".done").exists() for path in owners)


def wait_until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.03)


def test_killed_at_random_workers_train_every_model_once_to_the_undisturbed_bytes(
    request, tmp_path, day, workers, told
) -> None:
    campaign = request.config.getoption("--campaign")
    kills, models = KILLS[campaign], candidates(SEEDS[campaign])
    undisturbed, store = (Path(shutil.copytree(day[0], tmp_path / name)) for name in ("calm", "store"))
    calm = open_store(str(undisturbed))
    began = time.monotonic()
    populate(
        calm,
        models,
        dataset=day[1].model_copy(update={"uri": day[1].uri.replace(str(day[0]), str(undisturbed))}),
    )
    once = time.monotonic() - began
    plan = tmp_path / "models.json"
    plan.write_text(json.dumps([model.model_dump(mode="json") for model in models]))
    words = (f"file://{store}", f"static_multi_dataset/{day[1].digest[:16]}", str(plan))

    rng = random.Random(f"{campaign} campaign")
    moments = sorted(rng.uniform(0, len(models) / 2) for _ in range(kills))
    crew = [workers(*words) for _ in range(WORKERS)]
    wait_until(lambda: all(worker.at_work for worker in crew), "all are at work")
    killed_at = []
    for moment in moments:
        wait_until(lambda moment=moment: len(manifests(store)) >= int(moment), "enough models are trained")
        time.sleep(rng.uniform(0, once / len(models)))
        victim = rng.randrange(WORKERS)
        assert crew[victim].process.poll() is None  # there is work left
        crew[victim].kill()
        killed_at.append(len(manifests(store)))
        # A new worker imports for longer than a model takes: meanwhile the others stand still, so that there
        # is work left to be killed in.
        others = [worker for worker in crew if worker is not crew[victim]]
        for worker in others:
            worker.signal(signal.SIGSTOP)
        crew[victim] = workers(*words)
        wait_until(lambda victim=victim: crew[victim].at_work, "the new one is at work")
        for worker in others:
            worker.signal(signal.SIGCONT)
    for worker in crew:
        assert worker.process.wait(PATIENCE_S) == 0, worker.log.read_text()

    found = manifests(store)
    assert len(found) == len(models)
    assert payloads(store) == payloads(undisturbed)  # weights and histories, bit for bit
    lost = sum(manifest["lease_generation"] - 1 for manifest in found.values())
    assert lost <= kills  # whoever died had reserved one model, and nobody else gave one up
    assert not any("another was first" in path.read_text() for path in tmp_path.glob("worker-*.log"))
    left_behind = sum(len(folders) for folders in attempts(store).values()) - len(found)
    assert left_behind <= kills
    for worker in crew:
        done = json.loads(worker.out.read_text())
        assert done["computed"] + done["cached"] == len(models)
    told(
        f"{len(models)} models in {once:.1f} s; killed when {killed_at} were trained, {lost} in the middle "
        f"of a training; {time.monotonic() - began:.0f} s"
    )
    opened = open_store(str(store))
    assert verify(opened).sound
    sweep(opened, older_than_s=-60)
    assert attempts(store) == {digest: {manifest["attempt"]} for digest, manifest in found.items()}
    assert unfinished(store) == 0
    assert payloads(store) == payloads(undisturbed)
