"""A heap of texts on which the HDF5 library would never come back is refused beforehand."""

from pathlib import Path

import h5py
import pytest

from inception_loop.errors import RecordingError
from inception_loop.recordings.hdf5.heaps import check_heaps


@pytest.fixture(params=["earliest", "latest"])
def path(request, tmp_path) -> Path:
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w", libver=request.param) as file:
        file["names"] = ["first", "third", "a longer one"]
        file.attrs["said"] = "text"
    return path


def test_a_sound_file_passes_and_so_does_one_without_texts(path, tmp_path) -> None:
    assert path.read_bytes().count(b"GCOL")
    check_heaps(path)
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["x"] = [1, 2]
    check_heaps(tmp_path / "none.h5")


@pytest.mark.parametrize("text", [b"first", b"third", b"a longer one"])
def test_an_object_without_a_size_is_refused(path, text) -> None:
    whole = bytearray(path.read_bytes())
    start = whole.index(text, whole.index(b"GCOL")) - 16
    whole[start : start + 16] = bytes(16)
    path.write_bytes(whole)
    with pytest.raises(RecordingError, match="heap of texts at byte") as caught:
        check_heaps(path)
    assert len(str(caught.value).splitlines()) == 1


def test_an_object_whose_size_wraps_around_is_refused(path) -> None:
    whole = bytearray(path.read_bytes())
    start = whole.index(b"GCOL") + 16
    whole[start + 8 : start + 16] = (2**64 - 16).to_bytes(8, "little")
    path.write_bytes(whole)
    with pytest.raises(RecordingError, match="heap of texts"):
        check_heaps(path)


def test_a_file_that_ends_within_a_heap_is_left_to_the_library(path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"GCOL") + 20])
    check_heaps(path)


def test_what_cannot_be_read_is_refused(tmp_path) -> None:
    (tmp_path / "empty.h5").touch()
    for name in ("empty.h5", "nothing.h5", "."):
        with pytest.raises(RecordingError, match="cannot be read"):
            check_heaps(tmp_path / name)
