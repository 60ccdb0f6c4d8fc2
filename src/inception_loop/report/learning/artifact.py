"""The artifact kind of a learning report: what its tables hold, and how they are read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from inception_loop.artifacts.kind import GROUP, Arrays, Column, File, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore

I64, F64, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()
Floats = npt.NDArray[np.floating]
MODEL = Column(TEXT, "digest of the model")
LABEL = Column(TEXT, "core of the model, the fields in which models of that core differ, its seed")
FAMILY = Column(TEXT, "cnn, linear (control without a nonlinearity in its core)")

LEARNING_REPORT = Kind(
    name="learning_report",
    version=2,  # 2: labels that tell models apart, frozen scores, linear_rf, bad configurations, lineage
    meaning="How the networks of a group learnt: curves, first filters, scores unit by unit, a page.",
    payloads={
        "models": Table(
            {
                "model": MODEL,
                "label": LABEL,
                "family": FAMILY,
                "core": Column(TEXT, "type of its core"),
                "readout": Column(TEXT, "type of its readout"),
                "config": Column(TEXT, "its whole configuration: JSON, keys in order"),
                "configuration": Column(TEXT, "SHA-256 of its configuration without the seed"),
                "seed": Column(I64, "its seed"),
                "epochs": Column(I64, "epochs trained"),
                "best_epoch": Column(I64, "the epoch whose weights it has"),
                "val_corr": Column(F64, "validation correlation at these weights"),
                "test_corr": Column(F64, "mean test correlation; null: not scored by itself", nullable=True),
                "chosen": Column(BOOL, "whether it is of the chosen (else the best) configuration"),
                "best": Column(BOOL, "whether it is the best of the chosen ones of its family"),
            }
        ),
        "curves": Table(
            {
                "model": MODEL,
                "label": LABEL,
                "family": FAMILY,
                "seed": Column(I64, "its seed"),
                "chosen": Column(BOOL, "whether it is of the chosen (else the best) configuration"),
                "epoch": Column(I64, "epochs trained; 0 is before training"),
                "stage": Column(I64, "which of the learning rates, 0 first"),
                "learning_rate": Column(F64, "of the optimiser"),
                "val_corr": Column(F64, "mean single-trial validation correlation"),
                "train_loss": Column(F64, "mean loss of the epoch's batches", nullable=True),
            }
        ),
        "filters": Table(
            {
                "model": MODEL,
                "family": FAMILY,
                "row": Column(I64, "row of the family's array in filter_weights; 0 has the largest norm"),
                "channel": Column(I64, "output channel of the first layer"),
                "norm": Column(F64, "L2 norm of the kernel"),
            }
        ),
        "filter_weights": Arrays(
            None,
            meaning="A member a family: (channels, k, k) float32 kernels of its best model's first layer, "
            "in the order of the table `filters`, weight of a normalised pixel.",
        ),
        "units": Table(
            {
                "name": Column(TEXT, "scan: its readout key"),
                "neuron_id": Column(I64, "column of the readout"),
                "unit_id": Column(I64, "unit of the scan"),
                "cnn_test_corr": Column(F64, "single-trial test correlation of the CNN", nullable=True),
                "lin_test_corr": Column(F64, "that of the linear control", nullable=True),
                "cnn_frozen_test_corr": Column(
                    F64, "of the CNN that is told the training mean of eye and behaviour", nullable=True
                ),
                "lin_frozen_test_corr": Column(F64, "that of the linear control", nullable=True),
                "rf_test_corr": Column(
                    F64, "of a linear receptive field fitted to the responses alone", nullable=True
                ),
                "ceiling": Column(
                    F64, "highest one of what sees the image alone; null: none known", nullable=True
                ),
                "oracle_corr": Column(F64, "jackknife oracle; null: none known", nullable=True),
                "cnn_fraction_ceiling": Column(
                    F64, "cnn_frozen_test_corr (if not known cnn_test_corr) / ceiling", nullable=True
                ),
                "lin_fraction_ceiling": Column(F64, "likewise of the linear control", nullable=True),
                "rf_fraction_ceiling": Column(F64, "rf_test_corr / ceiling", nullable=True),
                "cnn_minus_linear": Column(F64, "cnn_test_corr - lin_test_corr", nullable=True),
            }
        ),
        "scored": Table(
            {
                "family": FAMILY,
                "n_models": Column(I64, "networks whose mean output the units' scores are of"),
                "has_ceiling": Column(BOOL, "whether the scores know the ceiling (older ones do not)"),
                "scores": Column(TEXT, "digest of the unit_test_scores"),
                "frozen": Column(TEXT, "digest of those at the training mean of both", nullable=True),
            }
        ),
        "bad": Table(
            {
                "what": Column(TEXT, "the model that cannot be trained"),
                "error": Column(TEXT, "class of the error"),
                "reason": Column(TEXT, "what is wrong, in one line"),
                "record": Column(TEXT, "digest of the bad_config"),
            }
        ),
        "lineage": Table(
            {
                "role": Column(TEXT, "what it is to the report"),
                "kind": Column(TEXT, "kind of the artifact"),
                "digest": Column(TEXT, "its digest"),
            }
        ),
        "versions": Table(
            {
                "software": Column(TEXT, "package, or git: commit of a checkout"),
                "version": Column(TEXT, "that trained the models; several: by name, with commas"),
            }
        ),
        "report": File(".html", "the page: everything above for a person, needs no network"),
    },
    partition=GROUP,
)


@dataclass(frozen=True)
class Learning:
    """What a learning report says; tables as `LEARNING_REPORT` declares them.

    Attributes
    ----------
    models, curves, filters, units, scored, bad, lineage, versions : tables
    filter_weights : family → (channels, k, k) kernels of its best model, in the order of ``filters``
    """

    models: pl.DataFrame
    curves: pl.DataFrame
    filters: pl.DataFrame
    units: pl.DataFrame
    scored: pl.DataFrame
    bad: pl.DataFrame
    lineage: pl.DataFrame
    versions: pl.DataFrame
    filter_weights: Mapping[str, Floats]

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the tables by name."""
        return {name: getattr(self, name) for name in TABLES}


TABLES = ("models", "curves", "filters", "units", "scored", "bad", "lineage", "versions")


def load_learning(store: ArtifactStore, ref: ArtifactRef) -> Learning:
    """Read a ``learning_report`` again."""
    tables = {name: store.table(ref, name) for name in TABLES}
    return Learning(**tables, filter_weights=dict(store.arrays(ref, "filter_weights")))
