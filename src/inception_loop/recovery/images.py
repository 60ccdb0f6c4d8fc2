"""How close the synthesised images come to the best images of the true cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.animals.truth import Truth
from inception_loop.images.recovery import Respond, image_cosine, share_of_maximum
from inception_loop.recovery.networks import rows_of


def judge_images(
    images: npt.NDArray[np.float32],
    unit_ids: npt.NDArray[np.int64],
    panel: pl.DataFrame,
    truth: Truth,
    respond: Respond,
) -> pl.DataFrame:
    """Judge the MEIs, or the RF images, of a truth panel.

    Parameters
    ----------
    images : (U, 36, 64) float32
        One a unit, grey levels.
    unit_ids : (U,) int64
        Their units.
    panel
        ``unit_id, kind`` (simple or complex).
    truth
        Of the same recording.
    respond
        The true cells, in the order of the truth's units: grey images (K, 36, 64) → (K, N).

    Returns
    -------
    Table ``unit_id, kind, cosine, share_of_maximum``, a row a panel unit. The cosine with the filter is null
    for complex cells, whose best image has any phase.
    """
    rows = rows_of(panel["unit_id"].to_numpy(), unit_ids, "an image of unit")
    columns = rows_of(panel["unit_id"].to_numpy(), truth.units["unit_id"].to_numpy(), "unit")
    shown = images[rows]
    share = share_of_maximum(respond, shown, truth.best_image[columns], columns, mean=float(shown.mean()))
    cosine = image_cosine(shown, truth.filters[columns, 0])
    return panel.select("unit_id", "kind").with_columns(
        cosine=pl.when(pl.col("kind") == "simple").then(pl.Series(cosine)),
        share_of_maximum=pl.Series(share),
    )
