"""Which precision is the fastest that a machine has, to be written into a configuration."""

from __future__ import annotations

import torch

from inception_loop.images.network import Precision


def fastest_precision(device: torch.device | str = "cpu") -> Precision:
    """Return "bfloat16" where the device computes in it, else "float32".

    Images climbed in another precision are other images, if hardly (at least 0.997 of the activation, judged
    in float32), so a configuration never says "whatever this machine has": ask here first, write down the
    answer, and the same question has the same digest on every machine.

    Examples
    --------
    >>> fastest_precision("cpu") in ("float32", "bfloat16")
    True
    """
    if torch.device(device).type == "cuda":
        has = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        has = any(getattr(torch.cpu, check, lambda: False)() for check in checks)
    return "bfloat16" if has else "float32"
