"""Find real pupil, camera and wheel traces for the tests, or fetch them: ``python infra/real_traces.py``.

They lie among the fixtures of the wheel of ibllib (International Brain Laboratory, MIT). The wheel is only
opened as an archive, never installed: what ibllib depends on is not needed. It lands in ``.cache/wheels``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WHEELS = Path(__file__).resolve().parents[1] / ".cache" / "wheels"
PACKAGE = "ibllib==4.1.0"


def find() -> Path | None:
    """Return the wheel; None if it was not fetched yet."""
    return next(WHEELS.glob(PACKAGE.replace("==", "-") + "-*.whl"), None)


def find_or_fetch() -> Path:
    """Return the wheel; fetch it from the package index where it is missing (9 MB, once).

    Raises
    ------
    SystemExit
        With what failed and what to do.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    if find() is None:
        try:
            subprocess.run([*command, "--dest", str(WHEELS), PACKAGE], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(
                f"{PACKAGE} could not be fetched ({error}); expected a package index; try with a network"
            ) from error
    found = find()
    if found is None:
        raise SystemExit(f"{PACKAGE} brought no wheel into {WHEELS}; expected one; fetch it by hand")
    return found


if __name__ == "__main__":
    sys.stdout.write(f"{find_or_fetch()}\n")
