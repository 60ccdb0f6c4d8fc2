"""A lab's own loop, of which no truth is known: compared, told in words, and reported from its evidence."""

from __future__ import annotations

import shutil

import pytest

from flows.closed_loop import closed_loop
from flows.report import report
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.config import DatasetConfig
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.parameters import ClosedLoopParameters, LaterScan, ReportParameters
from inception_loop.report.behind import refs_behind


@pytest.fixture(scope="module")
def lab(tiny_run, tmp_path_factory) -> str:
    """A copy of the undisturbed store."""
    copy = tmp_path_factory.mktemp("lab") / "store"
    shutil.copytree(tiny_run[0].removeprefix("file://"), copy)
    return f"file://{copy}"


@pytest.fixture
def store(lab, monkeypatch):
    monkeypatch.setenv("INCEPTION_LOOP_STORE", lab)
    return open_store(lab)


@pytest.fixture
def refs(store, tiny_run) -> dict[str, ArtifactRef]:
    """The first artifact of each kind of the tiny loop."""
    return {
        kind: refs[0].model_copy(update={"uri": refs[0].uri.replace(tiny_run[0], store.uri)})
        for stage in tiny_run[1].stages.values()
        for kind, refs in stage.refs.items()
    }


@pytest.fixture
def asked(store, refs) -> ClosedLoopParameters:
    """The comparison of the tiny loop, as a lab asks for it."""
    source, later = sorted(
        (one.ref for one in artifacts(store, "recording")),
        key=lambda ref: store.manifest(ref).config["scan"]["session"],
    )
    return ClosedLoopParameters(
        source=source,
        later=(LaterScan(recording=later, stimulus_set=refs["stimulus_set"], day=1),),
        selection=refs["corrected_high_unit_selection"],
        n_permutations=99,
    )


def test_the_evidence_of_a_loop_leads_to_the_report_that_the_loop_has(store, refs) -> None:
    whole, evidence = refs["report"], refs["evidence"]
    found = refs_behind(store, evidence)
    known = {ref for refs in found.values() for ref in refs}
    not_shown = {"target_dataset", "target_static_group_id", "target_model"}
    made_by_the_report = {"recovered_truth", "learning_report"}
    lacking = {ref for refs in store.inputs(whole).values() for ref in refs} - known
    assert {ref.kind for ref in lacking} <= not_shown | made_by_the_report
    again = report(ReportParameters(evidence=evidence)).one("report")
    assert store.table(again, "numbers").equals(store.table(whole, "numbers"))
    assert store.table(again, "tests").equals(store.table(whole, "tests"))


def test_a_loop_without_truth_is_compared_and_reported(store, asked) -> None:
    compared = closed_loop(asked)
    behind = refs_behind(store, compared.one("evidence"))  # knows the truth by the panel that the set shows
    known = {kind: refs for kind, refs in behind.items() if kind not in ("animal_truth", "truth_panel")}
    made = report(ReportParameters(refs=known))
    assert "recovered_truth" not in made.refs
    numbers = store.table(made.one("report"), "numbers")
    assert "match_accuracy" not in numbers.columns or numbers["match_accuracy"].is_null().all()
    assert b"own MEI" in store.file(made.one("report"), "report")


def test_the_command_says_the_answer_and_what_to_type_next(store, lab, asked, call) -> None:
    later = asked.later[0]
    words = [
        f"--set=source={asked.source.kind}/{asked.source.digest[:12]}",
        f"--set=selection={asked.selection.kind}/{asked.selection.digest[:12]}",
        f'--set=later=[{{recording="recording/{later.recording.digest[:12]}", '
        f'stimulus_set="stimulus_set/{later.stimulus_set.digest[:12]}", day=1}}]',
        "--set=n_permutations=99",
    ]
    said = call("run", "closed-loop", *words, "--store", lab)
    assert said.status == 0, said.err
    assert "Do cells prefer the images computed for them?" in said.out
    command = said.out.splitlines()[-1].removeprefix("next: inception-loop ")
    reported = call(*command.split())
    assert reported.status == 0, reported.err
    assert reported.out.splitlines()[-1].startswith("next: inception-loop report ")


def test_responses_of_later_days_are_read_as_those_that_the_networks_learnt_from(asked) -> None:
    window = DatasetConfig(group_id=0).window
    other = DatasetConfig(group_id=0, window=window.model_copy(update={"offset": 0.2}))
    with pytest.raises(ConfigurationError, match=r"window of the later days is .*0.2.* expected"):
        closed_loop(asked.model_copy(update={"dataset": other}))


def test_what_no_report_can_be_made_of_is_refused_with_what_it_lacks(store, refs) -> None:
    with pytest.raises(DataError, match=r"lacks artifacts of the kinds .*summary_confusion.*evidence alone"):
        report(ReportParameters(refs={"evidence": (refs["evidence"],)}))
    with pytest.raises(ValueError, match="neither evidence nor refs is given"):
        ReportParameters()
