"""Layouts written by hand: one NPZ, or a folder of tables; what is not said stays unknown."""

import io
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from inception_loop.errors import RecordingError
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.plain import read, recognises
from inception_loop.recordings.recording import Recording, ScanKey, Traces

SCAN = ScanKey(animal_id=7, session=2, scan_idx=3)
DOCS = Path(__file__).parents[2] / "docs"
V4 = Path(__file__).parents[3] / "shared" / "data" / "v4_210621.npz"
SPIKES = ReadOptions(trace_kind="spikes")
DECONVOLVED = ReadOptions(trace_kind="deconvolved")


def documented(sign: str) -> str:
    pages = [page.read_text() for page in sorted(DOCS.glob("**/*.md"))]
    blocks = [code for page in pages for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]
    return next(code for code in blocks if sign in code)


def refused(path: Path, options: ReadOptions, message: str) -> None:
    with pytest.raises(RecordingError, match=message) as caught:
        read(path, SCAN, options)
    assert len(str(caught.value).splitlines()) == 1


# One NPZ


@pytest.fixture
def members() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "images": rng.integers(0, 256, (6, 9, 16), dtype=np.uint8),
        "responses": rng.random((6, 3), dtype=np.float32),
    }


@pytest.fixture
def saved(tmp_path, members):
    def save(**changes) -> Path:
        np.savez(tmp_path / "session.npz", **{**members, **changes})
        return tmp_path / "session.npz"

    return save


def test_the_documented_lines_make_a_recording(tmp_path, monkeypatch):
    code = documented('"session.npz"')
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    path = tmp_path / "session.npz"
    assert recognises(path)
    got = read(path, SCAN, ReadOptions())
    with np.load(path) as said:
        np.testing.assert_array_equal(got.activity.values, said["responses"])
        shown = got.trials.join(got.conditions, on="condition_hash", maintain_order="left")
        np.testing.assert_array_equal(shown["image_row"], said["image_row"])
    assert got.trace_kind == "spikes"
    assert got.units["brain_area"].unique().to_list() == ["V1"]
    assert got.trials.group_by("condition_hash").len()["len"].unique().to_list() == [4]


def test_images_and_responses_are_enough_and_the_rest_is_not_known(saved, members):
    got = read(saved(), SCAN, SPIKES)
    np.testing.assert_array_equal(got.activity.values, members["responses"])
    np.testing.assert_array_equal(got.images, members["images"])
    assert got.trials["trial_idx"].to_list() == list(range(6))
    assert got.trials["condition_hash"].to_list() == [condition_hash(i, 0.5) for i in members["images"]]
    assert got.conditions["source_id"].to_list() == [""] * 6
    assert got.units.select("unit_id", "mask_type").rows() == [(0, "soma"), (1, "soma"), (2, "soma")]
    unknown = ["px_x", "px_y", "um_x", "um_y", "um_z", "ms_delay"]
    assert got.units.select(pl.col(unknown).is_nan().all()).row(0) == (True,) * 6
    assert got.fields.drop("field").row(0) == pytest.approx((np.nan,) * 7, nan_ok=True)
    assert {"brain_area", "layer"}.isdisjoint(got.units.columns)
    assert "tier" not in got.conditions.columns
    assert (got.eye, got.treadmill, got.calibration) == (None, None, None)
    assert got.stack_coordinates.height == got.excluded_trials.height == 0


