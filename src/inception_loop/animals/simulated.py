"""A digital mouse with V1-like cells whose best images are known in closed form."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from inception_loop.animals.cells import Cells
from inception_loop.animals.cortex import Places, later_day, place_cells
from inception_loop.animals.day import record_day
from inception_loop.animals.population import Float32s, Floats
from inception_loop.animals.session import Session
from inception_loop.animals.simulated_cells import make_cells
from inception_loop.animals.simulated_config import SimulatedConfig
from inception_loop.animals.simulated_population import SimulatedPopulation
from inception_loop.animals.truth import Truth
from inception_loop.recordings.recording import Recording, ScanKey

__all__ = ["SimulatedAnimal", "SimulatedConfig", "SimulatedPopulation"]


class SimulatedAnimal:
    """The animal of a configuration; nothing else enters.

    Examples
    --------
    >>> from inception_loop.animals.session import NaturalSessionConfig, natural_session
    >>> animal = SimulatedAnimal(SimulatedConfig(n_units=20))
    >>> session = natural_session(NaturalSessionConfig(n_train=10, n_repeated=2, repeats=2))
    >>> recording, truth = animal.record(session, day=0)
    >>> recording.trials.height, truth.expected.shape
    (14, (14, 20))
    """

    def __init__(self, config: SimulatedConfig) -> None:
        self.config = config

    @cached_property
    def cells(self) -> Cells:
        """The cells of day 0, in ascending unit id."""
        return make_cells(self.config, 0)

    @cached_property
    def places(self) -> Places:
        """Where the cells of day 0 lie."""
        return place_cells(
            self.config.n_units, self.config.cortex, np.random.default_rng([self.config.seed, 1])
        )

    def population(self, day: int) -> SimulatedPopulation:
        """Return the cells that a scan finds on a day (0 = first), in ascending cell id."""
        if day == 0:
            return SimulatedPopulation(self.config, self.cells, self.places)
        config, seed = self.config, self.config.seed
        kept, moved = later_day(self.places, config.cortex, seed, day)
        rng = np.random.default_rng([seed, day, 2])
        fresh = place_cells(round(config.cortex.new * config.n_units), config.cortex, rng, taken=moved)
        born = make_cells(self.config, day).take(np.arange(len(fresh.field)))
        return SimulatedPopulation(self.config, self.cells.take(kept).join(born), moved.join(fresh))

    def record(self, session: Session, day: int, scan: ScanKey | None = None) -> tuple[Recording, Truth]:
        """Record a session on a day: 0 the first, 1, 2, … later ones with jittered, missing and new cells."""
        return record_day(self.population(day), self.config, session, day, scan)

    def respond(self, images: Float32s) -> Float32s:
        """Return noise-free responses (K, n_units) to images (K, 36, 64) in grey levels.

        The eye looks straight ahead and behaviour scales nothing; cells of day 0 in ascending unit id.
        """
        return self.population(0).respond(images)

    def maximum(self, norm: float) -> Floats:
        """Return the largest response (n_units,) over images at the L2 distance ``norm`` from grey.

        ``norm`` is in grey levels. ``mean grey + norm · best_image`` attains it; the range 0..255 of a
        monitor is not considered.
        """
        return self.cells.maximum(norm / self.config.contrast_grey)
