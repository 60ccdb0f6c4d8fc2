"""How alike the images of a set are: correlation of their pixels, everywhere or within a mask."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def pair_similarity(sets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the correlation of every image of a set with every other.

    Parameters
    ----------
    sets : (A, K, H, W), grey levels
    mask : (A, H, W), optional
        Weight of each pixel, 0..1; by default all count alike.

    Returns
    -------
    (A, K, K) in −1..1; 0 for a flat image

    Examples
    --------
    >>> pair = torch.tensor([[[[1.0, 2.0]], [[5.0, 3.0]]]])
    >>> pair_similarity(pair)[0].round(decimals=3).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    pixels = sets.flatten(2)
    weight = torch.ones_like(pixels[:, :1]) if mask is None else mask.flatten(1)[:, None]
    mean = (weight * pixels).sum(2, keepdim=True) / weight.sum(2, keepdim=True)
    delta = (pixels - mean) * weight.sqrt()
    length = delta.square().sum(2, keepdim=True).sqrt()
    unit = delta / torch.where(length > 0, length, 1.0)
    return unit @ unit.transpose(1, 2)


def most_similar(similarity: Tensor, sharpness: float) -> Tensor:
    """Return the smooth maximum over the pairs of each set, ``log(mean(exp(s · sharpness))) / sharpness``.

    Between the mean (sharpness 0) and the most similar pair (infinite), so that no two images of a set end
    up as near duplicates while the others are far apart.

    Parameters
    ----------
    similarity : (A, K, K)
    sharpness : float, above 0

    Returns
    -------
    (A,)

    Examples
    --------
    >>> three = torch.tensor([[[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]]])
    >>> most_similar(three, 10.0).item()
    0.5
    """
    size = similarity.shape[1]
    first, second = torch.triu_indices(size, size, 1, device=similarity.device)
    pairs = similarity[:, first, second] * sharpness
    return (torch.logsumexp(pairs, 1) - math.log(len(first))) / sharpness
