"""No modulator."""

from __future__ import annotations

from typing import Literal

import torch

from inception_loop.artifacts.identity import Config


class NoModulator(Config):
    """Behaviour changes nothing."""

    type: Literal["No"] = "No"

    def build(self, units: int, generator: torch.Generator) -> None:
        """Make nothing, and draw nothing."""