def test_everything_that_may_be_said_is_read(saved, members):
    rng = np.random.default_rng(1)
    row = np.array([5, 0, 0, 3, 5, 1, 2])
    said = {name: rng.random(7) for name in ("pupil", "dpupil", "center_x", "center_y", "treadmill")}
    path = saved(
        responses=rng.random((7, 3)),
        image_row=row,
        trial_idx=np.arange(7) * 2,
        image_id=np.arange(6) + 10,
        image_class=["imagenet"] * 5 + ["blank"],
        source_id=list("aabbcd"),
        tier=["train", "", "test", "train", "", "validation"],
        unit_id=[7, 5, 6],
        mask_type=["soma", "axon", "unknown"],
        brain_area=["V1", "", "LM"],
        layer="L4",
        um_x=[1, 2, 3],
        um_z=[100.0, np.nan, 300.0],
        trace_kind="dff",
        **said,
    )
    got = read(path, SCAN, ReadOptions(brain_area="V4"))
    assert got.trace_kind == "dff"
    assert got.trials["trial_idx"].to_list() == [0, 2, 4, 6, 8, 10, 12]
    shown = got.trials.join(got.conditions, on="condition_hash", maintain_order="left")
    assert shown["image_row"].to_list() == row.tolist()
    assert shown["image_id"].to_list() == (row + 10).tolist()
    assert shown["source_id"].to_list() == [list("aabbcd")[r] for r in row]
    assert got.conditions.sort("image_row")["image_row"].to_list() == [0, 1, 2, 3, 5]
    assert got.conditions.sort("image_row")["tier"].to_list() == [
        "train",
        None,
        "test",
        "train",
        "validation",
    ]
    columns = ["unit_id", "mask_type", "brain_area", "layer", "um_x"]
    assert got.units.select(columns).rows() == [
        (7, "soma", "V1", "L4", 1.0),
        (5, "axon", "V4", "L4", 2.0),
        (6, "unknown", "LM", "L4", 3.0),
    ]
    np.testing.assert_array_equal(got.eye.pupil_radius, said["pupil"])
    np.testing.assert_array_equal(got.eye.pupil_derivative, said["dpupil"])
    np.testing.assert_array_equal(got.eye.center_y, said["center_y"])
    np.testing.assert_array_equal(got.treadmill.speed, said["treadmill"])


def test_trials_of_the_same_pixels_showed_the_same_condition(saved, members):
    images = members["images"].copy()
    images[4] = images[1]
    got = read(saved(images=images), SCAN, SPIKES)
    hashes = got.trials["condition_hash"]
    assert hashes[4] == hashes[1]
    assert got.conditions["image_row"].to_list() == [0, 1, 2, 3, 5]


def test_an_image_without_a_number_has_the_same_one_in_every_scan(saved, members):
    one = read(saved(), SCAN, SPIKES).conditions
    order = [3, 1, 0, 2, 4, 5]
    other = read(saved(images=members["images"][order]), SCAN, SPIKES).conditions
    assert [other["image_id"][order.index(row)] for row in range(6)] == one["image_id"].to_list()
    assert one["image_id"].n_unique() == 6


@pytest.mark.parametrize("dtype", ["int64", "uint16", ">f4", "float64"])
def test_grey_levels_of_other_types_are_the_same_grey_levels(saved, members, dtype):
    got = read(saved(images=members["images"].astype(dtype)), SCAN, SPIKES).images
    assert got.dtype == (np.float32 if "f" in dtype else np.uint8)
    np.testing.assert_array_equal(got, members["images"])


