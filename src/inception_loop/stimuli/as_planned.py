"""What a rig showed beside what it was given: how often each image, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import polars as pl

from inception_loop.stimuli.oracle import ENOUGH_REPEATS
from inception_loop.stimuli.session import ORACLE

Order = Literal["as planned", "stopped early", "trials missing", "trials added", "other"]

_NAMED = 5  # images named one by one


class Shown(NamedTuple):
    """A recorded session beside its plan; images of no plan's set do not count.

    Attributes
    ----------
    n_planned, n_trials : trials
    fewer, missing, more, extra : images shown less often than planned but shown, never, more often, and shown
        though the plan does not hold them; each with how often it was shown and planned
    order : how the trials follow each other beside the plan
    words : a line for each difference; none: all as planned
    """

    n_planned: int
    n_trials: int
    fewer: dict[int, tuple[int, int]]
    missing: dict[int, tuple[int, int]]
    more: dict[int, tuple[int, int]]
    extra: dict[int, tuple[int, int]]
    order: Order
    words: list[str]

    def findings(self) -> dict[str, object]:
        """Return them for a manifest."""
        return {
            "n_planned_trials": self.n_planned,
            "n_fewer": len(self.fewer),
            "n_not_shown": len(self.missing),
            "n_more": len(self.more),
            "n_extra": len(self.extra),
            "order": self.order,
            "differences": self.words,
        }


def beside_plan(shown: Sequence[int], planned: Sequence[int], conditions: pl.DataFrame) -> Shown:
    """Compare the trials of a recording with those that were planned.

    Parameters
    ----------
    shown, planned
        Images of the trials in order, as rows of the set.
    conditions : table ``image_row, image_class, image_id`` and, where known, ``model_type``
        What the images are called in words.

    Examples
    --------
    >>> names = pl.DataFrame({"image_row": [0, 1, 2], "image_class": "mei", "image_id": [7, 8, 9]})
    >>> for line in beside_plan([0, 1], [0, 1, 1, 0], names).words:
    ...     print(line)
    shown fewer times than planned: 2 images, mei 7 (1 of 2), mei 8 (1 of 2)
    the session ends after trial 2 of 4, so far in the planned order
    """
    wanted, found = Counter(planned), Counter(shown)
    both = {row: (found[row], wanted[row]) for row in sorted(wanted | found)}
    fewer = {row: (n, of) for row, (n, of) in both.items() if 0 < n < of}
    missing = {row: (n, of) for row, (n, of) in both.items() if n == 0}
    more = {row: (n, of) for row, (n, of) in both.items() if 0 < of < n}
    extra = {row: (n, of) for row, (n, of) in both.items() if of == 0}
    order, how = _order(shown, planned)
    names = {row: f"{image_class} {number}" for row, image_class, number in _first(conditions).rows()}
    words = [
        *_images("shown fewer times than planned", fewer, names),
        *_images("not shown at all", missing, names),
        *_images("shown more often than planned", more, names),
        *_images("shown but not in the plan", extra, names),
        *([how] if how else []),
        *_rarely(both, conditions),
    ]
    return Shown(len(planned), len(shown), fewer, missing, more, extra, order, words)


def _first(conditions: pl.DataFrame) -> pl.DataFrame:
    names = conditions.select("image_row", "image_class", "image_id")
    return names.unique("image_row", keep="first", maintain_order=True)


def _images(what: str, of: Mapping[int, tuple[int, int]], names: Mapping[int, str]) -> list[str]:
    if not of:
        return []
    named = [f"{names.get(row, row)} ({n} of {planned})" for row, (n, planned) in list(of.items())[:_NAMED]]
    more = [f"{len(of) - _NAMED} more"] if len(of) > _NAMED else []
    return [f"{what}: {len(of)} image{'s' if len(of) > 1 else ''}, {', '.join([*named, *more])}"]


def _order(shown: Sequence[int], planned: Sequence[int]) -> tuple[Order, str]:
    """Say how the trials follow each other; no words where they do as planned."""
    n, of = len(shown), len(planned)
    same = next((k for k, (a, b) in enumerate(zip(shown, planned, strict=False)) if a != b), min(n, of))
    if same == n == of:
        return "as planned", ""
    if same == n:
        return "stopped early", f"the session ends after trial {n} of {of}, so far in the planned order"
    if _within(shown, planned):
        return "trials missing", (
            f"planned trials that are missing: {of - n} of {of}, first trial {same + 1}; the others follow "
            "each other as planned"
        )
    if _within(planned, shown):
        return "trials added", (
            f"trials on top of the {of} planned: {n - of}, the first is trial {same + 1}; the others follow "
            "each other as planned"
        )
    return "other", f"another order than planned from trial {same + 1} on ({n} trials, {of} planned)"


def _within(some: Sequence[int], all_: Sequence[int]) -> bool:
    """Whether a sequence is left of another when items of that are taken away."""
    rest = iter(all_)
    return all(one in rest for one in some)


def _rarely(both: Mapping[int, tuple[int, int]], conditions: pl.DataFrame) -> list[str]:
    """Say that oracle images were shown too rarely, if some came out rarer than planned."""
    if "model_type" not in conditions.columns:
        return []
    rows = conditions.filter(model_type=ORACLE)["image_row"].unique().to_list()
    shown = [both[row] for row in rows if row in both]
    rare = [n for n, _ in shown if n < ENOUGH_REPEATS]
    if not rare or all(n >= planned for n, planned in shown):
        return []
    what = f"{len(rare)} of {len(rows)} oracle images shown fewer than {ENOUGH_REPEATS} times"
    return [f"{what}: cells of two days are matched and compared by their responses to them"]
