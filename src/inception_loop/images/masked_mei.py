"""Masked MEI: an MEI through a mask, the rest a uniform grey, at the statistics of its control images."""

from __future__ import annotations

import torch
from torch import Tensor

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.contrast import can_match, largest_contrast, match_contrast
from inception_loop.images.image_kind import MatchedConfig, image_kind, write_images
from inception_loop.images.masks.shapes import refuse_empty
from inception_loop.images.natural.through_masks import through
from inception_loop.images.network import Networks
from inception_loop.images.of_units import images_of, rows_of

MASKED_MEI = image_kind(
    "masked_mei", "Each unit's MEI through its mask, at matched mean and contrast of the whole image."
)


class MaskedMeiConfig(MatchedConfig):
    """MEIs through masks, at which mean and contrast of the whole image."""


def masked_at(
    images: Tensor, masks: Tensor, mean: float, contrast: float, *, names: list[str] | None = None
) -> Tensor:
    """Show images through masks at a mean and RMS contrast of the whole image, clipping included.

    The masked image, as of a natural picture, is that of `through`: its mean is 0 and so is everything
    outside the mask, which therefore becomes a uniform grey: ``mean`` itself where no pixel clips.

    Parameters
    ----------
    images, masks : (U, H, W)
        Grey levels; 0..1.
    mean, contrast : grey levels
    names
        What each unit is called; by default its row.

    Returns
    -------
    (U, H, W) of the dtype of ``images``

    Raises
    ------
    DataError
        If a mask covers nothing, an image is flat under it, or the contrast cannot be shown.

    Examples
    --------
    >>> picture, mask = torch.tensor([[[3.0, 5.0, 40.0, 80.0]]]), torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    >>> shown = masked_at(picture, mask, 100.0, 10.0)
    >>> [round(v, 3) for v in shown.flatten().tolist()], round(shown.std(correction=0).item(), 3)
    ([85.858, 114.142, 100.0, 100.0], 10.0)
    """
    names = [f"unit {row}" for row in range(len(images))] if names is None else names
    refuse_empty(masks > 0, names)
    shown = through(images, masks)
    _refuse_unshown(shown, mean, contrast, names)
    return match_contrast(shown, mean, contrast).to(images.dtype)


def _refuse_unshown(shown: Tensor, mean: float, contrast: float, names: list[str]) -> None:
    lost = torch.nonzero(~can_match(shown, mean, contrast)).flatten().tolist()
    if lost:
        most = largest_contrast(shown, mean)
        units = {names[row]: f"{contrast - float(most[row]):.2f} too much" for row in lost}
        what = f"the MEI through its mask cannot be shown at mean {mean:g} and contrast {contrast:g}"
        expected = "expected one that can; leave them out or lower the contrast"
        raise RefusedUnitsError(Refusal(what, units, expected))


def make_masked_mei(
    store: ArtifactStore, config: MaskedMeiConfig, *, networks: Networks, mei: ArtifactRef, mask: ArtifactRef
) -> Outcome:
    """Show the MEIs of a batch of units through their masks.

    Parameters
    ----------
    store, config
        Where and what.
    networks
        The ensemble of the MEIs and those that judge the images.
    mei
        The MEIs, of these units at least.
    mask
        Their masks, of any kind of mask: published is ``tight_mei_mask``.
    """

    def build(attempt: Attempt) -> None:
        model, images = config.load(networks.own.load), images_of(store, mei, config)
        rows = rows_of(store.table(mask, mask.kind), config, mask)
        masks = torch.tensor(store.arrays(mask, "masks")["masks"][rows], device=images.device)
        names = config.noise_keys
        shown = masked_at(images, masks, config.mean_of(model), config.contrast, names=names)
        write_images(attempt, MASKED_MEI, config, networks, model, shown, device=store.settings.device)

    inputs = {**networks.inputs(), "mei": [mei], "mask": [mask]}
    return store.make(MASKED_MEI, config, build, inputs=inputs)
