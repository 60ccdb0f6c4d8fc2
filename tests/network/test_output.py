from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace
from inception_loop.network.network import Network
from inception_loop.network.output import drive_of, respond

OUTPUTS = ("elu1", "softplus")
outputs = st.sampled_from(OUTPUTS)
drives = st.floats(-30, 30)


def exact(drive: float, output: str) -> float:
    if output == "softplus":
        return math.log1p(math.exp(drive))
    return drive + 1 if drive > 0 else math.exp(drive)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(outputs, drives)
def test_it_is_the_formula(output, drive):
    assert respond(tensor(drive), output).item() == pytest.approx(exact(drive, output), rel=1e-6, abs=1e-13)


@given(outputs, drives, drives)
def test_more_drive_is_never_less_response_and_no_response_is_negative(output, one, other):
    low, high = respond(tensor(min(one, other), max(one, other)), output).tolist()
    assert 0 < low <= high
    if max(one, other) - min(one, other) > 1e-3:
        assert low < high


@given(outputs, st.floats(1, 1e4))
@example("softplus", 20.0)
@example("softplus", 21.0)
def test_the_drive_of_a_response_gives_that_response_back(output, response):
    assert respond(drive_of(tensor(response), output), output).item() == pytest.approx(response, rel=1e-12)


@given(st.floats(1e-6, 1))
def test_for_softplus_of_weak_responses_too(response):
    got = respond(drive_of(tensor(response), "softplus"), "softplus").item()
    assert got == pytest.approx(response, rel=1e-9)


@given(st.floats(0, 0.999))
def test_elu_starts_weak_units_above_their_mean_as_published(response):
    start = respond(drive_of(tensor(response), "elu1"), "elu1").item()
    assert start == pytest.approx(math.exp(response - 1), rel=1e-12)
    assert start > response


@given(outputs, st.floats(-20, 20))
def test_the_inverse_undoes_the_response_to_any_drive(output, drive):
    response = respond(tensor(drive), output)
    if output == "softplus" and response.item() > 1e-6:
        assert drive_of(response, output).item() == pytest.approx(drive, rel=1e-6, abs=1e-6)
    if output == "elu1" and drive >= 0:
        assert drive_of(response, output).item() == pytest.approx(drive, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_silent_unit_has_a_finite_start(output):
    assert torch.isfinite(drive_of(torch.zeros(1), output)).all()


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_gradient_is_that_of_the_formula(output):
    drive = tensor(-2.0, -0.3, 0.4, 5.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda d: respond(d, output), drive)


def test_a_softplus_network_without_drive_answers_with_the_mean_response_exactly(generator):
    config = CorePlusReadout(core=GaussianLaplace(hidden_channels=3, input_kern=5), output="softplus")
    network = Network(config, {"a": 6}, (16, 20), generator).eval()
    with torch.no_grad():
        network.readouts["a"].features.zero_()
    mean = torch.tensor([0.001, 0.01, 0.1, 0.5, 1.0, 7.0])
    network.start_at_mean("a", mean)
    got = network(torch.randn(5, 1, 16, 20, generator=generator), "a", None, None)
    torch.testing.assert_close(got, mean.expand(5, 6))
