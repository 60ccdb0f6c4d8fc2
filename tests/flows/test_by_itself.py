"""A rig's file arrives; a server and a worker find, import, compare and report it with nobody there."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tomli_w
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule

from inception_loop.animals.recorded import open_animal, stimulus_session
from inception_loop.animals.session import natural_session
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.closed_loop.unconcluded import unconcluded
from inception_loop.night_parameters import NightParameters
from inception_loop.recordings.hdf5 import write_hdf5
from inception_loop.stimuli.fills import MultiMeiFill
from inception_loop.stimuli.target_group import current_target, targets

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 280.0
EVERY_S = 5


class Lab:
    """A store with a finished loop, the folder that its rig writes into, and a server."""

    def __init__(self, root: Path, client: SyncPrefectClient, store: ArtifactStore) -> None:
        self.folder, self.client, self.store = root / "arrivals", client, store
        self.folder.mkdir()

    def fires(self, name: str) -> FlowRun:
        """Let a deployment's schedule fire every few seconds until a run has begun; return how it ended."""
        deployment = self.client.read_deployment_by_name(f"{name}/{name}").id
        often = DeploymentScheduleCreate(
            slug="often", schedule=IntervalSchedule(interval=EVERY_S), active=True
        )
        (made,) = self.client.create_deployment_schedules(deployment, [often])
        self.until(f"a run of {name}", lambda: [run for run in self.runs(name) if run.start_time])
        self.client.delete_deployment_schedule(deployment, made.id)
        return self.ended(name)

    def runs(self, name: str) -> list[FlowRun]:
        named = DeploymentFilter(name=DeploymentFilterName(any_=[name]))
        return sorted(
            self.client.read_flow_runs(deployment_filter=named), key=lambda run: run.expected_start_time
        )

    def ended(self, name: str) -> FlowRun:
        """Wait for the end of a deployment's first run."""

        def over() -> list[FlowRun]:
            return [run for run in self.runs(name)[:1] if run.state.is_final()]

        return self.until(f"the end of {name}", over)[0]

    def until(self, what: str, met):
        deadline = time.monotonic() + PATIENCE_S
        while not (found := met()):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.3)
        return found


@pytest.fixture
def lab(call, server, tiny, tiny_run, prefect_api, tmp_path, monkeypatch) -> Iterator[Lab]:
    """Everything is deployed with parameters of the lab's own, and a worker waits."""
    shutil.copytree(tiny_run[0].removeprefix("file://"), tmp_path / "store")
    store = open_store((tmp_path / "store").as_uri())
    monkeypatch.setenv("INCEPTION_LOOP_STORE", store.uri)
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PREFECT_WORKER_QUERY_SECONDS", "1")
    monkeypatch.setenv("PREFECT_WORKER_PREFETCH_SECONDS", "1")
    (tmp_path / "watch.toml").write_text(tomli_w.dumps({"folder": "/x", "settle_s": 0}))
    (tmp_path / "conclude.toml").write_text(tomli_w.dumps({"n_permutations": 99, "seed": 5}))
    (tmp_path / "night.toml").write_text(tomli_w.dumps(night_of(tiny.tiny_parameters())))
    found = Lab(tmp_path, server, store)
    words = ["deploy", "--watch", str(found.folder)]
    words += [f"--parameters={name}={tmp_path / name}.toml" for name in ("watch", "night", "conclude")]
    assert call(*words).status == 0
    with (tmp_path / "worker.log").open("wb") as log:
        start = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "local"]
        worker = subprocess.Popen(start, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield found
    finally:
        runs = psutil.Process(worker.pid).children(recursive=True)
        worker.kill()
        worker.wait()
        for run in runs:
            with contextlib.suppress(psutil.NoSuchProcess):
                run.kill()


def night_of(p) -> dict:
    """Return a night with the rules of the tiny loop, and as few images as make a loop."""
    rules = {name: getattr(p, name) for name in NightParameters.model_fields if hasattr(p, name)}
    rules["images"] = p.images.model_copy(update={"also": ("linear_rf",)})
    rules["stimulus"] = p.stimulus.model_copy(update={"fills": (MultiMeiFill(shifts=((0, 0),)),)})
    return NightParameters(**rules).model_dump(mode="json", exclude_none=True)


def test_what_arrives_is_concluded_or_has_its_images_in_the_morning(lab, tiny) -> None:
    p, store = tiny.tiny_parameters(), lab.store
    before = {listed.ref for listed in artifacts(store, "report")}
    session = stimulus_session(store, current_target(store, 0).stimulus_set, p.stimulus.session.shown_s)
    write_hdf5(open_animal(p.animal).record(session, 2)[0], lab.folder / "1-3-1.h5")
    other = p.animal.model_copy(update={"animal_id": 7, "seed": 5})
    write_hdf5(open_animal(other).record(natural_session(p.session), 0)[0], lab.folder / "7-1-1.h5")
    looked = lab.fires("watch")
    assert (looked.state_name, looked.created_by.type) == ("Completed", "SCHEDULE")
    (later,) = [one.ref for one in artifacts(store, "recording", "animal_id=1/session=3")]
    (first,) = [one.ref for one in artifacts(store, "recording", "animal_id=7")]

    concluded = lab.ended("conclude")
    assert (concluded.state_name, concluded.created_by.type) == ("Completed", "AUTOMATION")
    assert concluded.parameters == {"parameters": {"n_permutations": 99, "seed": 5}}
    assert unconcluded(store) == ((), ())
    (page,) = {listed.ref for listed in artifacts(store, "report")} - before
    shown = store.inputs(page)
    assert {str(ref) for ref in shown["recording"]} > {str(later)}
    assert len(store.inputs(shown["evidence"][0])["stimulus_sets"]) == 2  # this day and the one before
    assert store.manifest(shown["evidence"][0]).config["seed"] == 5

    assert targets(store, 7) == []
    night = lab.fires("night")
    assert (night.state_name, night.created_by.type) == ("Completed", "SCHEDULE")
    (target,) = targets(store, 7)
    assert store.inputs(target.stimulus_set)["recording"] == [first]
