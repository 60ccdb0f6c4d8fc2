"""MEIs of a published network of a real mouse against natural crops, Gabors and RF images."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import numpy as np
import torch
from mei_parts.networks import HEIGHT, WIDTH, Row, Size, row
from torch import Tensor

from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.contrast import can_match, match_contrast
from inception_loop.images.gabors.grid import GaborGrid
from inception_loop.images.gabors.optimal import optimal_gabors
from inception_loop.images.gabors.search import search_gabors
from inception_loop.images.mei import synthesize_meis
from inception_loop.images.network import CallableModel
from inception_loop.images.rf import linear_rf

CONTRAST = 8.0
RELIABLE = 8


def twin_rows(path: Path, size: Size) -> list[Row]:
    """Activations of the 8 cells whose prediction varies most over natural images, all at one contrast."""
    from inception_loop.animals.reference_images import reference_images
    from inception_loop.animals.twin_network import TwinNetwork
    from inception_loop.pictures.natural import area_average, natural_images

    network = TwinNetwork(path)
    features, readout = (inspect.unwrap(f) for f in (TwinNetwork.features, TwinNetwork.readout))
    mean, std = 128.0, 55.0  # what `TwinConfig` takes as zero and one

    def by_cells(pixels: Tensor, cells: np.ndarray) -> Tensor:  # without the decorator there is a gradient
        return readout(network, features(network, ((pixels - mean) / std)[:, None]), cells)

    everyone = np.arange(network.n_cells)
    reference = torch.tensor(reference_images())
    with torch.no_grad():
        shown = torch.cat([by_cells(part, everyone) for part in reference.split(64)])
    cells = np.argsort(-shown.var(0).numpy(), kind="stable")[:RELIABLE]

    def paired(pixels: Tensor, units: Tensor) -> Tensor:
        return by_cells(pixels, cells).gather(1, units[:, None])[:, 0]

    model = CallableModel(
        lambda pixels, units: by_cells(pixels, cells[units.numpy()]),
        mean,
        std,
        (HEIGHT, WIDTH),
        paired_units=paired,
    )
    units = list(range(RELIABLE))
    procedure = Fast(contrast=CONTRAST)
    mei = synthesize_meis(model, units, procedure=procedure, gains=2).ascent
    linear = linear_rf(model, units, procedure=procedure).ascent
    crops = natural_images(size.crops, height=2 * HEIGHT, width=2 * WIDTH, seed=7)
    grey = torch.tensor(area_average(crops.pixels, HEIGHT, WIDTH))
    grey = match_contrast(grey[can_match(grey, mean, CONTRAST)], mean, CONTRAST)
    with torch.no_grad():
        natural = torch.cat([by_cells(part, cells) for part in grey.split(64)]).amax(0)
        flat = by_cells(torch.full((1, HEIGHT, WIDTH), mean), cells)[0]
    by = {"natural": natural.numpy(), "Gabor": gabor(model, units, mean), "RF image": linear.scores.numpy()}
    best = mei.scores.numpy()
    rows = [
        row(
            f"twin, cell {cell}: MEI against the best of {len(grey)} natural crops",
            "response s.d.",
            best[u],
            gabor=float(by["Gabor"][u]),
            rf_image=float(by["RF image"][u]),
            natural=float(natural[u]),
            grey=float(flat[u]),
        )
        for u, cell in enumerate(cells)
    ]
    for name, values in by.items():
        text = f"twin: MEI over best {name}" if name != "RF image" else "twin: MEI over RF image"
        rows.append(
            row(
                f"{text}, median (lowest {float((best / values).min()):.2f})",
                "1",
                float(np.median(best / values)),
            )
        )
    return rows


def gabor(model: CallableModel, units: list[int], mean: float) -> np.ndarray:
    """Activation of the best Gabor: a coarse grid, then its best candidates with their parameters freed."""
    grid = GaborGrid(
        wavelengths=(10.0, 20.0),
        sigmas=(3.0, 6.0),
        orientations=tuple(k * math.pi / 4 for k in range(4)),
        dy=(-0.2, 0.0, 0.2),
        dx=(-0.2, -0.1, 0.0, 0.1, 0.2),
    )
    found = search_gabors(model, grid, units, mean=mean, contrast=CONTRAST)
    starts = torch.stack([found.parameters(found.diverse(unit, 3)) for unit in units])
    free = optimal_gabors(
        model, units, starts, GaborGrid().bounds((HEIGHT, WIDTH)), mean=mean, contrast=CONTRAST
    )
    return free.activation
