from __future__ import annotations

import pytest

from inception_loop.training.config import TrainConfig
from inception_loop.training.pace import Pace
from inception_loop.training.scan_data import ScanData
from inception_loop.training.trainer import Job, train_networks


def test_the_rate_is_of_what_was_learnt_from_and_the_time_left_of_all_epochs():
    seconds = iter([0.0, 2.0, 4.0, 9.0, 10.0])
    pace = Pace(10, clock=lambda: next(seconds))
    assert pace.after(0, 0) == ""
    assert pace.after(1, 800) == ", 400 images/s, ≤ 18 s left"
    assert pace.after(2, 200) == ", 250 images/s, ≤ 16 s left"  # one of the networks has left
    assert pace.after(0, 0) == ""  # begun anew
    assert pace.after(1, 50) == ", 50 images/s, ≤ 9 s left"


@pytest.mark.parametrize("mode", ["longest", "shortest"])
def test_an_epoch_tells_the_images_of_those_that_learnt_in_it(
    make_toy, make_network_config, mode, monkeypatch
):
    scans = [make_toy(trials=80), make_toy("b", trials=30, units=2)]
    train = TrainConfig(batch_size=10, learning_rates=(0.01,), max_epoch=2, round_robin=mode)
    brief = train.model_copy(update={"max_epoch": 1})
    told, learnt, batch = [], [], ScanData.batch

    def spy(scan, rows):
        learnt[-1:] = [learnt[-1] + len(rows)] if learnt else [len(rows)]
        return batch(scan, rows)

    def on_epoch(epoch):
        told.append((epoch.number, epoch.networks, epoch.images, sum(learnt)))
        learnt.clear()

    monkeypatch.setattr(ScanData, "batch", spy)
    jobs = [Job(make_network_config(), t, seed) for seed, t in enumerate((train, train, brief))]
    train_networks(jobs, scans, on_epoch=on_epoch)
    assert [one[:2] for one in told] == [(0, 3), (0, 3), (0, 3), (1, 3), (2, 2)]
    validated = sum(len(scan.rows("validation")) for scan in scans)
    assert [one[2] for one in told[3:]] == [one[3] - validated for one in told[3:]]
