"""No shifter."""

from __future__ import annotations

from typing import Literal

import torch

from inception_loop.artifacts.identity import Config


class NoShifter(Config):
    """The eye moves nothing."""

    type: Literal["No"] = "No"

    def build(self, generator: torch.Generator) -> None:
        """Make nothing, and draw nothing."""
