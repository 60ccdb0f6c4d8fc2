from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
import torch

from inception_loop.errors import ConfigurationError, DataError, TrainingError
from inception_loop.network.modulators import NoModulator
from inception_loop.network.shifters import NoShifter
from inception_loop.training import alone, building, scan_data
from inception_loop.training.config import TrainConfig
from inception_loop.training.recovery import center_error, receptive_field_centers
from inception_loop.training.scan_data import ScanData, predict
from inception_loop.training.scores import pearson
from inception_loop.training.trainer import build_network, train_network, validation_correlation


def script(monkeypatch, values):
    """Let the objective be the given numbers, one an epoch, whatever the network does."""
    given = iter(values)
    monkeypatch.setattr(alone, "validation_correlation", lambda network, scans: next(given))


def test_a_scripted_objective_gives_the_published_course(toy, make_network_config, monkeypatch):
    script(monkeypatch, [0.0, 0.2, 0.1, 0.1, 0.3, 0.2, 0.1, 0.1])
    config = TrainConfig(batch_size=96, learning_rates=(0.01, 0.001), patience=2, max_epoch=7)
    result = train_network(make_network_config(), [toy], config, seed=1)
    assert result.history["stage"].to_list() == [0, 0, 0, 0, 1, 1, 1]
    assert result.history["best"].to_list() == [True, True, False, False, True, False, False]
    assert result.history["learning_rate"].to_list() == [0.01] * 4 + [0.001] * 3
    assert result.val_corr == 0.3


def test_a_stage_begins_at_the_best_weights_with_a_new_optimiser(toy, make_network_config, monkeypatch):
    weights, began = [], []

    def objective(network, scans):
        weights.append(network.core.layers[0].weight.detach().clone())
        return [0.0, 0.5, 0.1, 0.1, 0.6, 0.1, 0.1][len(weights) - 1]

    adam = torch.optim.Adam

    def spy(parameters, **options):
        parameters = list(parameters)
        began.append(adam(parameters, **options))
        return began[-1]

    monkeypatch.setattr(alone, "validation_correlation", objective)
    monkeypatch.setattr(torch.optim, "Adam", spy)
    config = TrainConfig(batch_size=96, learning_rates=(0.01, 1e-12), patience=2)
    result = train_network(make_network_config(), [toy], config, seed=1)
    assert len(began) == 2
    torch.testing.assert_close(weights[4], weights[1], atol=1e-7, rtol=0)  # a step of 1e-12 changes nothing
    assert torch.equal(result.network.core.layers[0].weight, weights[4])


def test_max_epoch_ends_all_stages(toy, make_network_config):
    config = TrainConfig(batch_size=96, learning_rates=(0.01, 0.001, 0.0001), max_epoch=2)
    assert train_network(make_network_config(), [toy], config, seed=1).history["epoch"].to_list() == [0, 1, 2]


def test_a_stage_ends_after_its_own_most_epochs_too(toy, make_network_config, monkeypatch):
    script(monkeypatch, [0.0, 0.2, 0.3, 0.4, 0.3, 0.3, 0.6])
    config = TrainConfig(batch_size=96, learning_rates=(0.1, 0.01, 0.001), stage_epochs=(2, 4, 1), patience=2)
    stages = train_network(make_network_config(), [toy], config, seed=1).history["stage"].to_list()
    assert stages == [0, 0, 0, 1, 1, 1, 2]  # by its number, by patience, by its number
    with pytest.raises(ValueError, match=r"stage_epochs are \(3,\)"):
        TrainConfig(stage_epochs=(3,))


def test_no_epochs_leave_the_network_as_built(toy, make_network_config):
    config = TrainConfig(max_epoch=0)
    untouched = build_network(make_network_config(), [toy], config, 3).state_dict()
    result = train_network(make_network_config(), [toy], config, seed=3)
    assert all(torch.equal(value, untouched[name]) for name, value in result.network.state_dict().items())


