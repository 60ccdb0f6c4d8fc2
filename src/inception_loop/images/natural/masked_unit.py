"""What a masked search knows of one unit: its mask, what it was asked, and what that lets one expect."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from inception_loop.images.natural.surrogate import Surrogate, active_directions

DIRECTIONS = 10
"""Dimensions in which a unit's activation is guessed."""

LOOKED_AT = 256
"""Images, highest guess first, of which the uncertainty is worked out as well."""

CAUTION = 1.0
"""Standard deviations of the guess that are added: an image that may be the best is worth a pass."""

ROUNDING = 1e-5
"""Extent of images along the gradients, relative to their contrast, that is no more than float32 rounding."""


class UnitSearch:
    """One unit of a masked search.

    Parameters
    ----------
    mask : (P,) float32
        0..1, over the P pixels of an image.
    gains : (K,) float32
        What brings each masked image to its contrast, before clipping; NaN where it shows nothing.
    columns : int
        Gradients at most.

    Attributes
    ----------
    usable : (K,) bool
        Images that can be shown and have not been asked about.
    rows, values
        Images asked about, −1 for the uniform grey, and the activations by them.
    """

    def __init__(self, mask: Tensor, gains: Tensor, columns: int) -> None:
        self.support = torch.nonzero(mask > 0).flatten()
        self.mask = mask
        self.gains = gains
        self.usable = torch.isfinite(gains)
        self.n_flat = int((~self.usable).sum())
        self.n_unreachable = 0
        self.rows: list[int] = []
        self.values: list[float] = []
        self._sloped: list[int] = []
        self._points = mask.new_zeros(0, len(self.support))
        self._slopes = mask.new_zeros(0, len(self.support))
        self._along = torch.zeros(columns, len(gains), dtype=torch.float32)

    @property
    def best(self) -> int:
        """Image with the highest activation; of equal ones the first."""
        asked = [(-value, row) for row, value in zip(self.rows, self.values, strict=True) if row >= 0]
        return min(asked)[1]

    @property
    def activations(self) -> list[float]:
        """Activations by the images asked about, highest first."""
        return sorted((v for row, v in zip(self.rows, self.values, strict=True) if row >= 0), reverse=True)

    @property
    def n_gradients(self) -> int:
        """Gradients known."""
        return len(self._sloped)

    def tell(self, rows: list[int], shown: Tensor, values: Tensor, slopes: Tensor | None) -> None:
        """Take in activations by (n, P) images less the mean, and gradients at them where they were taken."""
        if slopes is not None:
            self._sloped.extend(range(len(self.rows), len(self.rows) + len(rows)))
            self._slopes = torch.cat([self._slopes, slopes[:, self.support]])
        self.rows.extend(rows)
        self.values.extend(values.tolist())
        self._points = torch.cat([self._points, shown[:, self.support]])
        self.usable[[row for row in rows if row >= 0]] = False

    def functionals(self, since: int) -> Tensor:
        """Return (n, P) linear functionals of images: ⟨masked image, gradient⟩ of the gradients from one on.

        The masked image is ``m·(x − mean of x under m)``, so ⟨masked x, g⟩ = ⟨x, m·g − m·(Σ m·g / Σ m)⟩.
        """
        m, slopes = self.mask[self.support], self._slopes[since:]
        inside = m * slopes
        found = self.mask.new_zeros(len(slopes), len(self.mask))
        found[:, self.support] = inside - m * (inside.sum(1, keepdim=True) / m.sum())
        return found

    def project(self, since: int, start: int, values: Tensor) -> None:
        """Keep the (n, B) products of functionals and masked images from image ``start`` on."""
        part = slice(start, start + values.shape[1])
        self._along[since : since + len(values), part] = values.cpu() * self.gains[part]

    def rule_out(self, rows: list[int]) -> None:
        """Leave out images that cannot be shown at the contrast."""
        self.usable[rows] = False
        self.n_unreachable += len(rows)

    def in_order(self) -> list[int]:
        """Return all images that may still be asked about."""
        return torch.nonzero(self.usable).flatten().tolist()

    def first(self, count: int) -> list[int]:
        """Return the images in the order in which to begin.

        A third of the ``count`` first ones lie along the gradient at grey, a third against it, the others
        are spread evenly over the set; then come all others.
        """
        rows, third = self.in_order(), count // 3
        along = self._along[0, rows]
        order = [rows[i] for i in along.argsort(descending=True, stable=True).tolist()]
        spread = [rows[i] for i in np.linspace(0, len(rows) - 1, count).round().astype(int)]
        return list(dict.fromkeys([*order[:third], *order[::-1][:third], *spread, *rows]))

    def promising(self) -> list[int]:
        """Return images in the order of what they may reach: the guess, with credit for what is not known."""
        rows = self.in_order()
        slopes, points = self._slopes.double(), self._points.double()
        turn = active_directions(slopes, DIRECTIONS)
        if turn.shape[1] == 0:  # no gradient anywhere: nothing is better than anything else
            return rows
        at = self._along[: len(slopes), rows].T.double() @ turn
        size = at.square().sum(1).mean().sqrt()
        if size <= ROUNDING * points.norm(dim=1).amax():  # all images are alike along the gradients
            return rows
        at = at / size
        fitted = Surrogate.fit(
            points @ (slopes.T @ turn) / size,
            torch.tensor(self.values, dtype=torch.float64),
            slopes @ (slopes.T @ turn) * size,
            torch.tensor(self._sloped),
        )
        guess = fitted.mean(at)
        top = guess.topk(min(LOOKED_AT, len(rows))).indices
        credited = guess[top] + CAUTION * fitted.deviation(at[top])
        return [rows[i] for i in top[credited.argsort(descending=True, stable=True)].tolist()]
