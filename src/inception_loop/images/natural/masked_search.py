"""The natural image that excites each unit most inside its mask, found in few exact passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.identity import Config
from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.contrast import RANGE, can_match, match_contrast
from inception_loop.images.masks.shapes import refuse_empty
from inception_loop.images.natural.masked_unit import UnitSearch
from inception_loop.images.natural.searched import Searched
from inception_loop.images.network import AdjustedModel

GROUP_BYTES = 128 * 2**20
"""Products of gradients and images that are held at a time; units beyond that wait for their turn."""

UNITS_AT_ONCE = 64
"""Units that are searched for together at most: their images are made before they are split into batches."""

SHOWS_NOTHING = 1e-3
"""L2 norm of a masked picture, grey levels, up to which it is flat."""

Progress = Callable[[int, int, str], None]


class Screen(Config):
    """How many images a unit is asked about, out of all.

    A linear screen picks the first ones. Each answer comes with the gradient at the image; from both a guess
    of all other images is made, the most promising are asked about next, and so on.
    """

    candidates: int = Field(
        50, ge=4, description="Exact forward passes a unit and network at most, those of the screen included."
    )
    gradients: int = Field(24, ge=1, description="How many of these passes are also differentiated, at most.")
    first: int = Field(10, ge=2, description="Images asked about before the first guess.")
    each: int = Field(4, ge=1, description="Images asked about between two guesses.")


@dataclass(frozen=True)
class MaskedSearch:
    """Best masked images of U units out of K.

    Attributes
    ----------
    best : (U,) int64
        Row of the best image; of equal ones the first.
    activation, runner_up_activation : (U,) float64
        By the best and by the second best of those asked about (NaN where only one was).
    images : (U, H, W) float32, grey levels
        The best images through their masks, as they were evaluated.
    n_exact, n_gradients : (U,) int64
        Forward passes a network, and how many of them were differentiated.
    n_flat, n_unreachable : (U,) int64
        Images that show nothing inside the mask; of those met, how many cannot be shown at the contrast.
    """

    best: npt.NDArray[np.int64]
    activation: npt.NDArray[np.float64]
    runner_up_activation: npt.NDArray[np.float64]
    images: npt.NDArray[np.float32]
    n_exact: npt.NDArray[np.int64]
    n_gradients: npt.NDArray[np.int64]
    n_flat: npt.NDArray[np.int64]
    n_unreachable: npt.NDArray[np.int64]


def search_masked(
    model: AdjustedModel,
    pictures: Searched,
    masks: Tensor,
    neuron_ids: Sequence[int],
    *,
    mean: float,
    contrast: float,
    screen: Screen | None = None,
    names: Sequence[str] | None = None,
    batches: FittingBatches | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> MaskedSearch:
    """Find the picture that excites each unit most through its mask, at one mean and RMS contrast.

    A picture is shown as ``m · (x − mean of x under m)``, brought to the mean and contrast of the whole
    image, clipping included. Where there are no more pictures than ``screen.candidates`` all are asked about.

    Parameters
    ----------
    model
        The adjusted model, differentiable in the pixels.
    pictures
        Where to search.
    masks : (U, H, W)
        0 (hidden) to 1.
    neuron_ids
        Columns of the U units.
    mean, contrast : grey levels
        Of every masked image.
    screen
        How many are asked about.
    names
        What each unit is called in an error; by default its column.
    batches
        How many images are evaluated at once, halved where memory runs out; by default 128.
    device
        Where the model is.
    on_progress
        Receives passes made, passes at most, and a word.

    Returns
    -------
    MaskedSearch
        The passes of a unit, and so its result, do not depend on the units beside it.

    Raises
    ------
    DataError
        If a mask covers nothing or too little for the contrast, no picture can be shown through it, or an
        activation is no number.
    """
    screen, called = screen or Screen(), [f"unit {i}" for i in neuron_ids] if names is None else list(names)
    masks = masks.to(device, torch.float32)
    refuse_empty(masks > 0, called)
    _refuse_small_masks(masks, mean, contrast, called)
    asker = _Asker(model, pictures, mean, contrast, batches or FittingBatches(128), device)
    size = max(1, min(UNITS_AT_ONCE, GROUP_BYTES // (4 * len(pictures) * (screen.gradients + 2))))
    total, done, units = len(called) * screen.candidates, 0, []
    refusals: list[Refusal] = []
    for start in range(0, len(called), size):
        part = slice(start, start + size)
        group = _Group(asker, masks[part], list(neuron_ids)[part], called[part], screen)
        try:
            for made in group.search():
                if on_progress is not None:
                    on_progress(min(done + made, total), total, "masked images")
        except RefusedUnitsError as error:
            refusals += error.refusals
        done += len(group.units) * screen.candidates
        units.extend(group.units)
    if refusals:
        raise RefusedUnitsError(*refusals)
    return _found(asker, units, masks)


def _found(asker: _Asker, units: list[UnitSearch], masks: Tensor) -> MaskedSearch:
    best = np.array([unit.best for unit in units])
    runner_up = [unit.activations[1] if len(unit.activations) > 1 else np.nan for unit in units]
    return MaskedSearch(
        best=best,
        activation=np.array([unit.activations[0] for unit in units]),
        runner_up_activation=np.array(runner_up),
        images=asker.shown(best, masks).cpu().numpy(),
        n_exact=np.array([len(unit.rows) for unit in units]),
        n_gradients=np.array([unit.n_gradients for unit in units]),
        n_flat=np.array([unit.n_flat for unit in units]),
        n_unreachable=np.array([unit.n_unreachable for unit in units]),
    )


def through(images: Tensor, masks: Tensor) -> Tensor:
    """Return (B, H, W) ``m · (x − mean of x under m)``: an image through a mask, about 0.

    Examples
    --------
    >>> through(torch.tensor([[[3.0, 5.0, 40.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])).tolist()
    [[[-1.0, 1.0, 0.0]]]
    """
    m, x = masks.double(), images.double()
    inside = (m * x).sum((1, 2), keepdim=True) / m.sum((1, 2), keepdim=True)
    return m * (x - inside)


def most_contrast(
    masks: Tensor, mean: float, low: float = RANGE[0], high: float = RANGE[1]
) -> npt.NDArray[np.float64]:
    """Return the (U,) RMS contrast that no image through each mask can exceed at a mean, grey levels.

    The n pixels under the mask are black or white, the others share the grey level that keeps the mean.

    Examples
    --------
    >>> most_contrast(torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]), 100.0, 0.0, 200.0).round(2).tolist()
    [100.0]
    """
    pixels = masks[0].numel()
    found = []
    for n in (masks > 0).sum((1, 2)).tolist():
        white = np.arange(n + 1)
        given = white * (high - mean) - (n - white) * (mean - low)
        rest = mean - given / (pixels - n) if pixels > n else np.where(abs(given) < high - low, mean, np.nan)
        power = white * (high - mean) ** 2 + (n - white) * (mean - low) ** 2
        power = np.where((rest >= low) & (rest <= high), power + (pixels - n) * (rest - mean) ** 2, 0.0)
        found.append(float(np.sqrt(power.max() / pixels)))
    return np.array(found)


def masked_gains(pictures: Searched, masks: Tensor, contrast: float) -> Tensor:
    """Return the (U, K) gains that bring each picture through each mask to a contrast, if nothing clips.

    NaN where the picture shows nothing inside the mask.
    """
    m = masks.flatten(1).double()
    power, area = m.square(), m.sum(1, keepdim=True)
    gains = []
    for _, block in pictures.blocks():
        x = torch.tensor(block, device=m.device).flatten(1).T.double() - 128.0
        inside = m @ x / area
        square = power @ x.square() - inside * (2 * (power @ x) - inside * power.sum(1, keepdim=True))
        length = square.clamp(min=0).sqrt()
        gains.append(torch.where(length > SHOWS_NOTHING, contrast * m.shape[1] ** 0.5 / length, torch.nan))
    return torch.cat(gains, 1)


def _refuse_small_masks(masks: Tensor, mean: float, contrast: float, names: Sequence[str]) -> None:
    limit = most_contrast(masks, mean)
    units = {
        names[row]: f"{int((masks[row] > 0).sum())} px, {limit[row]:.2f} at most, "
        f"{contrast - limit[row]:.2f} too little"
        for row in np.flatnonzero(limit <= contrast).tolist()
    }
    if units:
        what = f"no image through the mask has a contrast over {contrast:g} grey levels at mean {mean:g}"
        raise RefusedUnitsError(Refusal(what, units, "expected one; leave them out or lower the contrast"))


@dataclass(frozen=True)
class _Asker:
    """Shows masked pictures to units."""

    model: AdjustedModel
    pictures: Searched
    mean: float
    contrast: float
    batches: FittingBatches
    device: str

    def behind(self, rows: npt.NDArray[np.int64], masks: Tensor) -> Tensor:
        frames = torch.tensor(self.pictures.take(rows), device=self.device)
        return through(frames, masks)

    def reachable(self, rows: npt.NDArray[np.int64], mask: Tensor) -> npt.NDArray[np.bool_]:
        found = can_match(self.behind(rows, mask.expand(len(rows), -1, -1)), self.mean, self.contrast)
        return found.cpu().numpy()

    def shown(self, rows: npt.NDArray[np.int64], masks: Tensor) -> Tensor:
        return match_contrast(self.behind(rows, masks), self.mean, self.contrast).float()

    def ask(self, images: Tensor, neuron_ids: Tensor, *, differentiate: bool) -> tuple[Tensor, Tensor | None]:
        """Return the activations of (B, H, W) images, each by its own unit, and the gradients at them."""

        def work(rows: slice) -> tuple[Tensor, Tensor | None]:
            part = images[rows].detach()
            if not differentiate:
                with torch.no_grad():
                    return self.model.paired(part, neuron_ids[rows]), None
            part.requires_grad_()
            values = self.model.paired(part, neuron_ids[rows])
            (slopes,) = torch.autograd.grad(values.sum(), part)
            return values.detach(), slopes

        parts = self.batches(len(images), work)
        values = torch.cat([part[0] for part in parts])
        slopes = [part[1] for part in parts if part[1] is not None]
        return values, torch.cat(slopes) if slopes else None


class _Group:
    """Units that are searched for together, so that their images fill batches."""

    def __init__(
        self, asker: _Asker, masks: Tensor, neuron_ids: list[int], names: list[str], screen: Screen
    ) -> None:
        self.asker, self.masks, self.neuron_ids, self.names = asker, masks, neuron_ids, names
        self.screen = screen
        self.everything = len(asker.pictures) <= screen.candidates
        gains = masked_gains(asker.pictures, masks, asker.contrast)
        columns = 0 if self.everything else screen.gradients
        self.units = [
            UnitSearch(mask, gain, columns)
            for mask, gain in zip(masks.flatten(1).cpu(), gains.float().cpu(), strict=True)
        ]

    def search(self) -> Iterator[int]:
        """Ask about images until every unit has had its passes; yields the passes made so far."""
        screen, numbers = self.screen, range(len(self.units))
        if self.everything:
            self._ask([self._choose(u, unit.in_order()) for u, unit in enumerate(self.units)])
        else:
            self._ask_grey()
            first = min(screen.first, screen.candidates - 1)
            self._ask([self._choose(u, unit.first(first), first) for u, unit in enumerate(self.units)])
        self._refuse_unshown()
        yield self.passes
        while any(wanted := [self._next(u) for u in numbers]):
            self._ask(wanted)
            yield self.passes

    def _refuse_unshown(self) -> None:
        units = {
            name: f"{unit.n_flat} show nothing there, {unit.n_unreachable} have too little contrast"
            for unit, name in zip(self.units, self.names, strict=True)
            if not unit.activations
        }
        if units:
            asker = self.asker
            what = (
                f"none of {len(asker.pictures)} images can be shown through the mask at mean {asker.mean:g} "
                f"and contrast {asker.contrast:g}"
            )
            expected = "expected one or more; leave them out, lower the contrast or give other images"
            raise RefusedUnitsError(Refusal(what, units, expected))

    @property
    def passes(self) -> int:
        """Forward passes so far, a network."""
        return sum(len(unit.rows) for unit in self.units)

    def _next(self, number: int) -> list[int]:
        unit = self.units[number]
        count = min(self.screen.each, self.screen.candidates - len(unit.rows))
        if self.everything or count == 0 or not unit.usable.any():
            return []
        return self._choose(number, unit.promising(), count)

    def _choose(self, number: int, preferred: list[int], count: int | None = None) -> list[int]:
        """Take the first of the preferred images that can be shown at the contrast, by default all."""
        unit, mask = self.units[number], self.masks[number]
        chosen: list[int] = []
        wanted = len(preferred) if count is None else count
        while preferred and len(chosen) < wanted:
            tried = preferred[: wanted - len(chosen)]
            preferred = preferred[len(tried) :]
            fits = self.asker.reachable(np.array(tried), mask)
            chosen += [row for row, fit in zip(tried, fits, strict=True) if fit]
            unit.rule_out([row for row, fit in zip(tried, fits, strict=True) if not fit])
        return chosen

    def _n_differentiated(self, unit: UnitSearch, count: int) -> int:
        """Of how many of the next images the gradient is wanted: of none if no guess follows."""
        follows = len(unit.rows) + count < self.screen.candidates
        wanted = self.screen.gradients - unit.n_gradients
        return min(count, wanted) if follows and not self.everything else 0

    def _ask_grey(self) -> None:
        size = (len(self.units), *self.masks.shape[1:])
        grey = torch.full(size, self.asker.mean, device=self.masks.device)
        self._tell(list(range(len(self.units))), [[-1]] * len(self.units), grey, differentiate=True)

    def _ask(self, wanted: list[list[int]]) -> None:
        """Ask each unit about its images."""
        split = [
            self._n_differentiated(unit, len(rows)) for unit, rows in zip(self.units, wanted, strict=True)
        ]
        self._show([rows[:n] for rows, n in zip(wanted, split, strict=True)], differentiate=True)
        self._show([rows[n:] for rows, n in zip(wanted, split, strict=True)], differentiate=False)

    def _show(self, wanted: list[list[int]], *, differentiate: bool) -> None:
        numbers = [u for u, rows in enumerate(wanted) if rows]
        if numbers:
            rows = [wanted[u] for u in numbers]
            owners = [u for u in numbers for _ in wanted[u]]
            images = self.asker.shown(np.concatenate(rows), self.masks[owners])
            self._tell(numbers, rows, images, differentiate=differentiate)

    def _tell(
        self, numbers: list[int], rows: list[list[int]], images: Tensor, *, differentiate: bool
    ) -> None:
        """Ask about images of several units and tell each of them its own."""
        ids = [self.neuron_ids[u] for u, own in zip(numbers, rows, strict=True) for _ in own]
        values, slopes = self.asker.ask(
            images, torch.tensor(ids, device=images.device), differentiate=differentiate
        )
        shown = (images - self.asker.mean).flatten(1).cpu()
        counts = [len(own) for own in rows]
        split = zip(
            numbers,
            rows,
            torch.split(shown, counts),
            torch.split(values.cpu(), counts),
            [None] * len(rows) if slopes is None else torch.split(slopes.flatten(1).cpu(), counts),
            strict=True,
        )
        known = [self.units[u].n_gradients for u in numbers]
        finite = [bool(torch.isfinite(answers).all()) for answers in torch.split(values, counts)]
        lost = {self.names[u]: "" for u, good in zip(numbers, finite, strict=True) if not good}
        if lost:
            expected = "expected a finite one; leave them out"
            raise RefusedUnitsError(Refusal("the activation by a masked image is no number", lost, expected))
        for u, own, points, answers, gradients in split:
            self.units[u].tell(own, points, answers, gradients)
        if differentiate:
            self._project(numbers, known)

    def _project(self, numbers: list[int], known: list[int]) -> None:
        """Multiply all images with the new gradients of some units, in one product a block of images."""
        wanted = [self.units[u].functionals(since) for u, since in zip(numbers, known, strict=True)]
        together = torch.cat(wanted).to(self.masks.device)
        counts = [len(functionals) for functionals in wanted]
        for start, block in self.asker.pictures.blocks():
            x = torch.tensor(block, device=together.device).flatten(1) - self.asker.mean
            for u, since, values in zip(numbers, known, torch.split(together @ x.T, counts), strict=True):
                self.units[u].project(since, start, values)
