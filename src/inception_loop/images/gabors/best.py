"""BestGabor: the Gabor of a grid that excites each unit most, at the mean and contrast of the MEIs."""

from __future__ import annotations

import numpy as np
import polars as pl
from pydantic import Field

from inception_loop.artifacts.kind import Array, Arrays, Column
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.images.gabors.grid import PARAMETERS, GaborGrid
from inception_loop.images.gabors.search import GaborSearch, search_gabors
from inception_loop.images.image_kind import MatchedConfig, image_kind, write_images
from inception_loop.images.network import Networks
from inception_loop.images.target import F64, I64

GABOR_COLUMNS = {
    "phase": Column(F64, "phase of the wave at the centre, rad; 0 is even"),
    "wavelength": Column(F64, "period of the wave, px"),
    "orientation": Column(F64, "rad; at 0 the stripes are vertical, it grows towards positive y (down)"),
    "sigma": Column(F64, "s.d. of the round envelope, px"),
    "center_x": Column(F64, "centre, px from the centre of the leftmost pixels"),
    "center_y": Column(F64, "centre, px from the centre of the topmost pixels"),
}
BEST_GABOR = image_kind(
    "best_gabor",
    "The Gabor of a grid that excites each unit most, at matched mean and contrast.",
    columns={
        **GABOR_COLUMNS,
        "margin": Column(
            F64, "activation over that of the second best Gabor; null: a grid of one", nullable=True
        ),
        "median_activation": Column(F64, "median over the Gabors searched, as activation"),
        "quantile_activation": Column(F64, "the configured quantile over the Gabors searched, as activation"),
        "n_gabors": Column(I64, "Gabors searched"),
    },
    payloads={
        "candidates": Arrays(
            {
                "parameters": Array(
                    "float64",
                    ("units", "candidates", "parameters"),
                    f"the best Gabors of different looks, best first, NaN once there are no more: "
                    f"{', '.join(PARAMETERS)}; rad and px",
                ),
                "activation": Array("float64", ("units", "candidates"), "activation by each of them"),
            }
        )
    },
)


class BestGaborConfig(MatchedConfig):
    """Which Gabors are searched, and at which statistics."""

    grid: GaborGrid = Field(GaborGrid(), description="The Gabors; 72,800 as published.")
    quantile: float = Field(0.95, gt=0, lt=1, description="Quantile over the bank that is recorded.")
    candidates: int = Field(8, ge=1, description="Gabors of different looks kept a unit: starts of a climb.")
    similarity: float = Field(0.8, gt=0, le=1, description="Largest correlation of two of them.")
    batch_size: int | None = Field(
        None, ge=1, description="Gabors evaluated at once; none: what suits the device."
    )


def make_best_gabor(store: ArtifactStore, config: BestGaborConfig, *, networks: Networks) -> Outcome:
    """Find the best Gabors of a batch of units, in one pass over the bank for all of them.

    Parameters
    ----------
    store, config
        Where and what.
    networks
        As in `make_mei`.

    Raises
    ------
    DataError
        If no Gabor can be shown at the contrast, or a unit answers all of them alike.
    """

    def build(attempt: Attempt) -> None:
        model, device = config.load(networks.own.load), store.settings.device
        found = search_gabors(
            model,
            config.grid,
            config.neuron_ids,
            mean=config.mean_of(model),
            contrast=config.contrast,
            names=config.noise_keys,
            batch_size=config.batch_size,
            device=device,
            on_progress=attempt.progress,
        )
        best, activation = found.best, found.activation
        columns = {
            **dict(zip(PARAMETERS, found.parameters(best).T.numpy(), strict=True)),
            "margin": pl.Series(activation - found.runner_up).fill_nan(None),
            "median_activation": found.quantile(0.5),
            "quantile_activation": found.quantile(config.quantile),
            "n_gabors": [found.n_searched] * len(config.units),
        }
        images = found.images(best)
        write_images(attempt, BEST_GABOR, config, networks, model, images, columns=columns, device=device)
        attempt.write_arrays("candidates", candidates(found, config.candidates, config.similarity))
        attempt.report(n_searched=found.n_searched, n_unreachable=config.grid.size - found.n_searched)
        if found.images_at_once is not None:
            attempt.report(images_at_once_for_memory=found.images_at_once)

    return store.make(BEST_GABOR, config, build, inputs=networks.inputs())


def candidates(found: GaborSearch, count: int, similarity: float) -> dict[str, np.ndarray]:
    """Return the best Gabors of different looks of every unit; see the payload ``candidates``."""
    n_units = found.activations.shape[1]
    parameters = np.full((n_units, count, len(PARAMETERS)), np.nan)
    activation = np.full((n_units, count), np.nan)
    for unit in range(n_units):
        rows = found.diverse(unit, count, similarity=similarity)
        parameters[unit, : len(rows)] = found.parameters(rows).numpy()
        activation[unit, : len(rows)] = found.activations[rows, unit]
    return {"parameters": parameters, "activation": activation}
