"""Mean and RMS contrast of images: measured, and matched exactly under a grey range."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inception_loop.errors import DataError

RANGE = (0.0, 255.0)
"""Grey levels that a monitor can be sent."""

FLAT = 1e-6  # grey levels; an image whose pixels all lie this close to their mean has no contrast to scale


def rms_contrast(images: Tensor) -> Tensor:
    """Return the (K,) RMS contrast of (K, H, W) images: the standard deviation of the pixels (ddof 0)."""
    return _spread(images.flatten(1))


def _spread(d: Tensor) -> Tensor:
    # Not Tensor.std: its sum over one row depends, in the last bit, on how many rows there are.
    return (d - d.mean(1, keepdim=True)).square().mean(1).sqrt()


def largest_contrast(images: Tensor, mean: float, low: float = RANGE[0], high: float = RANGE[1]) -> Tensor:
    """Return the RMS contrast that each image approaches as its gain grows at a fixed mean.

    In the limit every pixel brighter than a threshold is ``high`` and every darker one ``low``; pixels that
    tie at the threshold share the grey level that keeps the mean.

    Parameters
    ----------
    images : (K, H, W)
        Grey levels.
    mean, low, high
        Grey levels, ``low < mean < high``.

    Returns
    -------
    (K,) float64, grey levels

    Examples
    --------
    >>> largest_contrast(torch.tensor([[[1.0, 2.0]]]), 100.0, 0.0, 200.0).tolist()
    [100.0]
    """
    d = images.flatten(1).double()
    n = d.shape[1]
    bright = n * (mean - low) / (high - low)
    threshold = d.sort(1, descending=True).values[:, min(int(bright), n - 1)][:, None]
    above, ties = (p.sum(1, dtype=d.dtype) for p in (d > threshold, d == threshold))
    tie_level = low + (bright - above) / ties * (high - low)
    below = n - above - ties
    power = above * (high - mean) ** 2 + below * (low - mean) ** 2 + ties * (tie_level - mean) ** 2
    return (power / n).sqrt()


def match_contrast(
    images: Tensor, mean: float, contrast: float, low: float = RANGE[0], high: float = RANGE[1]
) -> Tensor:
    """Give every image the same mean and RMS contrast, exactly, although pixels clip at the range.

    Each image becomes ``clip(gain · image + offset, low, high)`` with the one gain and offset for which the
    *clipped* image has the wanted mean and contrast. Where nothing clips that is the usual rescaling.

    Parameters
    ----------
    images : (K, H, W)
        Grey levels or any linear measure of brightness.
    mean, contrast
        Wanted mean and standard deviation (ddof 0) of the pixels, grey levels.
    low, high
        The range that the result may not leave, grey levels.

    Returns
    -------
    (K, H, W) of the dtype of ``images``

    Raises
    ------
    DataError
        If an image is flat, or its wanted contrast cannot be shown within the range (says by how much).

    Examples
    --------
    >>> shown = match_contrast(torch.tensor([[[1.0, 2.0, 10.0, 3.0]]]), 100.0, 80.0)
    >>> round(shown.mean().item(), 3), round(shown.std(correction=0).item(), 3), shown.max().item()
    (100.0, 80.0, 235.76449584960938)
    """
    d = images.flatten(1).double()
    d = d - d.mean(1, keepdim=True)
    _check_reachable(d.reshape(images.shape), mean, contrast, low, high)
    if contrast == 0:
        return torch.full_like(images, mean)
    gain = contrast / _spread(d)
    out = gain[:, None] * d + mean
    clipped = ((out < low) | (out > high)).any(1)
    if clipped.any():
        out[clipped] = _solve(d[clipped], mean, contrast, low, high)
    return out.reshape(images.shape).to(images.dtype)


def can_match(
    images: Tensor, mean: float, contrast: float, low: float = RANGE[0], high: float = RANGE[1]
) -> Tensor:
    """Return (K,) bool: whether `match_contrast` can bring each image to the mean and contrast.

    Examples
    --------
    >>> can_match(torch.tensor([[[1.0, 1.0]], [[1.0, 2.0]]]), 100.0, 50.0).tolist()
    [False, True]
    """
    d = images.flatten(1).double()
    flat = (d - d.mean(1, keepdim=True)).abs().amax(1) <= FLAT
    return ~flat & (contrast < largest_contrast(images, mean, low, high) * (1 - 1e-9))


def _check_reachable(d: Tensor, mean: float, contrast: float, low: float, high: float) -> None:
    if not low < mean < high or contrast < 0:
        raise DataError(
            f"target mean {mean} and contrast {contrast} grey levels; expected a mean inside {low}..{high} "
            "and a contrast of at least 0; choose another target"
        )
    flat = d.flatten(1).abs().amax(1) <= FLAT
    if contrast > 0 and flat.any():
        raise DataError(f"image {int(flat.nonzero()[0])} is flat; expected a picture to scale; leave it out")
    limit = largest_contrast(d, mean, low, high)
    over = contrast >= limit * (1 - 1e-9)
    if contrast > 0 and over.any():
        row = int(over.nonzero()[0])
        raise DataError(
            f"image {row} reaches a contrast of {limit[row]:.2f} grey levels at most at mean {mean} within "
            f"{low}..{high}; wanted {contrast:.2f}, {contrast - float(limit[row]):.2f} too much; "
            "lower the target"
        )


def _solve(d: Tensor, mean: float, contrast: float, low: float, high: float) -> Tensor:
    """Solve for gain and offset under clipping: by active sets, by bisection where they do not settle."""
    gain, offset = _active_sets(d, mean, contrast, low, high)
    out = (gain[:, None] * d + offset[:, None]).clamp(low, high)
    missed = (out.mean(1) - mean).abs() > 1e-9 * (high - low)
    missed |= (_spread(out) - contrast).abs() > 1e-9 * (high - low)
    missed |= ~torch.isfinite(out).all(1)
    if missed.any():
        out[missed] = _bisect_gain(d[missed], mean, contrast, low, high)
    return out


def _active_sets(
    d: Tensor, mean: float, contrast: float, low: float, high: float, rounds: int = 30
) -> tuple[Tensor, Tensor]:
    """Newton's method on a piecewise smooth problem: solve exactly for the pixels that do not clip, repeat.

    With the clipped pixels known, the first two moments of the others are known, and with them gain and
    offset; then see which pixels clip.
    """
    n = d.shape[1]
    gain, offset = contrast / _spread(d), torch.full_like(d[:, 0], mean)
    for _ in range(rounds):
        y = gain[:, None] * d + offset[:, None]
        dark, bright = y <= low, y >= high
        free = ~(dark | bright)
        n_dark, n_bright, n_free = (pixels.sum(1, dtype=d.dtype) for pixels in (dark, bright, free))
        first = -n_dark * (low - mean) - n_bright * (high - mean)
        second = n * contrast**2 - n_dark * (low - mean) ** 2 - n_bright * (high - mean) ** 2
        centre = (d * free).sum(1) / n_free
        spread = ((d - centre[:, None]).square() * free).sum(1)
        gain = ((second - first.square() / n_free) / spread).sqrt()
        offset = mean + first / n_free - gain * centre
    return gain, offset


def _bisect_gain(d: Tensor, mean: float, contrast: float, low: float, high: float) -> Tensor:
    """At a fixed mean the clipped image's contrast rises with the gain: bisect it."""
    lower = contrast / _spread(d)
    upper = lower.clone()
    for _ in range(100):
        short = _spread(_clip_to_mean(d, upper, mean, low, high)) < contrast
        if not short.any():
            break
        upper = torch.where(short, upper * 2, upper)
    for _ in range(80):
        middle = (lower * upper).sqrt()
        short = _spread(_clip_to_mean(d, middle, mean, low, high)) < contrast
        lower, upper = torch.where(short, middle, lower), torch.where(short, upper, middle)
    return _clip_to_mean(d, upper, mean, low, high)


def _clip_to_mean(d: Tensor, gain: Tensor, mean: float, low: float, high: float) -> Tensor:
    """``clip(gain · d + offset)`` with the offset that gives it the mean; the mean rises with the offset."""
    y = gain[:, None] * d
    lower, upper = low - y.amax(1), high - y.amin(1)
    for _ in range(80):
        middle = (lower + upper) / 2
        short = (y + middle[:, None]).clamp(low, high).mean(1) < mean
        lower, upper = torch.where(short, middle, lower), torch.where(short, upper, middle)
    return (y + upper[:, None]).clamp(low, high)


def gain_limits(images: Tensor, low: float = RANGE[0], high: float = RANGE[1]) -> Tensor:
    """Return the (K,) largest gain of each image's contrast about its own mean at which no pixel clips."""
    flat = images.flatten(1)
    mean = flat.mean(1)
    up = (high - mean) / (flat.amax(1) - mean)
    down = (mean - low) / (mean - flat.amin(1))
    return torch.minimum(up, down).nan_to_num(posinf=math.inf)
