"""Masks that need no network: around all that stands out of an MEI, and a Gaussian of its moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.identity import Config
from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.smoothing import gaussian_blur
from inception_loop.images.masks.shapes import (
    convex_hulls,
    deviation,
    refuse_empty,
    softened,
    without_small_blobs,
)

THIN = 1e-9  # px²: a density of less extent along some direction is a line or a point


class OutlineRule(Config):
    """How the mask around all that stands out is drawn; the defaults are published."""

    delta_thr: float = Field(
        16.0, ge=0, description="A pixel belongs to the outline this far from the mean, grey levels."
    )
    min_blob_px: int = Field(50, ge=1, description="Connected parts with fewer pixels are removed.")
    grow_sigma: float = Field(3.0, ge=0, description="The hull is blurred with this, px, …")
    grow_thr: float = Field(0.3, gt=0, lt=1, description="… and cut at this, which makes it grow.")
    edge_sigma: float = Field(2.0, ge=0, description="Width of the soft edge, px.")


def mei_masks(images: Tensor, rule: OutlineRule, *, names: Sequence[str]) -> Tensor:
    """Draw masks around all that stands out of each picture, with a margin and a soft edge.

    Pixels further than ``delta_thr`` from the mean, without small blobs; their convex hull, grown; its edge
    blurred.

    Parameters
    ----------
    images : (U, H, W), grey levels
    rule
        Thresholds and widths.
    names
        What each unit is called.

    Returns
    -------
    (U, H, W) float32, 0..1

    Raises
    ------
    DataError
        If nothing of a picture is left.
    """
    outlines = (deviation(images) > rule.delta_thr).cpu().numpy()
    hulls = convex_hulls(without_small_blobs(outlines, rule.min_blob_px), names)
    grown = gaussian_blur(torch.from_numpy(hulls).to(images.device).double(), rule.grow_sigma) > rule.grow_thr
    refuse_empty(grown, names)
    return softened(grown, rule.edge_sigma)


class Moments(NamedTuple):
    """Where the power of U pictures lies.

    Attributes
    ----------
    center : (U, 2) float64
        Mean position (x, y), px.
    covariance : (U, 2, 2) float64
        Of the position, px².
    """

    center: Tensor
    covariance: Tensor


def power_moments(images: Tensor) -> Moments:
    """Return mean and covariance of the position under the density (pixel − mean)².

    Examples
    --------
    >>> picture = torch.tensor([[[0.0, 3.0, 0.0, -3.0, 0.0]]])
    >>> found = power_moments(picture)
    >>> found.center.tolist(), found.covariance[0, 0, 0].item()
    ([[2.0, 0.0]], 1.0)
    """
    weight = deviation(images).square().flatten(1)
    weight = weight / weight.sum(1, keepdim=True)
    height, width = images.shape[1:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack((x, y), -1).reshape(-1, 2).to(weight)
    center = weight @ places
    delta = places - center[:, None]
    return Moments(center, torch.einsum("un,unx,uny->uxy", weight, delta, delta))


def gaussian_masks(
    images: Tensor, *, names: Sequence[str], exponent: float = 1.875
) -> tuple[Tensor, Moments]:
    """Draw Gaussian masks with the moments of each picture's power.

    With the centre and covariance of (pixel − mean)² and d the Mahalanobis distance from them, the mask is
    ``√exp(−d²/2)`` to the power ``exponent``: 1 at the centre.

    Parameters
    ----------
    images : (U, H, W), grey levels
    names
        What each unit is called.
    exponent
        1.875 as published: smaller masks are wider.

    Returns
    -------
    masks : (U, H, W) float32, 0..1
    moments : Moments

    Raises
    ------
    DataError
        If a picture is flat, or all its power lies on a line or a point.
    """
    refuse_empty(deviation(images) > 0, names)
    moments = power_moments(images)
    thin = [
        name
        for name, least in zip(names, torch.linalg.eigvalsh(moments.covariance)[:, 0].tolist(), strict=True)
        if least <= THIN
    ]
    if thin:
        what = "the power of the picture lies on a line or a point"
        expected = "expected one with an extent in x and y; leave them out"
        raise RefusedUnitsError(Refusal(what, dict.fromkeys(thin, ""), expected))
    height, width = images.shape[1:]
    center = moments.center[:, None, None]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    delta = torch.stack((x, y), -1).to(center) - center
    distance = torch.einsum("uhwx,uxy,uhwy->uhw", delta, torch.linalg.inv(moments.covariance), delta)
    return torch.exp(-distance * (exponent / 4)).float(), moments
