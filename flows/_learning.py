"""What a person hears of the networks of a run as soon as they are trained: the learning report."""

from __future__ import annotations

from flows import _publish
from flows._stage import say
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.report.learning import load_learning
from inception_loop.report.learning_words import headline, markdown


def command(ref: ArtifactRef) -> str:
    """Return what a person types to see a learning report with its figures."""
    return f"inception-loop report --learning {ref.digest[:12]}"


def tell_learning(store: ArtifactStore, ref: ArtifactRef, stage: str) -> None:
    """Publish a learning report as Prefect artifacts and tell its headline to whoever watches the run."""
    learning = load_learning(store, ref)
    name = f"learning-report-group-{store.manifest(ref).config['group_id']}"
    see = f"The figures: `{command(ref)} --store {store.uri}` writes one HTML page."
    _publish.markdown(name, markdown(learning, see), headline(learning))
    columns = ["label", "core", "readout", "epochs", "best_epoch", "val_corr", "test_corr", "chosen", "best"]
    _publish.table(f"{name}-networks", learning.models.select(columns).to_dicts(), headline(learning))
    say(stage, headline(learning))
    say(stage, f"  see it: {command(ref)}")
