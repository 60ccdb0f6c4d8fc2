"""Units whose best masked images are searched for together, and what they are asked about when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.identity import Config
from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.contrast import can_match, match_contrast
from inception_loop.images.natural.masked_unit import UnitSearch
from inception_loop.images.natural.searched import Searched
from inception_loop.images.natural.through_masks import masked_gains, through
from inception_loop.images.network import AdjustedModel


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
class Asker:
    """Shows masked pictures to units."""

    model: AdjustedModel
    pictures: Searched
    mean: float
    contrast: float
    batches: FittingBatches
    device: str

    def behind(self, rows: npt.NDArray[np.int64], masks: Tensor) -> Tensor:
        """Return (B, H, W) pictures through masks, about 0."""
        frames = torch.tensor(self.pictures.take(rows), device=self.device)
        return through(frames, masks)

    def reachable(self, rows: npt.NDArray[np.int64], mask: Tensor) -> npt.NDArray[np.bool_]:
        """Tell which pictures can be shown through one mask at the mean and contrast."""
        found = can_match(self.behind(rows, mask.expand(len(rows), -1, -1)), self.mean, self.contrast)
        return found.cpu().numpy()

    def shown(self, rows: npt.NDArray[np.int64], masks: Tensor) -> Tensor:
        """Return (B, H, W) pictures through masks at the mean and contrast, grey levels."""
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


class Group:
    """Units that are searched for together, so that their images fill batches."""

    def __init__(
        self, asker: Asker, masks: Tensor, neuron_ids: list[int], names: list[str], screen: Screen
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