PIXELS = np.zeros((6, 9, 16))
BAD_MEMBERS = {
    "typo": (
        {"response": np.ones(3)},
        "has 'response', which nothing reads; expected only images, responses",
    ),
    "lengths": ({"responses": np.ones((5, 3))}, "6 images but 5 rows of responses.*add image_row"),
    "flat responses": ({"responses": np.ones(6)}, r"responses have shape \(6,\); expected \(trials, units\)"),
    "flat images": ({"images": np.zeros((6, 9), np.uint8)}, r"images are uint8 of shape \(6, 9\)"),
    "colour": ({"images": np.zeros((6, 9, 16, 3), np.uint8)}, r"images are uint8 of shape \(6, 9, 16, 3\)"),
    "bright": (
        {"images": PIXELS + np.eye(6)[2][:, None, None] * 300},
        "image 2 holds 300 to 300",
    ),
    "negative": ({"images": PIXELS.astype(int) - 1}, "image 0 holds -1 to -1; expected grey levels"),
    "no number": ({"images": PIXELS * np.nan}, "image 0 holds NaN"),
    "zero to one": ({"images": PIXELS + 0.5}, "multiply by 255"),
    "flags": ({"images": PIXELS.astype(bool)}, "images are bool"),
    "objects": (
        {"images": np.array([np.zeros((2, 2)), np.zeros((3, 3))], dtype=object)},
        "session.npz: images holds pickled Python objects, .* never loaded.*different sizes",
    ),
    "pickled": ({"pupil": np.array([1, None, 2, 3, 4, 5])}, "pupil holds pickled Python objects"),
    "structured": ({"pupil": np.zeros(6, [("x", "f8")])}, "is not readable"),
    "text as responses": ({"responses": np.full((6, 3), "a")}, "responses holds text; expected numbers"),
    "text as pupil": ({"pupil": list("abcdef")}, "eye.pupil_radius holds text; expected numbers"),
    "number as text": ({"layer": [1, 2, 3]}, "layer holds values of type int64; expected text"),
    "complex": ({"um_x": np.ones(3) * 1j}, "um_x holds values of type complex128"),
    "no UTF-8": ({"layer": [b"\xff", b"a", b"b"]}, "units.layer of row 0 is no UTF-8"),
    "row outside": ({"image_row": [0, 1, 2, 3, 4, 6]}, "trial 5 showed image_row 6"),
    "row before": ({"image_row": [0, 1, 2, 3, 4, -1]}, "trial 5 showed image_row -1"),
    "rows": ({"image_row": np.arange(5)}, r"image_row has shape \(5,\) but there are 6 trials"),
    "half a row": ({"image_row": np.arange(6) + 0.5}, "image_row of row 0 is 0.5; expected a whole number"),
    "overflow": ({"unit_id": np.array([1, 2**63, 3], np.uint64)}, "unit_id of row 1 is 9223372036854775808"),
    "large float": ({"unit_id": [1, 2, 1e300]}, "unit_id of row 2 is 1e.300; expected a whole number"),
    "infinite eye": ({"pupil": [1, 2, np.inf, 4, 5, 6]}, "eye.pupil_radius of row 2 is infinite"),
    "infinite place": ({"unit_id": [4, 2, 9], "um_x": [0, np.inf, 1]}, "units.um_x of unit 2 is infinite"),
    "infinite response": (
        {"responses": [[1, 2], [1, np.inf], *[[0, 0]] * 4]},
        "responses to trial 1 hold inf",
    ),
    "overflowing": ({"responses": np.full((6, 3), 1e300)}, "responses to trial 0 hold infinite"),
    "silent unit": ({"responses": np.ones((6, 2)) * [1, np.nan]}, "responses of unit 1 are all NaN"),
    "unit twice": ({"unit_id": [1, 2, 1]}, "unit_id 1 stands twice"),
    "trial twice": ({"trial_idx": [0, 1, 2, 3, 3, 4]}, "trial_idx 3 stands twice"),
    "trials out of order": ({"trial_idx": [0, 1, 3, 2, 4, 5]}, "trial 2 stands below trial 3"),
    "mask type": ({"mask_type": ["soma", "somata", "axon"]}, "unit 1 has mask_type 'somata'"),
    "empty mask type": ({"mask_type": ["soma", "", "axon"]}, "unit 1 has no mask_type"),
    "tier": ({"tier": ["train"] * 5 + ["tset"]}, "has tier 'tset'; expected one of train"),
    "units": ({"um_x": [1.0, 2.0]}, r"um_x has shape \(2,\) but there are 3 units"),
    "sources": ({"source_id": ["a"] * 5}, r"source_id has shape \(5,\) but there are 6 images"),
    "trace kind": ({"trace_kind": "raw"}, "trace_kind 'raw'; expected one of"),
    "other trace kind": (
        {"trace_kind": "dff"},
        "says its activity is dff but the option trace_kind is spikes",
    ),
    "trace kinds": ({"trace_kind": ["dff"] * 6}, "expected one text"),
    "one id": (
        {"image_id": [1, 2, 3, 4, 5, 5]},
        r"images 4 and 5 have the same image_id but differ in their pix",
    ),
}


