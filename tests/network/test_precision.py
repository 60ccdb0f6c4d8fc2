from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional

from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import DepthSeparable, GaussianLaplace
from inception_loop.network.network import Network
from inception_loop.network.precision import convolve, normalise

CORES = [
    GaussianLaplace(hidden_channels=4, input_kern=5, hidden_kern=3),
    DepthSeparable(hidden_channels=4, input_kern=5, hidden_kern=3, layers=3),
]
cores = pytest.mark.parametrize("core", CORES, ids=lambda core: core.type)


def network_of(core, seed=1, precision="bfloat16"):
    generator = torch.Generator().manual_seed(seed)
    return Network(CorePlusReadout(core=core), {"a": 6}, (16, 20), generator, precision)


def images(*shape):
    return torch.randn(*shape, 1, 16, 20, generator=torch.Generator().manual_seed(3))


def state_of(network):
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def together(networks, x, *, training=True):
    """Features of a stack, and its state: what the stack has learnt and counted."""
    template = networks[0].train(training)
    states = [state_of(network) for network in networks]
    stacked = {name: torch.stack([state[name].detach() for state in states]) for name in states[0]}
    for name, parameter in template.named_parameters():
        stacked[name].requires_grad_(parameter.requires_grad)
    call = _Features(template)

    def features(state, given):
        return functional_call(call, {f"network.{name}": v for name, v in state.items()}, (given,))

    return vmap(features)(stacked, x), stacked


class _Features(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network.features(x)


@cores
def test_one_network_is_what_autocast_makes_of_it_bit_by_bit(core):
    ours, library = network_of(core), network_of(core, precision="float32")
    found = []
    for network, autocast in ((ours, False), (library, True)):
        x = images(4).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = network.core(x) if autocast else network.features(x)
        out = out.float()
        leaves = [x, *network.core.parameters()]
        found.append([out, *torch.autograd.grad(out.square().sum(), leaves), *network.core.buffers()])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@cores
def test_in_a_stack_every_layer_is_in_bfloat16(core, monkeypatch):
    seen, conv2d = [], functional.conv2d

    def spy(*args, **options):
        made = conv2d(*args, **options)
        seen.append(made.dtype)
        return made

    monkeypatch.setattr(functional, "conv2d", spy)
    together([network_of(core), network_of(core, 2)], images(2, 4))
    assert len(seen) >= core.layers
    assert set(seen) == {torch.bfloat16}


@cores
@pytest.mark.parametrize("training", [True, False])
def test_a_stack_is_each_network_alone_and_not_one_of_float32(core, training):
    x = images(3, 4)
    networks = [network_of(core, seed) for seed in (1, 2, 3)]
    got, state = together(networks, x, training=training)
    learnt = [name for name, value in state.items() if value.requires_grad and name.startswith("core.")]
    gradients = torch.autograd.grad(got.square().sum(), [state[name] for name in learnt])
    for index in range(3):
        alone = network_of(core, index + 1).train(training)
        full = network_of(core, index + 1, "float32").train(training)
        out = alone.features(x[index])
        torch.testing.assert_close(got[index], out, rtol=0, atol=1e-3 * out.detach().abs().max().item())
        assert (got[index] - full.features(x[index])).abs().max() > 2e-3 * out.abs().max()
        named = dict(alone.named_parameters())
        wanted = torch.autograd.grad(out.square().sum(), [named[name] for name in learnt])
        for mine, theirs in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(
                mine[index], theirs, rtol=0, atol=0.02 * theirs.abs().max().item() + 1e-4
            )
        for name, buffer in alone.named_buffers():
            torch.testing.assert_close(state[name][index], buffer, rtol=1e-3, atol=1e-4)


def test_batch_norm_of_a_stack_within_a_stack_and_its_gradients_are_each_ones():
    norm = nn.BatchNorm2d(3)
    x = torch.randn(2, 2, 4, 3, 5, 6).bfloat16()
    weight, bias = torch.rand(2, 2, 3) + 0.5, torch.randn(2, 2, 3)
    running = torch.zeros(2, 2, 3), torch.ones(2, 2, 3), torch.zeros(2, 2)

    def normalised(x, weight, bias, mean, var, count):
        state = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": var}
        state["num_batches_tracked"] = count
        return functional_call(_Normalise(norm), {f"norm.{k}": v for k, v in state.items()}, (x,))

    def loss(x, *rest):
        return normalised(x, *rest).float().square().sum()

    got = vmap(vmap(normalised))(x, weight, bias, *running)
    unused = [torch.zeros_like(v) for v in running]
    gradients = vmap(vmap(torch.func.grad(loss, argnums=(0, 1, 2))))(x, weight, bias, *unused)
    for i in range(2):
        for j in range(2):
            one = nn.BatchNorm2d(3)
            leaves = (x[i, j].clone().requires_grad_(), one.weight, one.bias)
            with torch.no_grad():
                one.weight.copy_(weight[i, j])
                one.bias.copy_(bias[i, j])
            out = one(leaves[0])
            torch.testing.assert_close(got[i, j], out, rtol=0.01, atol=0.01)
            torch.testing.assert_close(running[0][i, j], one.running_mean)
            torch.testing.assert_close(running[1][i, j], one.running_var)
            expected = torch.autograd.grad(out.float().square().sum(), leaves)
            for mine, theirs in zip(gradients, expected, strict=True):
                torch.testing.assert_close(mine[i, j], theirs, rtol=0.01, atol=0.05)


class _Normalise(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x):
        return normalise(self.norm, x)


def test_a_bias_is_taken_in_the_precision_of_the_maps_as_well():
    x, weight, bias = torch.ones(1, 1, 2, 2).bfloat16(), torch.ones(2, 1, 1, 1), torch.tensor([1.0, 2.0])
    got = convolve(x, weight, bias)
    assert got.dtype == torch.bfloat16
    assert got[0, :, 0, 0].tolist() == [2, 3]


def test_float32_is_not_tf32_and_torch_still_tells_its_switches():
    """In a process of its own: the switch is the process's."""
    code = (
        "import torch\n"
        "from inception_loop.network.precision import keep_float32\n"
        "switches = torch.backends.cudnn\n"
        "switches.allow_tf32 = True\n"
        "keep_float32()\n"
        "assert switches.allow_tf32 is False\n"
        "conv = getattr(getattr(switches, 'conv', None), 'fp32_precision', 'ieee')\n"
        "assert conv in ('ieee', 'none'), conv\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_features_in_float32_are_those_of_a_cpu():
    network = network_of(GaussianLaplace(), precision="float32").eval()
    x = torch.randn(4, 1, 36, 64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = network.features(x)
        got = network.cuda().features(x.cuda()).cpu()
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
