"""One HDF5 file: what is written is read back the same, and damage or doubt ends in one line."""

import gc
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inception_loop.errors import RecordingError
from inception_loop.recordings.hdf5 import read, recognises, write_hdf5
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import (
    MASK_TYPES,
    Calibration,
    EyeTrace,
    Recording,
    ScanKey,
    Traces,
    TreadmillTrace,
    TrialEye,
    TrialResponses,
    TrialTreadmill,
)

SCAN = ScanKey(animal_id=7, session=2, scan_idx=3)
SILENT = ReadOptions()
TABLES = ("trials", "conditions", "units", "fields", "stack_coordinates", "excluded_trials")
DOCS = Path(__file__).parents[2] / "docs"


def assert_same(one: Recording, other: Recording) -> None:
    assert (one.scan, one.trace_kind) == (other.scan, other.trace_kind)
    for name in TABLES:
        a, b = getattr(one, name), getattr(other, name)
        assert a.schema == b.schema, name
        assert a.equals(b, null_equal=True), name
    assert one.images.dtype == other.images.dtype
    np.testing.assert_array_equal(one.images, other.images)
    for name in ("activity", "eye", "treadmill", "calibration"):
        a, b = getattr(one, name), getattr(other, name)
        assert type(a) is type(b), name
        for column, values in vars(a).items() if a is not None else ():
            if isinstance(values, str):
                assert values == getattr(b, column)
                continue
            np.testing.assert_array_equal(values[:], getattr(b, column)[:])
            assert values.dtype == getattr(b, column).dtype, column


def rising(n: int) -> st.SearchStrategy[np.ndarray]:
    steps = hnp.arrays(np.float64, n, elements=st.floats(0.001, 1e3))
    return st.builds(lambda first, step: first + np.cumsum(step), st.floats(-1e3, 1e3), steps)


def column(n: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, n, elements=st.floats(allow_infinity=False))


@st.composite
def flips(draw: st.DrawFn, n: int) -> dict[str, np.ndarray]:
    """Draw rising flips, blank, on, off, on, off, …, some of them not known."""
    times = draw(rising(3 * n)).reshape(n, 3).T
    lost = draw(hnp.arrays(bool, (3, n)))
    return dict(zip(("clear_flip", "onset_flip", "offset_flip"), np.where(lost, np.nan, times), strict=True))


def whole(n: int, *, unique: bool = False) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n, unique=unique)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


