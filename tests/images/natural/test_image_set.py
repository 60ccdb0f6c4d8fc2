"""Pictures of any origin become one artifact, known by their bytes: each image once, nothing by halves."""

import numpy as np
import pytest
from PIL import Image

from inception_loop.errors import ConfigurationError, DataError
from inception_loop.images.fitting import Fit
from inception_loop.images.natural.image_set import (
    IMAGE_SET,
    ArraySource,
    BundledSource,
    FileSource,
    ImageSetConfig,
    Stack,
    content_hash,
    import_image_set,
    make_image_set,
)

RNG = np.random.default_rng(5)
PHOTOS = RNG.integers(0, 256, (4, 12, 16, 3), dtype=np.uint8)
FIT = Fit(height=6, width=8)


@pytest.fixture
def folder(tmp_path):
    """Four photographs, one of them twice, one flat."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for k, photo in enumerate(PHOTOS):
        Image.fromarray(photo).save(folder / f"{k}.png")
    Image.fromarray(PHOTOS[1]).save(folder / "1 again.tiff")
    Image.fromarray(np.full((12, 16), 9, np.uint8)).save(folder / "flat.png")
    return folder


def test_each_image_is_there_once_with_its_source_and_hash(store, folder):
    ref = import_image_set(store, folder, "photos", FIT).ref
    table, images = store.table(ref, "image_set"), store.arrays(ref, "images")["images"]
    assert table["source_id"].to_list() == ["0.png", "1 again.tiff", "2.png", "3.png"]
    grey = PHOTOS @ np.array([0.2125, 0.7154, 0.0721])
    assert images == pytest.approx(grey.reshape(4, 6, 2, 8, 2).mean((2, 4)), rel=1e-5)
    assert table["content_hash"].to_list() == [content_hash(image) for image in images]
    assert table["contrast"].to_numpy() == pytest.approx(images.std((1, 2)), rel=1e-5)
    findings = store.manifest(ref).findings
    counted = {name: findings[name] for name in findings if name != "source"}
    assert counted == {"n_pictures": 6, "n_colour": 5, "n_duplicates": 1, "n_flat": 1, "n_images": 4}


def test_bytes_are_the_identity_and_the_place_is_not(store, folder):
    first = import_image_set(store, folder, "photos", FIT)
    moved = folder.rename(folder.with_name("elsewhere"))
    again = import_image_set(store, str(moved), "photos", FIT)
    assert (first.cached, again.cached, again.ref) == (False, True, first.ref)
    Image.fromarray(PHOTOS[0] ^ 1).save(moved / "0.png")
    assert import_image_set(store, moved, "photos", FIT).ref != first.ref
    assert import_image_set(store, moved, "photos", Fit(height=3, width=4)).ref != first.ref


def test_images_cut_from_one_picture_share_its_source(store):
    ref = import_image_set(
        store, Stack(PHOTOS[..., 0], list("abcd")), "tiles", Fit(height=6, width=8, how="tiles")
    ).ref
    table = store.table(ref, "image_set")
    assert table["source_id"].to_list() == [name for name in "abcd" for _ in range(4)]
    assert table["part"].to_list() == [0, 1, 2, 3] * 4


def test_the_bundled_pictures_need_no_file(store):
    config = ImageSetConfig(name="bundled", source=BundledSource(n=6, seed=2, photograph_share=0))
    table = store.table(make_image_set(store, config).ref, "image_set")
    assert table.height == 6
    assert table["source_id"].str.contains("dead-leaves-").all()


def test_a_picture_that_cannot_be_used_leaves_nothing(store, folder):
    Image.fromarray(PHOTOS[0, :9]).save(folder / "other shape.png")
    with pytest.raises(
        DataError, match=r"^other shape\.png: the picture has 9×16 px; expected the aspect ratio"
    ):
        import_image_set(store, folder, "photos", FIT)
    (folder / "other shape.png").write_bytes((folder / "0.png").read_bytes()[:100])
    with pytest.raises(DataError, match="is not readable"):
        import_image_set(store, folder, "photos", FIT)
    source = FileSource(sha256="0" * 64)
    assert not store.exists(store.ref(IMAGE_SET, ImageSetConfig(name="photos", source=source, fit=FIT)))


def test_a_set_that_shows_nothing_is_refused(store):
    with pytest.raises(DataError, match=r"of 2 pictures none shows anything \(2 flat images\)"):
        import_image_set(store, Stack(np.full((2, 6, 8), 7, np.uint8)), "grey", FIT)


def test_other_pictures_than_the_configuration_names_are_refused(store, folder):
    stack = Stack(PHOTOS[..., 0])
    of_arrays = ImageSetConfig(name="a", source=ArraySource(sha256="0" * 64), fit=FIT)
    with pytest.raises(ConfigurationError, match=r"the stack has SHA-256 .*; expected 000000000000"):
        make_image_set(store, of_arrays, stack=stack)
    with pytest.raises(
        ConfigurationError, match="none are given; expected path= for files, stack= for arrays"
    ):
        make_image_set(store, of_arrays)
    of_files = ImageSetConfig(name="a", source=FileSource(sha256="0" * 64), fit=FIT)
    with pytest.raises(DataError, match="leave files at rest and import again"):
        make_image_set(store, of_files, path=folder)
    assert not store.exists(store.ref(IMAGE_SET, of_files))