def test_the_same_seed_gives_bit_equal_weights_and_history(toy, make_network_config, brief):
    one, two, other = (train_network(make_network_config(), [toy], brief, seed=s) for s in (1, 1, 2))
    assert all(
        torch.equal(a, b) for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True)
    )
    assert one.history.fill_nan(0).equals(two.history.fill_nan(0))
    assert one.history["val_corr"][-1] != other.history["val_corr"][-1]


def test_the_returned_weights_have_the_returned_correlation(toy, make_network_config):
    config = TrainConfig(batch_size=48, learning_rates=(0.03,), patience=3, max_epoch=8)
    result = train_network(make_network_config(), [toy], config, seed=1)
    assert validation_correlation(result.network, [toy]) == pytest.approx(result.val_corr, abs=1e-12)
    assert result.val_corr == result.history["val_corr"].max()
    assert not result.network.training


def test_a_small_network_learns_linear_nonlinear_cells_and_where_they_look(toy, make_network_config, centers):
    config = TrainConfig(
        batch_size=24, learning_rates=(0.02, 0.005), patience=6, max_epoch=40, position_rate=3.0
    )
    result = train_network(make_network_config(), [toy], config, seed=1)
    rows = toy.rows("test")
    observed = toy.responses[torch.from_numpy(rows)].numpy()
    assert np.median(pearson(predict(result.network, toy, rows), observed)) > 0.9
    found = receptive_field_centers(result.network, "a", (0.0, 0.0))
    assert np.median(center_error(found, np.array(centers(3))).distance) < 1


def test_two_scans_train_one_core(toy, make_toy, make_network_config, brief):
    other = make_toy("b", trials=120, units=2, seed=5)
    result = train_network(make_network_config(), [toy, other], brief, seed=1)
    assert set(result.network.readouts) == {"a", "b"}
    separate = np.concatenate(
        [
            pearson(
                predict(result.network, s, s.rows("validation")), s.responses.numpy()[s.rows("validation")]
            )
            for s in (toy, other)
        ]
    )
    assert result.val_corr == pytest.approx(np.nan_to_num(separate).mean())


def test_positions_have_a_learning_rate_of_their_own(toy, make_network_config):
    config = make_network_config()
    start = build_network(config, [toy], TrainConfig(), 1).readout("a").position.detach().clone()
    moved = {}
    for rate in (1.0, 4.0):
        train = TrainConfig(batch_size=192, learning_rates=(1e-3,), max_epoch=1, position_rate=rate)
        end = train_network(config, [toy], train, seed=1).network.readout("a").position
        moved[rate] = (end - start).abs().mean().item()
    assert moved[4.0] == pytest.approx(4 * moved[1.0], rel=1e-3)


def test_bfloat16_learns_as_well(toy, make_network_config):
    config = TrainConfig(batch_size=24, learning_rates=(0.02,), max_epoch=4)
    full, half = (
        train_network(make_network_config(), [toy], config.model_copy(update={"precision": p}), seed=1)
        for p in ("float32", "bfloat16")
    )
    assert abs(full.val_corr - half.val_corr) < 0.1
    assert full.val_corr != half.val_corr


@pytest.mark.parametrize(
    ("size", "what"), [(24, "the loss of a is"), (500, "a prediction for a is not finite")]
)
def test_a_loss_that_is_no_number_stops_with_epoch_seed_and_config(toy, make_network_config, size, what):
    config = TrainConfig(batch_size=size, learning_rates=(1e30,), max_epoch=3)
    named = r'in epoch 1 \(seed 1, network .*"type":"GaussianLaplace".*, train .*1e\+30.*lower'
    with pytest.raises(TrainingError, match=rf"{what}.* {named}") as caught:
        train_network(make_network_config(), [toy], config, seed=1)
    assert "\n" not in str(caught.value)
    assert "gauss_bias" not in str(caught.value)  # the default goes without saying


def test_a_response_that_is_no_number_is_refused(toy, make_network_config, brief):
    broken = dataclasses.replace(toy, responses=toy.responses.clone())
    broken.responses[5, 1] = float("nan")
    with pytest.raises(DataError, match="neuron 1 that are not finite; leave it out"):
        train_network(make_network_config(), [broken], brief, seed=1)


