"""Flow *watch*: new recordings in a folder or bucket are found, and imported once they are whole."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from prefect import flow
from prefect.events import emit_event

from flows import _interrupt
from flows._arriving import Look
from flows._asked import Asked
from flows._one_by_one import OneByOne
from flows._stage import StageResult, configured_store, merge
from flows.cluster.runner import runner
from flows.observing import say
from flows.telling import arrivals as told
from flows.telling import publish
from flows.telling.runs import PASSED_OVER, no_news, watched
from inception_loop.artifacts.lease import Clock
from inception_loop.artifacts.places import backend_of
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError, StoreError
from inception_loop.recordings.arrivals.alone import alone
from inception_loop.recordings.arrivals.listing import Listing, listing
from inception_loop.recordings.arrivals.looks import Seen, load_looks, looked, save_looks
from inception_loop.recordings.arrivals.names import example_name, scan_pattern
from inception_loop.stimuli.unfinished import is_later_day
from inception_loop.watch_parameters import WatchParameters

IMPORTED = "inception-loop.recording.imported"
"""Event of a recording that has come into the store; automations wait for it."""
QUARANTINED = "Quarantined"
"""How a look ends that has put something aside."""
ASIDE = ("quarantined", "other bytes")
HERE = ("imported", "already there")


@flow(name="watch", task_runner=runner(), **watched(lambda p: f"watch {p.folder}"))
def watch(parameters: Asked[WatchParameters]) -> StageResult:
    """Look at a folder once: import what is at rest, leave what is being written, put aside what is bad."""
    store, took = configured_store(), list[Look]()
    each = OneByOne("watch", store)
    each(parameters.folder, partial(_look_alone, store, parameters, took, patient=not each.asked))
    if each.quiet and not any(look.news for look in took):
        no_news()
    aside = [line for look in took for line in look.aside]
    for error in each.news.values():
        if aside and isinstance(error, StoreError):  # of what is new there is no other word
            raise StoreError("; ".join([str(error), *aside])) from error
        raise error
    result = merge("watch", [result for look in took for result in look.results])
    said = [line for look in took for line in (look.line, *look.reasons)]
    bad = any(look.reasons for look in took) or each.passed_over
    return each.end(result, said, QUARANTINED if aside else PASSED_OVER if bad else None)


def _look_alone(store: ArtifactStore, p: WatchParameters, took: list[Look], *, patient: bool) -> None:
    place = backend_of(p.folder)
    place.check()
    local = place.local_path("")
    if local is not None and not local.is_dir():
        raise ConfigurationError(
            f"there is no folder {p.folder}; expected the one that recordings arrive in; "
            "mount it on the worker's machine, or correct the parameter folder"
        )
    waiting = partial(say, "watch", f"another look at {place.uri} goes on; this one begins after it")
    with alone(store, place.uri, waiting, Clock(sleep=_patiently)):
        look = Look(store, place, p, scan_pattern(p.pattern), store.backend.now(), patient)
        took.append(look)
        _take_a_look(look)


def _patiently(seconds: float) -> None:
    _interrupt.check()
    time.sleep(seconds)


def _take_a_look(look: Look) -> None:
    p, backend, there = look.parameters, look.store.backend, listing(look.place, look.pattern)
    signatures = {name: "" if one.unfinished else one.signature for name, one in there.arrivals.items()}
    before = load_looks(backend, look.folder)
    seen, ready = looked(before, signatures, look.now, p.settle_s, patient=look.patient)
    if seen != before:
        save_looks(backend, look.folder, seen)
    for name in ready:
        if seen[name].fate == "quarantined" and not p.retry_quarantined:
            continue
        seen[name] = look.take(there.arrivals[name], seen[name])
        if seen[name].fate in HERE:
            announce(look.store, ref_at(seen[name].recording))
        save_looks(backend, look.folder, seen)
    known = {name: (one.fate, one.said) for name, one in before.items()}
    changed = {name for name in there.arrivals if (seen[name].fate, seen[name].said) != known.get(name)}
    look.news = any(seen[name].fate != "waiting" for name in changed)
    _tell(look, there, {name: seen[name] for name in there.arrivals}, set(ready), changed)


def ref_at(uri: str) -> ArtifactRef:
    """Return the reference of a recording at an address."""
    return ArtifactRef(kind="recording", digest=uri.rpartition("/")[2], uri=uri)


def announce(store: ArtifactStore, ref: ArtifactRef) -> None:
    """Tell Prefect that a recording has arrived; at least once, so that reactions have to be idempotent."""
    manifest = store.manifest(ref)
    numbers = manifest.config["scan"]
    scan = "-".join(str(numbers[name]) for name in ("animal_id", "session", "scan_idx"))
    day = "later" if is_later_day(manifest) else "first"
    name = f"{ref.kind}/{ref.digest}"
    emit_event(
        IMPORTED,
        resource={
            "prefect.resource.id": f"inception-loop.scan.{scan}",
            "prefect.resource.name": scan,
            "inception-loop.day": day,
            "inception-loop.animal": str(numbers["animal_id"]),
        },
        payload={"recording": name, "uri": ref.uri, "scan": scan, "day": day},
    )


def _tell(look: Look, there: Listing, seen: Mapping[str, Seen], tried: set[str], changed: set[str]) -> None:
    """Say what became of every recording; what may go through later fails the run, after all others."""
    rows = told.rows(there.arrivals, seen, tried)
    look.line = told.in_words(look.folder, rows)
    aside = [name for name in changed if seen[name].fate in ASIDE]
    lasting = [name for name, one in seen.items() if one.fate == "quarantined" and name not in aside]
    look.aside = told.reason(seen, sorted(aside))
    look.reasons = told.reason(seen, [*sorted(aside), *lasting])
    if changed:
        publish.table("arrivals", rows, look.line, state="state")
    say("watch", look.line)
    for name, one in seen.items():
        if one.said and (name in tried or one.fate == "quarantined"):
            say("watch", f"  {name} {one.fate}: {one.said}")
    if there.others:
        passed = f"passed over: {', '.join(there.others[:5])}{' …' if there.others[5:] else ''}"
        say("watch", f"  {passed}" if rows else _none_taken(look, len(there.others), passed))
    failed = [f"{name}: {one.said}" for name, one in seen.items() if one.fate == "failed"]
    if failed:
        more = f" (and {len(failed) - 1} more)" if failed[1:] else ""
        raise StoreError(
            f"{failed[0]}{more}; it is tried again, at first at the next look, then less and less often"
        )


def _none_taken(look: Look, n_others: int, passed: str) -> str:
    pattern = look.parameters.pattern
    return (
        f"⚠ passed over {n_others}, taken 0: no name fits the pattern {pattern!r}; expected one like "
        f"{example_name(pattern)}; correct the names, or pattern in the parameters ({passed})"
    )
