from __future__ import annotations

import numpy as np
import pytest
import torch

from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.dataset.member import load_member, member_names
from inception_loop.dataset.normalization import normalize
from inception_loop.training import scan_data as module
from inception_loop.training.scan_data import Batch, load_scan, placed, scan_data

DATA = [
    CorrectedAreaLayer(layer="all"),
    CorrectedAreaLayer(layer="all", normalize=False),
    CorrectedAreaLayer(layer="L2/3", exclude=("responses",), normalize_per_image=True),
]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("data", DATA, ids=["normalised", "as it is", "in parts"])
def test_a_scan_loaded_in_one_block_is_the_member_normalised(day_store, data):
    store, dataset, _ = day_store
    name = member_names(store, dataset)[0]
    member = load_member(store, dataset, name, data)
    before = member.responses.copy()
    values = normalize(member, data)
    scan, rule = load_scan(store, dataset, name, data)
    for loaded in (scan, scan_data(member, data)):
        np.testing.assert_array_equal(loaded.images[:, 0], values.images)
        np.testing.assert_array_equal(loaded.responses, values.responses)
        np.testing.assert_array_equal(loaded.eye, values.pupil_center)
        np.testing.assert_array_equal(loaded.behavior, values.behavior)
        np.testing.assert_array_equal(loaded.image_row, member.frame_row)
        np.testing.assert_array_equal(loaded.tier, member.tier)
    np.testing.assert_array_equal(member.responses, before)
    np.testing.assert_array_equal(rule.responses(member.responses), values.responses)


def test_overwriting_needs_no_second_array(day_store):
    store, dataset, _ = day_store
    member = load_member(store, dataset, member_names(store, dataset)[0], DATA[0])
    scan = scan_data(member, DATA[0], overwrite=True)
    assert np.shares_memory(scan.responses.numpy(), member.responses)


def test_a_batch_is_some_trials(toy):
    rows = np.array([7, 3, 3, 200])
    slow = Batch(
        torch.stack([toy.images[toy.image_row[row]] for row in rows]),
        *(torch.stack([values[row] for row in rows]) for values in (toy.eye, toy.behavior, toy.responses)),
    )
    assert same(toy.batch(rows), slow)
    assert same(toy.batches_to("cpu").batch(rows), slow)


def test_batches_go_where_they_are_wanted_and_tensors_stay(toy):
    scan = toy.batches_to("meta")
    batch = scan.batch(np.arange(5))
    assert [part.device.type for part in batch] == ["meta"] * 4
    assert [tuple(part.shape) for part in batch] == [(5, 1, 14, 18), (5, 2), (5, 3), (5, 3)]
    assert scan.images.device.type == "cpu"
    assert scan.to("cpu").batch(np.arange(5)).images.device.type == "cpu"


def test_scans_that_a_gpu_has_no_room_for_send_their_batches(toy, monkeypatch):
    sent = []
    monkeypatch.setattr(module.ScanData, "to", lambda scan, device: sent.append(device) or scan)
    for free, stays in ((4 * toy.nbytes + 4, False), (4 * toy.nbytes - 4, True)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10**12))
        sent.clear()
        scans = placed([toy, toy], "cuda:1")
        assert [scan.batches_on for scan in scans] == (["cuda:1"] * 2 if stays else [None] * 2)
        assert sent == ([] if stays else ["cuda:1"] * 2)


def test_what_a_scan_takes(toy):
    assert toy.nbytes == 4 * 240 * (14 * 18 + 3 + 2 + 3) + 8 * 240


def test_only_large_batches_off_a_gpu_are_worth_a_thread(toy, monkeypatch):
    one = 4 * (14 * 18 + 3 + 2 + 3)
    monkeypatch.setattr(module, "PREFETCHED_FROM", 10 * one)
    assert toy.prefetch_pays(10)
    assert not toy.prefetch_pays(9)
    assert not toy.to("meta").prefetch_pays(10**6)
    assert toy.batches_to("meta").prefetch_pays(10)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_batches_reach_a_gpu_from_pinned_memory(toy):
    rows = np.array([7, 3, 200])
    for scan in (toy.batches_to("cuda"), toy.to("cuda")):
        assert same([part.cpu() for part in scan.batch(rows)], toy.batch(rows))
