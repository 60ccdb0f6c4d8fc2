"""Flow *conclude*: a later day has arrived; its loop is compared and reported."""

from __future__ import annotations

from prefect import flow

from flows._asked import Asked
from flows._head import Done
from flows._stage import StageResult, configured_store, merge, say
from flows.closed_loop import closed_loop
from flows.cluster.runner import runner
from flows.report import report
from flows.telling.runs import watched
from inception_loop.artifacts.listing import artifacts, resolve
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.closed_loop.traced import traced_loop
from inception_loop.errors import ConfigurationError
from inception_loop.night_parameters import ConcludeParameters
from inception_loop.parameters import ClosedLoopParameters, LaterScan, ReportParameters
from inception_loop.stimuli.unfinished import is_later_day

EVENT = "inception-loop.scan."
"""What the resource of an event begins with; the scan follows."""


@flow(
    name="conclude", task_runner=runner(), **watched(lambda p: f"conclude {p.recording.removeprefix(EVENT)}")
)
def conclude(parameters: Asked[ConcludeParameters]) -> StageResult:
    """Find the loop of a later day by what everything was made from; compare all its later days so far."""
    p, store, done = parameters, configured_store(), Done()
    loop = traced_loop(store, meant(store, p.recording))
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
    compared = done(closed_loop(asked))
    done(report(ReportParameters(evidence=compared.one("evidence"))))
    return merge("conclude", done.results)


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
    if len(later) != 1:
        raise ConfigurationError(
            f"scan {scan} has {len(later)} recordings in {store.uri}; expected one; "
            "say which: recording/0123abcd"
        )
    return later[0]
