"""What Prefect deploys exists, imports, and has a form to fill in."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from prefect import Flow
from prefect.utilities.callables import parameter_schema

from flows.run_stage import STAGES

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS = {
    one["name"]: one
    for one in yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["deployments"]
}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_an_entry_point_is_a_flow_with_a_schema_of_its_parameters(name) -> None:
    module, _, function = DEPLOYMENTS[name]["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), function)
    assert isinstance(flow, Flow)
    assert flow.name == name
    schema = parameter_schema(flow).model_dump_for_openapi()
    assert schema["required"] == ["parameters"]
    (definition,) = [schema["definitions"][schema["properties"]["parameters"]["$ref"].rpartition("/")[2]]]
    assert definition["properties"]


def test_every_stage_of_the_command_line_is_deployed() -> None:
    deployed = {DEPLOYMENTS[name]["entrypoint"].rpartition(".")[2] for name in DEPLOYMENTS}
    assert deployed == {flow.fn.__name__ for flow, _ in STAGES.values()}


def test_every_entry_point_loads_as_a_worker_loads_it() -> None:
    """A worker starts from nothing, with the folder of the script first on the import path."""
    entries = [one["entrypoint"] for one in DEPLOYMENTS.values()]
    code = "\n".join(
        [
            "from prefect.flows import load_flow_from_entrypoint",
            *(f"load_flow_from_entrypoint({entry!r})" for entry in entries),
        ]
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
