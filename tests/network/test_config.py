from __future__ import annotations

import pytest
from pydantic import ValidationError

from inception_loop.artifacts.identity import canonical_json
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace


def test_the_defaults_are_the_published_network():
    core = CorePlusReadout().core
    published = (32, 15, 7, 3, 3, 0.5, 0.0, 0.1)
    got = (
        core.hidden_channels,
        core.input_kern,
        core.hidden_kern,
        core.layers,
        core.skip,
        core.gauss_sigma,
        core.gauss_bias,
        core.momentum,
    )
    assert got == published


def test_a_family_is_part_of_the_identity_and_survives_a_round_trip():
    linear = CorePlusReadout(core=StackedLinearGaussianLaplace(input_kern=11))
    assert CorePlusReadout.model_validate_json(linear.model_dump_json()) == linear
    assert canonical_json(linear) != canonical_json(CorePlusReadout(core=GaussianLaplace(input_kern=11)))


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ({"core": {"type": "GaussianLaplace", "hidden_kern": 4}}, "odd side"),
        ({"core": {"type": "Gaussian"}}, "tag"),
        ({"gains": "after"}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused(part, what):
    with pytest.raises(ValidationError, match=what):
        CorePlusReadout.model_validate(part)
