import polars as pl

from inception_loop.closed_loop.diagonal import diagonal_entry
from inception_loop.closed_loop.notes import loop_notes, scan_notes

IMAGES = pl.DataFrame(
    {"model_type": ["cnn"] * 4 + ["linear"] * 4, "image_unit_id": [1, 2, 3, 4] * 2, "condition_hash": "c"}
)
MATCHES = pl.DataFrame(
    {"source_unit_id": [1, 2, 3, 9], "unit_id": [5, 6, 6, 8], "double_match": [False, True, True, False]}
)


def confusion_of(images, units, once=()):
    rows = [(m, i, u, 1 if (m, i) in once else 7) for m, i in images for u in units]
    names = ["model_type", "image_unit_id", "source_unit_id", "n_repeats"]
    return pl.DataFrame(rows, schema=names, orient="row")


EVERY = IMAGES.select("model_type", "image_unit_id").rows()


def test_what_could_not_be_compared_in_a_scan_is_said_in_words():
    shown = [image for image in EVERY if image != ("linear", 4)]
    notes = scan_notes("1-2-1", IMAGES, MATCHES, confusion_of(shown, [1, 2], once=[("cnn", 3)]))
    assert dict(notes.select("key", "n").rows()) == dict.fromkeys(
        ["unmatched", "without_variance", "not_shown", "shown_once"], 1
    ) | {"double_match": 2}
    assert notes["note"].to_list() == [
        "scan 1-2-1: units with images but no match: 1 of 4 (4)",
        "scan 1-2-1: units matched to a cell that another is matched to as well: 2 of 4 (2, 3)",
        "scan 1-2-1: units left out since the responses of their cells have no variance: 1 of 4 (3)",
        "scan 1-2-1: images of units never shown in a trial that counts: 1 (linear 4)",
        "scan 1-2-1: images shown once only, their variance in this scan undefined: 1 (cnn 3)",
    ]


def test_nothing_is_said_where_everything_was_compared():
    matches = pl.DataFrame({"source_unit_id": [1, 2, 3, 4], "unit_id": [5, 6, 7, 8], "double_match": False})
    assert scan_notes("1-2-1", IMAGES, matches, confusion_of(EVERY, [1, 2, 3, 4])).height == 0


def test_a_comparison_without_variance_or_without_images_is_said():
    names = ["model_type", "image_unit_id", "source_unit_id", "mu_resp", "sem_resp", "n_repeats"]
    rows = [
        (m, u, u, 1.0, None if u == 2 else 0.5, 1 if u == 2 else 6) for m in ("cnn", "linear") for u in (1, 2)
    ]
    summary = pl.DataFrame(rows, schema=names, orient="row")
    notes = loop_notes(summary, {c: diagonal_entry(summary, c) for c in ("linear", "gabor")})
    assert notes["note"].to_list() == [
        "own images with one repeat in the whole loop, so that there is no variance, no s.e.m. and no t: "
        "2 (cnn 2, linear 2)",
        "no unit was shown both its own MEI and its own best Gabor: they are not compared",
    ]
