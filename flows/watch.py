"""Flow *watch*: new recordings in a folder or bucket are found, and imported once they are whole."""

from __future__ import annotations

import time
from collections import Counter
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
from flows.telling import publish
from flows.telling.runs import no_news, watched
from inception_loop.artifacts.lease import Clock
from inception_loop.artifacts.places import backend_of
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError, StoreError
from inception_loop.night_parameters import WatchParameters
from inception_loop.recordings.arrivals.alone import alone
from inception_loop.recordings.arrivals.listing import Arrival, Listing, listing
from inception_loop.recordings.arrivals.looks import Seen, load_looks, looked, save_looks
from inception_loop.recordings.arrivals.names import example_name, scan_pattern
from inception_loop.stimuli.unfinished import is_later_day

IMPORTED = "inception-loop.recording.imported"
"""Event of a recording that has come into the store; automations wait for it."""
HERE = ("imported", "already there")


@flow(name="watch", task_runner=runner(), **watched(lambda p: f"watch {p.folder}"))
def watch(parameters: Asked[WatchParameters]) -> StageResult:
    """Look at a folder once: import what is at rest, leave what is being written, put aside what is bad."""
    store, took = configured_store(), list[Look]()
    each = OneByOne("watch", store)
    each(parameters.folder, partial(_look_alone, store, parameters, took))
    if each.quiet and not any(look.news for look in took):
        no_news()
    for error in each.news.values():
        raise error
    return merge("watch", [result for look in took for result in look.results])


def _look_alone(store: ArtifactStore, p: WatchParameters, took: list[Look]) -> None:
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
        look = Look(store, place, p, scan_pattern(p.pattern), store.backend.now())
        took.append(look)
        _take_a_look(look)


def _patiently(seconds: float) -> None:
    _interrupt.check()
    time.sleep(seconds)


def _take_a_look(look: Look) -> None:
    p, backend, there = look.parameters, look.store.backend, listing(look.place, look.pattern)
    signatures = {name: "" if one.unfinished else one.signature for name, one in there.arrivals.items()}
    before = load_looks(backend, look.folder)
    seen, ready = looked(before, signatures, look.now, p.settle_s)
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
    _tell(look, there, {name: seen[name] for name in there.arrivals}, set(ready), publishes=bool(changed))


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


def _tell(look: Look, there: Listing, seen: Mapping[str, Seen], tried: set[str], *, publishes: bool) -> None:
    """Say what became of every recording; what may go through later fails the run, after all others."""
    rows = [_row(there.arrivals[name], one, name in tried) for name, one in seen.items()]
    counts = Counter(row["state"] for row in rows)
    words = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "nothing"
    line = f"{len(rows)} recordings in {look.folder}: {words}"
    if publishes:
        publish.table("arrivals", rows, line)
    say("watch", line)
    for name, one in seen.items():
        if one.said and (name in tried or one.fate == "quarantined"):
            say("watch", f"  {name} {one.fate}: {one.said}")
    if there.others:
        passed = f"passed over: {', '.join(there.others[:5])}{' …' if there.others[5:] else ''}"
        say("watch", f"  {passed}" if rows else _none_taken(look, len(there.others), passed))
    failed = [f"{name}: {one.said}" for name, one in seen.items() if one.fate == "failed"]
    if failed:
        more = f" (and {len(failed) - 1} more)" if failed[1:] else ""
        raise StoreError(f"{failed[0]}{more}; it is tried again at the next look")


def _none_taken(look: Look, n_others: int, passed: str) -> str:
    pattern = look.parameters.pattern
    return (
        f"⚠ passed over {n_others}, taken 0: no name fits the pattern {pattern!r}; expected one like "
        f"{example_name(pattern)}; correct the names, or pattern in the parameters ({passed})"
    )


def _row(arrival: Arrival, one: Seen, tried: bool) -> dict[str, object]:
    state = "already there" if one.fate == "imported" and not tried else one.fate
    return {
        "recording": arrival.name,
        "scan": str(arrival.scan),
        "state": state,
        "why": one.said or (f"{arrival.unfinished} is being written" if arrival.unfinished else ""),
        "MB": round(arrival.size / 1e6, 1),
        "artifact": one.recording.rpartition("/")[2][:12],
    }
