"""`inception-loop import-images`: pictures become an image set, known by their bytes, without Prefect."""

import json

import numpy as np
import pytest
from PIL import Image

from inception_loop.artifacts.listing import resolve
from inception_loop.artifacts.store import open_store

FAILED, USAGE = 1, 2
RNG = np.random.default_rng(1)


@pytest.fixture
def uri(tmp_path):
    return f"file://{tmp_path}/store"


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "my photographs"
    folder.mkdir()
    for k in range(2):
        Image.fromarray(RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    Image.fromarray(np.full((24, 40), 90, np.uint8)).save(folder / "grey.jpg")
    return folder


def test_a_folder_becomes_a_set_and_the_line_printed_names_it(call, photographs, uri):
    words = ("import-images", photographs, "--height", 6, "--width", 8, "--how", "tiles", "--scale", 2)
    said = call(*words, "--store", uri)
    assert said.status == 0, said.err
    assert "my-photographs: 8 images of 6×8 px from 3 pictures (2 in colour); left out: 0" in said.out
    assert "4 flat; imported" in said.out
    store = open_store(uri)
    ref = resolve(store, said.out.split('"')[1])
    assert store.arrays(ref, "images")["images"].shape == (8, 6, 8)
    found = json.loads(call(*words, "--store", uri, "--json").out)
    assert (found["ref"]["digest"], found["cached"], found["n_flat"]) == (ref.digest, True, 4)


def test_the_pictures_that_come_along_need_no_path(call, uri):
    said = call("import-images", "--bundled", 5, "--height", 6, "--width", 8, "--store", uri, "--json")
    assert json.loads(said.out)["n_images"] == 5


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ((), USAGE, "got neither a path nor --bundled; expected one of them"),
        (("x", "--bundled", 3), USAGE, "got both a path and --bundled; expected one of them"),
        (("x",), FAILED, "x is not there; expected a folder of PNG, JPEG or TIFF files"),
        (("--bundled", 0), USAGE, "n"),
        (("--bundled", 3, "--how", "zoom"), USAGE, "zoom"),
    ],
)
def test_wrong_usage_is_one_line(call, uri, words, status, message):
    said = call("import-images", *words, "--store", uri)
    assert said.status == status
    assert message in said.err
    assert said.err.count("\n") == 1


def test_a_picture_that_does_not_fit_is_one_line_and_leaves_nothing(call, photographs, uri, tmp_path):
    said = call("import-images", photographs, "--store", uri)
    assert said.status == FAILED
    assert said.err.startswith("error: 0.png: the picture has 24×40 px; expected the aspect ratio of 36×64")
    assert said.err.count("\n") == 1
    assert list((tmp_path / "store").rglob("manifest.json")) == []
