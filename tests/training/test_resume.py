from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inception_loop.artifacts.address import CHECKPOINTS
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.transfer import copy
from inception_loop.training.config import TrainConfig
from inception_loop.training.learner import Learner
from inception_loop.training.model import make_model

CHILD = Path(__file__).parent / "killed_training.py"
COURSE = TrainConfig(batch_size=40, learning_rates=(0.01, 0.003), stage_epochs=(2, 2), precision="bfloat16")
"""Four steps an epoch."""


@pytest.fixture(scope="module")
def config(model_config):
    return model_config.model_copy(update={"train": COURSE})


@pytest.fixture(scope="module")
def undisturbed(day_store, config):
    store, dataset, _ = day_store
    made = make_model(store, config, dataset=dataset).ref
    return store.manifest(made)


@pytest.fixture
def elsewhere(day_store, tmp_path):
    """A store on disk with the dataset, and the dataset in it."""
    store, dataset, _ = day_store
    there = open_store(str(tmp_path))
    (ref,) = [made.ref for made in copy(store, there, dataset) if made.ref.digest == dataset.digest]
    return there, ref


@pytest.mark.parametrize(("what", "count"), [("save", 1), ("step", 6), ("save", 4)])
def test_a_killed_training_ends_with_the_same_bytes(elsewhere, undisturbed, config, what, count, monkeypatch):
    store, dataset = elsewhere
    question = [dataset.model_dump_json(), config.model_dump_json()]
    call = [sys.executable, str(CHILD), store.uri, *question, what, str(count)]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL, done.stderr
    steps, step = [], Learner.step
    monkeypatch.setattr(Learner, "step", lambda self: (steps.append(self.epoch), step(self)))
    told = []
    made = make_model(store, config, dataset=dataset, on_progress=lambda *step: told.append(step))
    assert not made.cached
    manifest = store.manifest(made.ref)
    assert {n: p.sha256 for n, p in manifest.payloads.items()} == {
        n: p.sha256 for n, p in undisturbed.payloads.items()
    }
    kept = count if what == "save" else count // 4
    assert manifest.findings == {**undisturbed.findings, "resumed_after": kept}
    assert told[0] == (kept, 4, f"goes on after epoch {kept}")
    assert [step[0] for step in told[1:]] == list(range(kept + 1, 5))
    assert steps == [epoch for epoch in range(kept + 1, 5) for _ in range(4)]
    assert [entry.key for entry in store.backend.walk(CHECKPOINTS) if ".writing" not in entry.key] == []
