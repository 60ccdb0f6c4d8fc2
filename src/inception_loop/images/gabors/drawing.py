"""Gabors as pictures at a stated mean and contrast: on the device of their parameters, differentiable."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inception_loop.images.contrast import RANGE, can_match, gain_and_offset, match_contrast


def gabors(parameters: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Return the (B, H, W) Gabors of (B, 6) `PARAMETERS`: those of `pictures.gabor`, of peak amplitude 1.

    A wave under a round Gaussian is a sum of two products of a function of x and one of y (the cosine of a
    sum), so an image costs its width and height in exponentials and cosines, not its area.

    Examples
    --------
    >>> even = torch.tensor([[0.0, 4.0, 0.0, 2.0, 3.0, 2.0]])
    >>> gabors(even, (5, 7))[0, 2].mul(100).round().int().tolist()
    [0, -61, 0, 100, 0, -61, 0]
    """
    phase, wavelength, orientation, sigma, center_x, center_y = parameters.unsqueeze(2).unbind(1)
    height, width = image_size
    x = torch.arange(width, dtype=parameters.dtype, device=parameters.device) - center_x
    y = torch.arange(height, dtype=parameters.dtype, device=parameters.device) - center_y
    frequency, spread = 2 * math.pi / wavelength, -0.5 / sigma.square()
    along_x = frequency * orientation.cos() * x + phase
    along_y = frequency * orientation.sin() * y
    rows, columns = (spread * x.square()).exp(), (spread * y.square()).exp()
    across = torch.stack((rows * along_x.cos(), rows * along_x.sin()), 1)
    down = torch.stack((columns * along_y.cos(), -columns * along_y.sin()), 2)
    return down @ across


def at_contrast(patches: Tensor, mean: float, contrast: float) -> tuple[Tensor, Tensor]:
    """Bring pictures to a mean and RMS contrast within the grey range, exactly, differentiably.

    Most Gabors do not clip: for those that is one gain. Where pixels clip, gain and offset are those of
    `match_contrast`, and the gradient is that of gain and offset with the clipped pixels held.

    Parameters
    ----------
    patches : (B, H, W)
        Best in float64.
    mean, contrast : grey levels

    Returns
    -------
    images : (B, H, W), grey levels
    shows : (B,) bool
        Whether the range allows the contrast; the other images are of no use.

    Examples
    --------
    >>> images, shows = at_contrast(torch.tensor([[[1.0, 2.0, 10.0, 3.0]]]), 100.0, 80.0)
    >>> round(images.mean().item(), 3), round(images.std(correction=0).item(), 3), shows.tolist()
    (100.0, 80.0, [True])
    """
    d = patches - patches.mean((1, 2), keepdim=True)
    gain = contrast / d.square().mean((1, 2), keepdim=True).sqrt()
    images = mean + gain * d
    low, high = RANGE
    clips = (
        (images.detach().amax((1, 2)) > high) | (images.detach().amin((1, 2)) < low) | gain.isinf()[:, 0, 0]
    )
    shows = torch.ones_like(clips)
    if not clips.any():
        return images, shows
    rows = torch.nonzero(clips).flatten()
    possible = can_match(d[rows].detach(), mean, contrast)
    shows[rows] = possible
    rows = rows[possible]
    if len(rows):
        images = images.index_copy(0, rows, _clipped(d[rows], mean, contrast))
    return images, shows


def _clipped(d: Tensor, mean: float, contrast: float) -> Tensor:
    """Return clipped images at mean and contrast as a function of the pixels that do not clip."""
    low, high = RANGE
    solved = match_contrast(d.detach(), mean, contrast)
    if not d.requires_grad:
        return solved
    dark, bright = solved <= low, solved >= high
    flat, dark, bright = (of.flatten(1) for of in (d, dark, bright))
    gain, offset = gain_and_offset(flat, mean, contrast, dark, bright, low, high)
    return torch.where(dark, low, torch.where(bright, high, gain * flat + offset)).reshape(d.shape)
