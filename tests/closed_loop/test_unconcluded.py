"""Which later days wait for their comparison, in stores that hold manifests and not one payload."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

import pytest

from inception_loop.artifacts.manifest import InputRecord, Manifest, encode
from inception_loop.artifacts.provenance import this_process
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import open_store
from inception_loop.closed_loop.unconcluded import unconcluded


class Shelf:
    """A store that artifacts are put into as a run would leave them, without their payloads."""

    def __init__(self, root: Path) -> None:
        self.root, self.store, self._moment = root, open_store(root.as_uri()), 0.0
        self.read: list[str] = []
        read = self.store.backend.read
        self.store.backend.read = lambda key: (self.read.append(key), read(key))[1]

    def put(self, kind: str, partition: str, config: dict, **inputs: list[ArtifactRef]) -> ArtifactRef:
        """Put an artifact there, a second after the one before."""
        digest = hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        key = f"{kind}/{partition}/{digest}"
        records = {
            role: [
                InputRecord(kind=one.kind, digest=one.digest, key=self.store.key(one), payloads={})
                for one in refs
            ]
            for role, refs in inputs.items()
        }
        manifest = Manifest(
            kind=kind,
            version=1,
            digest=digest,
            attempt="0" * 16,
            config=config,
            question={},
            inputs=records,
            payloads={},
            findings={},
            seed=None,
            device="cpu",
            threads=1,
            versions={},
            process=this_process(),
            lease_generation=1,
            started="",
            finished="",
            seconds=0.0,
        )
        self.store.backend.create(f"{key}/manifest.json", encode(manifest))
        self._moment += 1
        os.utime(self.root / key / "manifest.json", (self._moment, self._moment))
        return ArtifactRef(kind=kind, digest=digest, uri=self.store.backend.url(key))

    def day(
        self, session: int, shown: ArtifactRef | None = None, *, role="stimulus_set", **config
    ) -> ArtifactRef:
        """Put the recording of a day of animal 1 there, which showed a set or not."""
        scan = {"animal_id": 1, "session": session, "scan_idx": 1}
        partition = f"animal_id=1/session={session}/scan_idx=1"
        return self.put(
            "recording", partition, {"scan": scan, **config}, **({role: [shown]} if shown else {})
        )

    def set_of(self, loop: int, source: ArtifactRef) -> ArtifactRef:
        return self.put("stimulus_set", f"loop_group={loop}", {"loop_group": loop}, recording=[source])

    def report(self, loop: int, *recordings: ArtifactRef) -> ArtifactRef:
        where = f"loop_group={loop}"
        evidence = self.put("evidence", where, {"loop_group": loop})
        return self.put(
            "report", where, {"loop_group": loop}, evidence=[evidence], recording=list(recordings)
        )


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path / "store")


def test_a_later_day_waits_until_a_report_shows_it(shelf) -> None:
    first = shelf.day(1)
    shown = shelf.set_of(17, first)
    assert unconcluded(shelf.store) == ((), ())
    second, third = shelf.day(2, shown), shelf.day(3, shown, role="stimulus")
    assert unconcluded(shelf.store).waiting == (second, third)
    shelf.put("evidence", "loop_group=17", {"loop_group": 17})  # a run that was killed before its report
    shelf.put(
        "report", "loop_group=17", {"loop_group": 17}, recording=[first, second, third]
    )  # of no evidence
    shelf.report(18, first, second, third)  # of another loop
    assert unconcluded(shelf.store).waiting == (second, third)
    shelf.report(17, first, second)
    assert unconcluded(shelf.store).waiting == (third,)
    shelf.report(17, first, second, third)
    assert unconcluded(shelf.store) == ((), ())


def test_of_a_scan_that_was_imported_again_the_newest_counts(shelf) -> None:
    shown = shelf.set_of(17, first := shelf.day(1))
    old = shelf.day(2, shown)
    shelf.report(17, first, old)
    new = shelf.day(2, shown)
    assert unconcluded(shelf.store).waiting == (new,)
    shelf.report(17, first, new)
    assert unconcluded(shelf.store).waiting == ()


def test_a_day_whose_set_is_not_here_is_passed_over(shelf) -> None:
    gone = shelf.set_of(17, shelf.day(1))
    named, exported = shelf.day(2, gone), shelf.day(3, export={"session_sha256": "0"})
    (shelf.root / shelf.store.key(gone) / "manifest.json").unlink()
    assert unconcluded(shelf.store) == ((), (named, exported))


def test_what_is_damaged_hides_nothing_else(shelf) -> None:
    shown = shelf.set_of(17, first := shelf.day(1))
    second, third = shelf.day(2, shown), shelf.day(3, shown)
    newest = shelf.report(17, first, second, third)
    for damaged in (second, newest):
        (shelf.root / shelf.store.key(damaged) / "manifest.json").write_text("{}")
    assert unconcluded(shelf.store).waiting == (third,)


def test_the_cost_is_a_manifest_a_recording_and_the_newest_report_of_a_loop(shelf) -> None:
    shown = shelf.set_of(17, first := shelf.day(1))
    days = [first]
    for session in range(2, 22):
        days.append(shelf.day(session, shown))
        shelf.report(17, *days)
    shelf.read.clear()
    assert unconcluded(shelf.store).waiting == ()
    assert len(shelf.read) == len(days) + 1 + 1
    assert all(key.endswith("/manifest.json") for key in shelf.read)
    assert len(set(shelf.read)) == len(shelf.read)