def test_missing_eye_or_behaviour_is_refused_unless_the_network_does_without(toy, make_network_config, brief):
    blind = dataclasses.replace(toy, eye=None)
    with pytest.raises(ConfigurationError, match="without eye position, but the network has a shifter"):
        train_network(make_network_config(), [blind], brief, seed=1)
    still = dataclasses.replace(toy, behavior=None)
    with pytest.raises(ConfigurationError, match="without behaviour, but the network has a modulator"):
        train_network(make_network_config(), [still], brief, seed=1)
    bare = dataclasses.replace(toy, eye=None, behavior=None)
    config = make_network_config(shifter=NoShifter(), modulator=NoModulator())
    assert np.isfinite(train_network(config, [bare], brief, seed=1).val_corr)


def test_a_constant_unit_counts_as_zero(toy, make_network_config, brief):
    silent = dataclasses.replace(toy, responses=toy.responses.clone())
    silent.responses[:, 1] = 0
    network = build_network(make_network_config(), [silent], brief, 1)
    rows = toy.rows("validation")
    each = pearson(predict(network, silent, rows), silent.responses.numpy()[rows])
    assert np.isnan(each[1])
    assert validation_correlation(network, [silent]) == pytest.approx(np.nansum(each) / 3)


def test_a_scan_without_validation_trials_is_refused(toy, make_network_config, brief):
    bare = dataclasses.replace(toy, tier=np.where(toy.tier == "validation", "train", toy.tier))
    with pytest.raises(DataError, match="a has 0 trials of tier validation"):
        train_network(make_network_config(), [bare], brief, seed=1)


def with_prefetching(monkeypatch, from_bytes):
    """Let batches of so many bytes be prepared by a thread; return the names of the threads that made any."""
    makers, batch = set(), ScanData.batch

    def spy(scan, rows):
        makers.add(threading.current_thread().name.split("_")[0])
        return batch(scan, rows)

    monkeypatch.setattr(scan_data, "PREFETCHED_FROM", from_bytes)
    monkeypatch.setattr(ScanData, "batch", spy)
    return makers


def test_batches_prepared_ahead_give_bit_equal_weights_and_history(
    toy, make_toy, make_network_config, brief, monkeypatch
):
    scans = [toy, make_toy("b", trials=120, units=2, seed=5)]
    results = []
    for from_bytes, expected in ((10**9, {"MainThread"}), (1, {"MainThread", "prefetch"})):
        with monkeypatch.context() as patch:
            makers = with_prefetching(patch, from_bytes)
            results.append(train_network(make_network_config(), scans, brief, seed=1))
            assert makers == expected
    without, ahead = results
    for name, value in without.network.state_dict().items():
        assert torch.equal(value, ahead.network.state_dict()[name])
    assert without.history.fill_nan(0).equals(ahead.history.fill_nan(0))


def test_an_error_in_a_batch_or_in_a_step_leaves_no_thread(toy, make_network_config, brief, monkeypatch):
    monkeypatch.setattr(scan_data, "PREFETCHED_FROM", 1)
    wild = TrainConfig(batch_size=24, learning_rates=(1e30,), max_epoch=3)
    with pytest.raises(TrainingError, match="the loss of a is"):
        train_network(make_network_config(), [toy], wild, seed=1)
    broken = dataclasses.replace(toy, image_row=torch.where(torch.from_numpy(toy.tier == "train"), 999, 0))
    with pytest.raises(IndexError):
        train_network(make_network_config(), [broken], brief, seed=1)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_biases_start_at_the_mean_training_responses(toy, make_network_config, monkeypatch):
    monkeypatch.setattr(building, "UNITS_AT_ONCE", 2)
    network = build_network(make_network_config(), [toy], TrainConfig(), 1)
    mean = toy.responses[torch.from_numpy(toy.rows("train"))].double().mean(0).float()
    assert torch.equal(network.readout("a").bias + 1, (mean - 1) + 1)