def texts(n: int, of: st.SearchStrategy[str | None] = TEXT) -> st.SearchStrategy[pl.Series]:
    return st.lists(of, min_size=n, max_size=n).map(lambda values: pl.Series(values, dtype=pl.String))


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    n, k, t, f, m = (draw(st.integers(1, 4)) for _ in range(5))
    maybe = st.one_of(st.none(), TEXT.filter(bool))
    hashes = draw(st.lists(TEXT, min_size=k, max_size=k, unique=True))
    fields = draw(whole(f, unique=True))
    trials = {
        "trial_idx": draw(whole(t, unique=True)),
        "condition_hash": draw(texts(t, st.sampled_from(hashes))),
        **draw(flips(t)),
    }
    n_images = draw(st.integers(1, 3))
    conditions = {
        "condition_hash": hashes,
        "image_class": draw(texts(k, TEXT.filter(bool))),
        "image_id": draw(whole(k)),
        "source_id": draw(texts(k)),
        "image_row": draw(st.lists(st.integers(0, n_images - 1), min_size=k, max_size=k)),
    }
    if draw(st.booleans()):
        conditions["tier"] = draw(texts(k, st.sampled_from(["train", "validation", "test", None])))
    units = {
        "unit_id": draw(whole(n, unique=True)),
        "field": draw(st.lists(st.sampled_from(fields), min_size=n, max_size=n)),
        **{name: draw(column(n)) for name in ("px_x", "px_y", "um_x", "um_y", "um_z")},
        "ms_delay": draw(hnp.arrays(np.float64, n, elements=st.floats(0, 200))),
        "mask_type": draw(texts(n, st.sampled_from(MASK_TYPES))),
        **{name: draw(texts(n, maybe)) for name in ("brain_area", "layer") if draw(st.booleans())},
    }
    size = ("px_height", "px_width", "um_height", "um_width", "x", "y", "z")
    single = st.floats(width=32, allow_nan=False, allow_infinity=False)
    images = draw(
        st.one_of(
            hnp.arrays(np.uint8, (n_images, 2, 3)),
            hnp.arrays(np.float32, (n_images, 2, 3), elements=st.floats(0, 255, width=32)).filter(
                lambda levels: levels.max() > 1
            ),
        )
    )
    traces = draw(st.booleans())
    n_frames = draw(st.integers(2, 6))
    if traces:
        longer = draw(st.integers(-1, 1))
        values = draw(hnp.arrays(np.float32, (n, n_frames + longer), elements=single))
        values[:, 1:][draw(hnp.arrays(bool, values[:, 1:].shape))] = np.nan
        activity = Traces(values, draw(rising(n_frames)), draw(rising(n_frames)))
    else:
        activity = TrialResponses(draw(hnp.arrays(np.float32, (t, n), elements=single)))
    eyes = st.one_of(st.none(), st.builds(TrialEye, column(t), column(t), column(t), column(t)))
    runs = st.one_of(st.none(), st.builds(TrialTreadmill, column(t)))
    if traces:
        eyes |= st.builds(EyeTrace, rising(m + 1), column(m + 1), column(m + 1), column(m + 1))
        runs |= st.builds(TreadmillTrace, rising(m + 1), column(m + 1))
    level = st.floats(0, 255)
    measured = st.builds(
        Calibration,
        hnp.arrays(np.float64, m, elements=level),
        hnp.arrays(np.float64, m, elements=level),
        TEXT,
    )
    stack = {name: draw(whole(m)) for name in ("stack_session", "stack_idx", "field", "unit_id")}
    parts = {}
    if draw(st.booleans()):
        parts["stack_coordinates"] = pl.DataFrame(
            {**stack, **{name: draw(column(m)) for name in ("stack_x", "stack_y", "stack_z")}}
        )
        some = draw(st.lists(st.sampled_from(trials["trial_idx"]), min_size=1, unique=True))
        parts["excluded_trials"] = pl.DataFrame({"trial_idx": some, "reason": draw(texts(len(some)))})
    return Recording(
        scan=ScanKey(animal_id=draw(st.integers(0, 2**40)), session=0, scan_idx=1),
        trace_kind=draw(st.sampled_from(["deconvolved", "dff", "spikes"])),
        activity=activity,
        trials=pl.DataFrame(trials),
        conditions=pl.DataFrame(conditions),
        images=images,
        units=pl.DataFrame(units),
        fields=pl.DataFrame({"field": fields, **{name: draw(column(f)) for name in size}}),
        eye=draw(eyes),
        treadmill=draw(runs),
        calibration=draw(st.one_of(st.none(), measured)),
        **parts,
    )


@settings(max_examples=60)
@given(recording=recordings())
def test_what_is_written_is_read_back_the_same(tmp_path_factory, recording):
    path = tmp_path_factory.mktemp("identity") / "scan.h5"
    write_hdf5(recording, path)
    assert recognises(path)
    assert_same(recording, read(path, recording.scan, SILENT))


