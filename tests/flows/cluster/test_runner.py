"""Where steps run is decided when a run starts; what is wrong with the setting is one line of that run."""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

import pytest
from prefect import flow, task
from prefect.context import FlowRunContext
from prefect.task_runners import ThreadPoolTaskRunner

from flows.cluster.dask import DaskRunner
from flows.cluster.runner import runner
from inception_loop.errors import ConfigurationError


@task
def where() -> str:
    return threading.current_thread().name


@flow(task_runner=runner())
def somewhere() -> tuple[Any, str]:
    context = FlowRunContext.get()
    assert context is not None
    return context.task_runner, where.submit().result()


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")


def test_a_run_has_the_threads_that_the_settings_name_as_it_starts(monkeypatch) -> None:
    for workers in (1, 3):
        monkeypatch.setenv("INCEPTION_LOOP_WORKERS", str(workers))
        found, thread = somewhere()
        assert isinstance(found, ThreadPoolTaskRunner)
        assert found._max_workers == workers
        assert thread != "MainThread"


def test_a_run_is_on_the_cluster_that_the_settings_name_as_it_starts(monkeypatch) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_CLUSTER", "local:3")
    found = somewhere.task_runner.duplicate()
    assert isinstance(found, DaskRunner)
    assert found.duplicate()._where == "local:3"
    with found:  # nothing is started before there is a step
        assert found._client is None
    monkeypatch.delenv("INCEPTION_LOOP_CLUSTER")
    assert isinstance(somewhere.task_runner.duplicate(), ThreadPoolTaskRunner)


def failed(expected: str) -> None:
    state = somewhere(return_state=True)
    assert state.is_failed()
    with pytest.raises(ConfigurationError, match=expected) as caught:
        state.result()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["local:0", "local", "dask", "tcp://host", "http://host:8786", "local:2 "])
def test_a_value_that_names_no_cluster_fails_the_run_in_one_line(monkeypatch, value) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_CLUSTER", value)
    failed(f"setting 'cluster' is '{value}': .*expected local:N with N ≥ 1, tcp://host:port .*correct INCEPT")


def test_without_the_extra_a_run_fails_in_one_line(monkeypatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "prefect_dask" else found(name, *more),
    )
    monkeypatch.setenv("INCEPTION_LOOP_CLUSTER", "local:2")
    failed(r"prefect-dask is not installed; .*pip install 'inception-loop\[cluster\]', or unset INCEPTION_")


def test_a_store_of_one_process_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_STORE", "memory://here")
    monkeypatch.setenv("INCEPTION_LOOP_CLUSTER", "local:2")
    failed("memory://here exists in one process only, and setting 'cluster' is 'local:2'; .*set INCEPTION")


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr("flows.cluster.connection.ANSWER_S", 0.5)
    monkeypatch.setenv("INCEPTION_LOOP_CLUSTER", "tcp://127.0.0.1:9")
    failed("'tcp://127.0.0.1:9': no scheduler answered there in 0 s; expected a running one; start it")


def test_a_step_belongs_into_a_run() -> None:
    with pytest.raises(RuntimeError, match="a step was submitted outside a run; expected a flow around it"):
        somewhere.task_runner.submit(where, {})
