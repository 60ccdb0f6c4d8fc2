"""The published loops on three later days: MEI vs RF, Gabor and natural image, masked MEI vs masked image."""

from __future__ import annotations

import shutil

import polars as pl
import pytest

import inception_loop as il
from flows import demo
from flows.results import findings, write_results
from inception_loop.artifacts.store import open_store
from inception_loop.closed_loop.diagonal import CONTROLS, OWN
from inception_loop.closed_loop.evidence import COMPARED
from inception_loop.closed_loop.loop_units import read_loop
from inception_loop.closed_loop.loops import LoopsEvidenceConfig, make_loops_evidence
from inception_loop.errors import ConfigurationError


@pytest.fixture(scope="module")
def three_days(tiny, tiny_run, tmp_path_factory):
    """Return the store and the result of a loop that goes on from one later day to three."""
    store = tmp_path_factory.mktemp("three") / "store"
    shutil.copytree(tiny_run[0].removeprefix("file://"), store)
    parameters = tiny.tiny_parameters().model_copy(update={"days": 3})
    return open_store(store.as_uri()), tiny.run_here(store.as_uri(), parameters)


def test_every_comparison_is_made_over_the_repeats_of_all_days(three_days) -> None:
    store, result = three_days
    made = result.stages["closed_loop"].refs
    scans = store.table(made["closed_loop_scan"][0], "closed_loop_scan")
    assert scans["stim_type"].to_list() == ["imagenet"] + 3 * ["mei+gabor+natural+unmaskednatural"]
    assert [len(made[kind]) for kind in ("z_score_confusion", "own_response")] == [3, 3]
    own = pl.concat(store.table(ref, "own_response") for ref in made["own_response"])
    summary = store.table(made["z_summary_confusion"][0], "z_summary_confusion")
    assert set(summary["scan_count"]) <= {1, 2, 3}
    repeats = own.group_by("model_type", "source_unit_id").len("n").rows()
    diagonal = summary.filter(pl.col("image_unit_id") == pl.col("source_unit_id"))
    assert sorted(repeats) == sorted(diagonal.select("model_type", "source_unit_id", "n_repeats").rows())
    tables = [
        store.table(ref, ref.kind).select("control", "own").unique()
        for ref in made["z_summary_confusion_diagonal_entry"]
    ]
    assert sorted(pl.concat(tables).rows()) == sorted(
        [("linear", "cnn"), ("natural", "cnn"), ("gabor", "cnn"), ("masked_natural", "masked_cnn")]
    )


def test_the_evidence_the_summary_and_the_words_know_every_comparison(three_days, tmp_path) -> None:
    store, result = three_days
    evidence = store.table(result.stages["closed_loop"].refs["evidence"][0], "evidence")
    shares = evidence.filter(pl.col("key").is_in([COMPARED[control].share for control in CONTROLS]))
    assert shares.height == 4
    assert shares["n"].min() > 0
    summary = write_results(store, result.report, tmp_path, stages={}, seconds=1.0)
    for key, value in shares.select("key", "value").rows():
        assert summary["closed_loop"][key] == value
    words = findings(summary, tmp_path)
    assert "than to their own best Gabor" in words
    assert "own masked MEI" in words
    notes = store.table(result.stages["closed_loop"].refs["evidence"][0], "notes")["note"].to_list()
    assert summary["notes"] == notes
    assert all(f"note: {note}" in words for note in notes)


def test_the_demo_hands_its_days_to_the_loop_and_asks_for_one_at_least(call, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(demo, "run_demo", lambda **options: asked.append(options["days"]) or 0)
    assert call("demo", "--days", 3).status == 0
    assert asked == [3]
    refused = call("demo", "--days", 0)
    assert (refused.status, asked) == (2, [3])
    assert "days" in refused.err


def test_plain_responses_of_a_loop_give_its_tables_bit_for_bit(three_days) -> None:
    store, result = three_days
    refs = result.stages["closed_loop"].refs
    trials = pl.concat([store.table(ref, "own_response") for ref in refs["own_response"]])
    tests = store.table(refs["loop_tests"][0], "loop_tests")
    units = store.table(refs["loop_tests"][0], "unit_tests").filter(control="linear")
    found = il.compare(
        trials.filter(
            pl.col("model_type").is_in(["cnn", "linear"]),
            pl.col("source_unit_id").is_in(units["source_unit_id"].implode()),
        ),
        unit="source_unit_id",
        image="model_type",
        response="z_response",
        scan=["animal_id", "session", "scan_idx"],
        labels=("cnn", "linear"),
        what="own MEI against own RF image",
        scale="z",
        n_permutations=99,
    )
    entries = [store.table(ref, ref.kind) for ref in refs["z_summary_confusion_diagonal_entry"]]
    entry = next(table for table in entries if table["control"][0] == "linear")
    entry = entry.filter(pl.col("source_unit_id").is_in(units["source_unit_id"].implode()))
    names = {
        "own": "cnn_resp",
        "own_sem": "cnn_sem",
        "control": "rf_resp",
        "difference": "diff_resp",
        "t": "t_diff",
    }
    for name, published in names.items():
        assert found.units[name].to_list() == entry[published].to_list()
    for name in ("p_value", "q_value", "p_smallest", "method", "reason"):
        assert found.units[name].to_list() == units[name].to_list()
    for kind in ("interval", "sign_flip", "wilcoxon", "share", "per_unit"):
        (mine,) = found.tests.filter(key=f"own_control_{kind}").iter_rows(named=True)
        (theirs,) = tests.filter(key=f"cnn_linear_{kind}").iter_rows(named=True)
        for name in ("value", "p_value", "n", "lower", "upper", "method"):
            assert mine[name] == theirs[name], (kind, name)


def test_an_analysis_over_loops_reads_the_units_of_a_loop_as_its_own_tests_count_them(three_days) -> None:
    store, result = three_days
    refs = result.stages["closed_loop"].refs
    found = read_loop(store, refs["evidence"][0])
    tests = {
        row["key"]: row for row in store.table(refs["loop_tests"][0], "loop_tests").iter_rows(named=True)
    }
    for control in CONTROLS:
        units, row = found.units[f"{OWN[control]}_{control}"], tests[f"{OWN[control]}_{control}_sign_flip"]
        assert (units.height, (units["own"] - units["control"]).mean()) == (
            row["n"],
            pytest.approx(row["value"]),
        )
    for own in ("cnn", "masked_cnn"):
        units, row = found.units[f"{own}_others"], tests[f"{own}_own_over_others"]
        assert (units["own"] - units["control"]).mean() == pytest.approx(row["value"])
    assert (found.n_later_scans, found.n_selected) == (3, 6)
    with pytest.raises(ConfigurationError, match="is given twice"):
        make_loops_evidence(store, LoopsEvidenceConfig(), evidences=[refs["evidence"][0]] * 2)
