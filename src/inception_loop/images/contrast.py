"""Mean and RMS contrast of images: measured, and matched exactly under a grey range."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from inception_loop.errors import DataError

RANGE = (0.0, 255.0)
"""Grey levels that a monitor can be sent."""

Target = float | Tensor
"""One value for all images, or (K,) float64, one an image."""

NAMED = 5  # images in an error, besides the worst


class BeyondReachError(DataError):
    """A contrast that some images cannot have within the range; ``rows`` are theirs, the worst first."""

    def __init__(self, message: str, rows: Sequence[int] = ()) -> None:  # so that it survives a cluster
        super().__init__(message)
        self.rows = list(rows)


FLAT = 1e-6  # grey levels; an image whose pixels all lie this close to their mean has no contrast to scale


def rms_contrast(images: Tensor) -> Tensor:
    """Return the (K,) RMS contrast of (K, H, W) images: the standard deviation of the pixels (ddof 0)."""
    return _spread(images.flatten(1))


def _spread(d: Tensor) -> Tensor:
    # Not Tensor.std: its sum over one row depends, in the last bit, on how many rows there are.
    return (d - d.mean(1, keepdim=True)).square().mean(1).sqrt()


def largest_contrast(images: Tensor, mean: Target, low: float = RANGE[0], high: float = RANGE[1]) -> Tensor:
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
    n, mean = d.shape[1], _column(mean, d)
    bright = n * (mean - low) / (high - low)
    rank = bright.long().clamp(0, n - 1)
    threshold = d.sort(1, descending=True).values.gather(1, rank)
    above, ties = (p.sum(1, keepdim=True, dtype=d.dtype) for p in (d > threshold, d == threshold))
    tie_level = low + (bright - above) / ties * (high - low)
    below = n - above - ties
    power = above * (high - mean) ** 2 + below * (low - mean) ** 2 + ties * (tie_level - mean) ** 2
    return (power / n).sqrt()[:, 0]


def _column(value: Target, d: Tensor) -> Tensor:
    """(K, 1), a row an image."""
    return torch.as_tensor(value, dtype=d.dtype, device=d.device).expand(len(d))[:, None]


def match_contrast(
    images: Tensor,
    mean: Target,
    contrast: Target,
    low: float = RANGE[0],
    high: float = RANGE[1],
    *,
    unit: str = "grey levels",
    labels: Sequence[str] | None = None,
) -> Tensor:
    """Give every image the same mean and RMS contrast, exactly, although pixels clip at the range.

    Each image becomes ``clip(gain · image + offset, low, high)`` with the one gain and offset for which the
    *clipped* image has the wanted mean and contrast. Where nothing clips that is the usual rescaling.

    Parameters
    ----------
    images : (K, H, W)
        Grey levels or any linear measure of brightness.
    mean, contrast
        Wanted mean and standard deviation (ddof 0) of the pixels, grey levels; of all images or of each.
    low, high
        The range that the result may not leave, grey levels.
    unit, labels
        What the unit and each image are called in an error; by default ``image 0``…

    Returns
    -------
    (K, H, W) of the dtype of ``images``

    Raises
    ------
    DataError
        If an image is flat, or its wanted mean or contrast cannot be shown within the range (says by how
        much).

    Examples
    --------
    >>> shown = match_contrast(torch.tensor([[[1.0, 2.0, 10.0, 3.0]]]), 100.0, 80.0)
    >>> round(shown.mean().item(), 3), round(shown.std(correction=0).item(), 3), shown.max().item()
    (100.0, 80.0, 235.76449584960938)
    """
    d = images.flatten(1).double()
    d = d - d.mean(1, keepdim=True)
    aim, spread = _column(mean, d), _column(contrast, d)
    if len(d):
        called = [f"image {row}" for row in range(len(d))] if labels is None else labels
        _check_reachable(d, aim[:, 0], spread[:, 0], low, high, unit, called)
    gain = torch.where(spread > 0, spread / _spread(d)[:, None], 0.0)
    out = torch.where(gain > 0, gain * d, 0.0) + aim
    clipped = ((out < low) | (out > high)).any(1)
    if clipped.any():
        out[clipped] = _solve(d[clipped], aim[clipped], spread[clipped], low, high)
    return out.reshape(images.shape).to(images.dtype)


def can_match(
    images: Tensor, mean: Target, contrast: Target, low: float = RANGE[0], high: float = RANGE[1]
) -> Tensor:
    """Return (K,) bool: whether `match_contrast` can bring each image to the mean and contrast.

    Examples
    --------
    >>> can_match(torch.tensor([[[1.0, 1.0]], [[1.0, 2.0]]]), 100.0, 50.0).tolist()
    [False, True]
    """
    d = images.flatten(1).double()
    flat = (d - d.mean(1, keepdim=True)).abs().amax(1) <= FLAT
    return ~flat & (_column(contrast, d)[:, 0] < largest_contrast(images, mean, low, high) * (1 - 1e-9))


def _check_reachable(
    d: Tensor, mean: Tensor, contrast: Tensor, low: float, high: float, unit: str, labels: Sequence[str]
) -> None:
    wrong = ~((low < mean) & (mean < high) & (contrast >= 0))
    if wrong.any():
        row = int(wrong.nonzero()[0])
        beyond = max(low - float(mean[row]), float(mean[row]) - high, 0.0)
        raise DataError(
            f"target mean {mean[row]:g} and contrast {contrast[row]:g} {unit}; expected a mean inside "
            f"{low:g}..{high:g} (it is {beyond:.2f} beyond) and a contrast of at least 0; "
            "choose another target"
        )
    flat = (d.abs().amax(1) <= FLAT) & (contrast > 0)
    if flat.any():
        raise DataError(
            f"{labels[int(flat.nonzero()[0])]} is flat; expected a picture to scale; leave it out"
        )
    limit = largest_contrast(d[:, None], mean, low, high)
    over = (contrast >= limit * (1 - 1e-9)) & (contrast > 0)
    if over.any():
        excess = (contrast - limit)[over]
        worst_first = over.nonzero()[:, 0][excess.argsort(descending=True, stable=True)].tolist()
        row = worst_first[0]
        raise BeyondReachError(
            f"{labels[row]} reaches a contrast of {limit[row]:.2f} {unit} at most at mean {mean[row]:g} "
            f"within {low:g}..{high:g}; wanted {contrast[row]:.2f}, "
            f"{contrast[row] - limit[row]:.2f} too much; lower the target"
            + _also([(labels[k], float(contrast[k] - limit[k])) for k in worst_first[1:]]),
            worst_first,
        )


def _also(others: Sequence[tuple[str, float]]) -> str:
    """Name the other images that a target is too much for, by how much."""
    named = [f"{label} by {excess:.2f}" for label, excess in others[:NAMED]]
    more = [f"{len(others) - NAMED} more"] if len(others) > NAMED else []
    return f"; too much also for {', '.join([*named, *more])}" if others else ""


def _solve(d: Tensor, mean: Tensor, contrast: Tensor, low: float, high: float) -> Tensor:
    """Solve for gain and offset under clipping: by active sets, by bisection where they do not settle.

    Here and below ``d`` is (K, N), mean and contrast are (K, 1).
    """
    gain, offset = _active_sets(d, mean, contrast, low, high)
    out = (gain * d + offset).clamp(low, high)
    missed = (out.mean(1) - mean[:, 0]).abs() > 1e-9 * (high - low)
    missed |= (_spread(out) - contrast[:, 0]).abs() > 1e-9 * (high - low)
    missed |= ~torch.isfinite(out).all(1)
    if missed.any():
        out[missed] = _bisect_gain(d[missed], mean[missed], contrast[missed], low, high)
    return out


def _active_sets(
    d: Tensor, mean: Tensor, contrast: Tensor, low: float, high: float, rounds: int = 30
) -> tuple[Tensor, Tensor]:
    """Newton's method on a piecewise smooth problem: solve for the pixels that do not clip, repeat."""
    gain, offset = contrast / _spread(d)[:, None], mean
    clipped: tuple[Tensor, ...] = ()
    for _ in range(rounds):
        y = gain * d + offset
        dark, bright = y <= low, y >= high
        if clipped and all(map(torch.equal, clipped, (dark, bright))):
            break  # the same pixels clip as before, so gain and offset stay
        clipped = dark, bright
        gain, offset = gain_and_offset(d, mean, contrast, dark, bright, low, high)
    return gain, offset


