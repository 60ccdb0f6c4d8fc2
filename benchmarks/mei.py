"""Cost of an MEI: the published way, the same with one unit read out, and many units a batch in few steps.

Run ``python benchmarks/mei.py [--quick] [--twin FILE] [--device cuda] [--json FILE]``. Costs are CPU-seconds
of one thread per unit and ensemble member, of the 2019 network; they do not depend on its weights, so those
are random. All ways are measured by turns, the published ones over some of their 1000 steps. What the images
are worth is judged on small networks trained on a simulated day (random ones with ``--quick``): the published
procedure against the fast one at equal mean, RMS contrast and grey range, neither blurred at its end (the
published blur ends at σ = 0.01 px, which is none), on the network that was climbed and on one of another seed
that had no part in it; and on the simulated animal's own cells, whose best images are known. A row's limit is
the time that its convolutions take at the best float32 rate measured in the same run. ``--twin`` adds the 8
most reliable cells of a published network of a real mouse, ``--device cuda`` the absolute time of 150 MEIs of
4 networks there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
from importlib.metadata import version
from pathlib import Path

import torch
from mei_parts.costs import costs, on_gpu
from mei_parts.networks import QUICK, Row, Size, row
from mei_parts.twin import twin_rows
from mei_parts.worth import truth, worth

BESIDE = ("limit_share", "mib", "target", "gabor", "rf_image", "grey")


def shown(r: Row) -> str:
    """Say what stands behind a row's number."""
    words = [] if r["theirs"] is None else [f"published {r['theirs']:.2f}, ratio {r['ratio']:.1f}"]
    words += [f"{name} {r[name]:.3g}" for name in ("natural", *BESIDE) if r.get(name) is not None]
    return "   " + ", ".join(words) if words else ""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny networks, a few seconds")
    parser.add_argument("--twin", type=Path, help="NPZ of a published network of a real mouse")
    parser.add_argument("--device", default="cpu", help="where 150 MEIs are timed, if not on the CPU")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size = QUICK if arguments.quick else Size()
    judged, passes = worth(size)
    rows = costs(size, passes) + judged
    if size.cells:
        rows += truth(size)
    if arguments.twin:
        rows += twin_rows(arguments.twin, size)
    if arguments.device != "cpu":
        rows += on_gpu(size, arguments.device)
    rows.append(
        row("peak memory of the process", "GiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
    )
    width = max(len(str(r["what"])) for r in rows)
    for r in rows:
        print(f"{r['what']:<{width}}  {r['ours']:10.4f} {r['unit']}{shown(r)}")
    if arguments.json:
        packages = ("numpy", "scipy", "torch")
        report = {
            "name": "mei",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False, default=float))


if __name__ == "__main__":
    main()
