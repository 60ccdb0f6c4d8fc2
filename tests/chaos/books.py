"""What a store says of how it came about: what stands, who holds what, what was begun how often."""

from __future__ import annotations

from collections import Counter, defaultdict

from inception_loop.artifacts.address import LEASES
from inception_loop.artifacts.lineage import manifests
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.artifacts.upkeep import sweep, verify

Key = tuple[str, str]


def count(uri: str) -> int:
    """Return how many artifacts are committed; a listing alone, since tests ask again and again."""
    return sum(1 for _ in artifacts(open_store(uri)))


def standing(uri: str) -> dict[Key, str]:
    """Return the attempt that each committed artifact names, by (kind, digest)."""
    return {(ref.kind, ref.digest): manifest.attempt for ref, manifest in manifests(open_store(uri))}


def generations(store: ArtifactStore) -> dict[Key, set[str]]:
    """Return, by (kind, digest), the files of every lease: claims and their ends."""
    found: dict[Key, set[str]] = defaultdict(set)
    for entry in store.backend.walk(LEASES):
        _, kind, digest, name = entry.key.split("/")
        found[kind, digest].add(name)
    return dict(found)


class Books:
    """Follows a store through one disturbance after another.

    Parameters
    ----------
    uri
        The store.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.in_flight: Counter[Key] = Counter()
        self.stood: dict[Key, str] = {}

    def note(self, tries: int = 1) -> None:
        """Note what is under way; ``tries`` is how often a run that goes on may begin it again."""
        for key, files in generations(open_store(self.uri)).items():
            newest = max(name.partition(".")[0] for name in files if name.endswith(".owner"))
            if f"{newest}.done" not in files:
                self.in_flight[key] += tries

    def disturbed(self) -> int:
        """Note what was under way when a run ended; whatever stands is sound. Returns how many stand."""
        self.note()
        assert verify(open_store(self.uri)).sound
        now = standing(self.uri)
        self.nothing_done_again(now)
        self.stood = now
        return len(now)

    def nothing_done_again(self, now: dict[Key, str]) -> None:
        """What stood at a disturbance still is the attempt that it was."""
        assert {key: now.get(key) for key in self.stood} == self.stood

    def closed(self) -> Counter[Key]:
        """Check that nothing was begun again but what was in flight, and that a sweep leaves no rest.

        Returns
        -------
        What was begun again, and how often.
        """
        store = open_store(self.uri)
        self.nothing_done_again(standing(self.uri))
        begun = {
            key: sum(name.endswith(".owner") for name in files) for key, files in generations(store).items()
        }
        again = Counter({key: n - 1 for key, n in begun.items() if n > 1})
        assert again <= self.in_flight, {key: (n, self.in_flight[key]) for key, n in again.items()}
        assert verify(store).sound
        sweep(store, older_than_s=-60)
        assert strays(store) == set()
        assert verify(store).sound
        return again


def strays(store: ArtifactStore) -> set[str]:
    """Return what lies among the artifacts and belongs to none: attempts, temporary files."""
    named = {f"{store.key(ref)}/{m.attempt}" for ref, m in manifests(store)}
    keys = (entry.key for entry in store.backend.walk() if not entry.key.startswith("_"))
    return {key for key in keys if key.rpartition("/")[0] not in named and not key.endswith("manifest.json")}