def gain_and_offset(
    d: Tensor, mean: Target, contrast: Target, dark: Tensor, bright: Tensor, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Return the (K, 1) gain and offset that give (K, N) pixels a mean and contrast, told which of them clip.

    With the clipped pixels known, the first two moments of the others are known, and with them both;
    differentiable in ``d``.
    """
    free = ~(dark | bright)
    n_dark, n_bright, n_free = (p.sum(1, keepdim=True, dtype=d.dtype) for p in (dark, bright, free))
    first = -n_dark * (low - mean) - n_bright * (high - mean)
    second = d.shape[1] * contrast**2 - n_dark * (low - mean) ** 2 - n_bright * (high - mean) ** 2
    centre = (d * free).sum(1, keepdim=True) / n_free
    spread = ((d - centre).square() * free).sum(1, keepdim=True)
    gain = ((second - first.square() / n_free) / spread).sqrt()
    return gain, mean + first / n_free - gain * centre


def _bisect_gain(d: Tensor, mean: Tensor, contrast: Tensor, low: float, high: float) -> Tensor:
    """At a fixed mean the clipped image's contrast rises with the gain: bisect it."""
    lower = contrast[:, 0] / _spread(d)
    upper = lower.clone()
    for _ in range(100):
        short = _spread(_clip_to_mean(d, upper, mean, low, high)) < contrast[:, 0]
        if not short.any():
            break
        upper = torch.where(short, upper * 2, upper)
    for _ in range(80):
        middle = (lower * upper).sqrt()
        short = _spread(_clip_to_mean(d, middle, mean, low, high)) < contrast[:, 0]
        lower, upper = torch.where(short, middle, lower), torch.where(short, upper, middle)
    return _clip_to_mean(d, upper, mean, low, high)


def _clip_to_mean(d: Tensor, gain: Tensor, mean: Tensor, low: float, high: float) -> Tensor:
    """``clip(gain · d + offset)`` with the offset that gives it the mean; the mean rises with the offset."""
    y = gain[:, None] * d
    lower, upper = low - y.amax(1), high - y.amin(1)
    for _ in range(80):
        middle = (lower + upper) / 2
        short = (y + middle[:, None]).clamp(low, high).mean(1) < mean[:, 0]
        lower, upper = torch.where(short, middle, lower), torch.where(short, upper, middle)
    return (y + upper[:, None]).clamp(low, high)


def gain_limits(images: Tensor, low: float = RANGE[0], high: float = RANGE[1]) -> Tensor:
    """Return the (K,) largest gain of each image's contrast about its own mean at which no pixel clips."""
    flat = images.flatten(1)
    mean = flat.mean(1)
    up = (high - mean) / (flat.amax(1) - mean)
    down = (mean - low) / (mean - flat.amin(1))
    return torch.minimum(up, down).nan_to_num(posinf=math.inf)
