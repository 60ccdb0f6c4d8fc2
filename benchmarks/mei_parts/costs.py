"""What an MEI costs: by the published way, and by this project's against batch and ensemble size."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from mei_parts.networks import (
    HEIGHT,
    MEAN,
    PUBLISHED_STEPS,
    STD,
    WIDTH,
    Row,
    Size,
    model_of,
    random_network,
    row,
)
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn.functional import conv2d

from inception_loop.images.ascent.precision import fastest_precision
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.ascent.smoothing import one_over_f_filter
from inception_loop.images.mei import synthesize_meis
from inception_loop.images.network import CallableModel
from inception_loop.network.network import Network


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU-seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def published_steps(network: Network, unit: int, steps: int, *, only_target: bool) -> Tensor:
    """Climb as published: one unit, all units read out unless ``only_target``, SciPy blur after each step."""
    gain = torch.from_numpy(one_over_f_filter(HEIGHT, WIDTH, 0.1)).float()
    image = torch.randn(1, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)) * 8 / STD
    wanted = torch.tensor([unit]) if only_target else None
    for step in range(steps):
        image.requires_grad_()
        response = network(image, "scan", None, None, wanted)
        (gradient,) = torch.autograd.grad(response[0, 0 if only_target else unit], image)
        gradient = torch.fft.ifft2(torch.fft.fft2(gradient) * gain).real
        size = (3.0 + (0.125 - 3.0) * step / PUBLISHED_STEPS) * 0.1 / 255
        image = (image.detach() + size / (gradient.abs().mean() + 1e-12) * gradient).clamp(
            -MEAN / STD, MEAN / STD
        )
        sigma = 1.5 + (0.01 - 1.5) * step / PUBLISHED_STEPS
        image = torch.from_numpy(gaussian_filter(image.numpy(), (0, 0, sigma, sigma)))
    return image


def fast_steps(model: CallableModel, batch: int, steps: int) -> None:
    """Climb a batch of units so many steps; nothing stops early, and one start is as good as another."""
    procedure = Fast(iterations=steps, patience=steps + 1, starts=1)
    synthesize_meis(model, list(range(batch)), procedure=procedure, gains=2)


def costs(size: Size, passes: float) -> list[Row]:
    """Measure the ways of making an MEI by turns; ``passes`` are the fast preset's gradients an image."""
    networks = [random_network(size, seed) for seed in range(1, max(size.members) + 1)]
    models = {f"batch {b}": (model_of(networks[0]), b, 1) for b in size.batches}
    models |= {f"members {m}": (model_of(*networks[:m]), size.batch, m) for m in size.members}
    if fastest_precision() == "bfloat16":
        models["bfloat16"] = (model_of(random_network(size, precision="bfloat16")), size.batch, 1)
    units = list(range(size.batch))
    whole = models[f"batch {size.batch}"][0]
    found: dict[str, list[float]] = {}
    n, rates = size.timed_steps, []
    for turn in range(size.turns + 1):  # the first turn warms up
        spent = {
            "all": cpu_seconds(lambda: published_steps(networks[0], 3, n, only_target=False)) / n,
            "target": cpu_seconds(lambda: published_steps(networks[0], 3, n, only_target=True)) / n,
        }
        for name, (model, batch, members) in models.items():
            spent[name] = (
                cpu_seconds(lambda m=model, b=batch: fast_steps(m, b, n)) / batch / members / (n + 1)
            )
        spent["whole"] = cpu_seconds(lambda: synthesize_meis(whole, units, gains=2)) / size.batch
        rates.append(arithmetic_rate())
        for name, seconds in spent.items():
            found.setdefault(name, []).extend([seconds] if turn else [])
    median = {name: statistics.median(values) for name, values in found.items()}
    published, target = median["all"] * PUBLISHED_STEPS, median["target"] * PUBLISHED_STEPS
    ours = median[f"batch {size.batch}"] * passes
    limit = flops_per_image(size.channels) / max(rates)
    text = f"{size.units} units, {size.channels} channels"
    rows = [
        row(
            f"MEI, {text}: published ({PUBLISHED_STEPS} steps, all units) against fast "
            f"({passes:.0f} gradients, batch of {size.batch})",
            "CPU-s",
            ours,
            published,
            target=20.0,
            limit_share=limit * passes / ours,
        ),
        row("MEI, published with the target unit only against fast", "CPU-s", ours, target),
    ]
    text = f"a whole fast ascent on random weights, {size.batch} units, early stops included"
    rows.append(row(text, "CPU-s", median["whole"], published))
    if fastest_precision() == "bfloat16":
        quick = median["bfloat16"] * passes
        rows.append(row("MEI, published with all units against fast in bfloat16", "CPU-s", quick, published))
    rows.append(
        row(f"published step, all {size.units} units over target only", "1", median["all"] / median["target"])
    )
    for name, (model, batch, _) in models.items():
        seconds = median[name]
        what = f"one gradient of a unit and member, {name}" + ("" if "batch" in name else f", batch {batch}")
        share = None if name == "bfloat16" else limit / seconds
        memory = memory_of(lambda m=model, b=batch: fast_steps(m, b, 1))
        rows.append(row(what, "CPU-ms", 1e3 * seconds, limit_share=share, mib=memory))
    return rows


