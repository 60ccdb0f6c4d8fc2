"""``inception-loop doctor``: versions, store, Prefect, devices; for each fault one line with what to do."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass

from inception_loop.artifacts.store import open_store
from inception_loop.errors import ConfigurationError, InceptionLoopError
from inception_loop.settings import Settings

LIBRARIES = ("inception-loop", "prefect", "fastapi", "torch", "numpy", "pyarrow", "duckdb", "polars", "s3fs")


@dataclass(frozen=True)
class Finding:
    """One thing examined: what was found, and what to do if it is not good."""

    what: str
    found: str
    good: bool
    advice: str = ""


def examine(*, as_json: bool) -> int:
    """Examine everything, print the findings, return 0 if all are good and 1 otherwise."""
    findings = [*_versions(), *_store(), prefect_server_finding(), *_devices()]
    if as_json:
        sys.stdout.write(json.dumps([asdict(f) for f in findings], indent=2) + "\n")
    else:
        for f in findings:
            tail = "" if f.good else f"\n           → {f.advice}"
            sys.stdout.write(f"{'ok ' if f.good else '✗  '} {f.what:<18} {f.found}{tail}\n")
    return 0 if all(f.good for f in findings) else 1


def _versions() -> list[Finding]:
    version = sys.version_info
    out = [
        Finding(
            "python",
            platform.python_version(),
            version >= (3, 11),
            "install Python 3.11 or newer and run `make PYTHON=… setup`",
        )
    ]
    for name in LIBRARIES:
        try:
            out.append(Finding(name, importlib.metadata.version(name), True))
        except importlib.metadata.PackageNotFoundError:
            out.append(Finding(name, "missing", False, "run `make setup`"))
    return out


def _store() -> list[Finding]:
    try:
        settings = Settings()
        store = open_store(settings.store, settings=settings)
        return [Finding("store", settings.store, True)] + [
            Finding(f"store {what}", found, True) for what, found in store.probe().items()
        ]
    except InceptionLoopError as error:
        return [
            Finding("store", " ".join(str(error).split()), False, "set INCEPTION_LOOP_STORE, see README.md")
        ]


def prefect_server_finding() -> Finding:
    """Try the Prefect server that the environment names, if it names one."""
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return Finding("prefect server", "none configured: runs start a temporary one", True)
    if "@" in url or "?" in url:  # whoever repeats such an address repeats a secret
        return Finding(
            "prefect server",
            "the address holds credentials; expected none in it",
            False,
            "use PREFECT_API_KEY or PREFECT_API_AUTH_STRING",
        )
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return Finding("prefect server", url, True)
    except (urllib.error.URLError, OSError, ValueError) as error:
        return Finding(
            "prefect server",
            f"{url} does not answer: {error}",
            False,
            "start one (`make stack`), or unset PREFECT_API_URL to run with a temporary one",
        )


def _devices() -> list[Finding]:
    import torch

    try:
        settings = Settings()
    except ConfigurationError:
        return []  # the store's finding says it
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found = [Finding("cpu", f"{os.cpu_count()} cores, {settings.threads} thread(s) a step", True)]
    found.append(Finding("gpu", ", ".join(gpus) or "none", True))
    wanted = settings.device.split(":")[0]
    if wanted == "cuda" and not gpus:
        found.append(
            Finding(
                "device", settings.device, False, "no GPU is visible to torch; set INCEPTION_LOOP_DEVICE=cpu"
            )
        )
    return found
