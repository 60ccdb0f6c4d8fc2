"""Bring your own model: a torch module and a ridge regression through scores, selection and image synthesis.

``python examples/own_model.py`` takes less than a minute on a laptop. Replace the recording by
``import_recording`` and the two models by your own; everything below `main` stays as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor, nn

import inception_loop as il
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.dataset.member import MemberData
from inception_loop.dataset.normalization import normalize
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.judging import Judging
from inception_loop.images.mei import MeiConfig, make_mei
from inception_loop.images.network import Networks, TrainedEnsemble
from inception_loop.images.target import TargetUnit
from inception_loop.selection.config import HighUnitRules
from inception_loop.selection.high_units import (
    CorrectedHighUnitSelectionConfig,
    make_corrected_high_unit_selection,
)
from inception_loop.selection.oracle import OracleConfig, make_oracle
from inception_loop.selection.ranking import OracleRankedUnitConfig, make_oracle_ranked_unit

Singles = npt.NDArray[np.float32]
GROUP = 0
DATA = CorrectedAreaLayer()
RULES = HighUnitRules(top_ptile=1.0, border_um=0.0, percentile=25.0, distance_um=0.0, max_rank=8)


class Ridge(nn.Module):
    """A linear receptive field a unit, from closed form: the plainest model there is.

    Parameters
    ----------
    images
        (T, H, W) grey levels of the training trials.
    responses
        (T, N) in units of each unit's training s.d.
    strength
        Of the penalty, in variances of a pixel.
    """

    def __init__(self, images: Singles, responses: Singles, strength: float = 3.0) -> None:
        super().__init__()
        flat = torch.from_numpy(images).flatten(1).double()
        y = torch.from_numpy(responses).double()
        x = flat - flat.mean(0)
        gram = x @ x.T + strength * x.var() * x.shape[1] * torch.eye(len(x), dtype=x.dtype)
        weight = x.T @ torch.linalg.solve(gram, y - y.mean(0))
        self.register_buffer("mean", flat.mean(0).float())
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", y.mean(0).float())

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, H, W) grey levels → (B, N)."""
        return (pixels.flatten(1) - self.mean) @ self.weight + self.bias


class SmallNetwork(nn.Module):
    """One convolution, a squaring nonlinearity and a readout a unit: any torch module will do.

    Parameters
    ----------
    n_units
        Outputs.
    mean, std
        Of the training pixels, grey levels: the module does its own scaling.
    """

    def __init__(self, n_units: int, mean: float, std: float, channels: int = 12) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.features = nn.Conv2d(1, channels, 13, bias=False)
        self.norm = nn.BatchNorm2d(2 * channels)
        self.pool = nn.AvgPool2d(3)
        self.readout = nn.LazyLinear(n_units)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, H, W) grey levels → (B, N), positive."""
        x = self.features((pixels[:, None] - self.mean) / self.std)
        x = self.pool(self.norm(torch.cat([torch.relu(x), x**2], 1)))
        return nn.functional.elu(self.readout(x.flatten(1))) + 1


def train(model: nn.Module, images: Singles, responses: Singles, *, epochs: int, seed: int) -> None:
    """Minimise the Poisson loss plus a penalty on the readout; yours may do as it likes."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(images), torch.from_numpy(responses)
    model(x[:2])  # makes the lazy layer
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(64):
            predicted = model(x[rows])
            loss = (predicted - y[rows] * torch.log(predicted + 1e-6)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class Result(NamedTuple):
    """What `main` found: scores of both models, the selection, the images of the selected units."""

    scores: dict[str, il.ArtifactRef]
    selection: il.ArtifactRef
    mei: il.ArtifactRef


def recorded(store: il.ArtifactStore, n_units: int, n_train: int) -> il.ArtifactRef:
    """Record a simulated animal and make its dataset; with data of your own: ``import_recording``."""
    day = il.AnimalDayConfig(
        scan=il.ScanKey(animal_id=1, session=1, scan_idx=1),
        animal=il.SimulatedConfig(n_units=n_units),
        session=il.NaturalSessionConfig(n_train=n_train, n_repeated=20, repeats=8),
    )
    recording, _ = il.make_recorded_day(store, day)
    return il.make_dataset(store, il.DatasetConfig(group_id=GROUP), [recording.ref])["static_multi_dataset"][
        0
    ].ref


def fitted(member: MemberData, epochs: int) -> dict[str, nn.Module]:
    """Fit both models to the training trials of a scan."""
    rows = member.trials_of("train")
    images = np.array(member.frames[member.frame_row[rows]])
    responses = normalize(member, DATA).responses[rows]  # in units of each unit's training s.d.
    torch.manual_seed(1)
    network = SmallNetwork(responses.shape[1], member.statistics.image_mean, member.statistics.image_std)
    train(network, images, responses, epochs=epochs, seed=1)
    return {"network": network, "ridge": Ridge(images, responses)}


def main(
    uri: str = "memory://own-model", *, n_units: int = 120, n_train: int = 1000, epochs: int = 12
) -> Result:
    """Score two own models, select units by them, and synthesise the most exciting images of these."""
    store = il.open_store(uri)
    dataset = recorded(store, n_units, n_train)
    (name,) = store.table(dataset, "members")["name"]
    member = il.load_member(store, dataset, name, DATA)

    # 1. Any callable from (B, H, W) grey levels to (B, N) activations is a model; its content names it.
    modules = fitted(member, epochs)
    own = {label: il.own_model(module, member) for label, module in modules.items()}
    scores = {}
    for label, module in modules.items():
        config = il.OwnModelConfig(group_id=GROUP, label=label, content=il.content_digest(module), data=DATA)
        scores[label] = il.make_own_model(store, config, dataset=dataset, models={name: own[label]}).ref
        table = store.table(scores[label], "test_scores").row(0, named=True)
        print(f"{label}: test correlation {table['test_corr']:.3f}, ceiling {table['ceiling']:.3f}")

    # 2. The selection asks for scores of a CNN and of a linear control: those of own models will do.
    oracle = make_oracle(store, OracleConfig(group_id=GROUP, data=DATA), dataset=dataset).ref
    ranked = make_oracle_ranked_unit(store, OracleRankedUnitConfig(group_id=GROUP), oracle=oracle).ref
    selection = make_corrected_high_unit_selection(
        store,
        CorrectedHighUnitSelectionConfig(group_id=GROUP, rules=RULES, min_units=4),
        dataset=dataset,
        oracle_ranked_unit=ranked,
        cnn_scores=[scores["network"]],
        linear_scores=[scores["ridge"]],
    ).ref
    chosen = store.table(selection, "corrected_high_unit_selection").drop_nulls("hu_rank").sort("hu_rank")

    # 3. Images: the ascent asks the model for single units, and hangs on the own model in the store.
    wanted = tuple(
        TargetUnit(neuron_id=i, unit_id=u) for i, u in chosen.select("neuron_id", "unit_id").rows()
    )
    config = MeiConfig(
        group_id=GROUP,
        name=name,
        units=wanted,
        eye="none",
        behavior="none",
        procedure=Fast(),
        judging=Judging(gains=20),
    )
    made_for, judge = (
        TrainedEnsemble((scores[label],), il.own_loader({name: own[label]})) for label in ("network", "ridge")
    )
    mei = make_mei(store, config, networks=Networks(made_for, validator=judge)).ref
    shown = store.table(mei, "mei").select(
        "unit_id", pl.col("activation", "validator_activation", "contrast").round(2), "stop_reason"
    )
    print(shown)
    return Result(scores, selection, mei)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
