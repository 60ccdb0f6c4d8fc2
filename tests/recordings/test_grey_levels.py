"""Z-scores, shares and camera counts are no grey levels, whoever hands them over."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from inception_loop.errors import RecordingError
from inception_loop.recordings.formats import read_recording
from inception_loop.recordings.grey_levels import check_grey_levels
from inception_loop.recordings.hdf5.writing import write_hdf5
from inception_loop.recordings.options import ReadOptions

LEVELS = np.linspace(0, 255, 24).reshape(2, 3, 4)
WRONG = {
    "z-scores": (
        (LEVELS - 127.5) / 64,
        "image 0 holds -1.99219 to -0.0866[0-9]+; expected grey levels 0..255",
    ),
    "shares of white": (LEVELS / 255, r"the images hold 0 to 1; expected .*; multiply by 255"),
    "camera counts": (LEVELS * 16, "image 0 holds 0 to 1951.3; expected grey levels 0..255"),
    "a number lost": (np.where(LEVELS == 255, np.nan, LEVELS), "image 1 holds NaN"),
    "a number without end": (np.where(LEVELS == 255, np.inf, LEVELS), "image 1 holds NaN or infinite"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_recording_refuses_what_no_monitor_shows(recording, case):
    images, message = WRONG[case]
    with pytest.raises(RecordingError, match=f"scan 7-2-3: {message}"):
        replace(recording, images=images.astype(np.float32))


@pytest.mark.parametrize("case", WRONG)
def test_a_file_of_arrays_refuses_it_by_its_name(tmp_path, recording, case):
    images, message = WRONG[case]
    path = tmp_path / "scan.h5"
    write_hdf5(recording, path)
    with h5py.File(path, "r+") as file:
        del file["images"]
        file["images"] = images.astype(np.float32)
    with pytest.raises(RecordingError, match=f"{path}: {message}"):
        read_recording(path, recording.scan, ReadOptions())


def test_levels_rounded_by_resizing_and_black_and_white_of_whole_numbers_pass():
    check_grey_levels(LEVELS + np.where(LEVELS > 100, 5e-4, -5e-4), "here")
    check_grey_levels(np.eye(3, dtype=np.uint8)[None], "here")
    check_grey_levels((LEVELS > 100).astype(np.int64), "here")


def test_whole_numbers_beyond_white_are_refused_before_they_wrap_around():
    with pytest.raises(RecordingError, match="here: image 1 holds 100 to 256"):
        check_grey_levels(np.array([[[255, 0]], [[100, 256]]], np.uint16), "here")
