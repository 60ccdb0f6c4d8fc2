"""Cells whose best image is known in closed form, as callables of grey pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inception_loop.images.network import CallableModel
from inception_loop.pictures.gabor import gabor

HEIGHT, WIDTH = 36, 64
MEAN, STD = 110.0, 50.0


def unit_filters(n: int, phase: float) -> torch.Tensor:
    """(n, 36, 64) float32 Gabors of many places and shapes, zero mean, unit norm."""
    rng = np.random.default_rng(5)
    patches = [
        gabor(
            HEIGHT,
            WIDTH,
            center_x=rng.uniform(18, 46),
            center_y=rng.uniform(12, 24),
            wavelength=rng.uniform(6, 10),
            orientation=rng.uniform(0, np.pi),
            phase=phase,
            sigma=rng.uniform(2.5, 4),
        )
        for _ in range(n)
    ]
    filters = torch.tensor(np.stack(patches), dtype=torch.float32)
    filters -= filters.mean((1, 2), keepdim=True)
    return filters / filters.square().sum((1, 2), keepdim=True).sqrt()


def project(images: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """⟨image b, filter b⟩, summed pixel by pixel so that no neighbour in the batch matters."""
    return (images * filters).sum((1, 2))


def model_of(drive) -> CallableModel:
    """An adjusted model whose activation is ``drive(pixels (B,H,W), units (B,)) -> (B,)``."""

    def full(pixels, units):
        columns = [drive(pixels, unit.expand(len(pixels))) for unit in units]
        return torch.stack(columns, 1)

    return CallableModel(full, MEAN, STD, (HEIGHT, WIDTH), paired_units=drive)


@pytest.fixture(scope="session")
def even():
    return unit_filters(40, 0.0)


@pytest.fixture(scope="session")
def odd():
    return unit_filters(40, -np.pi / 2)


@pytest.fixture(scope="session")
def linear_cells(even):
    return model_of(lambda x, u: project(x, even[u]))


@pytest.fixture(scope="session")
def ln_cells(even):
    """Linear–nonlinear cells: soft rectifier of the contrast along the filter."""
    return model_of(lambda x, u: torch.nn.functional.softplus(project(x - MEAN, even[u]) / 50))


@pytest.fixture(scope="session")
def energy_cells(even, odd):
    """Complex cells: energy in a quadrature pair made exactly orthonormal."""
    overlap = (even * odd).sum((1, 2), keepdim=True)
    sine = odd - overlap * even
    sine = sine / sine.square().sum((1, 2), keepdim=True).sqrt()
    return model_of(lambda x, u: project(x, even[u]) ** 2 + project(x, sine[u]) ** 2)


@pytest.fixture
def noise():
    generator = torch.Generator().manual_seed(11)

    def draw(n: int, std: float = 8.0) -> torch.Tensor:
        return MEAN + std * torch.randn(n, HEIGHT, WIDTH, generator=generator)

    return draw


def cosine(images: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    delta = images - images.mean((1, 2), keepdim=True)
    return torch.nn.functional.cosine_similarity(delta.flatten(1), filters.flatten(1))


@pytest.fixture(name="cosine")
def _cosine():
    return cosine
