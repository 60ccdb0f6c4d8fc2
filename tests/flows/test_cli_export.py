"""``export`` as a person types it: plan, folder and check; and ``import`` of what was shown."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.store import open_store
from inception_loop.recordings.archive import load_recording
from inception_loop.stimuli.target_group import TargetStaticGroupIdConfig, make_target_static_group_id

FAILED, USAGE = 1, 2
SCAN = ("--animal-id", 4, "--session", 2, "--scan-idx", 1)


@pytest.fixture(scope="module")
def kept(sets, tmp_path_factory):
    """A store with a set of 16 images of 4 units, 3 oracle images, a blank, 3 times: 60 trials, 0.9 min."""
    store = open_store(str(tmp_path_factory.mktemp("export") / "store"))
    ref = sets.make_set(store)
    number = TargetStaticGroupIdConfig(loop_group=0, number=0)
    make_target_static_group_id(store, number, stimulus_set=ref)
    return store, ref


@pytest.fixture
def export(call, kept):
    """Call ``export`` on that store."""
    store, ref = kept

    def export(*words, named=True):
        return call(
            "export", *([f"stimulus_set/{ref.digest[:8]}"] if named else []), *words, "--store", store.uri
        )

    return export


def refused(said, status: int, *parts: str) -> None:
    assert (said.status, said.out, said.err.count("\n")) == (status, "", 1), said.err
    for part in ("error: ", *parts):
        assert part in said.err


def test_a_set_becomes_a_folder_and_the_words_say_how_long_it_takes(export, kept, tmp_path):
    said = export("--output", tmp_path / "rig")
    assert (said.status, said.err) == (0, "")
    first, whole, warning, written = said.out.splitlines()
    assert warning.startswith("warning: the 3 oracle images of the source scan are shown 3 times: ")
    assert first == str(kept[1])
    assert whole == (
        "whole session: 8 images of 4 units + 8 shifted copies + 4 others (oracle images, blanks), "
        "3 repeats: 60 trials, 0.9 min"
    )
    assert written.startswith(f"written: {tmp_path / 'rig'} (20 images, 28 files, ")
    assert len(list((tmp_path / "rig" / "images").iterdir())) == 20
    again = export("--output", tmp_path / "rig")
    assert again.out.splitlines()[-1].endswith("nothing was done")
    assert again.status == 0


def test_minutes_cut_the_session_and_both_are_told(export, tmp_path):
    said = export("--output", tmp_path / "rig", "--minutes", 0.5, "--json")
    value = json.loads(said.out)
    assert (value["full"]["trials"], value["session"]["trials"]) == (60, 30)
    assert value["left_out"]["shifted_copies"] == 8
    assert value["left_out"]["units"] == [{"name": "group000-1-1-1", "unit_id": 5, "hu_rank": None}]
    assert (value["written"], value["session"]["cut"]) == (True, True)
    assert pl.read_csv(tmp_path / "rig" / "trials.csv").height == 30
    assert [line[:13] for line in value["warnings"]] == ["the 3 oracle "]
    words = export("--dry-run", "--minutes", 0.5).out.splitlines()
    assert [line for line in words[2:] if not line.startswith("warning: ")] == [
        "left out: 8 shifted copies",
        "left out: 1 unit from the end of the ranking: 5",
        "fits into 0.5 min: 6 images of 3 units + 4 others (oracle images, blanks), 3 repeats: 30 trials, "
        "0.5 min",
        "nothing was written (--dry-run)",
    ]
    fewer = export("--dry-run", "--minutes", 0.5, "--min-repeats", 2).out
    assert "left out: 1 of 3 repeats" in fewer
    assert "8 images of 4 units" in fewer.splitlines()[-3]
    assert "nothing is left out" in export("--dry-run", "--minutes", 5).out


def test_units_and_classes_are_left_out_as_asked(export, call, kept, tmp_path):
    words = ("--leave-out", "1-1-1/11, multi_lin_rf")
    said = export("--dry-run", *words).out.splitlines()
    assert said[2:4] == [
        "left out: 1-1-1/11, multi_lin_rf: 10 images, as asked",
        "this session: 3 images of 3 units + 3 shifted copies + 4 others (oracle images, blanks), "
        "3 repeats: 30 trials, 0.5 min",
    ]
    assert export("--output", tmp_path / "rig", *words).status == 0
    trials = pl.read_csv(tmp_path / "rig" / "trials.csv")
    assert set(trials["unit_id"].drop_nulls()) == {30, 7, 5}
    assert set(trials["image_class"]) == {"multi_cnn_mei", "natural", "blank"}
    value = json.loads(call("export", "--check", tmp_path / "rig", "--json").out)
    assert value["faults"] == []
    assert value["left_out"]["asked"] == ["1-1-1/11", "multi_lin_rf"]
    refused(export("--output", tmp_path / "rig"), USAGE, "holds another export")
    again = export("--output", tmp_path / "rig", *words)
    assert again.out.splitlines()[-1].endswith("nothing was done")


def test_a_dry_run_writes_nothing(export, tmp_path):
    assert export("--dry-run", "--output", tmp_path / "rig").status == 0
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_the_current_target_is_exported(export, call, kept, tmp_path):
    for words in ([], ["--next"]):
        said = export("--dry-run", "--json", *words, named=False)
        assert json.loads(said.out)["stimulus_set"] == str(kept[1])
    refused(export("--dry-run", "--next"), USAGE, "expected one of them")
    said = call("export", "--dry-run", "--loop-group", 7, "--store", kept[0].uri)
    refused(said, FAILED, "loop 7 has no target_static_group_id")
    said = call("export", "stimulus_set/ffff", "--dry-run", "--store", kept[0].uri)
    refused(said, USAGE, "'stimulus_set/ffff' means 0 artifacts")


def test_check_names_every_file_that_differs(export, call, tmp_path):
    export("--output", tmp_path / "rig")
    sound = call("export", "--check", tmp_path / "rig")
    assert sound.status == 0
    assert sound.out.startswith("27 files of the export of stimulus_set/")
    assert sound.out.endswith(" checked: all as they were written\n")
    (tmp_path / "rig" / "README.txt").write_text("x")
    spoilt = next((tmp_path / "rig" / "images").iterdir())
    spoilt.unlink()
    said = call("export", "--check", tmp_path / "rig")
    assert said.status == FAILED
    assert [line.split()[0] for line in said.out.splitlines()[:2]] == ["README.txt", f"images/{spoilt.name}"]
    value = json.loads(call("export", "--check", tmp_path / "rig", "--json").out)
    assert {fault["file"] for fault in value["faults"]} == {"README.txt", f"images/{spoilt.name}"}
    assert call("store", "ls", "--store", "memory://nothing").status == 0  # --check needs no store
    refused(call("export", "--check", tmp_path), FAILED, "manifest.json cannot be read")


@pytest.mark.parametrize(
    ("words", "status", "parts"),
    [
        ([], USAGE, ["got no --output", "--dry-run"]),
        (["--output", "x", "--minutes", "0"], USAGE, ["a session of 0 min"]),
        (
            ["--output", "x", "--minutes", "0.05"],
            USAGE,
            ["oracle images and blanks alone take 4", "give more time"],
        ),
        (["--output", "x", "--min-repeats", "2"], USAGE, ["--min-repeats has no --minutes"]),
        (["--output", "x", "--minutes", "1", "--min-repeats", "4"], USAGE, ["expected 1 to 3"]),
        (["--output", "x", "--format", "tiff"], USAGE, ["'tiff'", "png,npz,hdf5"]),
        (
            ["--output", "x", "--leave-out", "1-1-1/4"],
            USAGE,
            ["'1-1-1/4'", "such as 1-1-1/11, or a class of blank, multi_cnn_mei, multi_lin_rf, natural"],
        ),
        (
            ["--dry-run", "--leave-out", "blank,natural,multi_cnn_mei,multi_lin_rf"],
            USAGE,
            ["leaves nothing to show"],
        ),
        (["--check", "x"], USAGE, ["--check looks at a folder only"]),
        (["--output", "/proc/nowhere"], USAGE, ["cannot make a folder", "give another --output"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_typed_wrong_is_one_line_and_writes_nothing(
    export, tmp_path, monkeypatch, words, status, parts
):
    monkeypatch.chdir(tmp_path)
    refused(export(*words), status, *parts)
    assert list(tmp_path.iterdir()) == []


def test_another_kind_is_refused(call, kept):
    store, _ = kept
    said = call("export", "target_static_group_id", "--dry-run", "--store", store.uri)
    refused(said, USAGE, "is a target_static_group_id; expected a stimulus_set")


def test_export_and_what_it_reads_import_neither_prefect_nor_torch():
    code = (
        "import sys, flows.cli_export\n"
        "from inception_loop.stimuli import export, export_source, recognised, target_group\n"
        "print([name for name in ('prefect', 'torch') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert said.stdout.strip() == "[]"


def test_what_the_rig_showed_is_imported_as_conditions_of_the_set(export, call, kept, tmp_path):
    store, ref = kept
    export("--output", tmp_path / "rig", "--minutes", 0.5)
    planned = pl.read_csv(tmp_path / "rig" / "trials.csv")
    with np.load(tmp_path / "rig" / "images.npz") as bundle:
        images = np.concatenate([bundle["images"], np.zeros((1, 36, 64), np.uint8)])
    rows = np.append(planned["image_row"].to_numpy(), len(images) - 1)  # the rig's own black at the end
    responses = np.random.default_rng(1).random((len(rows), 3), dtype=np.float32)
    np.savez(tmp_path / "back.npz", images=images, image_row=rows, responses=responses)
    words = ("import", tmp_path / "back.npz", *SCAN, "--trace-kind", "spikes", "--store", store.uri)
    said = call(*words, "--export", tmp_path / "rig")
    assert said.status == FAILED
    assert "1 of 11 images (1 trials) are not in" in said.err
    said = call(*words, "--export", tmp_path / "rig", "--unmatched", "exclude")
    assert said.status == 0, said.err
    assert "of the stimulus set: 10 images (10 by their pixels) in 30 trials" in said.out
    assert "not of it: 1 images, their 1 trials excluded" in said.out
    assert "as planned: all 30 trials, in the planned order" in said.out
    by_name = call(*words, "--stimulus-set", str(ref), "--unmatched", "exclude", "--json")
    value = json.loads(by_name.out)
    assert value["found"]["n_not_shown"] == 10  # nobody said that the session was cut
    assert value["found"]["differences"][0].startswith("not shown at all: 10 images, multi_cnn_mei ")
    (made,) = value["refs"]["recording"]
    recording = load_recording(store, type(ref).model_validate(made))
    assert recording.trials["condition_hash"].to_list()[:-1] == planned["condition_hash"].to_list()
    refused(call(*words, "--export", tmp_path), FAILED, "expected the folder of an export")