def flops_per_image(channels: int) -> float:
    """Floating-point operations of the core (kernels 15 and 7, skip 3), forwards and back to the pixels."""
    pixels = (HEIGHT - 14) * (WIDTH - 14)
    forward = 2 * pixels * (15**2 * channels + 7**2 * channels * (channels + 2 * channels))
    return 2.0 * forward


def arithmetic_rate() -> float:
    """Float32 operations a CPU-second of one thread: the better of a matrix product and a dense convolution.

    On some machines the matrix product is far from the best that a core can do (108 against 265 GFLOP/s on
    an AMD EPYC, both exact to float32), so it alone would be no limit.
    """
    a = torch.randn(1024, 1024)
    maps, kernels = torch.randn(8, 64, 22, 50), torch.randn(32, 64, 7, 7)
    product = 2 * 1024**3 / min(cpu_seconds(lambda: a @ a) for _ in range(3))
    operations = 2 * 8 * 32 * 64 * 7**2 * 22 * 50
    convolved = min(cpu_seconds(lambda: conv2d(maps, kernels, padding=3)) for _ in range(3))
    return max(product, operations / convolved)


def memory_of(work: Callable[[], object]) -> float | None:
    """MiB by which the process grows at most while it works; None where the system does not say."""
    status = Path("/proc/self/status")
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what earlier work gave back and the process still holds
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
        before = _kib(status, "VmRSS")
        work()
        return max(0.0, (_kib(status, "VmHWM") - before) / 1024)
    return None


def _kib(status: Path, field: str) -> int:
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def on_gpu(size: Size, device: str, units: int = 150, members: int = 4) -> list[Row]:
    """Absolute time of the MEIs of a whole selection by a whole ensemble on a GPU."""
    torch.cuda.reset_peak_memory_stats(device)
    rows = []
    for precision in ("float32", "bfloat16"):
        networks = [random_network(size, seed, precision).to(device) for seed in range(1, members + 1)]
        model, wanted = model_of(*networks), list(range(units))
        synthesize_meis(model, wanted[:2], procedure=Fast(iterations=2), gains=2, device=device)  # warm
        torch.cuda.synchronize(device)
        started = time.perf_counter()
        synthesize_meis(model, wanted, gains=2, device=device)
        torch.cuda.synchronize(device)
        seconds = time.perf_counter() - started
        text = f"{units} MEIs, {members} members of {size.units} units, {torch.cuda.get_device_name(device)}"
        rows.append(row(f"{text}, {precision}", "s", seconds))
    rows.append(row("the same, peak GPU memory", "GiB", torch.cuda.max_memory_allocated(device) / 2**30))
    return rows
