"""Flow *conclude*: a later day has arrived; its loop is compared and reported."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from prefect import flow

from flows._asked import Asked
from flows._head import Done
from flows._one_by_one import OneByOne
from flows._stage import StageResult, configured_store, merge
from flows.closed_loop import closed_loop
from flows.cluster.runner import runner
from flows.observing import say
from flows.report import report
from flows.telling.runs import PASSED_OVER, no_news, scans, watched
from inception_loop.artifacts.listing import artifacts, resolve
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.closed_loop.traced import TracedLoop, traced_loop
from inception_loop.closed_loop.unconcluded import unconcluded
from inception_loop.errors import ConfigurationError
from inception_loop.night_parameters import ConcludeParameters
from inception_loop.parameters import ClosedLoopParameters, LaterScan, ReportParameters
from inception_loop.stimuli.unfinished import is_later_day

EVENT = "inception-loop.scan."
"""What the resource of an event begins with; the scan follows."""


def _title(p: ConcludeParameters) -> str:
    return f"conclude {'what waits' if p.recording is None else p.recording.removeprefix(EVENT)}"


@flow(name="conclude", task_runner=runner(), **watched(_title))
def conclude(parameters: Asked[ConcludeParameters]) -> StageResult:
    """Find the loop of a later day by what everything was made from; compare all its later days so far.

    Without a recording, do so for every later day that no report shows yet. A loop that fails does not stop
    the others; the run fails at the end and names it.
    """
    p, store, done = parameters, configured_store(), Done()
    if p.recording is not None:
        _compare(p, traced_loop(store, meant(store, p.recording)), done)
        return merge("conclude", done.results)
    each, days, news = OneByOne("conclude", store), unconcluded(store), list[StageResult]()
    no_set = "showed a stimulus set that is not in this store"
    without = [f"passed over: {ref} {no_set}" for ref in days.without_set]
    for line in without:
        say("conclude", line)
    if not days.waiting:
        say("conclude", "nothing new: a report shows every later day")
    for loop in _loops(store, days.waiting, each):
        what, one = _called(loop), Done()
        each(what, partial(_compare, p, loop, one), _made_of(p, loop))
        done.results += one.results
        news += [] if what in each.failed else one.results
    if each.quiet and not any(result.refs for result in news):
        no_news()
    return each.end(merge("conclude", done.results), without, PASSED_OVER if without else None)


def _loops(store: ArtifactStore, waiting: Sequence[ArtifactRef], each: OneByOne) -> list[TracedLoop]:
    """Return the loops of later days, each once."""
    found: list[TracedLoop] = []
    for ref in waiting:
        if not any(ref == day.recording for loop in found for day in loop.later):
            each(str(ref), partial(_trace, store, ref, found))
    return found


def _trace(store: ArtifactStore, ref: ArtifactRef, found: list[TracedLoop]) -> None:
    found.append(traced_loop(store, ref))


def _called(loop: TracedLoop) -> str:
    days = scans(day.recording for day in loop.later)
    return f"loop {loop.loop_group}: {days} after {scans([loop.source])}"


def _made_of(p: ConcludeParameters, loop: TracedLoop) -> list[object]:
    """Return what the comparison of a loop depends on."""
    days = [ref for day in loop.later for ref in (day.recording, day.stimulus_set)]
    return [p.model_dump(mode="json"), [ref.digest for ref in (loop.source, loop.selection, *days)]]


def _compare(p: ConcludeParameters, loop: TracedLoop, done: Done) -> None:
    days = ", ".join(f"day {one.day}: {one.recording}" for one in loop.later)
    say("conclude", f"loop {loop.loop_group}, source {loop.source}; {days}")
    asked = ClosedLoopParameters(
        loop_group=loop.loop_group,
        source=loop.source,
        source_truth=loop.source_truth,
        later=tuple(LaterScan(**one._asdict()) for one in loop.later),
        selection=loop.selection,
        panel=loop.panel,
        dataset=loop.rules,
        matching=p.matching,
        least_match_probability=p.least_match_probability,
        n_permutations=p.n_permutations,
        seed=p.seed,
    )
    compared = done(closed_loop, asked)
    done(report, ReportParameters(evidence=compared.one("evidence")))


def meant(store: ArtifactStore, text: str) -> ArtifactRef:
    """Return the recording that is meant by its name, its scan, or what an event calls it.

    Raises
    ------
    ConfigurationError
        If it is none, or several later days have the scan.
    """
    scan = text.removeprefix(EVENT)
    numbers = scan.split("-")
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
        ref = resolve(store, text)
        if ref.kind != "recording":
            raise ConfigurationError(f"{ref} is a {ref.kind}; expected the recording of a later day")
        return ref
    names = ("animal_id", "session", "scan_idx")
    partition = "/".join(f"{name}={int(number)}" for name, number in zip(names, numbers, strict=True))
    found = [listed.ref for listed in artifacts(store, "recording", partition)]
    later = [ref for ref in found if is_later_day(store.manifest(ref))] or found
    if not found:
        raise ConfigurationError(
            f"no recording of scan {scan} is in {store.uri}; expected one; import it first: "
            "inception-loop import FILE --animal-id {} --session {} --scan-idx {}".format(*numbers)
        )
    if len(later) != 1:
        raise ConfigurationError(
            f"scan {scan} has {len(later)} recordings in {store.uri}; expected one; "
            "say which: recording/0123abcd"
        )
    return later[0]
