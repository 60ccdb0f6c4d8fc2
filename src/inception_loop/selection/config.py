"""Thresholds of the unit selection."""

from __future__ import annotations

from pydantic import Field

from inception_loop.artifacts.identity import Config


class HighUnitRules(Config):
    """Thresholds of the selection (Walker et al. 2019).

    Examples
    --------
    >>> HighUnitRules().percentile
    70.0
    """

    top_ptile: float = Field(
        0.5, gt=0, le=1, description="Share of the units, best by oracle, that may come in."
    )
    border_um: float = Field(
        10.0, ge=0, description="Units nearer to the border of their field fall out, µm."
    )
    percentile: float = Field(
        70.0,
        ge=0,
        lt=100,
        description="Both fraction-oracles must lie above this percentile of the units left.",
    )
    distance_um: float = Field(20.0, ge=0, description="Units nearer than this to one selected fall out, µm.")
    max_rank: int = Field(150, gt=0, description="At most so many units a member.")