def test_a_recording_makes_the_same_bytes_again(tmp_path, recording):
    for name in ("a.h5", "b.h5"):
        write_hdf5(recording, tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.fixture
def path(tmp_path, recording) -> Path:
    write_hdf5(recording, tmp_path / "scan.h5")
    return tmp_path / "scan.h5"


def test_traces_stay_on_disk_in_blocks_of_units(tmp_path, parts):
    rng = np.random.default_rng(0)
    n, frames = 300, 5000
    clock = np.arange(frames) / 8
    many = pl.concat([parts["units"].head(1)] * n).with_columns(unit_id=pl.int_range(n, dtype=pl.Int64))
    values = rng.random((n, frames), dtype=np.float32)
    recording = Recording(**{**parts, "units": many, "activity": Traces(values, clock, clock)})
    write_hdf5(recording, tmp_path / "scan.h5")
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file["traces"].dtype == np.float32
        assert file["traces"].chunks[1] == frames
        assert 2**18 < np.prod(file["traces"].chunks) * 4 <= 2**20
        assert file["traces"].attrs["unit"] == b"activity, arbitrary unit"
        assert file["units/um_x"].attrs["unit"].decode() == "µm"
    got = read(tmp_path / "scan.h5", SCAN, SILENT).activity.values
    gc.collect()
    assert not isinstance(got, np.ndarray)
    np.testing.assert_array_equal(got[37:141], values[37:141])


def test_a_file_may_be_written_over_the_one_that_it_is_read_from(path, recording):
    write_hdf5(read(path, SCAN, SILENT), path)
    assert_same(recording, read(path, SCAN, SILENT))


def test_a_failure_leaves_the_old_file_and_nothing_else(path, recording):
    class Broken:
        shape, dtype = recording.activity.values.shape, np.dtype(np.float32)
        sound = True

        def __getitem__(self, rows):
            if self.sound:
                return recording.activity.values[rows]
            raise OSError("the disk is gone")

    rows = Broken()
    broken = replace(recording, activity=replace(recording.activity, values=rows))
    rows.sound = False
    before = path.read_bytes()
    with pytest.raises(RecordingError, match=r"cannot be written .*the disk is gone"):
        write_hdf5(broken, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(RecordingError, match="cannot be written"):
        write_hdf5(recording, path.parent / "nowhere" / "scan.h5")


def test_a_text_with_a_nul_cannot_be_written(tmp_path, parts):
    parts["excluded_trials"] = pl.DataFrame({"trial_idx": [1], "reason": ["a\0b"]})
    with pytest.raises(RecordingError, match="excluded_trials/reason holds a NUL"):
        write_hdf5(Recording(**parts), tmp_path / "scan.h5")
    assert not list(tmp_path.iterdir())


def documented(format_of: str) -> str:
    pages = [page.read_text() for page in sorted(DOCS.glob("**/*.md"))]
    blocks = [code for page in pages for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]
    return next(code for code in blocks if format_of in code)


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Path:
    """A file as the documentation writes it."""
    monkeypatch.chdir(tmp_path)
    exec(documented("h5py.File("), {})
    return tmp_path / "scan.h5"


def test_the_documented_lines_make_a_recording(lab):
    assert recognises(lab)
    got = read(lab, SCAN, ReadOptions(brain_area="V1"))
    with h5py.File(lab) as file:
        np.testing.assert_array_equal(got.activity.values[:], file["traces"][()])
        np.testing.assert_array_equal(got.images, file["images"][()])
        np.testing.assert_array_equal(got.treadmill.velocity, file["treadmill/velocity"][()])
        np.testing.assert_array_equal(got.trials["onset_flip"], file["trials/onset_flip"][()])
    rows = got.trials.join(got.conditions, on="condition_hash", maintain_order="left")["image_row"]
    np.testing.assert_array_equal(rows, np.arange(200) % 60)
    assert got.trials["offset_flip"].is_nan().all()
    assert got.units["um_z"].is_nan().all()
    assert got.units["brain_area"].unique().to_list() == ["V1"]
    assert "layer" not in got.units.columns
    assert got.eye is None
    assert got.fields.height == 1


def test_traces_of_another_type_become_float32(lab):
    with h5py.File(lab, "r+") as file:
        values = file["traces"][()].astype(">f8")
        del file["traces"]
        file["traces"] = values
    np.testing.assert_array_equal(
        read(lab, SCAN, SILENT).activity.values[3:5], values[3:5].astype(np.float32)
    )


def test_trials_of_the_documented_lines_may_be_binned(lab):
    with h5py.File(lab, "r+") as file:
        for name in ("traces", "frame_times", "behavior_frame_times", "treadmill", "units"):
            del file[name]
        file["responses"] = np.ones((200, 4))
        file["eye/pupil_radius"] = np.arange(200.0)
    got = read(lab, SCAN, SILENT)
    assert got.activity.values.dtype == np.float32
    assert got.units["unit_id"].to_list() == [0, 1, 2, 3]
    assert got.units["mask_type"].unique().to_list() == ["soma"]
    assert got.eye.pupil_radius[7] == 7
    assert np.isnan(got.eye.pupil_derivative).all()


def put(name, values, **how):
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        if values is not None:
            file.create_dataset(name, data=values, **how)

    return change


def changed(name, change):
    return lambda file: put(name, change(file[name][()]))(file)


def say(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def link(name, to):
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = to

    return change


def virtual(file: h5py.File) -> None:
    del file["traces"]
    layout = h5py.VirtualLayout((25, 2000), np.float32)
    layout[...] = h5py.VirtualSource("other.h5", "traces", (25, 2000))
    file.create_virtual_dataset("traces", layout)


def external(file: h5py.File) -> None:
    del file["traces"]
    file.create_dataset("traces", (25, 2000), np.float32, external=[("/etc/passwd", 0, 200_000)])


def unwritten(file: h5py.File) -> None:
    values = file["traces"][()]
    del file["traces"]
    file.create_dataset("traces", (25, 2000), np.float32, chunks=(5, 2000))[:20] = values[:20]


def claim(name, shape, **how):
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, shape, np.float32, **how)

    return change


def with_nan(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[3] = np.nan
    return values


def with_infinity(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[(3, *[0] * (values.ndim - 1))] = np.inf
    return values


def swapped(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[[5, 6]] = values[[6, 5]]
    return values


LISTS = np.empty(25, object)
LISTS[:] = [np.arange(2.0) for _ in LISTS]
BAD = {
    "no format": (lambda file: file.attrs.pop("format"), r"attribute format = None"),
    "format of numbers": (say("format", 7), "attribute format is no text"),
    "other format": (say("format", "ours/1"), "expected 'inception-loop-recording/1'"),
    "later version": (say("format", "inception-loop-recording/2"), "is of version 2.*expected version 1"),
    "trace kind": (say("trace_kind", "raw"), "trace_kind 'raw'; expected one of deconvolved, dff, spikes"),
    "other scan": (say("animal_id", 8), "says animal_id 8 but is read as scan 7-2-3"),
    "scan in words": (say("session", "two"), "attribute session is no whole number"),
    "unknown dataset": (put("trace", [1.0]), "has 'trace', which nothing reads; expected only images"),
    "unknown column": (put("units/um_xx", [1.0] * 25), "units has 'um_xx', which nothing reads"),
    "table as dataset": (put("eye", [1.0]), "eye is a dataset; expected a group"),
    "no images": (put("images", None), "has no images"),
    "no activity": (put("traces", None), "has neither of traces and responses"),
    "both": (put("responses", np.ones((200, 25))), "has both of traces and responses"),
    "no clock": (put("frame_times", None), "no frame_times"),
    "one clock": (put("behavior_frame_times", None), "no behavior_frame_times"),
    "no onsets": (put("trials/onset_flip", None), "trials lack onset_flip"),
    "units last": (changed("traces", np.transpose), r"traces have shape \(2000, 25\)"),
    "flat traces": (changed("traces", np.ravel), r"traces have shape \(50000,\); expected \(units, frames\)"),
    "frames disagree": (changed("frame_times", lambda c: c[:-3]), "1997 frame times but 2000"),
    "lost trace": (changed("traces", with_nan), "trace of unit 3 is all NaN"),
    "infinite trace": (
        changed("traces", with_infinity),
        "unit 3 holds infinite",
    ),
    "overflowing trace": (changed("traces", lambda v: v.astype(float) + 1e300), "unit 0 holds infinite"),
    "text as traces": (put("traces", [["a"] * 5] * 25), "traces holds .*expected numbers"),
    "references": (
        lambda file: put("units/um_x", [file.ref] * 25, dtype=h5py.ref_dtype)(file),
        "um_x holds .*expected numbers",
    ),
    "lists": (
        put("units/um_x", LISTS, dtype=h5py.vlen_dtype(float)),
        "um_x holds .*expected numbers",
    ),
    "backward clock": (changed("frame_times", swapped), "frame_times does not increase at sample 6"),
    "backward treadmill": (changed("treadmill/time", swapped), "treadmill.time does not increase"),
    "infinite clock": (
        changed("frame_times", with_infinity),
        "frame_times of row 3 is inf",
    ),
    "trials out of order": (changed("trials/onset_flip", swapped), "trial 6 has an onset before"),
    "trial twice": (put("trials/trial_idx", [1] * 200), "trial_idx 1 stands twice"),
    "unit twice": (changed("units/unit_id", lambda ids: ids // 2), "unit_id 0 stands twice"),
    "mask type": (put("units/mask_type", ["soma"] * 24 + ["somata"]), "unit 24 has mask_type 'somata'"),
    "no mask type": (put("units/mask_type", None), "units lack mask_type.*masks='soma'"),
    "empty mask type": (put("units/mask_type", ["soma", ""] + ["soma"] * 23), "unit 1 has no mask_type"),
    "mask types in numbers": (put("units/mask_type", np.arange(25)), "mask_type holds .*expected text"),
    "text as number": (put("units/um_x", ["a"] * 25), "um_x holds text; expected numbers"),
    "fraction": (put("units/unit_id", np.arange(25) + 0.5), r"unit_id of row 0 is 0.5; expected a whole"),
    "overflow": (put("units/field", np.full(25, 2**63, np.uint64)), "field of unit 0 is 9223372036854775808"),
    "infinite position": (put("units/um_x", np.r_[np.zeros(24), np.inf]), "um_x of unit 24 is infinite"),
    "lengths": (put("units/um_x", np.zeros(24)), "um_x has 24 values but .* has 25"),
    "two dimensions": (put("units/um_x", np.zeros((25, 1))), r"um_x has shape \(25, 1\)"),
    "image row": (changed("trials/image_row", lambda rows: rows + 1), "trial 59 showed image_row 60"),
    "flat images": (changed("images", lambda images: images[0]), r"images are uint8 of shape \(36, 64\)"),
    "wide images": (
        changed("images", lambda images: images.astype(int)),
        "images are int64 .*expected uint8 or",
    ),
    "external link": (link("traces", h5py.ExternalLink("other.h5", "/traces")), "traces is a link"),
    "soft link": (link("frame_times", h5py.SoftLink("/traces")), "frame_times is a link"),
    "linked table": (link("units", h5py.ExternalLink("other.h5", "/units")), "units is a link"),
    "linked column": (link("units/unit_id", h5py.ExternalLink("o.h5", "/a")), "unit_id is a link"),
    "virtual": (virtual, "traces keeps its numbers in other files"),
    "external storage": (external, "traces keeps its numbers in other files"),
    "unwritten": (unwritten, "traces holds 4 of its 5 chunks"),
    "never written": (claim("traces", (25, 2000)), "claims 200000 bytes .* holds 0"),
    "bomb": (
        claim("images", (2**20, 2**10, 2**10), chunks=(1, 2**10, 2**10)),
        "images claims 4398046511104 bytes",
    ),
    "calibration": (put("calibration/pixel_value", [0.0, 255.0]), "calibration lacks luminance"),
    "mixed behaviour": (put("treadmill/speed", np.zeros(5000)), "treadmill.speed is no column of a trace"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_in_one_line(lab, case):
    change, message = BAD[case]
    with h5py.File(lab, "r+") as file:
        change(file)
    with pytest.raises(RecordingError, match=message) as caught:
        read(lab, SCAN, SILENT)
    assert len(str(caught.value).splitlines()) == 1


def test_a_damaged_text_of_an_attribute_is_refused(lab):
    """The library crashes where such an attribute is read all the same."""
    whole = bytearray(lab.read_bytes())
    kind = whole.index(b"\x19\x01", whole.index(b"format\0"))  # text of any length
    whole[kind + 1] = 0x0D
    lab.write_bytes(whole)
    with pytest.raises(RecordingError, match="attribute format is no text"):
        read(lab, SCAN, SILENT)


def test_who_contradicts_the_file_is_told(lab):
    with pytest.raises(
        RecordingError, match=r"says its activity is deconvolved but the option trace_kind is dff"
    ):
        read(lab, SCAN, ReadOptions(trace_kind="dff"))
    with h5py.File(lab, "r+") as file:
        del file.attrs["trace_kind"]
        del file["units/mask_type"]
    with pytest.raises(RecordingError, match="give the option trace_kind"):
        read(lab, SCAN, SILENT)
    got = read(lab, SCAN, ReadOptions(trace_kind="dff", masks="soma"))
    assert (got.trace_kind, got.units["mask_type"][0]) == ("dff", "soma")


@pytest.mark.parametrize("keep", [8, 9, 100, 5_000, -1])
def test_a_truncated_file_is_recognised_and_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    assert recognises(path)
    with pytest.raises(RecordingError, match=r"scan\.h5 is not readable as HDF5") as caught:
        read(path, SCAN, SILENT)
    assert len(str(caught.value).splitlines()) == 1


def test_damage_in_the_numbers_is_never_taken_for_data(path, tmp_path):
    with h5py.File(path) as file:
        at = file["traces"].id.get_chunk_info(0).byte_offset
    whole = bytearray(path.read_bytes())
    whole[at + 5] ^= 1
    (tmp_path / "damaged.h5").write_bytes(whole)
    with pytest.raises(RecordingError, match=r"damaged\.h5 is not readable as HDF5"):
        read(tmp_path / "damaged.h5", SCAN, SILENT)


def test_other_files_are_not_recognised(tmp_path):
    with h5py.File(tmp_path / "some.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"not HDF5 at all")
    assert not any(recognises(path) for path in tmp_path.iterdir())
    assert not recognises(tmp_path)
    assert not recognises(tmp_path / "nothing")
    with pytest.raises(RecordingError, match=r"there is no file .*nothing"):
        read(tmp_path / "nothing", SCAN, SILENT)
