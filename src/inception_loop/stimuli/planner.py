"""How long a session takes, and what fits into the time there is."""

from __future__ import annotations

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.errors import ConfigurationError


class SessionPlan(Config):
    """A session in numbers.

    Examples
    --------
    The published session of 150 units, MEI and RF image at nine shifts, and the same at the centre only:

    >>> full = SessionPlan(units=150, images_per_unit=2, shifts=9, repeats=20, shown_s=0.5, gap_s=0.4)
    >>> full.trials, full.minutes / 60
    (54000, 13.5)
    >>> full.model_copy(update={"shifts": 1}).minutes
    90.0
    """

    units: int = Field(ge=0, description="Units that images were made for.")
    images_per_unit: int = Field(ge=0, description="Images of each unit: its MEI and its controls.")
    shifts: int = Field(1, ge=1, description="Displaced copies of each of these images, itself included.")
    others: int = Field(0, ge=0, description="Images made for no unit: oracle images and blanks.")
    repeats: int = Field(ge=1, description="Presentations of each image.")
    shown_s: float = Field(gt=0, description="How long an image is shown, s.")
    gap_s: float = Field(ge=0, description="Grey between two images, s.")

    @property
    def images(self) -> int:
        """Different images."""
        return self.units * self.images_per_unit * self.shifts + self.others

    @property
    def trials(self) -> int:
        """Presentations."""
        return self.images * self.repeats

    @property
    def minutes(self) -> float:
        """Length of the session, minutes."""
        return self.trials * (self.shown_s + self.gap_s) / 60

    def within(self, minutes: float) -> SessionPlan:
        """Return the plan cut to a length: first the shifted copies go, then units from the end of the list.

        Oracle images, blanks and repeats stay: without them cells cannot be matched and means not compared.

        Raises
        ------
        ConfigurationError
            If not even one unit fits.

        Examples
        --------
        >>> plan = SessionPlan(units=150, images_per_unit=2, shifts=9, repeats=20, shown_s=0.5, gap_s=0.4)
        >>> cut = plan.within(60)
        >>> cut.units, cut.shifts, cut.minutes
        (100, 1, 60.0)
        """
        if self.minutes <= minutes:
            return self
        centred = self.model_copy(update={"shifts": 1})
        if centred.minutes <= minutes:
            return centred
        images = int(minutes * 60 / ((self.shown_s + self.gap_s) * self.repeats) + 1e-9)
        units = (images - self.others) // max(self.images_per_unit, 1)
        if units < 1:
            raise ConfigurationError(
                f"{minutes:g} min hold {images} images × {self.repeats} repeats, {self.others} of them made "
                f"for no unit; expected room for one unit's {self.images_per_unit}; give more time"
            )
        return centred.model_copy(update={"units": units})
