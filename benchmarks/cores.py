"""A training step of the depth-separable core against plain modules in a row, same weights and gradients.

Run ``python benchmarks/cores.py [--quick] [--json FILE]``. Forward and backward pass in training, on one
thread, in turn, in CPU-seconds. A row's limit is the time its floating-point operations take at the
machine's measured float32 rate of matrix products.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inception_loop.network.cores import CoreModule, DepthSeparable

Row = dict[str, Any]
IMAGE = (36, 64)


def plain_modules(core: Any, config: DepthSeparable) -> nn.Sequential:
    """Return the obvious implementation, biases and all, on copies of the same kernels."""
    channels, side = config.hidden_channels, config.hidden_kern

    def ended(*convolutions: nn.Module) -> list[nn.Module]:
        return [*convolutions, nn.BatchNorm2d(channels, momentum=config.momentum), nn.ELU()]

    def taking(kernels: Tensor, **options: Any) -> nn.Conv2d:
        into = kernels.shape[1] * options.get("groups", 1)
        convolution = nn.Conv2d(into, channels, kernels.shape[-1], **options)
        convolution.weight = nn.Parameter(kernels.detach().clone())
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
        return convolution

    layers = ended(taking(core.layers[0].weight, bias=False))
    for layer in core.layers[1:]:
        layers += ended(
            taking(layer.in_depth),
            taking(layer.spatial, padding=side // 2, groups=channels),
            taking(layer.out_depth),
        )
    return nn.Sequential(*layers)


class Step:
    """Forward and backward pass on fixed images; the output's gradient lies in memory as the output does."""

    def __init__(self, core: nn.Module, batch: int, *, half: bool = False) -> None:
        generator = torch.Generator().manual_seed(2)
        self.core, self.half = core, half
        self.images = torch.randn(batch, 1, *IMAGE, generator=generator)
        with torch.no_grad():
            out = core(self.images)
        self.gradient = torch.empty_like(out).copy_(torch.randn(out.shape, generator=generator))

    def __call__(self) -> list[Tensor]:
        """Gradients of the kernels (4-d parameters), in the order of the layers."""
        self.core.zero_grad()
        ours = isinstance(self.core, CoreModule)  # takes its precision from the images
        images = self.images.bfloat16() if self.half and ours else self.images
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half and not ours):
            out = self.core(images)
        out.float().backward(self.gradient)
        return [p.grad for p in self.core.parameters() if p.grad is not None and p.ndim == 4]


def cpu_seconds(action: Callable[[], object]) -> float:
    """CPU-seconds of an action."""
    start = time.process_time()
    action()
    return time.process_time() - start


def interleaved(repeats: int, *actions: Callable[[], object]) -> list[float]:
    """Median CPU-seconds of actions, measured in turn after a warm-up."""
    rounds = [[cpu_seconds(action) for action in actions] for _ in range(repeats + 1)][1:]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def limit(core: CoreModule, batch: int) -> float:
    """CPU-seconds of the step's operations: forward once, backward twice (once for the images' layer)."""
    height, width = core.map_size(IMAGE)
    first, *hidden = (p.numel() for p in core.parameters() if p.ndim == 4)
    operations = 2.0 * batch * height * width * (2 * first + 3 * sum(hidden))
    side = 1024
    a = torch.randn(side, side)
    return operations * min(cpu_seconds(lambda: a @ a) for _ in range(20)) / (2.0 * side**3)


def measure(*, quick: bool) -> list[Row]:
    """Measure everything."""
    config = DepthSeparable(hidden_channels=8) if quick else DepthSeparable()
    batch, repeats = (8, 2) if quick else (64, 7)
    core = config.build(torch.Generator().manual_seed(1))
    plain = plain_modules(core, config)
    ours, half, theirs = Step(core, batch), Step(core, batch, half=True), Step(plain, batch)
    pairs = zip(ours(), theirs(), strict=True)
    difference = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
    seconds = interleaved(repeats, ours, half, theirs, Step(plain, batch, half=True))
    share = limit(core, batch) / seconds[0]
    what = f"{batch} images, {config.layers} layers of {config.hidden_channels}"
    return [
        {"what": f"gradients, {what}", "unit": "relative difference", "ours": difference},
        _row(f"step, float32, {what}", seconds[0], seconds[2], limit_share=share),
        _row(f"step, bfloat16, {what}", seconds[1], seconds[3]),
        _row("step, bfloat16 against plain float32", seconds[1], seconds[2]),
    ]


def _row(what: str, ours: float, theirs: float, **more: float) -> Row:
    return {"what": what, "unit": "CPU-s", "ours": ours, "theirs": theirs, "ratio": theirs / ours, **more}


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, for the tests")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(quick=options.quick)
    print(f"{'what':<48}{'unit':<22}{'ours':>10}{'theirs':>10}{'ratio':>8}{'limit':>8}")
    for row in rows:
        numbers = (row["ours"], row.get("theirs"), row.get("ratio"), row.get("limit_share"))
        shown = (
            " " * w if v is None else f"{v:>{w}.3g}" for v, w in zip(numbers, (10, 10, 8, 8), strict=True)
        )
        print(f"{row['what']:<48}{row['unit']:<22}{''.join(shown)}")
    if options.json:
        versions = {name: version(name) for name in ("inception-loop", "torch", "numpy")}
        machine = {"machine": platform.machine(), "processor": platform.processor(), "cores": os.cpu_count()}
        record = {"name": "cores", "machine": machine, "versions": versions, "rows": rows}
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
