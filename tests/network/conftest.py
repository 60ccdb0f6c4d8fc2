from __future__ import annotations

import collections
import collections.abc
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def small() -> CorePlusReadout:
    """A network small enough for a test, in the published shape."""
    return CorePlusReadout(
        core=GaussianLaplace(hidden_channels=3, input_kern=5, hidden_kern=3),
        readout=SpatialTransformerPyramid2d(scale_n=2, init_range=0.8),
    )


@pytest.fixture(scope="session")
def peer() -> Iterator[SimpleNamespace]:
    """neuralpredictors, out of its wheel; it wants a Python before 3.10 and imports torchvision unused."""
    spec = importlib.util.spec_from_file_location("infra_wheels", ROOT / "infra" / "wheels.py")
    infra = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(infra)
    wheel = infra.find(infra.NEURALPREDICTORS)
    if wheel is None and os.environ.get("CI"):
        pytest.fail("neuralpredictors is missing; expected it in .cache/wheels; run: make services")
    if wheel is None:
        pytest.skip("neuralpredictors is not there; make services fetches it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(wheel), *sys.path])
        patch.setattr(collections, "Iterable", collections.abc.Iterable, raising=False)
        patch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
        names = ("layers.activations", "layers.cores", "layers.readouts", "layers.shifters", "regularizers")
        parts = {name: importlib.import_module(f"neuralpredictors.{name}") for name in names}
        yield SimpleNamespace(**{name.rpartition(".")[2]: part for name, part in parts.items()})
