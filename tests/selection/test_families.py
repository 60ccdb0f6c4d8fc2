from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch.nn import functional

from inception_loop.network.cores import Core, DepthSeparable
from inception_loop.selection.families import FAMILIES, core_types, family_of

SMALL = {"hidden_channels": 2, "input_kern": 5}
CORES = [*(core(**SMALL) for core in get_args(get_args(Core)[0])), DepthSeparable(**SMALL, linear=True)]


@pytest.mark.parametrize("core", CORES, ids=repr)
def test_a_core_is_linear_exactly_if_it_uses_no_nonlinearity(core, monkeypatch):
    used = []
    monkeypatch.setattr(functional, "elu", lambda x, inplace=False: used.append(x) or x)
    core.build(torch.Generator().manual_seed(1)).eval()(torch.zeros(1, 1, 9, 9))
    assert (family_of(core) == "linear") == (not used)


def test_every_core_is_in_a_family_and_only_one_with_the_choice_is_in_both():
    every = {core.__name__ for core in get_args(get_args(Core)[0])}
    of = {family: set(core_types(family)) for family in FAMILIES}
    assert of["cnn"] | of["linear"] == every
    assert of["cnn"] & of["linear"] == {"DepthSeparable"}
