"""Parameters that stand on the server: merged with what is said, and never deployed where they do not fit."""

from __future__ import annotations

import json
from functools import partial

import anyio
import pytest
import tomli_w
import yaml
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.workers.process import ProcessJobConfiguration

USAGE = 2


@pytest.fixture
def planted(server):
    """Function that gives a deployment parameters that an older version took."""

    def planted(name: str, parameters: dict) -> None:
        given = DeploymentUpdate(parameters={"parameters": parameters}, enforce_parameter_schema=False)
        server.update_deployment(server.read_deployment_by_name(name).id, given)

    return planted


@pytest.fixture
def refused(deployed, call, server):
    """Function that deploys, expects one line, and finds everything as it was."""
    deployed("--watch", "s3://recordings/rig-1")

    def refused(*words: str) -> str:
        before = [one.model_dump() for one in server.read_deployments(limit=100)]
        answer = call("deploy", *words, "--pool", "docker")  # which would change every deployment
        assert (answer.status, answer.out, answer.err.count("\n")) == (USAGE, "", 1)
        assert [one.model_dump() for one in server.read_deployments(limit=100)] == before
        assert "docker-cpu" not in {pool.name for pool in server.read_work_pools()}
        return str(answer.err)

    return refused


def test_a_folder_replaces_the_folder_and_a_file_everything(deployed, server, tmp_path) -> None:
    def standing():
        return server.read_deployment_by_name("watch/watch").parameters["parameters"]

    file = tmp_path / "watch.toml"
    file.write_text(
        tomli_w.dumps({"folder": "/a", "pattern": "m{animal_id}_{session}_{scan_idx}", "settle_s": 5.0})
    )
    given = deployed("--parameters", f"watch={file}")
    assert given["schedule watch/watch every-few-minutes"] == "created"
    assert server.read_deployment_by_name("watch/watch").schedules[0].active  # a folder has been said
    deployed("--watch", "/b")
    assert standing() == {"folder": "/b", "pattern": "m{animal_id}_{session}_{scan_idx}", "settle_s": 5.0}
    file.write_text(tomli_w.dumps({"folder": "/a", "settle_s": 7.0}))
    deployed("--watch", "/c", "--parameters", f"watch={file}")
    assert standing() == {"folder": "/c", "settle_s": 7.0}


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("watch/watch", {"folder": "/a", "gone": 1}, "unknown key 'gone'"),
        ("watch/watch", {"settle_s": 1.0}, "folder is missing"),
        ("night/night", {"grid": {"type": "was_once"}}, "was_once"),
        ("inception-loop/inception-loop", {"n_networks": "many"}, "n_networks"),
    ],
)
def test_what_an_older_version_took_is_said_before_anything_is_deployed(
    deployed, planted, refused, server, name, parameters, words
) -> None:
    deployed("--watch", "s3://recordings/rig-1")
    before = server.read_deployment_by_name(name).parameters["parameters"] if "loop" not in name else {}
    planted(name, parameters)
    line = refused()
    assert f"the parameters that deployment {name} has on the server do not fit its flow: " in line
    assert words in line
    assert f"inception-loop deploy --parameters {name.partition('/')[2]}=FILE.toml" in line
    planted(name, before)


def test_a_form_that_a_person_has_still_to_fill_in_is_no_fault(deployed, planted, changes) -> None:
    deployed()
    planted("ingest/ingest", {"recordings": ["recording/0123abcd"]})
    planted("dataset/dataset", {"config": {"group_id": 3}})
    assert set(changes(deployed()).values()) <= {"changed"}  # the form is enforced again
    assert changes(deployed()) == {}


def test_a_key_in_an_address_is_refused_and_not_repeated(planted, refused, deployed, tmp_path) -> None:
    deployed("--watch", "s3://recordings/rig-1")
    planted("watch/watch", {"folder": "s3://KEY:hush@bucket"})
    line = refused()
    assert "folder holds credentials; expected none in it" in line
    assert "hush" not in line + refused("--watch", "s3://KEY:hush@bucket")
    file = tmp_path / "import.toml"
    file.write_text(tomli_w.dumps({"path": "https://me:hush@host/17-1-2.nwb"}))
    line = refused("--parameters", f"import={file}")
    assert "ImportParameters: path holds credentials" in line
    assert "hush" not in line
    deployed("--watch", "s3://recordings/rig-1")


def test_the_environment_of_a_deployment_reaches_its_runs(deployed, server, folder) -> None:
    said = yaml.safe_load((folder / "prefect.yaml").read_text())
    night = next(one for one in said["deployments"] if one["name"] == "night")
    night["work_pool"] |= {"job_variables": {"env": {"INCEPTION_LOOP_CLUSTER": "tcp://head:8786"}}}
    (folder / "prefect.yaml").write_text(yaml.safe_dump(said))
    deployed("--deployments", folder)
    pool = server.read_work_pool("local")

    def environment(name: str) -> dict:
        """What the worker would start a run with."""
        variables = server.read_deployment_by_name(name).job_variables
        make = partial(ProcessJobConfiguration.from_template_and_values, pool.base_job_template, variables)
        return anyio.run(make).env

    assert environment("night/night")["INCEPTION_LOOP_CLUSTER"] == "tcp://head:8786"
    assert environment("night/night")["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert "INCEPTION_LOOP_CLUSTER" not in environment("watch/watch")


def test_a_key_in_an_environment_is_refused(refused, folder) -> None:
    said = yaml.safe_load((folder / "prefect.yaml").read_text())
    environment = {"INCEPTION_LOOP_CLUSTER": "tls://me:hush@head:8786"}
    said["deployments"][0]["work_pool"] |= {"job_variables": {"env": environment}}
    (folder / "prefect.yaml").write_text(json.dumps(said))
    line = refused("--deployments", str(folder))
    assert "job variables of watch: env.INCEPTION_LOOP_CLUSTER holds credentials" in line
    assert "hush" not in line
