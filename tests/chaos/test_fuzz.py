"""Spoilt files of parameters and spoilt networks: one clear line, and nothing half in the store."""

from __future__ import annotations

import hashlib
import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from flows import cli, run_stage
from flows.given import read_toml
from flows.present import present
from inception_loop.errors import ConfigurationError
from inception_loop.parameters import LoopParameters, PresentParameters, parse

pytestmark = pytest.mark.timeout(1200)
CONFIGS = {"short": 60, "long": 1500}
FILES = {"short": 3, "long": 25}
DONE, FAILED, USAGE = 0, 1, 2


@pytest.fixture
def rng(request) -> random.Random:
    return random.Random(request.config.getoption("--campaign"))


def ended(words: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command in this process; a run that fails does so in one line."""
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    error = capfd.readouterr().err
    assert "Traceback" not in error
    assert "unexpected" not in error, error
    if end.value.code != DONE:
        assert error.splitlines()[-1].startswith("error: "), error
        assert error.count("error: ") == 1, error
    return end.value.code, error


def spoilt(text: str, rng: random.Random) -> str:
    """Return a text with one to three faults of the kinds that people and disks make."""
    for _ in range(rng.randint(1, 3)):
        lines = text.splitlines()
        line, at = rng.randrange(len(lines)), rng.randrange(len(text))
        value = rng.choice(["-1", "0", "1e400", "nan", '"many"', "[]", "{}", "true", "99999999999999999999"])
        text = rng.choice(
            [
                text[:at],
                text[:at] + rng.choice('"[]=#{}\n\x00é,.') + text[at + 1 :],
                "\n".join([*lines[:line], "unknown = 1", *lines[line:]]),
                "\n".join([*lines[:line], *lines[line + 1 :]]),
                "\n".join([*lines[:line], lines[line].partition("=")[0] + f"= {value}", *lines[line + 1 :]]),
            ]
        )
        text = text or "x"
    return text


def test_spoilt_parameters_are_refused_in_one_line_or_are_parameters(
    request, rng, tmp_path, tiny, monkeypatch, capfd
) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    accepted = []  # these would run, some of them for days
    monkeypatch.setattr(run_stage, "run_locally", lambda _flow, p, **_: accepted.append(p) or p)
    text, config = tiny.as_toml(tiny.tiny_parameters()), tmp_path / "loop.toml"
    refused, count = 0, CONFIGS[request.config.getoption("--campaign")]
    for _ in range(count):
        config.write_bytes(spoilt(text, rng).encode())
        status, _error = ended(["run", "loop", "--config", str(config)], capfd)
        assert status in {DONE, USAGE}
        refused += status == USAGE
    assert refused + len(accepted) == count
    assert refused > count / 2
    assert all(isinstance(parameters, LoopParameters) for parameters in accepted)
    assert not (tmp_path / "store").exists()


def small_twin() -> dict[str, np.ndarray]:
    """Members of a network of the twin's form, from the tests of the animals."""
    path = Path(__file__).parents[1] / "animals" / "conftest.py"
    spec = importlib.util.spec_from_file_location("animals_conftest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.small_twin("image")


def presentation(path: Path, digest: str) -> str:
    """Return parameters of the stage *present* that let the network in a file see ten images."""
    animal = {"type": "twin", "sha256": digest, "n_units": 6, "reliable_share": 1.0}
    session = {"n_train": 8, "n_repeated": 2, "repeats": 2, "height": 36, "width": 64}
    scan = {"animal_id": 2, "session": 1, "scan_idx": 1}
    day = {"scan": scan, "animal": animal, "day": 0, "session": session}
    return tomli_w.dumps({"twin_path": str(path), "day": day})


def left_in(store: Path) -> list[str]:
    """Return what lies in a store, without its leases."""
    return [str(path) for path in store.glob("[!_]*/**/*") if path.is_file()]


def test_a_whole_network_plays_the_animal(tmp_path, prefect_api, monkeypatch, capfd) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    path, config = tmp_path / "twin.npz", tmp_path / "present.toml"
    np.savez(path, session=np.array("test"), **small_twin())
    config.write_text(presentation(path, hashlib.sha256(path.read_bytes()).hexdigest()))
    assert ended(["run", "present", "--config", str(config)], capfd)[0] == DONE
    assert len([name for name in left_in(tmp_path / "store") if name.endswith("manifest.json")]) == 2


def test_truncated_networks_are_refused_in_one_line_and_leave_nothing(
    request, rng, tmp_path, prefect_api, monkeypatch, capfd
) -> None:
    store, path, config = tmp_path / "store", tmp_path / "twin.npz", tmp_path / "present.toml"
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{store}")
    np.savez(path, session=np.array("test"), **small_twin())
    whole = path.read_bytes()
    for number in range(FILES[request.config.getoption("--campaign")]):
        part = whole[: 0 if number == 0 else rng.randrange(len(whole))]
        path.write_bytes(part)
        config.write_text(presentation(path, hashlib.sha256(part).hexdigest()))
        status, error = ended(["run", "present", "--config", str(config)], capfd)
        assert status in {FAILED, USAGE}
        assert str(path) in error
        assert left_in(store) == []
    state = present(parse(PresentParameters, read_toml(config)), return_state=True)  # as a worker would
    assert state.is_failed()
    with pytest.raises(ConfigurationError):
        state.result()
    assert left_in(store) == []


def test_a_network_other_than_the_one_named_is_refused(tmp_path, prefect_api, monkeypatch, capfd) -> None:
    store, path, config = tmp_path / "store", tmp_path / "twin.npz", tmp_path / "present.toml"
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{store}")
    np.savez(path, session=np.array("test"), **small_twin())
    config.write_text(presentation(path, "0" * 64))
    status, error = ended(["run", "present", "--config", str(config)], capfd)
    assert status == USAGE
    assert "SHA-256" in error
    assert left_in(store) == []
