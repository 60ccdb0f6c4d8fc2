"""Laws of every core of the union."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.func import functional_call, vmap
from torch.nn import functional

from inception_loop.artifacts.identity import canonical_json
from inception_loop.errors import ConfigurationError
from inception_loop.network import cores
from inception_loop.network.cores import Core, DepthSeparable, GaussianLaplace

LINEAR = {
    "Linear",
    "ModLinear",
    "LinearSigmoidLaplace",
    "LinearGaussianLaplace",
    "StackedLinearGaussianLaplace",
}
PUBLISHED = {"Stacked2d", "ModStacked2d", "SigmoidLaplace", "GaussianLaplace", *LINEAR}


def used(core, generator):
    """The core with running statistics other than 0 and 1, evaluated from now on."""
    core(torch.randn(8, 1, 12, 14, generator=generator))
    return core.eval()


def test_the_family_is_the_published_nine_and_the_depth_separable_core():
    assert set(TypeAdapter(Core).json_schema()["discriminator"]["mapping"]) == PUBLISHED | {"DepthSeparable"}
    assert set(cores.__all__) == PUBLISHED | {"DepthSeparable", "Core", "CoreModule"}


def test_the_tag_alone_makes_the_core_and_is_all_that_its_identity_needs(family):
    made = TypeAdapter(Core).validate_python({"type": family.__name__})
    assert type(made) is family
    assert canonical_json(made) in (
        f'{{"type":"{family.__name__}"}}',
        f'{{"laplace_padding":0,"type":"{family.__name__}"}}',
    )


def test_identities_made_before_there_was_a_padding_stay():
    assert canonical_json(GaussianLaplace(input_kern=11, gamma_hidden=1)) == (
        '{"gamma_hidden":1.0,"input_kern":11,"type":"GaussianLaplace"}'
    )


@pytest.mark.parametrize("side", [3, 4, 15, 18])
def test_the_map_is_the_image_less_the_first_kernel_whose_half_is_the_margin(family, shrink, generator, side):
    core = shrink(family, input_kern=side).build(generator).eval()
    height, width = 36 - side + 1, 64 - side + 1
    assert core.map_size((36, 64)) == (height, width)
    assert core.margin == (side - 1) / 2
    image = torch.zeros(1, 1, 36, 64)
    assert core(image).shape == (1, core.channels, height, width)


@pytest.mark.parametrize("side", [4, 5])
def test_a_map_pixel_looks_at_the_image_the_margin_away(family, shrink, generator, side):
    """The bounding box of what a map pixel of layer 0 depends on lies around its place plus the margin."""
    core = shrink(family, input_kern=side, layers=1).build(generator).eval()
    image = torch.zeros(1, 1, 12, 14, requires_grad=True)
    core(image)[0, :, 3, 6].sum().backward()
    rows, columns = image.grad[0, 0].nonzero().double().unbind(1)
    for place, found in ((3, rows), (6, columns)):
        assert (found.min() + found.max()).item() / 2 == place + core.margin
        assert (found.max() - found.min()).item() == side - 1


def test_images_smaller_than_the_kernel_are_refused_in_one_line(family, shrink, generator):
    core = shrink(family, input_kern=15).build(generator)
    for refuse in (lambda: core.map_size((10, 64)), lambda: core(torch.zeros(2, 1, 10, 64))):
        with pytest.raises(ConfigurationError, match=r"10x64 px are smaller .*15 px.*choose") as refused:
            refuse()
        assert len(str(refused.value).splitlines()) == 1


def test_its_state_comes_from_the_generator_alone(family, shrink):
    first = shrink(family).build(torch.Generator().manual_seed(3)).state_dict()
    torch.manual_seed(99)
    again = shrink(family).build(torch.Generator().manual_seed(3)).state_dict()
    other = shrink(family).build(torch.Generator().manual_seed(4)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


def test_linear_cores_superpose_up_to_their_offset_and_the_others_do_not(family, shrink, generator):
    core = used(shrink(family).build(generator), generator)
    a, b = torch.randn(2, 3, 1, 12, 14, generator=generator)
    with torch.no_grad():
        offset = core(torch.zeros(1, 1, 12, 14))
        deviation = core(2 * a - b) - offset - 2 * (core(a) - offset) + (core(b) - offset)
    if family.__name__ in LINEAR:
        assert deviation.abs().max() < 1e-5
    else:
        assert deviation.abs().max() > 0.1


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_a_linear_core_is_one_filter_a_channel(name, shrink, generator):
    """Away from the map's border; the filter is the gradient at one pixel, and as wide as all kernels."""
    core = used(shrink(getattr(cores, name)).build(generator), generator).double()
    reach = 2 if len(core.layers) > 1 else 0
    side = 5 + 2 * reach
    gray = torch.zeros(1, 1, side, side, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda i: core(i)[0, :, reach, reach], gray)
    image = torch.randn(2, 1, 20, 22, generator=generator).double()
    inner = (..., slice(reach, 16 - reach), slice(reach, 18 - reach))
    with torch.no_grad():
        offset = core(gray)[0, :, reach, reach]
        expected = functional.conv2d(image, jacobian[:, 0]) + offset[:, None, None]
        torch.testing.assert_close(core(image)[inner], expected)


