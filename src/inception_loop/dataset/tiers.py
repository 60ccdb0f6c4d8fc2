"""Tiers of the images of a group of scans: a pure function of the set of scans, by source."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from inception_loop.dataset.config import Tiers
from inception_loop.dataset.drawing import GIVEN, completed, draw_share, lot
from inception_loop.dataset.families import family_of
from inception_loop.errors import DataError

REPEATED = "repeated"
KIN = "shares its source with a repeated or given image"
DRAWN = "drawn"
REST = "not drawn"
SYNTHESISED = "class of no tier"
CLOSED_LOOP = "shown in closed-loop scans only"
NO_TIER = "none"

_RANK = {"test": 0, "validation": 1, "train": 2}  # the strictest tier of a family counts for the whole family
_IMAGE = ("image_class", "image_id", "source_id")
_COLUMNS = ("condition_hash", *_IMAGE, "tier", "reason")
_MOVED = {"scan": pl.Int64, "condition_hash": pl.String, "tier_alone": pl.String, "tier": pl.String}


def is_closed_loop(image_classes: Sequence[str], config: Tiers) -> bool:
    """Whether a scan showed any image class that is neither natural nor neutral."""
    return not set(image_classes) <= {*config.natural_classes, *config.neutral_classes}


def shown_conditions(trials: pl.DataFrame, conditions: pl.DataFrame) -> pl.DataFrame:
    """Count how often a scan showed each of its conditions.

    Parameters
    ----------
    trials, conditions
        Tables of a `Recording`; ``conditions`` may bring a column ``tier`` (null: not given).

    Returns
    -------
    Table ``condition_hash, image_class, image_id, source_id, n_shown, tier``.
    """
    counts = trials.group_by("condition_hash").agg(n_shown=pl.len().cast(pl.Int64))
    given = pl.col("tier").cast(pl.String) if "tier" in conditions.columns else pl.lit(None, pl.String)
    return (
        conditions.with_columns(tier=given)
        .join(counts, on="condition_hash", how="inner")
        .select("condition_hash", *_IMAGE, "n_shown", "tier")
    )


def assign_tiers(
    scans: Sequence[pl.DataFrame], config: Tiers, alike: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Give every image of a group of scans its tier.

    The result does not depend on the order of the scans or of their rows. Images that share a source (the
    photograph they were cut from), an identity (class and id) or a condition hash form one *family*, and
    all of a family go to one tier, so that nothing of a test image is learnt from:

    1. classes that are not natural, and scans that show any of them, have no tier (``none``);
    2. tiers given by the recording win; the rest of such a family follows the strictest of them;
    3. a family with a condition that a scan shows more than once is ``test``;
    4. where no test image is given and fewer than ``least_repeated`` are repeated, families are drawn for
       ``test`` as well, see `drawing.draw`;
    5. of all images left, families are drawn for ``validation`` until they hold ⌈10 %⌉ of them;
    6. the rest is ``train``;
    7. where tiers are given and now no image is ``test`` (or ``validation``, unless its fraction is 0),
       ``given_incomplete`` decides: refuse, or draw families of given train images, see
       `drawing.completed`.

    Parameters
    ----------
    scans
        One table a scan, see `shown_conditions`.
    config
        Fractions, classes and key.
    alike
        Pairs ``condition_hash_a, condition_hash_b`` that belong to one family too, see `near_duplicates`.

    Returns
    -------
    Table ``condition_hash, image_class, image_id, source_id, tier, reason``: one row a condition, sorted by
    its hash.

    Raises
    ------
    DataError
        If there is no natural image, no test tier can be made, given tiers are incomplete and this is
        refused, or no image is left to learn from.

    Examples
    --------
    >>> scan = pl.DataFrame({"condition_hash": ["a", "b", "c"], "image_class": ["imagenet"] * 3,
    ...                      "image_id": [1, 2, 3], "source_id": ["x", "y", "z"], "n_shown": [4, 1, 1],
    ...                      "tier": [None, None, None]})
    >>> assign_tiers([scan], Tiers(validation_fraction=0))["tier"].to_list()
    ['test', 'train', 'train']
    """
    rows = _rows(scans, config)
    natural = rows.filter("natural")
    if natural.height == 0:
        raise DataError(
            f"the group shows no image of the classes {', '.join(config.natural_classes)}; "
            "expected natural images to learn from; name their class in natural_classes"
        )
    tiered = _tiered(natural.with_columns(family=family_of(natural, alike)), config)
    return pl.concat([tiered, _untiered(rows, tiered)]).sort("condition_hash")


def natural_conditions(scans: Sequence[pl.DataFrame], config: Tiers) -> list[pl.DataFrame]:
    """Rows of each scan that have a tier: natural images of scans that showed no synthesised one."""
    kept = pl.col("image_class").is_in(config.natural_classes)
    return [scan.filter(kept & (not is_closed_loop(scan["image_class"].to_list(), config))) for scan in scans]


def moved_images(
    scans: Sequence[pl.DataFrame], table: pl.DataFrame, config: Tiers, alike: pl.DataFrame | None = None
) -> pl.DataFrame:
    """List the images whose tier in the group is another than one of its scans alone would give them.

    Parameters
    ----------
    scans, config, alike
        As given to `assign_tiers`.
    table
        What it returned.

    Returns
    -------
    Table ``scan`` (position in ``scans``) ``, condition_hash, tier_alone, tier``; scans that could not stand
    alone (nothing to learn from) move nothing.
    """
    found = [pl.DataFrame(schema=_MOVED)]
    for position, scan in enumerate(scans if len(scans) > 1 else ()):
        try:
            alone = assign_tiers([scan], config, alike)
        except DataError:  # a closed-loop scan, or one that could not stand alone
            continue
        both = alone.filter(pl.col("tier") != NO_TIER).join(table, on="condition_hash", suffix="_group")
        found.append(
            both.filter(pl.col("tier") != pl.col("tier_group")).select(
                pl.lit(position, pl.Int64).alias("scan"),
                "condition_hash",
                tier_alone="tier",
                tier="tier_group",
            )
        )
    return pl.concat(found).sort("scan", "condition_hash")


