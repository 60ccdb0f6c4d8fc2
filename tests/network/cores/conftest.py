from __future__ import annotations

from typing import Any, get_args

import pytest

from inception_loop.network.cores import Core

FAMILIES = get_args(get_args(Core)[0])


def small_config(family: Any, **fields: Any) -> Any:
    """A core small enough for a test: whatever of these fields the family has."""
    small = {"hidden_channels": 3, "input_kern": 5, "hidden_kern": 3, "layers": 3, **fields}
    return family(**{name: value for name, value in small.items() if name in family.model_fields})


@pytest.fixture
def shrink():
    return small_config


@pytest.fixture(params=FAMILIES, ids=lambda family: family.__name__)
def family(request):
    """Every core of the union in turn: a new one is tested without a word."""
    return request.param
