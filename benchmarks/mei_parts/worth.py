"""What the images are worth: against the published ones, in any batch, against the truth."""

from __future__ import annotations

import numpy as np
import torch
from mei_parts.networks import Row, Size, model_of, random_network, row, trained
from torch import Tensor

from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.ascent.precision import fastest_precision
from inception_loop.images.ascent.procedure import AnyProcedure, Fast, PublishedBlur
from inception_loop.images.contrast import match_contrast
from inception_loop.images.diverse import diverse_sets
from inception_loop.images.mei import synthesize_meis
from inception_loop.images.network import CallableModel
from inception_loop.images.recovery import image_cosine, share_of_maximum
from inception_loop.images.rf import linear_rf
from inception_loop.training.ensemble import Ensemble

Model = CallableModel | Ensemble
AGAIN = 5


def climb(model: Model, units: list[int], procedure: AnyProcedure | None = None) -> Tensor:
    """Best images of some units."""
    return synthesize_meis(model, units, procedure=procedure, gains=2).ascent.images


def activation(model: Model, units: list[int], images: Tensor) -> np.ndarray:
    """(U,) activation of each unit by its image."""
    with torch.no_grad():
        return unit_objective(model, units)(images, torch.arange(len(units))).numpy()


def worth(size: Size) -> tuple[list[Row], float]:
    """Compare activations at equal statistics; return the rows and the fast gradients an image."""
    if size.epochs:
        (climbed, validator), units = trained(size)
    else:
        climbed, validator = (model_of(random_network(size, seed)) for seed in (1, 2))
        units = list(range(size.judged))
    procedure = Fast()
    fast = synthesize_meis(climbed, units, procedure=procedure, gains=2).ascent
    published = climb(climbed, units, PublishedBlur(iterations=size.judged_steps))
    equal = match_contrast(published, climbed.image_mean, procedure.contrast)
    ours = {"fast": fast.images}
    if fastest_precision() == "bfloat16" and isinstance(climbed, Ensemble):
        ours["fast in bfloat16, judged in float32"] = _rough(climbed, units)
    rows = []
    for name, images in ours.items():
        own = activation(climbed, units, images) / activation(climbed, units, equal)
        other = activation(validator, units, images) / activation(validator, units, equal)
        rows += [
            row(
                f"units of {len(units)} at ≥ 99 % of the published activation, {name}",
                "1",
                (own >= 0.99).mean(),
                target=0.95,
            ),
            row(f"{name} over published activation, median", "1", float(np.median(own)), target=0.99),
            row(f"{name} over published activation, lowest", "1", float(own.min())),
            row(
                f"{name} over published on a validator of another seed, median",
                "1",
                float(np.median(other)),
                target=0.99,
            ),
        ]
    again = [
        synthesize_meis(climbed, units, seed=seed, gains=2).ascent.scores for seed in range(2, 2 + AGAIN)
    ]
    share = (fast.scores / torch.stack([fast.scores, *again]).amax(0)).numpy()
    rows.append(row(f"fast over the best of {AGAIN} more seeds, lowest unit", "1", float(share.min())))
    rows.append(row(f"units at ≥ 99 % of the best of {AGAIN} more seeds", "1", float((share >= 0.99).mean())))
    rows += alone(climbed, units) + diverse(climbed, units[:8], fast.images[:8])
    trials = procedure.starts * (procedure.trial_steps + 1) if procedure.starts > 1 else 0
    return rows, trials + float(fast.iterations.mean()) + 1


def _rough(model: Ensemble, units: list[int]) -> Tensor:
    for network in model.networks:
        network.precision = "bfloat16"
    try:
        return climb(model, units)
    finally:
        for network in model.networks:
            network.precision = "float32"


def alone(model: Model, units: list[int]) -> list[Row]:
    """How far a unit's result depends on who shares its batch: 1, 7 and as many as there are."""
    together = synthesize_meis(model, units, gains=2).ascent
    furthest, turned = 0.0, 0.0
    for chosen in (units[:1], units[-7:], units[-1:]):
        apart = synthesize_meis(model, chosen, gains=2).ascent
        rows = [units.index(unit) for unit in chosen]
        furthest = max(furthest, float((apart.scores / together.scores[rows] - 1).abs().max()))
        cosine = image_cosine(apart.images.numpy(), together.images[rows].double().numpy())
        turned = max(turned, float(1 - cosine.min()))
    text = f"batches of 1 and 7 against {len(units)}"
    return [
        row(f"{text}: largest relative difference of an activation", "1", furthest, target=1e-4),
        row(f"{text}: largest 1 − cosine of an image", "1", max(turned, 0.0), target=1e-4),
    ]


def diverse(model: Model, units: list[int], meis: Tensor) -> list[Row]:
    """Measure sets of 4 images of some units."""
    found = diverse_sets(model, units, meis)
    pairs = found.similarity[:, ~torch.eye(found.similarity.shape[1], dtype=torch.bool)]
    return [
        row(
            f"diverse MEIs, 4 a unit, {len(units)} units: lowest share of the best",
            "1",
            float(found.shares.min()),
            target=0.85,
        ),
        row("diverse MEIs: median similarity of a pair", "1", float(pairs.median())),
    ]


def truth(size: Size) -> list[Row]:
    """MEIs and RF images on the simulated animal's own cells, no network in between."""
    from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
    from inception_loop.recovery.true_network import true_network

    config = SimulatedConfig(n_units=size.cells)
    animal = SimulatedAnimal(config)
    model = true_network(animal.cells, mean_grey=config.mean_grey, contrast_grey=config.contrast_grey)
    rows = []
    for kind in ("simple", "complex", "mixed"):
        columns = np.flatnonzero(animal.cells.kind == kind)
        filters = animal.cells.even[columns].reshape(-1, 36, 64)
        images = {"MEI": climb(model, columns.tolist())}
        if kind != "complex":
            images["RF image"] = linear_rf(model, columns.tolist()).ascent.images
        for name, shown in images.items():
            share = share_of_maximum(animal.respond, shown.numpy(), filters, columns, mean=config.mean_grey)
            text = f"true network, {len(columns)} {kind} cells, {name}"
            rows.append(row(f"{text}: lowest share of the analytic maximum", "1", share.min(), target=0.97))
            if kind == "simple":
                cosine = image_cosine(shown.numpy(), filters)
                rows.append(row(f"{text}: lowest cosine with the filter", "1", cosine.min(), target=0.95))
    return rows
