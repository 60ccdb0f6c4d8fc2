"""Bundles: any NPZ reader reads them, they can be mapped, and nothing in them is ever executed."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inception_loop.artifacts.kind import Array, Arrays
from inception_loop.artifacts.npz import (
    Blocks,
    check_arrays,
    map_arrays,
    members,
    read_rows,
    stream_arrays,
    write_npz,
)
from inception_loop.errors import ArtifactCorruptError, DataError

FREE = Arrays(None)
dtypes = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | hnp.complex_number_dtypes()
    | hnp.unicode_string_dtypes(max_len=5)
    | hnp.datetime64_dtypes()
)
arrays = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=5)))
names = st.text(st.characters(exclude_characters="/\\", exclude_categories=("C",)), min_size=1, max_size=20)


def stored(bundle: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    write_npz(out, bundle)
    return out.getvalue()


def found_in(data: bytes) -> Any:
    return members(lambda start, stop: data[start:stop], len(data), "x")


def same(one: Any, other: Any) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@given(st.dictionaries(names, arrays, max_size=4), st.integers(1, 300))
def test_every_way_of_reading_gives_what_was_written(bundle: dict[str, Any], piece: int) -> None:
    data = stored(bundle)
    found = found_in(data)
    assert all(member.offset % 64 == 0 for member in found.values())
    streamed = stream_arrays((data[start : start + piece] for start in range(0, len(data), piece)), found)
    with np.load(io.BytesIO(data), allow_pickle=False) as plain:
        assert set(plain.files) == set(streamed) == set(bundle)
        for name, array in bundle.items():
            assert same(streamed[name], array)
            assert same(plain[name], array)
            assert not streamed[name].flags.writeable


@given(arrays.filter(lambda array: array.ndim > 0), st.data())
def test_rows_are_the_rows(array: Any, data: Any) -> None:
    start, stop = data.draw(st.integers(-2, 7)), data.draw(st.integers(-2, 7))
    content = stored({"x": array})
    part = read_rows(lambda a, b: content[a:b], found_in(content)["x"], start, stop)
    assert same(part, array[start:stop])


def test_mapped_arrays_are_views_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    bundle = {
        "a": np.arange(12.0).reshape(3, 4),
        "empty": np.zeros((0, 3), np.int8),
        "scalar": np.float32(2)[()],
    }
    path.write_bytes(stored({name: np.asarray(array) for name, array in bundle.items()}))
    mapped = map_arrays(path, found_in(path.read_bytes()))
    for name, array in bundle.items():
        np.testing.assert_array_equal(mapped[name], array)
        assert not mapped[name].flags.writeable
    assert mapped["a"].flags.aligned
    owner = mapped["a"]
    while owner.base is not None and isinstance(owner.base, np.ndarray):
        owner = owner.base
    assert not owner.flags.owndata


def test_the_same_arrays_are_the_same_bytes() -> None:
    a, b = np.arange(6).reshape(2, 3), np.zeros(3, bool)
    data = stored({"a": a, "b": b})
    assert data == stored({"b": b, "a": a})
    assert data == stored({"a": np.asfortranarray(a), "b": b})
    assert data == stored({"a": Blocks((2, 3), a.dtype, iter([a[:1], a[1:]])), "b": b})


def test_an_archive_is_a_sound_zip_without_compression() -> None:
    with zipfile.ZipFile(io.BytesIO(stored({"a": np.arange(1000)}))) as archive:
        assert archive.testzip() is None
        (info,) = archive.infolist()
    assert info.compress_type == zipfile.ZIP_STORED
    assert info.date_time == (1980, 1, 1, 0, 0, 0)


def test_python_objects_are_refused() -> None:
    with pytest.raises(DataError, match="member 'a' of x holds Python objects; expected numbers or text"):
        check_arrays(FREE, {"a": np.array([object()])}, "x")
    pickled, compressed = io.BytesIO(), io.BytesIO()
    np.savez(pickled, a=np.array([{}], dtype=object))
    np.savez_compressed(compressed, a=np.arange(3))
    for data, reason in (
        (pickled, "does not hold what its header says|bject"),
        (compressed, "is compressed"),
    ):
        with pytest.raises(
            ArtifactCorruptError, match=rf"x is not readable as NPZ \(.*({reason}).*\); verify"
        ):
            found_in(data.getvalue())


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all", stored({"a": np.arange(9)})[:-5]])
def test_what_is_no_archive_is_named(data: bytes) -> None:
    with pytest.raises(ArtifactCorruptError, match="x is not readable as NPZ"):
        found_in(data)


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [
        ({}, r"has the members \[\]; expected \['frames'\]"),
        ({"frames": np.zeros((1, 2, 3), np.float32), "more": np.zeros(1)}, "has the members"),
        ({"frames": np.zeros((1, 2, 3))}, r"is float64 of shape \(1, 2, 3\); expected float32"),
        (
            {"frames": np.zeros((1, 2), np.float32)},
            r"is float32 of shape \(1, 2\); expected .* \('image', 'row',",
        ),
    ],
)
def test_bundles_that_are_not_as_declared_are_named(bundle: dict[str, Any], reason: str) -> None:
    declared = Arrays({"frames": Array("float32", ("image", "row", "column"), "m")})
    with pytest.raises(DataError, match=reason):
        check_arrays(declared, bundle, "x")


@pytest.mark.parametrize("name", ["a/b", "", "a\\b", "a\x00", "x" * 201])
def test_member_names_that_are_paths_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="no slashes"):
        check_arrays(FREE, {name: np.zeros(1)}, "x")


@pytest.mark.parametrize(
    "blocks",
    [
        [np.zeros((1, 3))],
        [np.zeros((3, 3))],
        [np.zeros((2, 2))],
        [np.zeros((2, 3), np.float32)],
        [np.zeros(3), np.zeros(3)],
    ],
)
def test_blocks_that_are_not_the_promised_array_are_refused(blocks: list[Any]) -> None:
    with pytest.raises(DataError, match=r"expected (float64 rows of shape \(3,\)|2)"):
        stored({"a": Blocks((2, 3), "float64", blocks)})


def test_one_thread_at_a_time_parses_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = io.BytesIO()
    write_npz(pieces, {"a": np.arange(3.0)})
    data, parse, inside, most = pieces.getvalue(), np.lib.format.read_array_header_1_0, [], []

    def watched(file: Any) -> Any:
        inside.append(threading.get_ident())
        most.append(len(inside))
        time.sleep(0.002)
        inside.pop()
        return parse(file)

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", watched)
    with ThreadPoolExecutor(8) as threads:
        read = [threads.submit(members, lambda a, b: data[a:b], len(data), "here") for _ in range(16)]
        assert all(future.result()["a"].shape == (3,) for future in read)
    assert most == [1] * 16


def claiming(shape: tuple[int, ...], descr: str = "|u1", size: int | None = None) -> bytes:
    """Return an archive of one member without numbers; ``size`` is what its directory says of it."""
    head, out = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.npy", head.getvalue())
    data = bytearray(out.getvalue())
    if size is not None:
        entry = data.find(b"PK\x01\x02")
        data[entry + 24 : entry + 28] = (size + len(head.getvalue())).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        claiming((2**31,), size=2**31),  # as much as the directory says, but not in the file
        claiming((2**62, 8)),  # wraps around to 0 bytes
        claiming((2**62, 4), "<U0"),  # no bytes, but more items than NumPy counts
        claiming((0, 2**62, 4)),
        claiming((-1,)),
    ],
    ids=["absent numbers", "overflow", "empty items", "empty dimension", "negative"],
)
def test_what_an_archive_claims_has_to_be_in_it(data: bytes) -> None:
    with pytest.raises(ArtifactCorruptError, match=r"'a\.npy' does not hold what its header says"):
        found_in(data)


def test_a_member_that_stands_twice_is_refused() -> None:
    data = stored({"a": np.arange(3.0), "b": np.arange(3.0)}).replace(b"b.npy", b"a.npy")
    with pytest.raises(ArtifactCorruptError, match="a member stands twice"):
        found_in(data)
