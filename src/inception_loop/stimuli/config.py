"""How a stimulus set is shown."""

from __future__ import annotations

from pydantic import Field

from inception_loop.artifacts.identity import Config


class StimulusConfig(Config):
    """Repeats, timing, oracle images and blanks of a session."""

    repeats: int = Field(20, ge=1, description="Blocks; each shows every image once.")
    seed: int = Field(1, ge=0, description="Of the order.")
    shown_s: float = Field(0.5, gt=0, description="How long an image is shown, s.")
    gap_s: float = Field(0.4, ge=0, description="Grey between two images, s.")
    min_oracle_repeats: int = Field(
        5, ge=2, description="Images of the source scan shown so often are added."
    )
    max_oracle: int | None = Field(None, ge=0, description="At most so many of them; none: all.")
    oracle_classes: tuple[str, ...] = Field(
        ("imagenet", "natural"), description="Image classes of the source scan that count as natural."
    )
    blanks: int = Field(1, ge=0, description="How often each block shows a uniform image at the target mean.")
