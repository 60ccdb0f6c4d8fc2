"""Inception loops that run anywhere. Importing this is light: a name's module is loaded when it is used.

Examples
--------
>>> import inception_loop as il
>>> il.open_store("memory://notebook").uri
'memory://notebook'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
    from inception_loop.animals.session import NaturalSessionConfig
    from inception_loop.animals.simulated import SimulatedConfig
    from inception_loop.animals.twin import TwinConfig
    from inception_loop.artifacts.ref import ArtifactRef
    from inception_loop.artifacts.store import ArtifactStore, open_store
    from inception_loop.closed_loop.compare import compare
    from inception_loop.closed_loop.comparison import Comparison
    from inception_loop.dataset.config import DatasetConfig
    from inception_loop.dataset.fitting import fitting_config
    from inception_loop.dataset.member import load_member
    from inception_loop.dataset.stage import make_dataset
    from inception_loop.images.mei import synthesize_meis
    from inception_loop.images.network import CallableModel
    from inception_loop.network.config import CorePlusReadout
    from inception_loop.recordings.imported import import_recording
    from inception_loop.recordings.options import ReadOptions
    from inception_loop.recordings.recording import Recording, ScanKey
    from inception_loop.training.config import ModelConfig, TrainConfig
    from inception_loop.training.ensemble import load_ensemble
    from inception_loop.training.model import make_model as train
    from inception_loop.training.own_model import OwnModelConfig, make_own_model, own_loader, own_model
    from inception_loop.training.pixel_model import OwnModel, content_digest
    from inception_loop.training.populate import populate
    from inception_loop.training.published import PublishedGrid, published_grid
    from inception_loop.training.restriction import restrict

_HOME = {
    "AnimalDayConfig": "animals.recorded",
    "ArtifactRef": "artifacts.ref",
    "ArtifactStore": "artifacts.store",
    "CallableModel": "images.network",
    "Comparison": "closed_loop.comparison",
    "CorePlusReadout": "network.config",
    "DatasetConfig": "dataset.config",
    "ModelConfig": "training.config",
    "NaturalSessionConfig": "animals.session",
    "OwnModel": "training.pixel_model",
    "OwnModelConfig": "training.own_model",
    "PublishedGrid": "training.published",
    "ReadOptions": "recordings.options",
    "Recording": "recordings.recording",
    "ScanKey": "recordings.recording",
    "SimulatedConfig": "animals.simulated",
    "TrainConfig": "training.config",
    "TwinConfig": "animals.twin",
    "compare": "closed_loop.compare",
    "content_digest": "training.pixel_model",
    "fitting_config": "dataset.fitting",
    "import_recording": "recordings.imported",
    "load_ensemble": "training.ensemble",
    "load_member": "dataset.member",
    "make_dataset": "dataset.stage",
    "make_own_model": "training.own_model",
    "make_recorded_day": "animals.recorded",
    "open_store": "artifacts.store",
    "own_loader": "training.own_model",
    "own_model": "training.own_model",
    "populate": "training.populate",
    "published_grid": "training.published",
    "restrict": "training.restriction",
    "synthesize_meis": "images.mei",
    "train": "training.model:make_model",
}
"""Public name → module (and the name there, where it is another)."""

__all__ = [  # noqa: RUF022 (the order of a loop)
    "open_store",
    "ArtifactRef",
    "ArtifactStore",
    "Recording",
    "ScanKey",
    "ReadOptions",
    "import_recording",
    "fitting_config",
    "AnimalDayConfig",
    "NaturalSessionConfig",
    "SimulatedConfig",
    "TwinConfig",
    "make_recorded_day",
    "DatasetConfig",
    "make_dataset",
    "load_member",
    "CorePlusReadout",
    "TrainConfig",
    "ModelConfig",
    "PublishedGrid",
    "published_grid",
    "restrict",
    "train",
    "populate",
    "load_ensemble",
    "OwnModel",
    "OwnModelConfig",
    "content_digest",
    "own_model",
    "make_own_model",
    "own_loader",
    "CallableModel",
    "synthesize_meis",
    "Comparison",
    "compare",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'inception_loop' has no attribute {name!r}")
    module, _, there = _HOME[name].partition(":")
    return getattr(import_module(f"inception_loop.{module}"), there or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
