"""How the steps of a stage are run: one wiring serves a notebook and a workflow engine.

A stage's wiring is a function of a `Run`. Given `Directly`, every step is computed on the spot and a
reference comes back; a workflow engine gives its own `Run`, which submits the step and returns a future.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.store import ArtifactStore, Outcome

Make = Callable[..., Outcome] | Callable[..., tuple[Outcome, ...]]
"""A step of the library, ``make_…(store, config, **inputs)``; it returns what it made: one, or any number."""


class Run(Protocol):
    """Runs one step and returns its artifact's reference, or something that stands for it."""

    def __call__(self, make: Make, config: Config, *, label: str = "", **inputs: Any) -> Any:
        """Run ``make(store, config, **inputs)``; ``label`` tells steps of one kind apart for a person."""


class Directly:
    """Computes every step at once, in this thread, and remembers the outcomes by kind."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store
        self.outcomes: dict[str, list[Outcome]] = {}

    def __call__(self, make: Make, config: Config, *, label: str = "", **inputs: Any) -> Any:
        """Run a step and return its reference, or the list of its references."""
        made = make(self.store, config, **inputs)
        outcomes = [made] if isinstance(made, Outcome) else list(made)
        for outcome in outcomes:
            self.outcomes.setdefault(outcome.ref.kind, []).append(outcome)
        refs = [outcome.ref for outcome in outcomes]
        return refs[0] if isinstance(made, Outcome) else refs
