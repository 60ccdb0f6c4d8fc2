"""`inception-loop import`: a file becomes artifacts, and the lines printed make a dataset of it."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.member import load_member, member_names

SCAN = ("--animal-id", 4, "--session", 1, "--scan-idx", 1)
FAILED, USAGE = 1, 2


@pytest.fixture
def uri(tmp_path):
    return f"file://{tmp_path}/store"


@pytest.fixture
def recorded(tmp_path):
    """40 photographs of 48×48 px and 5 units: no eye, no treadmill, no places, no repeats, no area."""
    rng = np.random.default_rng(1)
    path = tmp_path / "v4.npz"
    np.savez(
        path,
        images=rng.integers(0, 256, (40, 48, 48), dtype=np.uint8),
        responses=rng.random((40, 5), dtype=np.float32),
    )
    return path


def committed(uri: str) -> list[Path]:
    return list(Path(uri.removeprefix("file://")).rglob("manifest.json"))


def test_a_plain_file_is_imported_and_the_printed_lines_make_a_dataset_of_it(call, recorded, uri, tmp_path):
    said = call("import", recorded, *SCAN, "--trace-kind", "spikes", "--store", uri)
    assert said.status == 0, said.err
    head, _, toml = said.out.partition("[[recordings]]")
    assert "scan 4-1-1: 40 trials of 40 images, 5 masks, spikes activity (plain); imported" in head
    assert "lacks: traces, flips, eye, treadmill, positions, areas, layers, repeats" in head
    config = tomllib.loads("[[recordings]]" + toml)["config"]
    assert config["missing"] == {"no_eye": "omit", "no_treadmill": "omit", "no_positions": "keep"}
    assert config["areas"] == {"otherwise": "unknown"}
    assert config["frame"] == {"col": 36}
    (tmp_path / "dataset.toml").write_text("[[recordings]]" + toml)
    ran = call("run", "dataset", "--config", tmp_path / "dataset.toml", "--store", uri, "--json")
    assert ran.status == 0, ran.err
    (ref,) = json.loads(ran.out)["refs"]["static_multi_dataset"]
    store, dataset = open_store(uri), ArtifactRef.model_validate(ref)
    (name,) = member_names(store, dataset)
    member = load_member(store, dataset, name)
    with np.load(recorded) as source:
        order = member.trial_idx - member.trial_idx.min()
        np.testing.assert_array_equal(member.responses, source["responses"][order])
    assert set(member.tier) == {"train", "validation", "test"}
    assert member.frames.shape == (40, 36, 36)


def test_a_second_import_finds_everything_there(call, recorded, uri):
    words = ("import", recorded, *SCAN, "--trace-kind", "spikes", "--store", uri, "--json")
    first = json.loads(call(*words).out)
    recorded = recorded.rename(recorded.with_name("moved"))
    again = json.loads(call("import", recorded, *words[2:]).out)
    assert (first["computed"], first["cached"]) == (5, 0)
    assert (again["computed"], again["cached"]) == (0, 5)
    assert again["refs"] == first["refs"]


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda path: path.unlink(), ["no file or folder", "expected a recording"]),
        (lambda path: path.write_bytes(b"hello"), ["no known format", "nwb, hdf5, sensorium, plain"]),
    ],
    ids=["absent", "no recording"],
)
def test_what_is_no_recording_is_refused_before_anything_starts(call, recorded, uri, spoil, parts):
    spoil(recorded)
    said = call("import", recorded, *SCAN, "--store", uri)
    assert said.status == FAILED
    assert said.out == ""
    assert said.err.count("\n") == 1
    for part in ["error: ", *parts]:
        assert part in said.err
    assert committed(uri) == []


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({}, "trace_kind"),
        ({"responses": np.full((40, 5), np.nan, np.float32)}, "all NaN"),
        ({"responses": np.ones((39, 5), np.float32)}, "39"),
        ({"images": np.array([None] * 40, dtype=object)}, "pickled Python objects"),
    ],
    ids=["kind of activity not said", "NaN only", "lengths disagree", "pickle"],
)
def test_a_wrong_recording_ends_in_one_line_and_leaves_nothing(call, recorded, uri, change, part):
    with np.load(recorded) as source:
        np.savez(recorded, **{**source, **change})
    kind = ("--trace-kind", "spikes") if change else ()
    said = call("import", recorded, *SCAN, *kind, "--store", uri)
    assert said.status == FAILED
    assert said.out == ""
    *before, last = said.err.splitlines()
    assert last.startswith("error: ")
    assert part in last
    assert not [line for line in before if "Traceback" in line or "error" in line.lower()]
    assert committed(uri) == []


def test_an_option_that_does_not_exist_is_wrong_usage(call, recorded, uri):
    said = call("import", recorded, *SCAN, "--format", "zarr", "--store", uri)
    assert said.status == USAGE
    assert said.err.count("\n") == 1