@pytest.mark.parametrize("case", BAD_MEMBERS)
def test_what_is_wrong_with_a_member_is_said_in_one_line(saved, case):
    changes, message = BAD_MEMBERS[case]
    refused(saved(**changes), SPIKES, message)


def test_one_image_has_one_source(saved, members):
    images = members["images"].copy()
    images[4] = images[1]
    path = saved(images=images, source_id=list("abcdef"))
    refused(path, SPIKES, r"images 1 and 4 show the same pixels but differ in source_id \(b, e\)")


def test_what_the_activity_is_has_to_be_said(saved):
    refused(saved(), ReadOptions(), "does not say what its activity is.*give the option trace_kind")


@pytest.mark.parametrize("name", ["images", "responses"])
def test_a_member_without_which_nothing_can_be_done_is_named(tmp_path, members, name):
    del members[name]
    np.savez(tmp_path / "session.npz", **members)
    assert recognises(tmp_path / "session.npz")
    refused(tmp_path / "session.npz", SPIKES, f"has no {name}")


def test_an_archive_cut_short_is_refused(saved):
    path = saved()
    whole = path.read_bytes()
    for keep in (4, 40, 500, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:keep])
        recognises(path)
        refused(path, SPIKES, "session.npz is not readable")


def entry(shape: tuple[int, ...], data: bytes, dtype: str = "|u1") -> bytes:
    head = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, fields)
    return head.getvalue() + data


def test_an_archive_that_unpacks_out_of_all_proportion_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    n = 2**17
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", entry((n, 32, 32), bytes(n * 1024)))
    assert path.stat().st_size < 2**20
    refused(path, SPIKES, r"claims to hold 134217856 bytes in a file of \d+; expected at most 200 times")


def test_a_member_that_claims_more_than_it_has_is_refused(tmp_path):
    path = tmp_path / "claims.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", entry((2**40, 32, 32), bytes(100)))
    refused(path, SPIKES, "images claims an array of shape .* says 228")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(saved):
    path = saved()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("images.npy", entry((1, 1, 1), b"\0"))
    refused(path, SPIKES, "images stands twice")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("whole", [True, False])
def test_a_pickle_is_never_loaded(tmp_path, members, whole):
    path, sprung = tmp_path / "session.npz", tmp_path / "sprung"
    if whole:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", pickle.dumps(Trap(sprung)))
    else:
        np.savez(path, **members, pupil=np.array([Trap(sprung)] * 6, dtype=object))
    refused(path, SPIKES, "never loaded")
    assert not sprung.exists()


def test_other_files_are_not_recognised(tmp_path):
    np.savez(tmp_path / "twin.npz", conv0=np.zeros(3))
    (tmp_path / "text.npz").write_text("PK")
    (tmp_path / "zip.npz").write_bytes(b"PK\x03\x04 and nothing more")
    (tmp_path / "data").mkdir()
    assert not any(recognises(path) for path in tmp_path.iterdir())
    assert not recognises(tmp_path / "nothing")


@pytest.mark.skipif(not V4.is_file(), reason="the real recording is not here")
def test_a_real_recording_reads_as_it_is():
    assert recognises(V4)
    got = read(V4, SCAN, ReadOptions(trace_kind="spikes", brain_area="V4", layer="unset"))
    with np.load(V4) as said:
        np.testing.assert_array_equal(got.images, said["images"])
        np.testing.assert_array_equal(got.activity.values, said["responses"])
        same = [
            a
            for a, b in zip(said["images"], got.trials["condition_hash"], strict=True)
            if condition_hash(a, 0.5) == b
        ]
    assert len(same) == got.trials.height == 1200
    assert got.conditions.height == 1198  # two photographs are there twice, with the same pixels
    assert got.units.select("brain_area", "layer", "mask_type").unique().rows() == [("V4", "unset", "soma")]
    assert not V4.with_name("twin_26872.npz").is_file() or not recognises(V4.with_name("twin_26872.npz"))


