"""BestTightMaskedImageNet: the natural image that excites each unit most inside its mask."""

from __future__ import annotations

import torch
from pydantic import Field

from inception_loop.artifacts.kind import Column
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.image_kind import MatchedConfig, image_kind, write_images
from inception_loop.images.natural.masked_group import Screen
from inception_loop.images.natural.masked_search import MaskedSearch, search_masked
from inception_loop.images.natural.searched import Which, searched
from inception_loop.images.natural.whole import FOUND, found_columns
from inception_loop.images.network import Networks
from inception_loop.images.of_units import rows_of
from inception_loop.images.target import I64

BEST_TIGHT_MASKED_IMAGENET = image_kind(
    "best_tight_masked_imagenet",
    "The natural image that excites each unit most through its mask, at matched mean and contrast.",
    version=2,  # 2: images not asked about are guessed as random rectifiers would answer, with credit
    columns={
        **FOUND,
        "n_exact": Column(I64, "forward passes of the unit a network, those of the screen included"),
        "n_gradients": Column(I64, "how many of them were also differentiated"),
    },
)


class BestTightMaskedImagenetConfig(MatchedConfig):
    """Which images are searched through the masks, how thoroughly, and at which statistics."""

    which: Which = Field(Which(), description="Which of the pictures given are searched.")
    screen: Screen = Field(Screen(), description="How many of them a unit is asked about.")
    batch_size: int = Field(128, ge=1, description="Images evaluated at once.")


def make_best_tight_masked_imagenet(
    store: ArtifactStore,
    config: BestTightMaskedImagenetConfig,
    *,
    networks: Networks,
    mask: ArtifactRef,
    pictures: ArtifactRef,
) -> Outcome:
    """Find the best natural images of a batch of units through their masks.

    Findings: ``n_passes`` (exact forward passes a network of the whole batch), ``most_passes_a_unit``,
    ``n_gradients``, ``n_searched``, ``everything`` (whether there were so few images that all were
    evaluated), ``n_unreachable`` (met, that do not reach the contrast).

    Parameters
    ----------
    store, config
        Where and what.
    networks
        As in `make_mei`.
    mask
        Masks of any kind, of these units at least: published is ``tight_mei_mask``.
    pictures
        As in `make_best_natural_image`.
    """

    def build(attempt: Attempt) -> None:
        model, device = config.load(networks.own.load), store.settings.device
        images = searched(store, pictures, config.name, config.which)
        images.check(model.image_size, len(config.units))
        rows = rows_of(store.table(mask, mask.kind), config, mask)
        batches = FittingBatches(config.batch_size)
        found = search_masked(
            model,
            images,
            torch.tensor(store.arrays(mask, "masks")["masks"][rows]),
            config.neuron_ids,
            mean=config.mean_of(model),
            contrast=config.contrast,
            screen=config.screen,
            names=config.noise_keys,
            batches=batches,
            device=device,
            on_progress=attempt.progress,
        )
        columns = {
            **found_columns(images, found.best, found.runner_up_activation, len(images) - found.n_flat),
            "n_exact": found.n_exact,
            "n_gradients": found.n_gradients,
        }
        write_images(
            attempt,
            BEST_TIGHT_MASKED_IMAGENET,
            config,
            networks,
            model,
            found.images,
            columns=columns,
            device=device,
        )
        everything = len(images) <= config.screen.candidates
        attempt.report(**counts(found), n_searched=len(images), everything=everything, **batches.findings())

    inputs = {**networks.inputs(), "mask": [mask], pictures.kind: [pictures]}
    return store.make(BEST_TIGHT_MASKED_IMAGENET, config, build, inputs=inputs)


def counts(found: MaskedSearch) -> dict[str, int]:
    """Return findings: what the search of a batch of units took."""
    return {
        "n_passes": int(found.n_exact.sum()),
        "most_passes_a_unit": int(found.n_exact.max()),
        "n_gradients": int(found.n_gradients.sum()),
        "n_unreachable": int(found.n_unreachable.sum()),
    }
