"""Write the base job templates of Prefect's Kubernetes pools: ``python infra/kubernetes/make_templates.py``.

Prefect's own template, with what a cluster's rules ask for and this project needs: resources, secrets by
reference, no rights. Made from the installed version of prefect-kubernetes, so that it fits; a test says when
that has moved on. Variables (image, memory, GPUs …) can be set for each deployment.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect_kubernetes import KubernetesWorker

FOLDER = Path(__file__).parent
USER = 10001
"""As in infra/Dockerfile."""
SECRET = "inception-loop"
"""Kubernetes secret whose entries become environment variables; see docs/operations.md."""
SIZES = {
    "cpu": {"cpu_request": "4", "cpu_limit": "4", "memory_request": "16Gi", "memory_limit": "16Gi"},
    "gpu": {"cpu_request": "8", "cpu_limit": "8", "memory_request": "64Gi", "memory_limit": "64Gi"},
}
LONGEST_S = {"cpu": 86_400, "gpu": 259_200}
"""Kubernetes counts the wait for a GPU too: a night of 16.5 h, and two days of waiting."""


def template(kind: str) -> dict[str, Any]:
    """Return the base job template of a pool.

    Parameters
    ----------
    kind
        "cpu" or "gpu".
    """
    made = KubernetesWorker.get_default_base_job_template()
    job = made["job_configuration"]["job_manifest"]["spec"]
    pod = job["template"]["spec"]
    for misplaced in ("completions", "parallelism"):  # in Prefect's own they are of the pod, which has none
        job[misplaced] = pod.pop(misplaced)
    _harden(pod)
    job["activeDeadlineSeconds"] = "{{ longest_seconds }}"
    variables = made["variables"]["properties"]
    _add_variables(variables, kind)
    if kind == "gpu":
        container = pod["containers"][0]
        container["resources"]["limits"]["nvidia.com/gpu"] = "{{ gpus }}"
        pod["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    return made


def _harden(pod: dict[str, Any]) -> None:
    """Take every right away that a run does not need, and give it room for scratch."""
    pod["automountServiceAccountToken"] = False
    pod["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod["volumes"] = [{"name": "scratch", "emptyDir": {"sizeLimit": "{{ scratch }}"}}]
    container = pod["containers"][0]
    container["envFrom"] = [{"secretRef": {"name": "{{ secret }}"}}]
    container["volumeMounts"] = [{"name": "scratch", "mountPath": "/tmp"}]
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _add_variables(variables: dict[str, Any], kind: str) -> None:
    for name, value in SIZES[kind].items():
        variables[name]["default"] = value
    variables["image"]["default"] = "inception-loop:0.1.0"
    variables["namespace"]["default"] = "inception-loop"
    variables["finished_job_ttl"]["default"] = 3600
    variables["env"]["default"] = {
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_CLIENT_MAX_RETRIES": "8",
        **({"INCEPTION_LOOP_DEVICE": "cuda"} if kind == "gpu" else {}),
    }
    variables["secret"] = {
        "title": "Secret",
        "description": "Kubernetes secret whose entries become environment variables of the run.",
        "type": "string",
        "default": SECRET,
    }
    variables["scratch"] = {
        "title": "Scratch",
        "description": "Room for temporary files, as a Kubernetes quantity.",
        "type": "string",
        "default": "20Gi",
    }
    variables["longest_seconds"] = {
        "title": "Longest run",
        "description": "Seconds after which Kubernetes ends a run, its wait for a machine included.",
        "type": "integer",
        "default": LONGEST_S[kind],
    }
    if kind == "gpu":
        variables["gpus"] = {
            "title": "GPUs",
            "description": "NVIDIA GPUs of a run.",
            "type": "integer",
            "minimum": 1,
            "default": 1,
        }


def text(kind: str) -> str:
    """Return a template as it is written."""
    return json.dumps(template(kind), indent=2) + "\n"


def main() -> None:
    """Write both."""
    for kind in SIZES:
        (FOLDER / f"{kind}.json").write_text(text(kind))


if __name__ == "__main__":
    main()
