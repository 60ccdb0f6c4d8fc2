"""The model artifact: a trained network with what turns raw data into its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import torch
from torch import Tensor

from inception_loop.artifacts.attempt import Progress
from inception_loop.artifacts.kind import GROUP, Arrays, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.normalization import Normaliser
from inception_loop.errors import InceptionLoopError
from inception_loop.network.config import Precision
from inception_loop.network.network import Network
from inception_loop.training.building import load_weights
from inception_loop.training.config import ModelConfig
from inception_loop.training.fitting import Fitted, fit
from inception_loop.training.scan_data import ScanData

I64, F64, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()

MODEL = Kind(
    name="model",
    version=1,
    meaning="A trained network: its weights at the best validation correlation, and every epoch on the way.",
    payloads={
        "weights": Arrays(None, meaning="Parameters and running statistics by their name in the network."),
        "history": Table(
            {
                "epoch": Column(I64, "epochs trained; 0 is before training"),
                "stage": Column(I64, "which of the learning rates, 0 first"),
                "learning_rate": Column(F64, "of Adam"),
                "train_loss": Column(F64, "mean Poisson loss of the epoch's batches", nullable=True),
                "regularizer": Column(F64, "penalty after the epoch, mean over scans"),
                "val_corr": Column(F64, "mean over units of the single-trial validation correlation"),
                "best": Column(BOOL, "whether the weights are the best so far"),
            }
        ),
        "inputs": Table(
            {
                "name": Column(TEXT, "scan: its readout key"),
                "n_units": Column(I64, "units read out"),
                "image_height": Column(I64, "height of the images, px"),
                "image_width": Column(I64, "width of the images, px"),
                "image_mean": Column(F64, "subtracted from images, grey levels"),
                "image_std": Column(F64, "divides images, grey levels"),
                "per_image": Column(BOOL, "each image by its own mean and s.d. instead"),
                "eye_x": Column(F64, "training mean of the normalised eye centre", nullable=True),
                "eye_y": Column(F64, "training mean of the normalised eye centre", nullable=True),
                "pupil": Column(F64, "training mean of the normalised pupil radius", nullable=True),
                "dpupil": Column(F64, "training mean of its normalised derivative", nullable=True),
                "treadmill": Column(F64, "training mean of the normalised running", nullable=True),
            }
        ),
    },
    partition=GROUP,
)


@dataclass(frozen=True)
class Inputs:
    """What turns one scan's raw data into a network's inputs.

    Attributes
    ----------
    name : readout key
    n_units : units read out
    image_size : (height, width), px
    image_mean, image_std : grey levels
    per_image : normalise each image by its own mean and s.d. instead
    eye_mean : (x, y) training mean of the normalised eye centre, None without eye
    behavior_mean : training mean of normalised pupil, its derivative and running, None without behaviour
    """

    name: str
    n_units: int
    image_size: tuple[int, int]
    image_mean: float
    image_std: float
    per_image: bool
    eye_mean: tuple[float, float] | None
    behavior_mean: tuple[float, float, float] | None


@dataclass(frozen=True)
class Model:
    """A trained network in evaluation mode, frozen, with its configuration and the inputs of its scans."""

    config: ModelConfig
    network: Network
    inputs: dict[str, Inputs]

    def input_of(self, name: str) -> Inputs:
        """Return the inputs of a scan.

        Raises
        ------
        ConfigurationError
            If the model has no such readout key.
        """
        self.network.readout(name)
        return self.inputs[name]


def make_model(
    store: ArtifactStore,
    config: ModelConfig,
    *,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
    on_progress: Progress | None = None,
    wait: bool = True,
) -> Outcome:
    """Train one network on a group of scans; reports ``val_corr`` and ``epochs``.

    Its state is kept after every epoch. Asked again after it was cut short, it goes on from there, to the
    same bytes.

    Parameters
    ----------
    store
        Also says on which device and with how many threads.
    config
        Data, network, training, seed.
    dataset
        The ``static_multi_dataset`` of the group.
    core
        A ``model`` whose core is taken over and left as it is, batch norm included: only readouts, shifters
        and modulators are fitted. Its core must have the configuration of this one's, save the strengths of
        regularisers.
    on_progress
        Receives ``(epochs done, most epochs, text)``; by default what the store was opened with.
    wait
        Wait for another worker that trains this model just now.

    Raises
    ------
    ConfigurationError
        If the core that is taken over is another.
    ReservedError
        If another worker trains it and nobody is to wait.
    """

    def build(attempt: Attempt) -> None:
        train_into(attempt, store, config, dataset, core)

    inputs = model_inputs(dataset, core)
    return store.make(MODEL, config, build, inputs=inputs, on_progress=on_progress, wait=wait)


def model_inputs(dataset: ArtifactRef, core: ArtifactRef | None) -> dict[str, ArtifactRef]:
    """Return the inputs of a model by role."""
    return {"dataset": dataset} if core is None else {"dataset": dataset, "core": core}


def train_into(
    attempt: Attempt,
    store: ArtifactStore,
    config: ModelConfig,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
) -> None:
    """Train a model and write its payloads."""
    (fitted,) = fit(store, [(attempt, config)], dataset, core)
    if isinstance(fitted, InceptionLoopError):
        raise fitted
    write_model(attempt, fitted)


def write_model(attempt: Attempt, fitted: Fitted) -> None:
    """Write the payloads of a model."""
    trained = fitted.result
    attempt.write_arrays("weights", weights_of(trained.network))
    attempt.write_table("history", trained.history.with_columns(pl.col("train_loss").fill_nan(None)))
    attempt.write_table("inputs", inputs_table(fitted.loaded))
    attempt.report(val_corr=trained.val_corr, epochs=trained.history.height - 1, **fitted.findings)


def weights_of(network: Network) -> dict[str, npt.NDArray[Any]]:
    """Return a network's parameters and running statistics by name."""
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def inputs_table(loaded: Sequence[tuple[ScanData, Normaliser]]) -> pl.DataFrame:
    """Return the table ``inputs`` of the `MODEL` kind: one row a scan, from it and what normalised it."""
    rows = []
    for scan, rule in loaded:
        eye, behavior = (
            [None] * width if mean is None else mean
            for mean, width in zip(scan.training_means(), (2, 3), strict=True)
        )
        rows.append(
            {
                "name": scan.name,
                "n_units": scan.n_units,
                "image_height": scan.images.shape[2],
                "image_width": scan.images.shape[3],
                "image_mean": rule.image_mean,
                "image_std": rule.image_std,
                "per_image": rule.per_image,
                **dict(zip(("eye_x", "eye_y"), eye, strict=True)),
                **dict(zip(("pupil", "dpupil", "treadmill"), behavior, strict=True)),
            }
        )
    optional = dict.fromkeys(("eye_x", "eye_y", "pupil", "dpupil", "treadmill"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=optional)


def load_model(
    store: ArtifactStore, model: ArtifactRef, *, device: str | None = None, precision: Precision = "float32"
) -> Model:
    """Load a trained network, ready to be evaluated; gradients reach its inputs only.

    Parameters
    ----------
    store
        Where it lies.
    model
        A ``model``.
    device
        Torch device; by default that of the store's settings.
    precision
        Of the core's convolutions from now on, whatever it was in training.

    Raises
    ------
    ConfigurationError
        If the weights are not those of the configuration in the manifest.
    """
    config = ModelConfig.model_validate(store.manifest(model).config)
    inputs = {row["name"]: _inputs(row) for row in store.table(model, "inputs").iter_rows(named=True)}
    size = next(iter(inputs.values())).image_size
    units = {name: scan.n_units for name, scan in inputs.items()}
    weights = store.arrays(model, "weights")
    generator = torch.Generator().manual_seed(config.seed)
    network = Network(config.network, units, size, generator, precision, _cortex(weights, units))
    load_weights(network, weights, str(model))
    network.to(device or store.settings.device).eval().requires_grad_(False)
    return Model(config, network, inputs)


def _cortex(weights: dict[str, npt.NDArray[Any]], names: Iterable[str]) -> dict[str, Tensor]:
    """(N, 2) places in the cortex by scan, where weights hold them because a readout predicts from them."""
    kept = {name: weights.get(f"readouts.{name}.predictor.cortex") for name in names}
    return {name: torch.from_numpy(np.array(places)) for name, places in kept.items() if places is not None}


def _inputs(row: dict[str, Any]) -> Inputs:
    eye = None if row["eye_x"] is None else (row["eye_x"], row["eye_y"])
    behavior = None if row["pupil"] is None else (row["pupil"], row["dpupil"], row["treadmill"])
    return Inputs(
        name=row["name"],
        n_units=row["n_units"],
        image_size=(row["image_height"], row["image_width"]),
        image_mean=row["image_mean"],
        image_std=row["image_std"],
        per_image=row["per_image"],
        eye_mean=eye,
        behavior_mean=behavior,
    )
