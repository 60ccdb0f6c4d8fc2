"""One thing that cannot be looked at hides nothing else, and is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from inception_loop.artifacts.places import backend_of
from inception_loop.recordings.arrivals.listing import listing
from inception_loop.recordings.arrivals.names import scan_pattern
from inception_loop.recordings.arrivals.scanning import scanned

LOOK = """
import json, os, sys
from pathlib import Path
from inception_loop.recordings.arrivals.scanning import scanned

if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
found = scanned(Path(sys.argv[1]), "day")
print(json.dumps([[one.key for one in found.files], found.broken]))
"""


def test_files_are_in_the_order_of_every_other_listing(tmp_path: Path) -> None:
    for key in ("b", "a/z", "a.x", "a/é/1", "A/0/deep", "a-"):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text(key)
    found = scanned(tmp_path, "day")
    assert (found.files, found.broken) == (list(backend_of(str(tmp_path)).walk()), {})


@pytest.mark.parametrize("target", ["away.nwb", "17-1-2.nwb", "17-1-1.nwb/below"])
def test_a_link_to_nothing_to_itself_or_below_a_file_is_named(tmp_path: Path, target: str) -> None:
    (tmp_path / "17-1-1.nwb").write_bytes(b"1")
    (tmp_path / "17-1-2.nwb").symlink_to(target)
    found = listing(backend_of(str(tmp_path)), scan_pattern("{animal_id}-{session}-{scan_idx}"))
    assert [(one.name, one.size, bool(one.broken)) for one in found.arrivals.values()] == [
        ("17-1-1.nwb", 1, False),
        ("17-1-2.nwb", 0, True),
    ]
    words = found.arrivals["17-1-2.nwb"].broken
    assert words.startswith(f"the link file://{tmp_path}/17-1-2.nwb leads nowhere; expected a file; ")


def test_what_is_hidden_is_passed_over_and_a_folder_to_no_end_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "17-1-1").mkdir()
    (tmp_path / "17-1-1" / "images.npy").write_bytes(b"1")
    (tmp_path / "17-1-1" / ".#meta.toml").symlink_to("somebody@rig.1:2")
    deep = tmp_path / "17-1-2"
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    for _ in range(1_200):  # deeper than a path can be written
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)
    found = listing(backend_of(str(tmp_path)), scan_pattern("{animal_id}-{session}-{scan_idx}"))
    subprocess.run(["rm", "-r", str(deep)], check=True)  # Python's own way to remove it ends as the scan does
    assert [(one.name, len(one.files)) for one in found.arrivals.values()] == [("17-1-1", 1), ("17-1-2", 0)]
    assert found.arrivals["17-1-1"].broken == ""
    assert "has folders in folders to no end; expected files" in found.arrivals["17-1-2"].broken


def test_a_folder_and_a_link_that_the_user_may_not_read_hide_nothing() -> None:
    away, place = (Path(tempfile.mkdtemp()) for _ in range(2))  # tmp_path is closed to others already
    try:
        place.chmod(0o755)
        (place / "17-1-1.nwb").write_bytes(b"1")
        (place / "17-1-2").mkdir(mode=0)
        (away / "file").write_bytes(b"2")
        away.chmod(0)
        (place / "17-1-3.nwb").symlink_to(away / "file")
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        run = [sys.executable, "-c", LOOK, str(place)]
        files, broken = json.loads(subprocess.check_output(run, env=environment, timeout=120))
    finally:
        for folder in (away, place / "17-1-2", place):
            folder.chmod(0o755)
        shutil.rmtree(away)
        shutil.rmtree(place)
    assert files == ["17-1-1.nwb"]
    assert sorted(broken) == ["17-1-2", "17-1-3.nwb"]
    assert broken["17-1-2"].startswith("day/17-1-2 cannot be looked at (Permission denied); expected ")
