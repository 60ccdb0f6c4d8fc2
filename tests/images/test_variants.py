"""The artifacts of diverse sets and of surrounds say of each image what they promise."""

import numpy as np
import polars as pl
import pytest
import torch

from inception_loop.images.masks.artifact import GAUSSIAN_MASK
from inception_loop.images.mei import MEI, MeiConfig, make_mei
from inception_loop.images.variants import (
    DIVERSE_MEI,
    DiverseMeiConfig,
    SurroundMeiConfig,
    make_diverse_mei,
    make_surround_mei,
)

QUICK = {"judging": {"gains": 2, "reach": 0}}


@pytest.fixture
def excited(model_of, even, odd):
    """Cells with a complex and a baseline part, which only one place excites."""

    def drive(x, u):
        pair = [((x - 110) * bank[u]).sum((1, 2)) for bank in (even, odd)]
        return 1 + (pair[0] ** 2 + pair[1] ** 2) / 1e4 - (x[:, :, :8].mean((1, 2)) - 110).abs() / 10

    return model_of(drive)


@pytest.fixture
def made(store, models, networks, target, excited):
    """The models as networks, their MEIs, and a mask artifact of the same units (a disc in the middle)."""
    judged = networks(models, excited)
    mei = make_mei(store, MeiConfig(**target, **QUICK), networks=judged).ref
    config = MeiConfig(**target)
    y, x = np.mgrid[:36, :64]
    disc = np.clip(12 - np.hypot(x - 32, y - 18), 0, 1).astype(np.float32)

    def build(attempt):
        table = GAUSSIAN_MASK.payloads["gaussian_mask"].columns
        blank = {name: np.zeros(3) for name in table if name not in config.columns()}
        attempt.write_table("gaussian_mask", pl.DataFrame({**config.columns(), **blank}))
        attempt.write_arrays("masks", {"masks": np.stack([disc] * 3)})

    mask = store.make(GAUSSIAN_MASK, config, build).ref
    return judged, mei, mask


def test_every_image_of_a_set_has_its_share_and_every_pair_its_similarity(store, target, made, excited):
    judged, mei, mask = made
    config = DiverseMeiConfig(**target, **QUICK, images=3, spreading={"iterations": 30})
    ref = make_diverse_mei(store, config, networks=judged, mei=mei, mask=mask).ref
    table, pairs = store.table(ref, "diverse_mei"), store.table(ref, "pairs")
    images = store.arrays(ref, "images")["images"]
    assert table["unit_id"].to_list() == [103] * 3 + [101] * 3 + [117] * 3
    assert table["member"].to_list() == [0, 1, 2] * 3
    shown = excited.paired(torch.from_numpy(np.array(images)), torch.tensor([3] * 3 + [1] * 3 + [17] * 3))
    assert table["activation"].to_numpy() == pytest.approx(shown.numpy(), rel=1e-5)
    assert (table["share"] >= 0.85).all()
    assert (table["best_activation"].to_numpy() * 1.001 >= table["activation"].to_numpy()).all()
    assert store.manifest(ref).findings["units_short_of_the_share"] == []
    assert pairs.select("first", "second").rows() == [(0, 1), (0, 2), (1, 2)] * 3
    correlation = np.corrcoef(images[:3].reshape(3, -1))
    assert pairs["image_similarity"][:3].to_list() == pytest.approx(
        correlation[[0, 0, 1], [1, 2, 2]], abs=1e-4
    )
    first = pairs.filter(unit_id=103, first=0)["similarity"]
    assert table["max_similarity"][0] == pytest.approx(first.max())
    assert table["mean_similarity"][0] == pytest.approx(first.mean())
    assert 0 < table["grey_share"][0] < 0.5
    assert store.ref(DIVERSE_MEI, config, judged.inputs() | {"mei": [mei]}) != ref  # the mask is asked about


def test_a_unit_that_misses_its_share_when_measured_again_is_named(
    store, models, networks, target, made, excited, model_of
):
    calls = []

    def tires(x, u):  # unit 1 answers less and less: no share can be promised of it
        calls.append(1)
        return excited.paired(x, u) * torch.where(u == 1, 0.97 ** len(calls), 1.0)

    _, mei, _ = made
    config = DiverseMeiConfig(**target, **QUICK, images=2, spreading={"iterations": 5})
    ref = make_diverse_mei(store, config, networks=networks(models, model_of(tires)), mei=mei).ref
    findings = store.manifest(ref).findings
    assert findings["units_short_of_the_share"] == [101]
    assert findings["lowest_share"] < 0.85


@pytest.mark.parametrize("objective", ["exciting", "inhibiting"])
def test_the_surround_is_told_against_the_centre_alone(store, target, made, excited, objective):
    judged, mei, mask = made
    config = SurroundMeiConfig(**target, **QUICK, objective=objective, procedure={"iterations": 15})
    ref = make_surround_mei(store, config, networks=judged, mei=mei, mask=mask).ref
    table, arrays = store.table(ref, "surround_mei"), store.arrays(ref, "images")
    units = torch.tensor([3, 1, 17])
    for column, member in (("activation", "images"), ("centre_activation", "centre")):
        shown = excited.paired(torch.from_numpy(np.array(arrays[member])), units)
        assert table[column].to_numpy() == pytest.approx(shown.numpy(), rel=1e-4)
    change = table["activation"] / table["centre_activation"] - 1
    assert table["change"].to_numpy() == pytest.approx(change.to_numpy(), rel=1e-3, abs=1e-6)
    assert (table["change"] > 0).all() if objective == "exciting" else (table["change"] < 0).all()
    meis = store.arrays(mei, "images")["images"]
    assert np.array_equal(arrays["images"][:, 14:22, 28:36], meis[:, 14:22, 28:36])
    assert store.manifest(ref).kind == "surround_mei"
    assert store.table(mei, MEI.name).height == 3
