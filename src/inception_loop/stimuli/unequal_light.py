"""Images that are alike in grey levels are not alike in light: by how much, on the rig's monitor."""

from __future__ import annotations

import polars as pl

UNEQUAL = 0.05
"""As a share: what a fill allows an image to miss its target by."""
COLUMNS = (
    "name",
    "unit_id",
    "image_class",
    "model_type",
    "shift_x",
    "shift_y",
    "target",
    "luminance_mean",
    "luminance_contrast",
)
_UNIT = ["name", "unit_id"]
_WHAT = {"mean": "mean luminance", "contrast": "luminance contrast"}


def light_misses(filled: pl.DataFrame) -> pl.DataFrame:
    """Compare every control with the MEI of its unit in cd/m², where no target in cd/m² made them alike.

    Parameters
    ----------
    filled
        Rows of fills, at least `COLUMNS`. Of several displacements the smallest counts.

    Returns
    -------
    Table ``name, unit_id, image_class, own_class, own_mean, own_contrast`` (of the MEI, for masked controls
    of the masked MEI, cd/m²), ``mean, contrast`` (of the control over the MEI, less 1); without a monitor
    it is empty.

    Examples
    --------
    >>> row = {"name": "a", "unit_id": 3, "shift_x": 0, "shift_y": 0, "target": "grey", "luminance_mean": 8.0}
    >>> own = row | {"image_class": "multi_cnn_mei", "model_type": "cnn", "luminance_contrast": 1.0}
    >>> rival = row | {"image_class": "gabor", "model_type": "gabor", "luminance_contrast": 0.75}
    >>> light_misses(pl.DataFrame([own, rival])).select("image_class", "mean", "contrast").rows()
    [('gabor', 0.0, -0.25)]
    """
    shown = filled.select(COLUMNS).filter(
        pl.col("target").fill_null("") != "luminance",
        pl.col("luminance_contrast") > 0,
        pl.col("luminance_mean") > 0,
    )
    shift = pl.col("shift_x").abs() + pl.col("shift_y").abs()
    first = shown.sort(shift, maintain_order=True).unique([*_UNIT, "image_class"], maintain_order=True)
    masked = pl.col("model_type").str.starts_with("masked_")
    first = first.with_columns(own=pl.when(masked).then(pl.lit("masked_cnn")).otherwise(pl.lit("cnn")))
    own = first.filter(model_type=pl.col("own")).select(
        *_UNIT,
        "own",
        own_class="image_class",
        own_mean="luminance_mean",
        own_contrast="luminance_contrast",
    )
    pairs = first.filter(pl.col("model_type") != pl.col("own")).join(own, on=[*_UNIT, "own"])
    return pairs.select(
        *_UNIT,
        "image_class",
        "own_class",
        "own_mean",
        "own_contrast",
        mean=pl.col("luminance_mean") / pl.col("own_mean") - 1,
        contrast=pl.col("luminance_contrast") / pl.col("own_contrast") - 1,
    ).sort(*_UNIT, "image_class")


def unequal_light(filled: pl.DataFrame) -> str:
    """Say how unlike controls and MEIs are in cd/m², and how to bring them to one luminance; else nothing."""
    pairs = light_misses(filled).with_columns(miss=pl.max_horizontal(pl.col("mean", "contrast").abs()))
    n_unlike = pairs.filter(pl.col("miss") > UNEQUAL).height
    if n_unlike == 0:
        return ""
    worst = pairs.sort("miss", descending=True, maintain_order=True).row(0, named=True)
    what = max(("mean", "contrast"), key=lambda name: abs(worst[name]))
    more = "more" if worst[what] > 0 else "less"
    meis = pairs.unique(_UNIT, keep="first", maintain_order=True)
    mean, contrast = (meis[f"own_{name}"].to_numpy().mean() for name in ("mean", "contrast"))
    return (
        "the images are alike in grey levels, not in light: on the rig's monitor "
        f"{n_unlike} of {pairs.height} controls differ by over {100 * UNEQUAL:.0f} % in luminance from the "
        f"MEI of their unit, most the {worst['image_class']} of {worst['name']}/{worst['unit_id']}, with "
        f"{100 * abs(worst[what]):.0f} % {more} {_WHAT[what]} than its {worst['own_class']}; to make them "
        "alike in light, give the stage stimulus under [rules]: "
        f'target = {{type = "luminance", mean = {mean:.3g}, contrast = {contrast:.2g}}}'
    )
