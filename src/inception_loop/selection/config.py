"""Thresholds of the unit selection, and the choice among models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from inception_loop.artifacts.identity import Config
from inception_loop.selection.families import Family, core_types

Validator = Literal["auto", "none", "held_out_seeds", "runner_up"]


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


class ModelChoice(Config):
    """Which networks come in as candidates of each family, and which judge images they had no part in.

    Examples
    --------
    >>> ModelChoice(cnn_cores=("GaussianLaplace",), validator="held_out_seeds").held_out
    1
    """

    cnn_cores: tuple[str, ...] | None = Field(
        None, min_length=1, description="Types of core of the family cnn; none: every nonlinear core."
    )
    linear_cores: tuple[str, ...] | None = Field(
        None, min_length=1, description="Types of core of the family linear; none: every linear core."
    )
    validator: Validator = Field(
        "auto",
        description="Networks that judge images and had no part in making them: the last seeds of the best "
        "CNN configuration, kept out of both ensembles and of the ranks (held_out_seeds), or the networks of "
        "another seed or readout of the next best configuration that has such (runner_up); auto: held-out "
        "seeds where the best configuration has enough, else runner_up, else nobody, with a warning.",
    )
    held_out: int = Field(1, ge=1, description="How many seeds are held out.")

    @field_validator("cnn_cores", "linear_cores")
    @classmethod
    def _of_the_family(cls, value: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        family: Family = "cnn" if info.field_name == "cnn_cores" else "linear"
        strange = sorted(set(value or ()) - set(core_types(family)))
        if strange:
            raise ValueError(
                f"{strange[0]!r} is no core of the family {family}; "
                f"expected some of {', '.join(core_types(family))}"
            )
        return None if value is None else tuple(sorted(set(value)))

    def cores(self, family: Family) -> tuple[str, ...]:
        """Return the types of core that a candidate of a family may have."""
        return (self.cnn_cores if family == "cnn" else self.linear_cores) or core_types(family)


class SelectionRules(Config):
    """Which units images are made for."""

    min_repeats: int = Field(5, ge=2, description="Oracle images need so many repeats.")
    choice: ModelChoice = Field(ModelChoice(), description="Which networks make images and which judge them.")
    rules: HighUnitRules = Field(HighUnitRules(), description="Thresholds of CorrectedHighUnitSelection.")
    min_units: int = Field(15, ge=0, description="Fewer selected units are an error.")
    no_positions: Literal["refuse", "pass"] = Field(
        "refuse",
        description="Units without a place: refuse, or let them pass the rules of border and distance.",
    )
    panel_simple: int = Field(20, ge=0, description="Simple units of the truth panel.")
    panel_complex: int = Field(24, ge=0, description="Complex units of the truth panel.")
    panel_least: int = Field(10, ge=0, description="Fewer units of either kind in the panel are an error.")
