"""A worker that cannot do what the run's process does is refused in one line that says why."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from distributed import KilledWorker

from flows.cluster import workers
from flows.cluster.dask import StepFuture
from flows.cluster.workers import facts, look, refuse_unlike
from inception_loop.artifacts.probing import PROBES
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import ConfigurationError, InceptionLoopError

HEAD = "tcp://head:8786"


@pytest.fixture
def store(tmp_path, monkeypatch) -> ArtifactStore:
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    return open_store()


class Scheduler:
    """Stands for one whose workers all look at what they are told to, each as ``seen`` changes it."""

    def __init__(self, **seen: Callable[[Any], Any]) -> None:
        self._seen = seen

    def run(self, function: Callable[..., Any], *words: Any, on_error: str) -> dict[str, Any]:
        assert on_error == "return"
        return {f"tcp://{name}:1": change(function(*words)) for name, change in self._seen.items()}


def as_it_is(found: Any) -> Any:
    return found


def refused(scheduler: Scheduler) -> str:
    with pytest.raises(ConfigurationError) as error:
        refuse_unlike(scheduler, HEAD)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_workers_like_the_run_are_taken_and_leave_no_trace(store, prefect_api) -> None:
    refuse_unlike(Scheduler(a=as_it_is, b=as_it_is), HEAD)
    assert [entry.key for entry in store.backend.walk(PROBES)] == []


def test_a_scheduler_without_workers_says_how_to_start_one(store) -> None:
    said = refused(Scheduler())
    assert said.startswith(
        f"the scheduler {HEAD} has no workers; expected one or more; start them: dask worker"
    )


def test_other_versions_and_what_is_not_installed_are_named(store, prefect_api) -> None:
    older = Scheduler(a=as_it_is, b=lambda found: ({**found[0], "torch": "1.0"}, found[1]))
    assert refused(older).startswith(
        f"worker tcp://b:1 of {HEAD} has torch 1.0; expected {facts()['torch']}, as this process"
    )
    lacking = Scheduler(a=lambda found: ModuleNotFoundError("No module named 'flows'"))
    assert "cannot run this project (ModuleNotFoundError: No module named 'flows')" in refused(lacking)


def test_another_store_is_refused_even_of_the_same_name(store, tmp_path, monkeypatch) -> None:
    assert look(store.uri, f"{PROBES}/not-written", None)[1].startswith(
        f"has a {store.uri} of its own, without"
    )
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/mine")
    assert look(store.uri, "", None)[1] == (
        f"works in the store file://{tmp_path}/mine; expected {store.uri} (its INCEPTION_LOOP_STORE)"
    )
    monkeypatch.setenv("INCEPTION_LOOP_THREADS", "many")
    assert "threads" in look(store.uri, "", None)[1]


def test_a_prefect_server_that_a_worker_does_not_reach_is_named(store, prefect_api) -> None:
    assert workers._unreached(prefect_api) == ""
    assert workers._unreached("http://127.0.0.1:9/api").startswith(
        "does not reach the run's Prefect server at http://127.0.0.1:9/api: "
    )


def test_workers_lost_again_and_again_with_one_step_are_one_line() -> None:
    def lost(timeout: float | None = None) -> None:
        raise KilledWorker("step", SimpleNamespace(address="tcp://a:1"), 3)

    step = StepFuture(wrapped_future=SimpleNamespace(result=lost), task_run_id=uuid4())
    with pytest.raises(
        InceptionLoopError, match=r"^4 workers were lost .* same step, the last tcp://a:1; exp"
    ):
        step.result()