def _rows(scans: Sequence[pl.DataFrame], config: Tiers) -> pl.DataFrame:
    marked = [
        scan.with_columns(
            pl.col("tier").cast(pl.String),
            closed_loop=pl.lit(is_closed_loop(scan["image_class"].to_list(), config)),
            repeated=pl.col("n_shown") > 1,
        )
        for scan in scans
    ]
    rows = pl.concat(marked).sort("condition_hash", *_IMAGE)
    unknown = rows.filter(pl.col("tier").is_not_null() & ~pl.col("tier").is_in(list(_RANK)))
    if unknown.height:
        raise DataError(
            f"condition {unknown['condition_hash'][0]!r} has tier {unknown['tier'][0]!r}; "
            f"expected one of {', '.join(_RANK)}, or none given"
        )
    known = pl.col("image_class").is_in(config.natural_classes)
    return rows.with_columns(known=known, natural=known & ~pl.col("closed_loop"))


def _tiered(natural: pl.DataFrame, config: Tiers) -> pl.DataFrame:
    """Give every natural condition the tier that it was given, else that of its family."""
    conditions = (
        natural.join(_family_tiers(natural, config), on="family", how="left")
        .group_by("condition_hash")
        .agg(
            pl.col(_IMAGE).sort_by(_IMAGE).first(),
            pl.col("tier").sort_by(pl.col("tier").replace_strict(_RANK, default=9)).first(),
            pl.col("repeated").any(),
            pl.col("family", "family_tier", "family_reason").first(),
        )
    )
    follows = (pl.col("family_reason") == REPEATED) & ~pl.col("repeated") | (pl.col("family_reason") == GIVEN)
    reason = (
        pl.when(pl.col("tier").is_not_null())
        .then(pl.lit(GIVEN))
        .when(follows)
        .then(pl.lit(KIN))
        .otherwise("family_reason")
    )
    decided = conditions.with_columns(tier=pl.coalesce("tier", "family_tier"), reason=reason)
    _check_train(decided)
    decided = completed(decided.sort("condition_hash"), config)
    _check_train(decided)
    return decided.select(_COLUMNS)


def _check_train(conditions: pl.DataFrame) -> None:
    if "train" in conditions["tier"]:
        return
    sources, images = conditions["family"].n_unique(), conditions.select("image_class", "image_id").n_unique()
    raise DataError(
        f"{_counted(sources, 'source')} of {_counted(images, 'image')} left none to learn from once test and "
        "validation had theirs; expected more sources, fewer with repeated images, or some given as 'train'"
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _untiered(rows: pl.DataFrame, tiered: pl.DataFrame) -> pl.DataFrame:
    """List all other conditions with the reason why they have no tier."""
    others = rows.join(tiered, on="condition_hash", how="anti").group_by("condition_hash")
    return others.agg(
        pl.col(_IMAGE).sort_by(_IMAGE).first(),
        tier=pl.lit(NO_TIER),
        reason=pl.when(pl.col("known").any()).then(pl.lit(CLOSED_LOOP)).otherwise(pl.lit(SYNTHESISED)),
    ).select(_COLUMNS)


def _family_tiers(natural: pl.DataFrame, config: Tiers) -> pl.DataFrame:
    """Return ``family, family_tier, family_reason``; see `assign_tiers`."""
    families = (
        natural.with_columns(lot=lot(config.key), rank=pl.col("tier").replace_strict(_RANK, default=None))
        .group_by("family")
        .agg(
            pl.col("lot").min(),
            pl.col("repeated").any(),
            pl.col("rank").min(),
            size=pl.struct("image_class", "image_id").n_unique(),
        )
        .sort("lot")
    )
    tier: list[str | None] = [
        list(_RANK)[rank] if rank is not None else "test" if repeated else None
        for rank, repeated in families.select("rank", "repeated").iter_rows()
    ]
    reason = [GIVEN if rank is not None else REPEATED for rank in families["rank"]]
    sizes = families["size"].to_list()
    repeated = sum(size for size, name in zip(sizes, tier, strict=True) if name == "test")
    if _RANK["test"] not in families["rank"] and repeated < config.least_repeated:
        if config.no_repeats == "refuse":
            raise DataError(
                f"{_counted(repeated, 'image')} shown repeatedly and no test tier given; expected test "
                f"images ({config.least_repeated} repeated ones or more); "
                "set no_repeats to 'test_fraction' to draw them"
            )
        _draw_tier("test", config.test_fraction, tier, reason, sizes)
    _draw_tier("validation", config.validation_fraction, tier, reason, sizes)
    for position, known in enumerate(tier):
        if known is None:
            tier[position], reason[position] = "train", REST
    return families.select("family", family_tier=pl.Series(tier), family_reason=pl.Series(reason))


def _draw_tier(
    name: str, fraction: float, tier: list[str | None], reason: list[str], sizes: list[int]
) -> None:
    left = [position for position, known in enumerate(tier) if known is None]
    for chosen in draw_share([sizes[position] for position in left], fraction):
        tier[left[chosen]], reason[left[chosen]] = name, DRAWN
