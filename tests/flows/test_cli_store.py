"""``store …`` and ``report`` on stores whose content is known, in words and as JSON."""

import json
import os
import shutil
from pathlib import Path

import pytest

from flows.cli_report import newest_report
from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.kind import Kind
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Directly
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.stage import run_ingest
from inception_loop.errors import ArtifactNotFoundError, DataError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.recordings.arrivals.looks import Seen, save_looks
from inception_loop.recordings.recording import ScanKey
from inception_loop.training.bad_config import make_bad_config
from inception_loop.training.config import ModelConfig

SCAN = ScanKey(animal_id=1, session=1, scan_idx=1)
PLACE = "animal_id=1/session=1/scan_idx=1"
KINDS = {
    "recording",
    "animal_truth",
    "static_scan",
    "excluded_trial",
    "stack_coordinates",
    "monitor_calibration",
}


@pytest.fixture(scope="module")
def one_day(tmp_path_factory):
    """A folder with the artifacts of one ingested day."""
    folder = tmp_path_factory.mktemp("day") / "store"
    store = open_store(str(folder))
    session = NaturalSessionConfig(n_train=10, n_repeated=2, repeats=2, height=36, width=64)
    config = AnimalDayConfig(scan=SCAN, animal=SimulatedConfig(n_units=20), session=session)
    recording, _ = make_recorded_day(store, config)
    run_ingest(Directly(store), SCAN, recording.ref)
    return folder


@pytest.fixture
def store(one_day, tmp_path):
    """A copy of it that a test may damage."""
    return open_store(str(shutil.copytree(one_day, tmp_path / "store")))


@pytest.fixture
def ask(call, store):
    """Call ``store …`` on it; the parsed JSON with ``--json``."""

    def ask(*words: object, status: int = 0):
        said = call("store", *words, "--store", store.uri)
        assert (said.status, said.err) == (status, "")
        return json.loads(said.out) if "--json" in words else said.out.splitlines()

    return ask


