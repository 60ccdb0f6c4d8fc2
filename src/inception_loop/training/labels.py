"""Short names of models for people: what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from inception_loop.artifacts.identity import canonical_json
from inception_loop.training.config import ModelConfig
from inception_loop.training.restriction import as_row

_NAMED_ANYWAY = {"core.type", "seed", "group_id"}
_COUNTED = {
    "core": "cores",
    "readout": "readouts",
    "shifter": "shifters",
    "modulator": "modulators",
    "gain": "gains",
    "output": "outputs",
    "train": "trainings",
    "data": "data configurations",
    "seed": "seeds",
}


def labels_of(models: Sequence[ModelConfig]) -> dict[ModelConfig, str]:
    """Name each model by its core, the fields in which models of that core differ, and its seed.

    Examples
    --------
    >>> from inception_loop.training.config import TrainConfig
    >>> models = [ModelConfig(group_id=0, seed=1, train=TrainConfig(batch_size=size)) for size in (60, 125)]
    >>> list(labels_of(models).values())
    ['GaussianLaplace train.batch_size=60 seed 1', 'GaussianLaplace train.batch_size=125 seed 1']
    """
    fields = {model: fields_of(model) for model in models}
    values: dict[tuple[str, str], set[str]] = {}
    for row in fields.values():
        for name, value in row.items():
            values.setdefault((row["core.type"], name), set()).add(value)
    return {
        model: " ".join(
            [
                model.network.core.type,
                *(
                    f"{name}={value}"
                    for name, value in row.items()
                    if name not in _NAMED_ANYWAY and len(values[row["core.type"], name]) > 1
                ),
                f"seed {model.seed}",
            ]
        )
        for model, row in fields.items()
    }


def fields_of(model: ModelConfig) -> dict[str, str]:
    """Return every field of a model by its dotted name, values as text (what is no text as JSON)."""
    return _fields(as_row(model))


def counted(models: Sequence[ModelConfig]) -> str:
    """Say how many models there are, and of how many of what.

    Examples
    --------
    >>> counted([ModelConfig(group_id=0, seed=seed) for seed in (1, 2)])
    '2 models: 2 seeds'
    >>> from inception_loop.training.published import PublishedGrid
    >>> counted(PublishedGrid().models(0))
    '64 models: 8 cores × 2 readouts × 4 seeds'
    """
    rows = [as_row(model) for model in models]
    several = {
        words: count
        for name, words in _COUNTED.items()
        if (count := len({canonical_json(row[name]) for row in rows})) > 1
    }
    parts = [f"{count} {words}" for words, count in several.items()]
    sign = " × " if prod(several.values()) == len(models) else ", "
    what = f"{len(models):,} model{'' if len(models) == 1 else 's'}"
    return f"{what}: {sign.join(parts)}" if parts else what


def _fields(row: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= _fields(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value if isinstance(value, str) else canonical_json(value)
    return found