# A folder


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder as the documentation writes it."""
    monkeypatch.chdir(tmp_path)
    exec(documented('Path("session")'), {})
    return tmp_path / "session"


def test_the_documented_folder_makes_a_recording(folder):
    assert recognises(folder)
    got = read(folder, SCAN, DECONVOLVED)
    assert isinstance(got.activity, Traces)
    assert not isinstance(got.activity.values, np.ndarray)  # it stays on disk
    np.testing.assert_array_equal(got.activity.values[3:9], np.load(folder / "traces.npy")[3:9])
    np.testing.assert_array_equal(got.images, np.load(folder / "images.npy"))
    eye = pl.read_parquet(folder / "eye.parquet")
    np.testing.assert_array_equal(got.eye.pupil_radius, eye["pupil_radius"])
    assert np.isnan(got.eye.center_x).all()
    shown = got.trials.join(got.conditions, on="condition_hash", maintain_order="left")
    assert shown["image_row"].to_list() == [row % 60 for row in range(200)]
    assert got.treadmill is None


def as_npz(path: Path) -> None:
    frame = pl.read_parquet(path)
    np.savez(path.with_suffix(".npz"), **{c.name: np.array(c.to_list()) for c in frame})
    path.unlink()


def same(one: Recording, other: Recording) -> bool:
    tables = ("trials", "conditions", "units", "fields", "stack_coordinates", "excluded_trials")
    return all(getattr(one, name).equals(getattr(other, name), null_equal=True) for name in tables)


def test_a_table_says_the_same_as_parquet_and_as_npz(folder):
    one = read(folder, SCAN, DECONVOLVED)
    for name in ("units", "trials", "eye"):
        as_npz(folder / f"{name}.parquet")
    other = read(folder, SCAN, DECONVOLVED)
    assert same(one, other)
    np.testing.assert_array_equal(one.eye.pupil_radius, other.eye.pupil_radius)


def test_images_say_the_same_as_npy_npz_and_one_by_one(folder):
    one = read(folder, SCAN, DECONVOLVED)
    images = np.load(folder / "images.npy")
    (folder / "images.npy").unlink()
    np.savez(folder / "images.npz", images=images)
    assert same(one, read(folder, SCAN, DECONVOLVED))
    (folder / "images.npz").unlink()
    (folder / "images").mkdir()
    for row, image in enumerate(images):
        np.save(folder / "images" / f"{row}.npy", image)
    got = read(folder, SCAN, DECONVOLVED)
    assert same(one, got)
    np.testing.assert_array_equal(got.images, images)


def test_every_table_of_a_recording_can_be_handed_over(folder):
    write = {
        "units": {
            "unit_id": range(25), "field": [1, *[1, 2] * 12], "ms_delay": [0.0] * 25,
            "mask_type": ["soma"] * 25,
        },
        "fields": {"field": [1, 2], "px_height": [256, 256], "z": [100.0, None]},
        "conditions": {"condition_hash": ["a", "b"], "image_row": [4, 2], "tier": ["test", None]},
        "trials": {
            "trial_idx": [3, 4], "condition_hash": ["b", "a"], "onset_flip": [12.0, 13.0],
            "offset_flip": [12.5, None], "clear_flip": [11.9, 12.9],
        },
        "treadmill": {"time": [40.0, 41.0], "velocity": [1.0, None]},
        "stack_coordinates": {
            "stack_session": [9], "stack_idx": [1], "field": [1], "unit_id": [4],
            "stack_x": [1.0], "stack_y": [2.0], "stack_z": [3.0],
        },
        "calibration": {"pixel_value": [0, 255], "luminance": [0.1, 20.0], "timestamp": ["2019-01-01"] * 2},
        "excluded_trials": {"trial_idx": [3], "reason": ["asleep"]},
    }  # fmt: skip
    for name, columns in write.items():
        pl.DataFrame(columns).write_parquet(folder / f"{name}.parquet")
    got = read(folder, SCAN, DECONVOLVED)
    assert got.fields.select("field", "px_height", "z").rows(named=False)[0] == (1, 256.0, 100.0)
    assert np.isnan(got.fields["z"][1])
    assert np.isnan(got.trials["offset_flip"][1])
    assert got.trials["clear_flip"].to_list() == [11.9, 12.9]
    assert got.conditions.select("condition_hash", "image_class", "image_row", "tier").rows() == [
        ("a", "natural", 4, "test"),
        ("b", "natural", 2, None),
    ]
    assert np.isnan(got.treadmill.velocity[1])
    assert got.stack_coordinates["stack_z"].to_list() == [3.0]
    assert got.excluded_trials.rows() == [(3, "asleep")]
    assert got.calibration.timestamp == "2019-01-01"


def test_the_time_an_image_was_on_is_part_of_its_condition(folder):
    trials = pl.read_parquet(folder / "trials.parquet")
    jitter = pl.col("onset_flip") + 0.7 + 0.004 * (pl.int_range(pl.len()) % 2)
    trials.with_columns(offset_flip=jitter).write_parquet(folder / "trials.parquet")
    got = read(folder, SCAN, DECONVOLVED)
    assert got.trials["condition_hash"][5] == condition_hash(got.images[5], 0.7)


@pytest.fixture
def binned(folder) -> Path:
    """The documented folder with responses instead of traces."""
    for name in ("traces.npy", "clocks.npz", "eye.parquet"):
        (folder / name).unlink()
    pl.DataFrame({"image_row": range(60)}).write_parquet(folder / "trials.parquet")
    np.save(folder / "responses.npy", np.random.default_rng(0).random((60, 25)))
    return folder


def test_responses_may_be_an_array_or_a_table_called_by_unit(binned):
    values = np.load(binned / "responses.npy").astype(np.float32)
    np.testing.assert_array_equal(read(binned, SCAN, DECONVOLVED).activity.values, values)
    (binned / "responses.npy").unlink()
    frame = pl.DataFrame(values, schema=[str(unit) for unit in range(25)])
    frame.write_parquet(binned / "responses.parquet")
    np.testing.assert_array_equal(read(binned, SCAN, DECONVOLVED).activity.values, values)
    frame.select(reversed(frame.columns)).write_parquet(binned / "responses.parquet")
    refused(binned, DECONVOLVED, "or in another order")
    frame.rename({"3": "three"}).write_parquet(binned / "responses.parquet")
    refused(binned, DECONVOLVED, "expected one a unit, called by its unit_id")
    frame.select(pl.col("0").cast(pl.String), pl.exclude("0")).write_parquet(binned / "responses.parquet")
    refused(binned, DECONVOLVED, r"responses.parquet: 0 holds text; expected numbers")


def test_behaviour_of_each_trial_may_come_with_responses(binned):
    pl.DataFrame({"pupil_radius": range(60)}).write_parquet(binned / "eye.parquet")
    pl.DataFrame({"speed": range(60)}).write_parquet(binned / "treadmill.parquet")
    got = read(binned, SCAN, DECONVOLVED)
    assert got.eye.pupil_radius[9] == got.treadmill.speed[9] == 9
    pl.DataFrame({"speed": range(59)}).write_parquet(binned / "treadmill.parquet")
    refused(binned, DECONVOLVED, "treadmill has 60 trials but 59 values of speed")
    pl.DataFrame({"speeds": range(60)}).write_parquet(binned / "treadmill.parquet")
    refused(binned, DECONVOLVED, "treadmill has 'speeds', which nothing reads; expected only time, vel")


def table(name, **columns):
    def change(folder: Path) -> None:
        frame = pl.read_parquet(folder / f"{name}.parquet")
        frame.with_columns(**columns).write_parquet(folder / f"{name}.parquet")

    return change


def array(name, change):
    return lambda folder: np.save(folder / f"{name}.npy", change(np.load(folder / f"{name}.npy")))


def clocks(change):
    def write(folder: Path) -> None:
        with np.load(folder / "clocks.npz") as members:
            said = dict(members)
        np.savez(folder / "clocks.npz", **change(said))

    return write


def cut(name, keep):
    def change(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:keep])

    return change


def gone(name):
    return lambda folder: (folder / name).unlink()


def outside(name):
    def change(folder: Path) -> None:
        shutil.move(folder / name, folder.parent / name)
        (folder / name).symlink_to(Path("..") / name)

    return change


def two_sizes(folder: Path) -> None:
    (folder / "images.npy").unlink()
    (folder / "images").mkdir()
    for row in range(60):
        np.save(folder / "images" / f"{row}.npy", np.zeros((36, 64 + (row == 7)), np.uint8))


def one_left_out(folder: Path) -> None:
    two_sizes(folder)
    (folder / "images" / "7.npy").unlink()


def image_outside(folder: Path) -> None:
    two_sizes(folder)
    shutil.move(folder / "images" / "7.npy", folder.parent / "7.npy")
    (folder / "images" / "7.npy").symlink_to("../../7.npy")


def pickled(name):
    return lambda folder: np.save(folder / name, np.array([Trap(folder / "sprung")], dtype=object))


def at(row, value, otherwise):
    return pl.when(pl.int_range(pl.len()) == row).then(value).otherwise(otherwise)


def nan_at(values: np.ndarray) -> np.ndarray:
    values[3] = np.nan
    return values


def backwards(members: dict) -> dict:
    return {**members, "frame_times": members["frame_times"][::-1]}


BAD_FOLDERS = {
    "unknown file": (
        lambda f: pl.DataFrame().write_parquet(f / "eyes.parquet"),
        "has 'eyes.parquet', which noth",
    ),
    "two forms": (
        lambda f: np.savez(f / "units.npz", unit_id=range(25)),
        "has both units.npz and units.parquet",
    ),
    "no trials": (gone("trials.parquet"), "has no trials.parquet"),
    "no images": (gone("images.npy"), "has no images.npy"),
    "no activity": (gone("traces.npy"), "has neither of traces and responses"),
    "no clocks": (gone("clocks.npz"), "has traces but no frame_times"),
    "one clock": (clocks(lambda c: {"frame_times": c["frame_times"]}), "no behavior_frame_times"),
    "misspelt clock": (clocks(lambda c: {**c, "frames": [1.0]}), "has 'frames', which nothing reads"),
    "backward clock": (clocks(backwards), "frame_times does not increase at sample 1"),
    "text clock": (clocks(lambda c: {**c, "frame_times": ["a"]}), "frame_times holds text; expected numbers"),
    "backward eye": (table("eye", time=-pl.col("time")), "eye.time does not increase at sample 1"),
    "units last": (array("traces", np.transpose), r"traces have shape \(2000, 25\); expected \(25 units"),
    "flat traces": (array("traces", np.ravel), r"traces have shape \(50000,\)"),
    "text traces": (
        array("traces", lambda v: v[:, :5].astype(str)),
        "traces.npy holds text; expected numbers",
    ),
    "lost trace": (array("traces", nan_at), "trace of unit 3 is all NaN"),
    "overflowing": (array("traces", lambda v: v.astype(float) + 1e300), "trace of unit 0 holds infinite"),
    "trials out of order": (table("trials", onset_flip=-pl.col("onset_flip")), "trial 1 has an onset before"),
    "trial twice": (table("trials", trial_idx=pl.lit(4)), "trial_idx 4 stands twice"),
    "null trial": (table("trials", trial_idx=at(7, None, 1)), "trial_idx of row 7 is nan; expected a whole"),
    "unit twice": (table("units", unit_id=pl.col("unit_id") // 2), "unit_id 0 stands twice"),
    "mask type": (
        table("units", mask_type=at(4, pl.lit("cell"), pl.lit("soma"))),
        "unit 4 has mask_type 'cell'",
    ),
    "no mask type": (table("units", mask_type=at(4, None, pl.lit("soma"))), "unit 4 has no mask_type"),
    "infinite place": (table("units", um_x=at(4, float("inf"), 1.0)), "um_x of unit 4 is infinite"),
    "text place": (table("units", um_x=pl.lit("a")), "units.um_x holds text; expected numbers"),
    "dates": (table("units", um_x=pl.date(2020, 1, 1)), "units.um_x holds values of type Date"),
    "lists": (
        table("units", um_x=pl.concat_list(pl.lit(1.0))),
        r"units.um_x has shape|expected one value a row",
    ),
    "overflow": (table("units", field=pl.lit(2**63, pl.UInt64)), "field of unit 0 is 9223372036854775808"),
    "misspelt column": (table("units", um_xx=pl.lit(1.0)), "units has 'um_xx', which nothing reads"),
    "stray field": (table("units", field=pl.lit(None, pl.Int64)), "field of unit 0 is nan"),
    "image row": (table("trials", image_row=pl.lit(60)), "trial 0 showed image_row 60"),
    "both ways": (
        table("trials", condition_hash=pl.lit("a")),
        "expected condition_hash or image_row, and not",
    ),
    "two sizes": (two_sizes, r"7.npy is uint8 of shape \(36, 65\) but 0.npy is uint8 of \(36, 64\)"),
    "one left out": (one_left_out, "has 59.npy; expected one image each"),
    "pickled images": (pickled("images.npy"), "images.npy holds pickled Python objects"),
    "pickled traces": (pickled("traces.npy"), "traces.npy holds pickled Python objects"),
    "only a pickle": (lambda f: (f / "images.npy").write_bytes(pickle.dumps(1)), "images.npy is a pickle"),
    "short array": (cut("images.npy", -1), "images.npy claims an array of shape"),
    "short traces": (cut("traces.npy", 1000), "traces.npy claims an array of shape"),
    "short header": (cut("traces.npy", 30), "traces.npy is not readable"),
    "short table": (cut("units.parquet", -20), "units.parquet is not readable"),
    "short clocks": (cut("clocks.npz", -20), "clocks.npz is not readable"),
    "table outside": (outside("units.parquet"), "leads out of the folder"),
    "traces outside": (outside("traces.npy"), "leads out of the folder"),
    "image outside": (image_outside, "leads out of the folder"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(folder, case):
    change, message = BAD_FOLDERS[case]
    change(folder)
    refused(folder, DECONVOLVED, message)
    assert not (folder / "sprung").exists()


def test_masks_of_traces_have_to_be_classified_or_taken_as_somata(folder):
    units = pl.read_parquet(folder / "units.parquet")
    units.drop("mask_type").write_parquet(folder / "units.parquet")
    refused(folder, DECONVOLVED, "units lack mask_type.*masks='soma'")
    got = read(folder, SCAN, ReadOptions(trace_kind="deconvolved", masks="soma"))
    assert got.units["mask_type"].unique().to_list() == ["soma"]


def test_a_table_that_unpacks_out_of_all_proportion_is_refused(folder):
    pl.DataFrame({"time": pl.repeat(None, 20_000_000, dtype=pl.Float64, eager=True)}).write_parquet(
        folder / "eye.parquet"
    )
    refused(folder, DECONVOLVED, "eye.parquet claims to hold 160000000 bytes")


def test_other_things_in_the_folder_are_passed_over(folder):
    (folder / "README.md").write_text("ours")
    (folder / ".hidden.npy").write_text("theirs")
    (folder / "notes").mkdir()
    assert recognises(folder)
    read(folder, SCAN, DECONVOLVED)
