"""Runs are called by what they do, and every flow that is deployed keeps its events and tells its end."""

import importlib
from pathlib import Path

import pytest
import yaml
from prefect import Flow, flow
from prefect.client.orchestration import get_client

from flows.telling.runs import begin_of_run, end_of_run, rename, watched
from inception_loop.artifacts.identity import Config
from inception_loop.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[3]
DEPLOYED = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["deployments"]


def flow_at(entrypoint: str) -> Flow:
    module, _, name = entrypoint.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("deployed", DEPLOYED, ids=lambda one: one["name"])
def test_every_deployed_flow_names_its_runs_and_tells_how_they_end(deployed) -> None:
    found = flow_at(deployed["entrypoint"])
    assert callable(found.flow_run_name)
    assert found.on_running_hooks == [begin_of_run]
    for hooks in (
        found.on_completion_hooks,
        found.on_failure_hooks,
        found.on_crashed_hooks,
        found.on_cancellation_hooks,
    ):
        assert hooks == [end_of_run]


class Named(Config):
    """What names a run."""

    number: int


def name_of(p: Named) -> str:
    if p.number < 0:
        raise ConfigurationError("number -1; expected none below 0; raise it")
    return f"number {p.number}"


@flow(name="named", **watched(name_of))
def named(parameters: Named) -> None:
    if parameters.number == 2:
        rename("two")


@pytest.mark.parametrize(("number", "called"), [(1, "number 1"), (2, "two"), (-1, "named")])
def test_a_run_is_named_after_its_parameters_and_never_fails_for_its_name(number, called) -> None:
    state = named(Named(number=number), return_state=True)
    assert state.is_completed()
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).name == called
