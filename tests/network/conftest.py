from __future__ import annotations

import pytest
import torch

from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d


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
