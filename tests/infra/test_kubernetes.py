"""Job templates and manifests for Kubernetes against Kubernetes' own schemas; there is no cluster here."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import uuid
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect_kubernetes import KubernetesWorker
from prefect_kubernetes.settings import KubernetesSettings
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "kubernetes"
KINDS = ["cpu", "gpu"]


def template(kind: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{kind}.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_that_of_the_installed_prefect_with_our_changes(kind) -> None:
    spec = importlib.util.spec_from_file_location("make_templates", FOLDER / "make_templates.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (FOLDER / f"{kind}.json").read_text()
    assert written == module.text(kind), "run `python infra/kubernetes/make_templates.py`"


async def manifest(kind: str, **variables: Any) -> dict[str, Any]:
    """Return the job that a worker would send to a cluster; nothing in it is looked up at a server."""
    given = template(kind)
    configuration = await KubernetesWorkerJobConfiguration.from_template_and_values(
        base_job_template=given, values=variables, client=AsyncMock()
    )
    run = FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="night", state=None)
    with temporary_settings(
        {PREFECT_API_URL: "http://prefect:4200/api", PREFECT_API_AUTH_STRING: "admin:planted-secret"}
    ):
        configuration.prepare_for_flow_run(run)
        configured = KubernetesSettings().worker
        await KubernetesWorker("kubernetes")._replace_env_variable_with_secret(
            env_variable_name="PREFECT_API_AUTH_STRING",
            configuration=configuration,
            secret_name=configured.api_auth_string_secret_name,
            secret_key=configured.api_auth_string_secret_key,
        )
    return configuration.job_manifest


def made(kind: str, monkeypatch: pytest.MonkeyPatch, **variables: Any) -> dict[str, Any]:
    # As infra/kubernetes/worker.yaml sets it.
    for name, value in worker_environment().items():
        monkeypatch.setenv(name, value)
    return asyncio.run(manifest(kind, **variables))


def worker_environment() -> dict[str, str]:
    container, *_ = (worker["spec"]["template"]["spec"]["containers"][0] for worker in workers())
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def workers() -> list[dict[str, Any]]:
    return [one for one in manifests() if one["kind"] == "Deployment"]


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / "worker.yaml").read_text()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_job_of_a_run_is_one_that_kubernetes_takes(kind, monkeypatch) -> None:
    job = made(kind, monkeypatch)
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["volumeMounts"] == [{"name": "scratch", "mountPath": "/tmp"}]
    assert container["envFrom"] == [{"secretRef": {"name": "inception-loop"}}]
    limits = container["resources"]["limits"]
    assert limits["memory"] == {"cpu": "16Gi", "gpu": "64Gi"}[kind]
    assert limits.get("nvidia.com/gpu") == {"cpu": None, "gpu": 1}[kind]
    hours = job["spec"]["activeDeadlineSeconds"] / 3600
    assert hours == {"cpu": 24, "gpu": 72}[kind]  # a night of 16.5 h, and its wait for a GPU
    assert {"name": "PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "value": "30"} in container["env"]
    assert "planted-secret" not in json.dumps(job)
    reference = {"secretKeyRef": {"name": "inception-loop", "key": "PREFECT_API_AUTH_STRING"}}
    assert {"name": "PREFECT_API_AUTH_STRING", "valueFrom": reference} in container["env"]


def test_a_deployment_can_ask_for_more(monkeypatch) -> None:
    job = made("gpu", monkeypatch, gpus=4, memory_limit="256Gi", image="registry/loop:2", secret="other")
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "8", "memory": "256Gi", "nvidia.com/gpu": 4}
    assert container["image"] == "registry/loop:2"
    assert container["envFrom"] == [{"secretRef": {"name": "other"}}]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_takes_the_template(kind) -> None:
    """The server checks a deployment's variables against their schema."""
    variables = template(kind)["variables"]
    Draft202012Validator.check_schema(variables)
    checker = Draft202012Validator(variables)
    assert checker.is_valid({"memory_limit": "8Gi"})
    assert not checker.is_valid({"memory_limit": 8})
    default = KubernetesWorker.get_default_base_job_template()["variables"]["properties"]
    assert set(default) <= set(variables["properties"])


@pytest.mark.parametrize("version", [kubernetes_validate.latest_version(), "1.30"])
def test_the_manifests_of_the_worker_are_such_that_kubernetes_takes(version) -> None:
    for one in manifests():
        kubernetes_validate.validate(one, version, strict=True)
        assert one["metadata"]["namespace"] == "inception-loop"


def test_every_pool_has_a_worker_and_the_workers_differ_in_nothing_else() -> None:
    place = yaml.safe_load((FOLDER.parents[1] / "deployments" / "pools.yaml").read_text())["kubernetes"]
    served, rest = [], []
    for worker in workers():
        (container,) = worker["spec"]["template"]["spec"]["containers"]
        pool = container["args"][container["args"].index("--pool") + 1]
        served.append(pool)
        name = worker["metadata"]["name"]
        assert worker["spec"]["selector"]["matchLabels"] == worker["spec"]["template"]["metadata"]["labels"]
        rest.append(json.dumps(worker).replace(pool, "POOL").replace(name, "NAME"))
    assert sorted(served) == sorted(pool["name"] for pool in place)
    assert len(set(rest)) == 1


def test_an_unknown_field_is_found() -> None:
    deployment, *_ = workers()
    deployment["spec"]["template"]["spec"]["containers"][0]["imaeg"] = "typo"
    with pytest.raises(kubernetes_validate.ValidationError, match="imaeg"):
        kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)


def test_the_worker_has_no_rights_but_those_over_jobs_of_its_namespace() -> None:
    rules = [rule for one in manifests() if one["kind"] == "Role" for rule in one["rules"]]
    assert {resource for rule in rules for resource in rule["resources"]} == {
        "jobs",
        "pods",
        "pods/log",
        "pods/status",
        "events",
    }
    assert "*" not in {verb for rule in rules for verb in rule["verbs"]}
    assert not [one for one in manifests() if one["kind"].startswith("Cluster")]


def test_a_look_every_few_minutes_reserves_little(monkeypatch) -> None:
    said = yaml.safe_load((FOLDER.parents[1] / "deployments" / "prefect.yaml").read_text())["deployments"]
    watch = next(one["work_pool"] for one in said if one["name"] == "watch")
    job = made("cpu", monkeypatch, **watch["job_variables"])
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "2Gi"}
    assert container["resources"]["limits"] == {"cpu": "4", "memory": "16Gi"}
