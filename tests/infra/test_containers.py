"""Compose file and images, as far as they can be tried without a container engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IMAGES = [INFRA / "Dockerfile", INFRA / "s3.Dockerfile"]
OFFICIAL = {"postgres"}
"""Services of an image that is not built here; it drops its rights by itself."""


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return (instruction, arguments) of every line that is one, continued lines joined."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (word.upper(), " ".join(rest.split()))
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())
    ]


def test_the_compose_file_fits_the_schema_of_the_specification() -> None:
    check = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(INFRA / "compose.yaml")]
    done = subprocess.run([sys.executable, "-m", *check], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_service_names_is_declared() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        assert set(service["networks"]) <= set(COMPOSE["networks"]), name
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert volumes <= set(COMPOSE["volumes"]), name
        for value in service.get("environment", {}).values():
            if str(value).startswith("/run/secrets/"):
                assert str(value).removeprefix("/run/secrets/") in service["secrets"], name


def test_every_service_is_bounded_watched_and_comes_back() -> None:
    for name, service in SERVICES.items():
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        runs_on = service["restart"] == "unless-stopped"
        assert runs_on or service["restart"].startswith("on-failure:"), name
        check = service["healthcheck"]
        assert ("test" in check) == runs_on, name
        assert check.get("disable", False) == (not runs_on), name
        if name not in OFFICIAL:
            assert service["cap_drop"] == ["ALL"], name
            assert service["read_only"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name


def test_no_password_stands_in_the_file_or_is_a_default() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            secret = re.search(r"PASSWORD|SECRET|KEY|AUTH|TOKEN", key)
            assert not secret or str(value).startswith("/run/secrets/"), f"{name}: {key}"


def test_who_may_read_which_secret() -> None:
    """No service has more of them than it needs: the keys of the servers stay with the servers."""
    read = {name: set(service.get("secrets", [])) for name, service in SERVICES.items()}
    assert read == {
        "s3": {"s3_root.env"},
        "s3-keys": {"s3_root", "s3_worker", "s3_reader", "s3_rig"},
        "postgres": {"postgres_password"},
        "prefect-server": {"prefect_server.toml"},
        "deploy": {"prefect_client.toml"},
        "worker": {"prefect_client.toml", "s3_worker"},
        "worker-gpu": {"prefect_client.toml", "s3_worker"},
    }


def test_every_secret_is_made_once_and_kept(tmp_path) -> None:
    folder = tmp_path / "secrets"
    without_packages = [sys.executable, "-S"]
    make = [*without_packages, str(INFRA / "make_secrets.py"), "--folder", str(folder)]
    subprocess.run(make, check=True, capture_output=True, umask=0o077)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} <= {
        path.name for path in folder.iterdir()
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert len(set(before.values())) == len(before)
    subprocess.run(make, check=True, capture_output=True)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    (folder / "postgres_password").unlink()
    subprocess.run(make, check=True, capture_output=True)
    changed = {path.name for path in folder.iterdir() if path.read_text() != before[path.name]}
    assert changed == {"postgres_password", "prefect_server.toml"}
    ignored = ["git", "check-ignore", "--quiet", "infra/secrets/s3_root"]
    assert subprocess.run(ignored, cwd=ROOT).returncode == 0


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_an_image_is_pinned_and_does_not_run_as_root(image) -> None:
    found = instructions(image)
    arguments = dict(rest.split("=", 1) for word, rest in found if word == "ARG")
    stages = set()
    for rest in (rest for word, rest in found if word == "FROM"):
        name, _, stage = rest.partition(" AS ")
        name = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], name)
        assert name in stages or re.fullmatch(r"[a-z0-9/]+:\d+\.\d+\.\d+[\w.-]*", name), name
        stages.add(stage)
    last = [word for word, _ in found].count("FROM") and found[::-1]
    (user,) = [rest for word, rest in last if word == "USER"][:1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    known = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert {word for word, _ in found} <= known
    for word, rest in found:
        if word in ("ARG", "ENV"):
            assert not re.search(r"(PASSWORD|SECRET|TOKEN|_KEY)\w*=\S", rest), rest


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_what_an_image_copies_exists_and_reaches_the_builder(image) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    for rest in (rest for word, rest in instructions(image) if word == "COPY" and "--from" not in rest):
        for source in rest.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source == one or source.startswith(f"{one}/") for one in allowed), source


def test_nothing_private_reaches_the_builder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"]
    assert lines[0] == "*"
    private = {"infra", "infra/secrets", ".cache", ".git", ".env", "outputs", ".inception-loop"}
    assert not private & {line.lstrip("!") for line in lines}
    assert (INFRA / "s3.Dockerfile.dockerignore").read_text().splitlines()[-1] == "*"


def test_the_s3_server_is_the_one_that_the_tests_run() -> None:
    sys.path.append(str(INFRA))
    import minio

    assert f"ARG MODULE={minio.MODULE}" in (INFRA / "s3.Dockerfile").read_text()
    sys.path.remove(str(INFRA))


def test_slots_of_running_deployments_outlive_a_restart_of_the_server() -> None:
    """They are kept as the stack keeps them, on a volume of their own that the image's user may write."""
    sys.path.append(str(INFRA))
    import stack

    sys.path.remove(str(INFRA))
    server = SERVICES["prefect-server"]
    assert server["environment"]["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == stack.LEASES
    ((volume, folder),) = [one.split(":") for one in server["volumes"]]
    assert server["environment"]["PREFECT_HOME"] == folder
    mounted = [name for name, one in SERVICES.items() if f"{volume}:" in str(one.get("volumes"))]
    assert mounted == ["prefect-server"]
    (made,) = [rest for _, rest in instructions(INFRA / "Dockerfile") if "mkdir /scratch" in rest]
    assert re.search(rf"chown 10001:10001 [^&]*{folder}", made)


def test_what_no_run_can_compile_is_compiled_in_the_image() -> None:
    """Otherwise each would compile all of torch and Prefect: ten CPU-seconds."""
    run = [rest for word, rest in instructions(INFRA / "Dockerfile") if word == "RUN"]
    (installed,) = [rest for rest in run if "--editable" in rest]
    assert "--compile-bytecode" in installed
    assert "compileall -q src flows" in installed


def test_what_the_server_writes_beside_them_lies_in_memory() -> None:
    """The pages of its UI, which it copies first: the rest of the container can only be read."""
    server = SERVICES["prefect-server"]
    assert server["environment"]["PREFECT_SERVER_UI_STATIC_DIRECTORY"].startswith("/tmp/")
    assert any(one.startswith("/tmp") for one in server["tmpfs"])


def test_every_image_that_is_asked_for_is_the_one_that_is_built() -> None:
    built = re.sub(r"\$\{\w+:-(.*)\}", r"\1", SERVICES["worker"]["image"])
    asked = {
        found
        for path in (ROOT / "deployments/pools.yaml", *(INFRA / "kubernetes").glob("*.[jy]*"))
        for found in re.findall(r"inception-loop:[\w.-]+", path.read_text())
    }
    assert asked == {built}


def test_runs_in_containers_reach_the_services_of_the_compose_file() -> None:
    """By its networks and the names in them, with keys that are mounted and never values."""
    worker = SERVICES["worker"]
    for pool in yaml.safe_load((ROOT / "deployments" / "pools.yaml").read_text())["docker"]:
        variables = pool["job_variables"]
        assert variables["networks"] == [f"{COMPOSE['name']}_{name}" for name in worker["networks"]]
        shared = {"PREFECT_API_URL", "AWS_ENDPOINT_URL", "AWS_REGION", "INCEPTION_LOOP_STORE"}
        for name in shared:
            assert variables["env"][name] == worker["environment"][name]
        assert not [name for name in variables["env"] if re.search(r"SECRET|KEY|AUTH|PASSWORD", name)]
        ((source, target, mode),) = [volume.split(":") for volume in variables["volumes"]]
        assert variables["env"]["AWS_SHARED_CREDENTIALS_FILE"] == target
        assert mode == "ro"
        assert f"infra/secrets/s3_worker {source}" in (ROOT / "docs" / "operations.md").read_text()


def test_versions_agree() -> None:
    project = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert SERVICES["worker"]["image"] == f"inception-loop:${{INCEPTION_LOOP_VERSION:-{project[1]}}}"
