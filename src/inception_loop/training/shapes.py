"""Which networks can be trained as one stack: those whose forward passes are the same but for the weights."""

from __future__ import annotations

import json
from typing import Any

from inception_loop.artifacts.identity import Config
from inception_loop.training.config import ModelConfig

STRENGTH = "gamma"
"""Fields that begin with this say how strong a regulariser is, and nothing about the forward pass."""


def forward_of(network: Config) -> str:
    """Return a network's configuration without the strengths of its regularisers, as text.

    Examples
    --------
    >>> from inception_loop.network.cores import GaussianLaplace
    >>> forward_of(GaussianLaplace(gamma_input=1)) == forward_of(GaussianLaplace(gamma_input=2))
    True
    """
    return json.dumps(_without_strengths(network.model_dump(mode="json")), sort_keys=True)


def shape_of(model: ModelConfig) -> str:
    """Return what models of one dataset must have in common to be trained as a stack, as text."""
    train = model.train
    data = (model.group_id, model.data.model_dump(mode="json"))
    batches = (train.batch_size, train.round_robin, train.precision)
    return json.dumps([*data, *batches, forward_of(model.network)], sort_keys=True)


def _without_strengths(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_strengths(v) for k, v in value.items() if not k.startswith(STRENGTH)}
    return [_without_strengths(item) for item in value] if isinstance(value, list) else value
