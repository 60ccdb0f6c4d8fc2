"""Pictures are read as they are: grey or colour, 8 or 16 bits; what is no sound picture is named."""

import numpy as np
import pytest
from PIL import Image

from inception_loop.errors import DataError, InceptionLoopError
from inception_loop.images.natural.picture_files import read_pictures, stacked

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (4, 6), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures" / "deeper").mkdir(parents=True)
    return tmp_path / "pictures"


def test_a_folder_is_read_in_the_order_of_its_names(folder):
    Image.fromarray(COLOUR).save(folder / "b.tiff")
    Image.fromarray(GREY).save(folder / "a.png")
    Image.fromarray(GREY).save(folder / "deeper" / "c.jpg", quality=95)
    (folder / ".DS_Store").write_bytes(b"what a desktop leaves behind")
    found = list(read_pictures(folder))
    assert [picture.source_id for picture in found] == ["a.png", "b.tiff", "deeper/c.jpg"]
    assert np.array_equal(found[0].pixels, GREY)
    assert np.array_equal(found[1].pixels, COLOUR)
    assert np.abs(found[2].pixels.astype(int) - GREY).mean() < 20  # JPEG loses some


def test_sixteen_bits_palettes_opaque_alpha_and_orientation_are_understood(folder):
    deep = (GREY.astype(np.uint16) * 257).astype(np.uint16)
    Image.fromarray(deep).save(folder / "a.png")
    Image.fromarray(GREY).convert("P").save(folder / "b.png")
    Image.fromarray(np.dstack([COLOUR, np.full((4, 6), 255, np.uint8)])).save(folder / "c.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright
    Image.fromarray(GREY).save(folder / "d.png", exif=turned)
    deep, palette, opaque, upright = (picture.pixels for picture in read_pictures(folder))
    assert deep.dtype == np.float32
    assert np.array_equal(deep, GREY)
    assert np.array_equal(palette, np.repeat(GREY[..., None], 3, 2))
    assert np.array_equal(opaque, COLOUR)
    assert np.array_equal(upright, np.rot90(GREY, -1))


def test_every_page_of_a_tiff_is_a_picture(folder):
    pages = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    pages[0].save(folder / "stack.tif", save_all=True, append_images=pages[1:])
    found = list(read_pictures(folder))
    assert [picture.source_id for picture in found] == ["stack.tif#0", "stack.tif#1"]
    alone = list(read_pictures(folder / "stack.tif"))
    assert [picture.source_id for picture in alone] == ["#0", "#1"]
    assert np.array_equal(found[1].pixels, 255 - GREY)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
def test_a_stack_is_read_row_by_row(tmp_path, dtype):
    images = np.stack([COLOUR, 255 - COLOUR]).astype(dtype)
    np.save(tmp_path / "stack.npy", images)
    np.savez(tmp_path / "stack.npz", images=images, source_id=["x", "y"], responses=np.ones(3))
    mapped, named = (list(read_pictures(tmp_path / f"stack.{form}")) for form in ("npy", "npz"))
    assert [picture.source_id for picture in mapped] == ["0", "1"]
    assert [picture.source_id for picture in named] == ["x", "y"]
    assert all(np.array_equal(a.pixels, b) for a, b in zip(mapped, images, strict=True))


def spoilt(folder, what):
    file = folder / "a.png"
    if what == "text":
        file.write_text("no picture")
    elif what == "cut":
        Image.fromarray(RNG.integers(0, 256, (64, 64), dtype=np.uint8)).save(file)
        file.write_bytes(file.read_bytes()[:2000])
    elif what == "transparent":
        Image.fromarray(np.dstack([COLOUR, GREY])).save(file)
    elif what == "inks":
        Image.fromarray(COLOUR).convert("CMYK").save(folder / "a.jpg")
    elif what == "32 bits":
        Image.fromarray(np.full((4, 6), 70000, np.int32)).save(folder / "a.tif")
    elif what == "shares":
        Image.fromarray(np.full((4, 6), 0.5, np.float32)).save(folder / "a.tif")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nothing", "pictures is empty; expected a folder of PNG, JPEG or TIFF files"),
        ("text", r"a\.png is no PNG, JPEG or TIFF; expected pictures and nothing else"),
        ("cut", r"a\.png is not readable .*; expected a whole picture"),
        ("transparent", r"a\.png has transparent pixels; expected an opaque picture"),
        ("inks", r"a\.jpg has the colours CMYK; expected grey or RGB"),
        ("32 bits", r"a\.tif holds 70000 to 70000; expected 8 or 16 bits"),
        ("shares", r"a\.tif: the images hold 0\.5 to 0\.5; expected grey levels 0\.\.255; multiply by 255"),
    ],
)
def test_what_is_no_sound_picture_is_refused_in_one_line(folder, what, message):
    spoilt(folder, what)
    (folder / "deeper").rmdir()
    with pytest.raises(InceptionLoopError, match=message) as caught:
        list(read_pictures(folder))
    assert "\n" not in str(caught.value)


def test_a_picture_beyond_any_memory_is_refused(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    Image.fromarray(GREY).save(folder / "a.png")
    with pytest.raises(DataError, match=r"a\.png is not readable .*exceeds limit"):
        list(read_pictures(folder))


def test_a_place_with_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match="absent is not there; expected a folder"):
        list(read_pictures(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("images", "names", "message"),
    [
        (np.zeros((0, 4, 6)), None, r"float64 of shape \(0, 4, 6\); expected numbers of shape"),
        (np.zeros((2, 4, 6, 4), np.uint8), None, r"expected numbers of shape \(images, height, width\) or"),
        (np.full((2, 4, 6), np.nan), None, "image 0 holds NaN"),
        (np.full((2, 4, 6), 300), None, r"image 0 holds 300 to 300; expected grey levels 0\.\.255"),
        (np.stack([GREY, GREY]), ["a"], "2 images but 1 source_id; expected one each"),
    ],
)
def test_a_stack_of_something_else_is_refused(images, names, message):
    with pytest.raises(InceptionLoopError, match=message):
        list(stacked(images, names, "the stack"))


def test_an_archive_without_images_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=GREY, y=GREY)
    with pytest.raises(DataError, match="has the members x, y; expected one called images"):
        list(read_pictures(tmp_path / "a.npz"))