def damage(store, kind: str) -> str:
    """Turn a byte of one payload of the artifact of a kind; returns the artifact as a person names it."""
    (manifest,) = Path(store.uri.removeprefix("file://")).glob(f"{kind}/**/manifest.json")
    payload = max(manifest.parent.glob("*/*"), key=lambda path: path.stat().st_size)
    data = bytearray(payload.read_bytes())
    data[len(data) // 2] ^= 1
    payload.write_bytes(data)
    return f"{kind}/{manifest.parent.name[:8]}"


# --- ls, show, lineage -------------------------------------------------------------------------------------


def test_ls_lists_every_artifact_by_pages(ask) -> None:
    first = ask("ls", "--json", "--limit", 4)
    assert set(first) == {"artifacts", "after"}
    rest = ask("ls", "--json", "--after", first["after"])
    assert rest["after"] == ""
    rows = first["artifacts"] + rest["artifacts"]
    assert {row["kind"] for row in rows} == KINDS
    assert len(rows) == len(KINDS)
    assert all(set(row) == {"kind", "digest", "partition", "modified", "uri"} for row in rows)
    assert {row["partition"] for row in rows} == {PLACE}
    lines = ask("ls", "--limit", 4)
    assert [line.split()[0] for line in lines[:4]] == [
        f"{row['kind']}/{row['digest'][:12]}" for row in first["artifacts"]
    ]
    assert lines[4] == f"more: --after '{first['after']}'"


def test_ls_of_a_kind_and_a_place_lists_only_those(ask) -> None:
    assert len(ask("ls", "recording")) == 1
    assert ask("ls", "recording", "animal_id=1") == ask("ls", "recording")
    assert ask("ls", "recording", "animal_id=2") == ["no artifacts"]
    assert ask("ls", "nothing", "--json") == {"artifacts": [], "after": ""}


def test_show_gives_the_manifest(ask, store) -> None:
    (row,) = ask("ls", "recording", "--json")["artifacts"]
    shown = ask("show", f"recording/{row['digest'][:6]}", "--json")
    (ref,) = store.inputs(one(ask, store, "static_scan"))["recording"]
    assert shown == store.manifest(ref).model_dump(mode="json")
    assert ask("show", row["uri"], "--json") == shown
    lines = ask("show", row["uri"])
    assert lines[0] == f"{ref}  {row['uri']}"
    payloads = [line.split()[1].rstrip(":") for line in lines if line.startswith("  payload")]
    assert payloads == list(shown["payloads"])


def test_show_gives_the_whole_configuration_if_asked(ask, store) -> None:
    (row,) = ask("ls", "recording", "--json")["artifacts"]
    lines = ask("show", row["uri"], "--full")
    text = "\n".join(line.removeprefix("  config     ") for line in lines if line.startswith("  config "))
    assert json.loads(text) == ask("show", row["uri"], "--json")["config"]
    assert [line for line in lines if not line.startswith("  config ")] == ask("show", row["uri"])


def networks(store, *seeds: int):
    """Models of three networks that nobody has trained, and a record that one cannot be."""
    (scan,) = [listed.ref for listed in artifacts(store, "static_scan")]
    cores = [GaussianLaplace(), GaussianLaplace(gamma_input=10), StackedLinearGaussianLaplace()]
    configs = [
        ModelConfig(group_id=0, network=CorePlusReadout(core=core), seed=seed)
        for core in cores
        for seed in seeds
    ]
    for config in configs:
        store.make(NETWORK, config, lambda attempt: attempt.report(val_corr=0.25), {"dataset": scan})
    return make_bad_config(store, configs[0], DataError("too few trials"), dataset=scan).ref


NETWORK = Kind(name="cli_test_network", version=1, meaning="A network of a test.", payloads={}, partition=())


def test_a_long_listing_says_what_tells_models_apart_and_why_one_cannot_be_trained(ask, store) -> None:
    bad = networks(store, 1, 2)
    said = sorted(line.split("  ", 3)[3] for line in ask("ls", "cli_test_network", "--long"))
    gamma = "core.gamma_input"
    assert said == sorted(
        f"{core} seed {seed}, val_corr 0.2500"
        for core in (
            f"GaussianLaplace {gamma}=50.0",
            f"GaussianLaplace {gamma}=10.0",
            "StackedLinearGaussianLaplace",
        )
        for seed in (1, 2)
    )
    (row,) = ask("ls", "bad_config", "--long", "--json")["artifacts"]
    assert row["description"] == "GaussianLaplace seed 1, reason: too few trials"
    shown = ask("show", bad.uri)
    (findings,) = [json.loads(line.split(maxsplit=1)[1]) for line in shown if line.startswith("  findings")]
    assert findings == {
        "error": "DataError",
        "reason": "too few trials",
        "label": "GaussianLaplace seed 1",
    }
    assert all(line.endswith(" trials") for line in ask("ls", "recording", "--long"))
    assert all(len(line.split()) == 2 for line in ask("ls", "cli_test_network"))


def test_a_long_listing_goes_on_where_a_manifest_is_damaged(ask, store) -> None:
    (manifest,) = Path(store.uri.removeprefix("file://")).glob("static_scan/**/manifest.json")
    manifest.write_bytes(b"{}")
    lines = ask("ls", "--long")
    assert len(lines) == 6
    assert sum("!! the manifest" in line for line in lines) == 1


def one(ask, store, kind: str):
    """Return the reference of the only artifact of a kind."""
    (row,) = ask("ls", kind, "--json")["artifacts"]
    return ArtifactRef(kind=row["kind"], digest=row["digest"], uri=row["uri"])


def test_lineage_goes_up_and_down(ask, store) -> None:
    scan, recording = one(ask, store, "static_scan"), one(ask, store, "recording")
    assert ask("lineage", scan.uri, "--json") == [
        {
            "depth": 1,
            "child": str(scan),
            "role": "recording",
            "parent": str(recording),
            "state": "same bytes",
        }
    ]
    assert ask("lineage", scan.uri, "--full") == [str(scan), f"  ← {recording} as recording of {scan}"]
    assert ask("lineage", scan.uri) == [str(scan), f"  ← {recording}  for static_scan"]
    down = ask("lineage", recording.uri, "--down", "--json")
    assert {link["child"].split("/")[0] for link in down} == KINDS - {"recording", "animal_truth"}
    assert len(ask("lineage", recording.uri, "--down", "--full")) == 1 + len(down)
    kinds = {link["child"].split("/")[0] for link in down}
    assert len(ask("lineage", recording.uri, "--down")) == 1 + len(kinds)


@pytest.mark.parametrize("words", [["show"], ["lineage"], ["verify"], ["repair"], ["copy"]])
def test_an_artifact_that_is_not_there_is_one_line(call, store, words) -> None:
    target = ["memory://elsewhere"] if words == ["copy"] else []
    said = call("store", *words, "recording/ffffffffffff", *target, "--store", store.uri)
    assert said == (
        2,
        "",
        f"error: 'recording/ffffffffffff' means 0 artifacts in {store.uri}; expected exactly one; "
        "give a kind and more of the digest, such as frame/0123abcd\n",
    )


# --- verify, repair, sweep, copy ---------------------------------------------------------------------------


def test_verify_of_a_sound_store_counts(ask) -> None:
    assert ask("verify") == ["6 artifacts checked: all sound"]
    assert ask("verify", "--json") == {"checked": 6, "faults": [], "stale": []}


def test_a_turned_byte_is_found_and_repair_takes_the_artifact_back(ask, store) -> None:
    name = damage(store, "static_scan")
    *faults, last = ask("verify", status=1)
    assert last == "6 artifacts checked: see above"
    assert len(faults) == 1
    assert faults[0].startswith(name)
    found = ask("verify", name, "--json", status=1)
    assert found["checked"] == 1
    assert [fault["artifact"].startswith(name) for fault in found["faults"]] == [True]
    assert ask("verify", "--no-hashes") == ["6 artifacts checked: all sound"]
    repaired = ask("repair", name, "--json")
    assert repaired["artifact"].startswith(name)
    assert len(repaired["reasons"]) == 1
    assert ask("verify") == ["5 artifacts checked: all sound"]


def test_repair_leaves_a_sound_artifact_alone(ask, store) -> None:
    recording = one(ask, store, "recording")
    assert ask("repair", recording.uri) == [f"{recording} is sound; nothing done"]
    assert ask("repair", recording.uri, "--json") == {"artifact": str(recording), "reasons": []}
    assert len(ask("ls")) == 6


def test_withdraw_takes_a_sound_artifact_back_that_nothing_was_made_from(ask, call, store) -> None:
    tables = one(ask, store, "static_scan")
    words = ("withdraw", tables.uri, "--because", "other rules")
    assert ask(*words) == [f"{tables} taken back; the next run of its stage asks anew"]
    assert len(ask("ls")) == 5
    recording = one(ask, store, "recording")
    said = call("store", "withdraw", recording.uri, "--because", "x", "--store", store.uri)
    assert said.status == 2
    assert f"error: {recording} cannot be taken back: 3 artifacts were made from it" in said.err


def test_sweep_tells_and_then_removes_only_what_is_old(ask, store) -> None:
    root = Path(store.uri.removeprefix("file://"))
    (folder,) = root.glob("static_scan/**/manifest.json")
    left = folder.parent / ("0" * 16) / "units.parquet"
    left.parent.mkdir()
    left.write_bytes(b"half")
    key = str(left.relative_to(root))
    assert key not in ask("sweep", "--json")["keys"]
    os.utime(left, (0, 0))
    tells = ask("sweep", "--dry-run", "--json")
    assert set(tells) == {"keys", "bytes", "uploads", "dry_run"}
    assert (tells["keys"], tells["bytes"], tells["dry_run"]) == ([key], 4, True)
    assert left.exists()
    assert ask("sweep") == [key, "removed 1 objects, 4 bytes"]
    assert not left.exists()
    assert ask("verify") == ["6 artifacts checked: all sound"]


def test_copy_takes_along_what_an_artifact_was_made_from(ask, call, store, tmp_path) -> None:
    scan = one(ask, store, "static_scan")
    target = f"file://{tmp_path}/target"
    assert ask("copy", scan.uri, target) == ["2 artifacts copied, 0 already there"]
    assert ask("copy", scan.uri, target, "--json") == {"copied": 0, "there": 2}
    listed = json.loads(call("store", "ls", "--json", "--store", target).out)["artifacts"]
    assert {row["kind"] for row in listed} == {"recording", "static_scan"}
    assert call("store", "verify", "--store", target).out == "2 artifacts checked: all sound\n"


def test_copy_of_a_store_goes_on_and_names_what_it_leaves_out(ask, call, store, tmp_path) -> None:
    target = f"file://{tmp_path}/target"
    assert ask("copy", one(ask, store, "static_scan").uri, target) == ["2 artifacts copied, 0 already there"]
    assert ask("copy", "--all", target) == ["4 artifacts copied, 2 already there, 0 left out"]
    assert call("store", "verify", "--store", target).out == "6 artifacts checked: all sound\n"
    name = damage(store, "static_scan")
    found = ask("copy", "--all", f"file://{tmp_path}/other", "--json", status=1)
    assert (found["copied"], found["there"]) == (5, 0)
    assert [fault["artifact"].startswith(name) for fault in found["faults"]] == [True]


@pytest.mark.parametrize("words", [[], ["--all"], ["a/b"], ["--all", "a/b", "memory://x"]])
def test_copy_says_what_it_has_to_know(call, store, words) -> None:
    said = call("store", "copy", *words, "--store", store.uri)
    assert said.status == 2
    assert said.err.startswith("error: store copy got ")


def test_copy_to_a_place_that_cannot_be_written_is_one_line(call, store, ask) -> None:
    scan = one(ask, store, "static_scan")
    said = call("store", "copy", scan.uri, "file:///proc/nowhere", "--store", store.uri)
    assert said.status == 1
    assert said.err.startswith("error: cannot write file:///proc/nowhere")
    assert said.err.count("\n") == 1


# --- report ------------------------------------------------------------------------------------------------


def test_a_store_without_a_loop_has_no_report_and_leaves_no_file(call, store, tmp_path) -> None:
    said = call("report", "--store", store.uri, "--output", tmp_path / "out")
    assert said == (
        1,
        "",
        f"error: {store.uri} holds no report; expected one; run `inception-loop demo` first\n",
    )
    assert not (tmp_path / "out").exists()
    with pytest.raises(ArtifactNotFoundError, match="holds no report"):
        newest_report(store)


def test_a_report_comes_out_of_the_store_of_a_loop(call, tiny_run, tmp_path) -> None:
    uri, result = tiny_run
    said = call("report", "--store", uri, "--output", tmp_path, "--json")
    assert (said.status, said.err) == (0, "")
    summary = json.loads(said.out)
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    assert (tmp_path / summary["report"]).read_bytes() == open_store(uri).file(result.report, "report")
    begin = result.report.digest[:8]
    words = call("report", begin, "--store", uri, "--output", tmp_path / "again")
    assert words.out.rstrip().endswith(f"Report: {tmp_path / 'again' / 'report.html'}")
    assert newest_report(open_store(uri)) == result.report
    assert call("report", "ffffffff", "--store", uri, "--output", tmp_path).status == 2


def test_arrivals_lists_what_is_in_quarantine(ask, store) -> None:
    assert ask("arrivals") == ["no folder was ever looked at"]
    seen = {"17-1-2.nwb": Seen(signature="b", since=0.0, fate="quarantined", said="no trials")}
    save_looks(store.backend, "file:///rig", seen)
    assert ask("arrivals") == ["file:///rig: 1 quarantined", "  17-1-2.nwb quarantined: no trials"]
    (folder,) = ask("arrivals", "--json")["folders"]
    assert folder["bad"] == [{"name": "17-1-2.nwb", "state": "quarantined", "why": "no trials"}]
