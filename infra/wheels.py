"""Find the wheels that only tests open, or fetch them: ``python infra/wheels.py``.

They are opened as archives and never installed: what they depend on is not needed. They land in
``.cache/wheels``, and one whose content is not the expected one is refused.

- ibllib (International Brain Laboratory, MIT): real pupil, camera and wheel traces among its fixtures.
- neuralpredictors (MIT): the field's own networks, to compare with.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

WHEELS = Path(__file__).resolve().parents[1] / ".cache" / "wheels"
REAL_TRACES = "ibllib==4.1.0"
NEURALPREDICTORS = "neuralpredictors==0.3.0"
SHA256 = {
    REAL_TRACES: "31d9a1c1ba74d624193c16c8591960e54eea45bbfc03b6aa60e7bfbeb10b2df4",
    NEURALPREDICTORS: "bed015fb2a0e7cbf2eaf7284512dfec65368311f3f5f268249abb3248957cc13",
}


def find(package: str) -> Path | None:
    """Return the wheel of ``name==version``; None if it was not fetched yet.

    Raises
    ------
    SystemExit
        If it is not the expected file.
    """
    wheel = next(WHEELS.glob(package.replace("==", "-") + "-*.whl"), None)
    if wheel is not None and hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256[package]:
        raise SystemExit(
            f"{wheel} is not the wheel of {package} that the tests expect; delete it and try again"
        )
    return wheel


def find_or_fetch(package: str) -> Path:
    """Return the wheel of ``name==version``; fetch it from the package index where it is missing, once.

    Raises
    ------
    SystemExit
        With what failed and what to do.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    if find(package) is None:
        try:
            subprocess.run([*command, "--dest", str(WHEELS), package], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(
                f"{package} could not be fetched ({error}); expected a package index; try with a network"
            ) from error
    found = find(package)
    if found is None:
        raise SystemExit(f"{package} brought no wheel into {WHEELS}; expected one; fetch it by hand")
    return found


if __name__ == "__main__":
    for wanted in SHA256:
        sys.stdout.write(f"{find_or_fetch(wanted)}\n")
