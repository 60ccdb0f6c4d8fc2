"""Which models are trained together: stacks on a GPU, one at a time on a CPU, whichever is faster there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch

from inception_loop.training.config import ModelConfig
from inception_loop.training.scan_data import PREDICTED_AT_ONCE
from inception_loop.training.shapes import shape_of

SHARE_OF_GPU = 0.4
"""Of the GPU's memory that a stack may take; the data have their own share."""
MAPS = 24
"""Tensors of the size of the core's output that a step holds at most: layers, norms, levels of a pyramid."""
COPIES = 5
"""Of each weight: itself, its gradient, two moments, the best so far."""
LEVELS = 6
"""Most feature weights a unit and channel."""
SAMPLES = 4
"""Of the map at every unit's place: the level's own, times the weights, and what goes back through both."""
MOST = 64
"""Models of a stack, where memory allows more."""


class Plan(NamedTuple):
    """What is trained together, and why.

    Attributes
    ----------
    stacks : groups of models, each trained at once
    reason : one line for who waits
    """

    stacks: list[list[ModelConfig]]
    reason: str


def plan(models: Sequence[ModelConfig], device: str, most: int = MOST) -> Plan:
    """Group models that are to be trained on a device.

    On a CPU a stack takes 1.5 to 4 times as long as its models one after the other: a core's convolutions
    keep it busy as they are. On a GPU a step of one small network is mostly launches of kernels, which a
    stack shares. ``benchmarks/grid.py`` measures both.

    Parameters
    ----------
    models
        All of one dataset.
    device
        Torch device.
    most
        Most models a stack; see `most_together`.

    Examples
    --------
    >>> models = [ModelConfig(group_id=1, seed=seed) for seed in range(5)]
    >>> [len(stack) for stack in plan(models, "cuda", most=3).stacks]
    [2, 3]
    >>> plan(models, "cpu").reason
    '5 models one at a time: faster on cpu than as stacks'
    """
    if torch.device(device).type != "cuda" or most < 2:
        why = "faster on cpu than as stacks" if most > 1 else "the memory holds no more"
        return Plan([[model] for model in models], f"{len(models)} models one at a time: {why}")
    alike: dict[str, list[ModelConfig]] = {}
    for model in models:
        alike.setdefault(shape_of(model), []).append(model)
    stacks = [stack for group in alike.values() for stack in _even(group, most)]
    sizes = sorted({len(stack) for stack in stacks})
    of = " to ".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1]))) if sizes else "0"
    word = "stack" if len(stacks) == 1 else "stacks"
    return Plan(stacks, f"{len(models)} models in {len(stacks)} {word} of {of} on {device}")


def most_together(model: ModelConfig, units: int, image_size: tuple[int, int], memory: int) -> int:
    """Bound the models of a stack by a device's memory.

    Parameters
    ----------
    model
        One of them.
    units
        Units of all scans.
    image_size
        (height, width), px.
    memory
        Bytes that are free on the device.

    Returns
    -------
    int
        At least 1: one model is tried in any case.

    Examples
    --------
    >>> most_together(ModelConfig(group_id=1), units=1000, image_size=(36, 64), memory=16 * 2**30)
    4
    """
    core = model.network.core
    channels = core.hidden_channels * getattr(core, "layers", 1)
    maps = 4 * model.train.batch_size * channels * math.prod(image_size) * MAPS
    weights = 4 * units * channels * LEVELS * COPIES
    images = max(model.train.batch_size, PREDICTED_AT_ONCE)
    samples = 4 * images * channels * units * SAMPLES
    return int(max(1, min(MOST, SHARE_OF_GPU * memory // (maps + weights + samples))))


def _even(models: list[ModelConfig], most: int) -> list[list[ModelConfig]]:
    """Cut models into as few stacks as will do, as even as possible, those of equal networks side by side."""
    ordered = sorted(models, key=lambda model: repr(model.network))
    parts = math.ceil(len(ordered) / most)
    bounds = [len(ordered) * part // parts for part in range(parts + 1)]
    return [ordered[start:stop] for start, stop in pairwise(bounds)]
