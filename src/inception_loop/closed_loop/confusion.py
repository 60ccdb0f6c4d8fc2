"""NormalizedConfusion and ZScoreConfusion: every cell against every unit's image, a scan at a time."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.query import TableSource, query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.images import check_shown, shown_images
from inception_loop.closed_loop.matching import MATCHED_UNIT, SOURCE_UNIT, kept_matches
from inception_loop.closed_loop.scans import F64, I64, SCAN_COLUMNS, TEXT
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

MODEL_TYPE = Column(
    TEXT,
    "where the image comes from: cnn (MEI), linear (RF image), natural, gabor, masked_cnn, masked_natural",
)
IMAGE_UNIT = Column(I64, "number of the source unit that the image was made for")


def _columns(scale: str) -> dict[str, Column]:
    return {
        **SCAN_COLUMNS,
        "model_type": MODEL_TYPE,
        "image_unit_id": IMAGE_UNIT,
        "source_unit_id": SOURCE_UNIT,
        "unit_id": MATCHED_UNIT,
        "mu_resp": Column(F64, f"mean response over the repeats, {scale}"),
        "var_resp": Column(F64, f"variance over the repeats (ddof 0), ({scale})²"),
        "n_repeats": Column(I64, "repeats of the image in this scan"),
        "pilot_resp": Column(F64, f"value that offset_resp is counted from (0 of z-scores), {scale}"),
        "offset_resp": Column(F64, f"mu_resp − pilot_resp to full precision, {scale}"),
    }


NORMALIZED_CONFUSION = Kind(
    name="normalized_confusion",
    # 2: no digits lost to an offset of the responses; 3: the match of either rule is called cell_match
    version=3,
    meaning="Responses of matched cells to every unit's unshifted images, over the cell's s.d. in the scan.",
    payloads={"normalized_confusion": Table(_columns("in s.d. of the cell over the scan"))},
    partition=SCAN,
)

Z_SCORE_CONFUSION = Kind(
    name="z_score_confusion",
    # 2: no digits lost to an offset of the responses; 3: the match of either rule is called cell_match
    version=3,
    meaning="The same with the cell's mean over the scan taken off first.",
    payloads={"z_score_confusion": Table(_columns("z-score over the scan"))},
    partition=SCAN,
)


class ConfusionConfig(Config):
    """Confusion table of one later scan."""

    scan: ScanKey = Field(description="The later scan.")
    loop_group: int = Field(ge=0, description="Number of the loop.")
    source_name: str | None = Field(
        None, description="Member of the group that is the source scan; None: the group has one member."
    )


@dataclass(frozen=True)
class Cut:
    """Which values of a response vector are wanted: 1-based positions and, in the same order, unit ids."""

    columns: list[int]
    unit_ids: list[int]


def cut(columns: pl.DataFrame, unit_ids: pl.Series) -> Cut:
    """Return where the wanted units stand in the response vectors, each unit once, by column.

    Parameters
    ----------
    columns
        Table ``neuron_column`` (0-based position in the vector), ``unit_id``.
    unit_ids
        The wanted units.

    Raises
    ------
    DataError
        If no unit is wanted or a wanted unit has no column.

    Examples
    --------
    >>> cut(pl.DataFrame({"neuron_column": [0, 1, 2], "unit_id": [30, 10, 20]}), pl.Series([20, 30, 30]))
    Cut(columns=[1, 3], unit_ids=[30, 20])
    """
    wanted = columns.filter(pl.col("unit_id").is_in(unit_ids.unique().to_list())).sort("neuron_column")
    missing = set(unit_ids.to_list()) - set(wanted["unit_id"].to_list())
    if missing:
        raise DataError(
            f"{len(missing)} wanted units have no responses, first unit {min(missing)}; "
            "expected a column for each; match and respond from the same scan"
        )
    if wanted.height == 0:
        raise DataError("no unit is wanted; expected at least one matched unit; look at the cell matching")
    return Cut((wanted["neuron_column"] + 1).to_list(), wanted["unit_id"].to_list())


def confusion(
    responses: TableSource,
    columns: pl.DataFrame,
    matches: pl.DataFrame,
    images: pl.DataFrame,
    *,
    center: bool,
    scan: ScanKey,
    excluded_trials: TableSource | None = None,
    store: ArtifactStore | None = None,
) -> pl.DataFrame:
    """Return mean and variance of every matched cell's responses to every unit's images in one scan.

    Responses are divided by the cell's standard deviation (ddof 1) over **all** trials of the scan, after its
    mean is taken off if ``center`` (Walker et al. 2019). A cell whose responses do not vary has no row.

    Parameters
    ----------
    responses
        Table ``trial_idx``, ``condition_hash``, ``response`` (one vector a row), in the unit of the traces.
    columns
        Table ``neuron_column``, ``unit_id``: what the vectors hold.
    matches
        Table ``source_unit_id``, ``unit_id``: the cell of this scan for each source unit.
    images
        Table ``condition_hash``, ``model_type``, ``image_unit_id``, see `shown_images`.
    center
        False: NormalizedConfusion, in s.d.; True: ZScoreConfusion, in z-scores.
    scan
        The scan, written into the rows.
    excluded_trials
        Table with ``trial_idx`` of trials to leave out.
    store
        Where the tables stand, if they are artifacts.

    Returns
    -------
    Table ``animal_id, session, scan_idx, model_type, image_unit_id, source_unit_id, unit_id, mu_resp,
    var_resp`` (ddof 0), ``n_repeats, pilot_resp, offset_resp``; only source units that have
    an image of their own.

    Raises
    ------
    DataError
        If no source unit with an image is matched, or a response is not finite.
    """
    tables, wanted = confusion_tables(responses, columns, matches, images, excluded_trials)
    parameters = {
        "columns": wanted.columns,
        "unit_ids": wanted.unit_ids,
        "center": center,
        **scan.model_dump(),
    }
    statement = sql_file(__package__, "scan_statistics.sql") + sql_file(__package__, "confusion.sql")
    rows = query(statement, tables, parameters, store)
    wild = rows.filter(~pl.col("mu_resp").is_finite())
    if wild.height:
        unit = wild["unit_id"].sort()[0]
        raise DataError(
            f"scan {scan}: responses of unit {unit} hold NaN or infinite values; expected a number for every "
            "trial; exclude the trials without one"
        )
    return rows


def confusion_tables(
    responses: TableSource,
    columns: pl.DataFrame,
    matches: pl.DataFrame,
    images: pl.DataFrame,
    excluded_trials: TableSource | None,
) -> tuple[dict[str, TableSource], Cut]:
    """Return the tables that `confusion` asks, and the units to cut out of the response vectors."""
    own = matches.filter(pl.col("source_unit_id").is_in(images["image_unit_id"].unique().to_list()))
    tables: dict[str, TableSource] = {
        "response": responses,
        "cell_match": own.select("source_unit_id", "unit_id"),
        "image": images.select("condition_hash", "model_type", "image_unit_id"),
        "excluded_trial": pl.DataFrame(schema={"trial_idx": pl.Int64})
        if excluded_trials is None
        else excluded_trials,
    }
    return tables, cut(columns, own["unit_id"])


def make_normalized_confusion(
    store: ArtifactStore,
    config: ConfusionConfig,
    *,
    cell_match: ArtifactRef,
    stimulus_set: ArtifactRef,
    input_response: ArtifactRef,
    excluded_trial: ArtifactRef,
) -> Outcome:
    """Make the confusion table in standard deviations."""
    refs = (cell_match, stimulus_set, input_response, excluded_trial)
    return _make(NORMALIZED_CONFUSION, store, config, *refs, center=False)


def make_z_score_confusion(
    store: ArtifactStore,
    config: ConfusionConfig,
    *,
    cell_match: ArtifactRef,
    stimulus_set: ArtifactRef,
    input_response: ArtifactRef,
    excluded_trial: ArtifactRef,
) -> Outcome:
    """Make the confusion table in z-scores."""
    refs = (cell_match, stimulus_set, input_response, excluded_trial)
    return _make(Z_SCORE_CONFUSION, store, config, *refs, center=True)


def _make(
    kind: Kind,
    store: ArtifactStore,
    config: ConfusionConfig,
    match: ArtifactRef,
    stimulus_set: ArtifactRef,
    input_response: ArtifactRef,
    excluded_trial: ArtifactRef,
    *,
    center: bool,
) -> Outcome:
    def build(attempt: Attempt) -> None:
        conditions = store.table(stimulus_set, "conditions")
        images = shown_images(conditions, config.source_name)
        check_shown(store.table(input_response, "trials"), conditions, f"scan {config.scan}")
        matches = kept_matches(store, match)
        rows = confusion(
            [(input_response, "responses")],
            store.table(input_response, "units"),
            matches,
            images,
            center=center,
            scan=config.scan,
            excluded_trials=[(excluded_trial, "excluded_trial")],
            store=store,
        )
        attempt.write_table(kind.name, rows)
        attempt.report(**_findings(rows, images, matches))

    inputs = {
        "cell_match": match,
        "stimulus_set": stimulus_set,
        "input_response": input_response,
        "excluded_trial": excluded_trial,
    }
    return store.make(kind, config, build, inputs=inputs)


def _findings(rows: pl.DataFrame, images: pl.DataFrame, matches: pl.DataFrame) -> dict[str, int]:
    own = matches.filter(pl.col("source_unit_id").is_in(images["image_unit_id"].unique().to_list()))
    shown = rows.select("model_type", "image_unit_id").unique().height
    return {
        "n_images_not_shown": images.select("model_type", "image_unit_id").n_unique() - shown,
        "n_units_unmatched": images["image_unit_id"].n_unique() - own.height,
        "n_units_without_variance": own.height - rows["source_unit_id"].n_unique(),
        "n_repeats_least": int(rows["n_repeats"].min() or 0),  # type: ignore[arg-type]
    }
