"""A worker that populates: ``python populating.py STORE DATASET MODELS.json``; prints what it did as JSON."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from inception_loop.artifacts.listing import resolve
from inception_loop.artifacts.store import open_store
from inception_loop.training.config import ModelConfig
from inception_loop.training.populate import populate


def work(uri: str, dataset: str, models: Path) -> None:
    """Train what is missing."""
    store = open_store(uri)
    candidates = [ModelConfig.model_validate(model) for model in json.loads(models.read_text())]
    logging.getLogger(__name__).info("at work")
    done = populate(store, candidates, dataset=resolve(store, dataset))
    told = {"computed": done.computed, "cached": done.cached, "passed_over": done.passed_over}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    work(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