def test_a_shifted_image_shifts_the_map(family, shrink, generator):
    core = used(shrink(family).build(generator), generator)
    image = torch.randn(1, 1, 24, 30, generator=generator)
    with torch.no_grad():
        there, here = core(image.roll((2, 3), (2, 3))), core(image)
    torch.testing.assert_close(there[..., 8:-4, 8:-4], here[..., 6:-6, 5:-7])


def test_the_smoothness_grows_with_the_square_of_the_kernels_or_does_not_mind(family, shrink, generator):
    core = shrink(family, gamma_hidden=0).build(generator)
    with torch.no_grad():
        before = core.regularizer()
        core.layers[0].weight.mul_(3)
        after = core.regularizer()
    torch.testing.assert_close(after, before if family is DepthSeparable else 9 * before)
    assert before > 0
    assert shrink(family, gamma_input=0, gamma_hidden=0).build(generator).regularizer() == 0


def test_gradients_of_the_output_and_of_the_regulariser_are_right(family, shrink, generator):
    fields = {"hidden_channels": 2, "input_kern": 3, "layers": 2, "skip": 2, "stack": None}
    core = shrink(family, **fields).build(generator).double()
    image = torch.randn(2, 1, 5, 6, generator=generator).double()
    names = [name for name, _ in core.named_parameters()]
    fixed = {name: value.clone() for name, value in core.named_buffers()}

    def out(image, *parameters):
        state = {**dict(zip(names, parameters, strict=True)), **{k: v.clone() for k, v in fixed.items()}}
        return functional_call(core, state, image)

    torch.autograd.gradcheck(out, (image.requires_grad_(), *core.parameters()))
    torch.autograd.gradcheck(lambda *_: core.regularizer(), tuple(core.parameters()))


def test_a_stack_of_cores_in_training_is_each_core_alone(family, shrink):
    """Output, gradients and running statistics, through vmap."""
    generator = torch.Generator().manual_seed(5)
    alone = [shrink(family, skip=2).build(generator) for _ in range(3)]
    images = torch.randn(3, 4, 1, 12, 14, generator=generator)
    learnt = {
        name: torch.stack([dict(core.named_parameters())[name].detach() for core in alone]).requires_grad_()
        for name, _ in alone[0].named_parameters()
    }
    fixed = {
        name: torch.stack([dict(core.named_buffers())[name] for core in alone])
        for name, _ in alone[0].named_buffers()
    }
    out = vmap(lambda p, b, x: functional_call(alone[0], {**p, **b}, x))(learnt, fixed, images)
    wanted = torch.randn(out.shape, generator=generator)
    gradients = torch.autograd.grad((out * wanted).mean(), list(learnt.values()))
    for index, core in enumerate(alone):
        one = core(images[index])
        torch.testing.assert_close(out[index], one, rtol=1e-5, atol=1e-5)
        expected = torch.autograd.grad((one * wanted[index]).mean() / 3, list(core.parameters()))
        for got, of_one in zip(gradients, expected, strict=True):
            torch.testing.assert_close(got[index], of_one, rtol=1e-5, atol=1e-5)
        for name, value in core.named_buffers():
            torch.testing.assert_close(fixed[name][index], value, rtol=1e-5, atol=1e-5)


def test_bfloat16_stays_within_its_precision(family, shrink, generator):
    core = used(shrink(family).build(generator), generator)
    images = torch.randn(4, 1, 12, 14, generator=generator)
    full = core(images)
    with torch.autocast("cpu", torch.bfloat16):
        half = core(images)
    (half.float().square().sum()).backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.dtype == torch.float32 for p in core.parameters())
    assert (half.float() - full).abs().max() < 0.03 * full.abs().max()


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"type": "Stacked2d", "hidden_kern": 4}, "hidden_kern is 4; expected an odd side"),
        ({"type": "DepthSeparable", "hidden_kern": 4}, "hidden_kern is 4; expected an odd side"),
        ({"type": "DepthSeparable", "stack": 4}, "stack is 4 with 4 layers; expected -4 to 3"),
        ({"type": "DepthSeparable", "stack": -5}, "stack is -5 with 4 layers; expected -4 to 3"),
        ({"type": "DepthSeparable", "gamma_hidden": 0.1}, "Extra inputs"),
        ({"type": "Linear", "input_kern": 2}, "input_kern is 2 with laplace_padding 0; expected 3 px"),
        ({"type": "Linear", "laplace_padding": 1}, "Input should be 0"),
        ({"type": "ModLinear", "input_kern": 1, "laplace_padding": 0}, "input_kern is 1 with laplace_pad"),
        ({"type": "ModLinear", "laplace_padding": 2}, "Input should be 0 or 1"),
        ({"type": "SigmoidLaplace", "sigmoid_scale": 0}, "greater than 0"),
    ],
)
def test_what_cannot_work_is_refused(fields, what):
    with pytest.raises(ValidationError, match=what):
        TypeAdapter(Core).validate_python(fields)
