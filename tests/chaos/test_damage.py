"""Flipped bits are found and named; repaired and run again, the store has its bytes back."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from flows import cli

pytestmark = pytest.mark.timeout(1200)
FLIPS = {"short": 3, "long": 100}


def command(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return ended.value.code


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def test_flipped_bits_are_named_and_repaired(
    request, tmp_path, tiny, tiny_run, told, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    flips = FLIPS[request.config.getoption("--campaign")]
    rng = random.Random(flips)
    store, uri = tmp_path / "store", f"file://{tmp_path}/store"
    monkeypatch.setenv("INCEPTION_LOOP_STORE", uri)  # --store sets it; this puts it back
    shutil.copytree(tiny_run[0].removeprefix("file://"), store)
    expected = tiny.contents(uri)
    payloads = sorted(
        path
        for manifest in store.glob("[!_]*/**/manifest.json")
        for path in (manifest.parent / json.loads(manifest.read_text())["attempt"]).iterdir()
    )
    damaged = rng.sample(payloads, flips)
    for path in damaged:
        flip(path, rng)

    assert command("store", "verify", "--json", "--store", uri) == 1
    found = json.loads(capsys.readouterr().out)
    named = {(fault["artifact"], text) for fault in found["faults"] for text in fault["faults"]}
    assert len(named) == flips
    told(f"{flips} of {len(payloads)} payloads spoilt by one bit, {len(named)} named")
    for path in damaged:
        assert any(str(path.relative_to(store)) in text for _, text in named)

    for artifact in {fault["artifact"] for fault in found["faults"]}:
        assert command("store", "repair", artifact, "--store", uri) == 0
        assert "taken back" in capsys.readouterr().out
    result = tiny.run_here(uri, tiny.tiny_parameters())
    computed = sum(stage.computed for stage in result.stages.values())
    assert 1 <= computed <= flips
    whole = tiny.contents(uri)
    assert whole.items() <= expected.items()
    # Of a scan alone they are made on the way to those of the group: where these stand, nobody asks for them.
    assert {kind for kind, _ in expected.keys() - whole.keys()} <= {"scan_statistics"}
    assert command("store", "verify", "--store", uri) == 0
    assert capsys.readouterr().out.endswith("all sound\n")
