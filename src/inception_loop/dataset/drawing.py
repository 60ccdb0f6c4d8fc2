"""Drawing images for a tier: by family and keyed hash, from the unassigned or from those given as train."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import polars as pl

from inception_loop.dataset.config import Tiers
from inception_loop.errors import DataError

GIVEN = "given by the recording"
FROM_GIVEN = "drawn from given train images"


def keyed_hash(identity: str, key: str) -> str:
    """Return 32 hex digits that depend on nothing but the identity and the key (BLAKE2b, keyed).

    Examples
    --------
    >>> keyed_hash("imagenet/7", "a") == keyed_hash("imagenet/7", "a") != keyed_hash("imagenet/7", "b")
    True
    """
    return hashlib.blake2b(identity.encode(), key=key.encode(), digest_size=16).hexdigest()


def lot(key: str) -> pl.Expr:
    """Keyed hash of where an image comes from: its source, or its class and number where it has none."""
    identity = (
        pl.when(pl.col("source_id") != "")
        .then(pl.format("source/{}", "source_id"))
        .otherwise(pl.format("image/{}/{}", "image_class", "image_id"))
    )
    return identity.map_elements(lambda name: keyed_hash(name, key), return_dtype=pl.String)


def draw(sizes: Sequence[int], wanted: int) -> list[int]:
    """Choose families, given in the order of their hashes, until they hold at least ``wanted`` images.

    A family of more than ``2·wanted`` images (and larger than the smallest) is passed over, so that one
    photograph with many crops does not swell the tier. With one image a family this takes exactly the
    ``wanted`` lowest hashes.

    Parameters
    ----------
    sizes
        Images of each family.
    wanted
        Images to choose, at least.

    Returns
    -------
    Positions of the chosen families.

    Examples
    --------
    >>> draw([1, 9, 1, 2, 1], 3)
    [0, 2, 3]
    """
    chosen: list[int] = []
    held = 0
    limit = max(2 * wanted, min(sizes, default=0))
    for position, size in enumerate(sizes):
        if held >= wanted:
            break
        if size <= limit:
            chosen.append(position)
            held += size
    return chosen


def draw_share(sizes: Sequence[int], fraction: float) -> list[int]:
    """Choose families that hold ⌈``fraction``⌉ of all images, see `draw`.

    Examples
    --------
    >>> draw_share([1] * 11, 0.1)
    [0, 1]
    """
    return draw(sizes, math.ceil(fraction * sum(sizes) - 1e-9))


def completed(conditions: pl.DataFrame, config: Tiers) -> pl.DataFrame:
    """Draw the test or validation tier that given tiers leave without any image, or refuse.

    Parameters
    ----------
    conditions
        Natural conditions with ``family, image_class, image_id, source_id, tier, reason``.
    config
        ``given_incomplete`` decides; no validation image is missed where ``validation_fraction`` is 0.

    Returns
    -------
    ``conditions`` with new tiers and reasons; only families that are train as a whole are drawn from.

    Raises
    ------
    DataError
        If a tier is missing and the policy refuses.
    """
    fractions = {"test": config.test_fraction, "validation": config.validation_fraction}
    for tier, fraction in fractions.items():
        if fraction == 0 or tier in conditions["tier"] or GIVEN not in conditions["reason"]:
            continue
        if config.given_incomplete == "refuse":
            counts = ", ".join(
                f"{name} {n}" for name, n in conditions["tier"].value_counts().sort("tier").rows()
            )
            raise DataError(
                f"the recordings give tiers to their images ({counts}) but no image is {tier}, and none is "
                f"without a tier to draw it from; expected {tier} images; give some the tier {tier!r}, or "
                "set given_incomplete to 'draw' to draw them from the train images"
            )
        families = (
            conditions.with_columns(lot=lot(config.key))
            .group_by("family")
            .agg(
                pl.col("lot").min(),
                (pl.col("tier") == "train").all().alias("train"),
                size=pl.struct("image_class", "image_id").n_unique(),
            )
            .filter("train")
            .sort("lot")
        )
        chosen = families[draw_share(families["size"].to_list(), fraction)]["family"]
        drawn = pl.col("family").is_in(chosen.implode())
        conditions = conditions.with_columns(
            tier=pl.when(drawn).then(pl.lit(tier)).otherwise("tier"),
            reason=pl.when(drawn).then(pl.lit(FROM_GIVEN)).otherwise("reason"),
        )
    return conditions
