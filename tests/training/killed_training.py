"""Trains a model until it is killed: by itself, right after its n-th checkpoint or before its n-th step."""

from __future__ import annotations

import os
import signal
import sys

import pydantic

from inception_loop.artifacts.checkpoints import StoredCheckpoints
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import open_store
from inception_loop.training.config import ModelConfig
from inception_loop.training.learner import Learner
from inception_loop.training.model import make_model


def main(store: str, dataset: str, config: str, what: str, count: str) -> None:
    """Train; ``what`` is "save" or "step"."""
    owner, name = {"save": (StoredCheckpoints, "save"), "step": (Learner, "step")}[what]
    done, act = iter(range(10**6)), getattr(owner, name)

    def deadly(*arguments: object) -> None:
        if what == "save":
            act(*arguments)
        if next(done) == int(count):
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "step":
            act(*arguments)

    setattr(owner, name, deadly)
    ref = pydantic.TypeAdapter(ArtifactRef).validate_json(dataset)
    make_model(open_store(store), ModelConfig.model_validate_json(config), dataset=ref)


if __name__ == "__main__":
    main(*sys.argv[1:])
