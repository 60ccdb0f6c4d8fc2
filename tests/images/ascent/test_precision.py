"""The precision that a machine is fast in is asked for, never assumed by a configuration."""

import pytest
import torch

from inception_loop.images.ascent.precision import fastest_precision


@pytest.mark.parametrize(("avx", "amx", "found"), [(True, False, "bfloat16"), (False, True, "bfloat16")])
def test_a_processor_that_computes_in_bfloat16_does(monkeypatch, avx, amx, found):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert fastest_precision() == found


def test_one_that_does_not_stays_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert fastest_precision("cpu") == "float32"


def test_without_a_gpu_there_is_nothing_to_gain_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert fastest_precision("cuda") == "float32"
