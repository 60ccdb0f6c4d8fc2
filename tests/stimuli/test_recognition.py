"""An image is recognised by its pixels, whatever a rig made of its name, its time, its type and its size."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.closed_loop.images import check_shown
from inception_loop.dataset.area_average import area_average
from inception_loop.errors import DataError
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.recording import Recording, ScanKey, TrialResponses
from inception_loop.stimuli.recognition import ShownSet, recognise
from inception_loop.stimuli.renamed import STRANGE, recognised
from inception_loop.stimuli.same_pixels import same_pixels

K, H, W = 9, 12, 16


def noise(n, seed=0, height=H, width=W):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width), dtype=np.uint8)


@pytest.fixture(scope="module")
def shown():
    """A set of 8 images and a grey one; image 2 was made for two units."""
    images = noise(K)
    images[-1] = 110
    hashes = [condition_hash(image, 0.5) for image in images]
    rows = [*range(K), 2]
    conditions = pl.DataFrame(
        {
            "condition_hash": [hashes[row] for row in rows],
            "image_class": ["mei"] * 4 + ["natural"] * 4 + ["blank", "mei"],
            "image_id": [0, 1, 2, 3, 105, 3, 77, 8, 0, 2],
            "source_id": [f"s{row}" for row in rows],
            "image_row": rows,
        }
    )
    return ShownSet("the set", conditions, images)


def recorded(images, rows=None, hashes=None) -> pl.DataFrame:
    rows = list(range(len(images))) if rows is None else rows
    return pl.DataFrame({"condition_hash": hashes or [f"x{row}" for row in rows], "image_row": rows})


def names(shown, rows):
    of_row = dict(shown.conditions.select("image_row", "condition_hash").rows())
    return [of_row[row] for row in rows]


HOW = {
    "as sent": lambda images: images,
    "floats": lambda images: images.astype(np.float32),
    "floats, nearly whole": lambda images: images.astype(np.float32) + np.float32(4e-4),
    "enlarged": lambda images: images.repeat(3, axis=1).repeat(3, axis=2),
    "enlarged floats": lambda images: images.repeat(2, axis=1).repeat(2, axis=2).astype(np.float32),
    "reduced": lambda images: area_average(images, 6, 8),
    "reduced, rounded": lambda images: np.rint(area_average(images, 6, 8)).astype(np.uint8),
    "reduced by no whole number": lambda images: np.rint(area_average(images, 9, 12)).astype(np.uint8),
}


@pytest.mark.parametrize("how", HOW)
def test_images_are_recognised_in_any_order_and_form(shown, how):
    order = np.random.default_rng(1).permutation(K)
    images = HOW[how](shown.images[order])
    found = recognise(recorded(images), images, shown)
    assert found.conditions["condition_hash"].to_list() == names(shown, order)
    assert set(found.conditions["how"]) == {"pixels" if images.shape[1:] == (H, W) else "resized"}
    assert found.ambiguous == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda images: np.rint(255 * (images / 255.0) ** 2.2).astype(np.uint8),
        lambda images: images[:, :, ::-1],
        lambda images: np.roll(images, 1, 2),
        lambda images: images[:, :, :-4],
        lambda images: images.transpose(0, 2, 1),
        lambda images: (images.astype(np.float32) + 0.4).clip(0, 255),
        lambda images: area_average(images, 6, 8)[:, ::-1],
    ],
    ids=["gamma", "mirrored", "moved", "cropped", "transposed", "brighter", "reduced and flipped"],
)
def test_images_that_were_changed_are_not_recognised(shown, spoil):
    images = np.ascontiguousarray(spoil(shown.images[:8]))
    assert recognise(recorded(images), images, shown).strangers.height == 8


@settings(max_examples=50)
@given(st.integers(0, K - 2), st.integers(0, H * W - 1), st.integers(1, 255))
def test_one_other_pixel_is_another_image(shown, row, pixel, by):
    image = shown.images[row].copy()
    image.flat[pixel] = (int(image.flat[pixel]) + by) % 256
    assert same_pixels(image[None], np.array([0]), shown.images, np.arange(K)) == [[]]


def test_images_closer_than_rounding_are_told_apart_by_the_nearest(shown):
    twin = shown.images[:2].copy()
    twin[1] = twin[0]
    twin[1, 0, 0] ^= 1
    images = area_average(twin, 6, 8)
    assert same_pixels(images, np.arange(2), twin, np.arange(2)) == [[0, 1], [1, 0]]


def test_conditions_of_the_same_pixels_are_counted_and_a_name_decides(shown):
    twin = pl.concat(
        [shown.conditions, shown.conditions.head(1).with_columns(condition_hash=pl.lit("other"))]
    )
    both = dataclasses.replace(shown, conditions=twin)
    first = shown.conditions["condition_hash"][0]
    images = shown.images[:1]
    found = recognise(recorded(images), images, both)
    assert (found.conditions["condition_hash"].to_list(), found.ambiguous) == ([first], 1)
    named = recognise(recorded(images, hashes=["other"]), images, both)
    assert named.conditions["condition_hash"].to_list() == ["other"]


def test_a_name_of_the_set_for_other_pixels_is_refused(shown):
    hashes = names(shown, [0, 1])
    with pytest.raises(
        DataError, match=rf"image 0 condition {hashes[1]}, but .* has those of condition {hashes[0]}"
    ):
        recognise(recorded(shown.images, [0], [hashes[1]]), shown.images, shown)
    dim = shown.images // 2
    with pytest.raises(DataError, match=r"differ by up to 1\d\d grey levels; expected the image"):
        recognise(recorded(dim, [0], [hashes[0]]), dim, shown)


def test_a_name_alone_counts_where_the_size_says_nothing(shown):
    images = noise(1, seed=9, height=5, width=5)
    found = recognise(recorded(images, [0], names(shown, [3])), images, shown)
    assert found.conditions.select("condition_hash", "how").row(0) == (names(shown, [3])[0], "hash")


# --- a recording -------------------------------------------------------------------------------------------


def session(images, order, hashes=None, **changes) -> Recording:
    """A recording of two units that saw these images in this order, its conditions named by the rig."""
    hashes = hashes or [f"x{row}" for row in range(len(images))]
    n = len(hashes)
    flips = {f"{name}_flip": np.full(len(order), np.nan) for name in ("clear", "onset", "offset")}
    unit = {"unit_id": [1, 2], "field": [1, 1], "mask_type": ["soma"] * 2}
    unit |= {c: [0.0, 1.0] for c in ("px_x", "px_y", "um_x", "um_y", "um_z", "ms_delay")}
    field = {c: [1.0] for c in ("px_height", "px_width", "um_height", "um_width", "x", "y", "z")}
    trials = {"trial_idx": np.arange(len(order)), "condition_hash": [hashes[row] for row in order], **flips}
    conditions = {"condition_hash": hashes, "image_class": ["natural"] * n, "image_id": np.arange(n) + 500}
    conditions |= {"source_id": [""] * n, "image_row": np.arange(n) % len(images), "tier": ["train"] * n}
    parts = {
        "scan": ScanKey(animal_id=1, session=2, scan_idx=1),
        "trace_kind": "deconvolved",
        "activity": TrialResponses(np.ones((len(order), 2), np.float32)),
        "trials": pl.DataFrame(trials),
        "conditions": pl.DataFrame(conditions),
        "images": images,
        "units": pl.DataFrame(unit),
        "fields": pl.DataFrame({"field": [1], **field}),
    }
    return Recording(**(parts | changes))


def test_a_recognised_recording_has_the_conditions_of_the_set(shown):
    order = [4, 0, 2, 2, 8, 1]
    recording, found = recognised(session(shown.images, order), shown)
    assert recording.trials["condition_hash"].to_list() == names(shown, order)
    check_shown(recording.trials, shown.conditions, "day 2")
    labels = ["condition_hash", "image_class", "image_id", "source_id"]
    expected = shown.conditions.unique("condition_hash", keep="first").select(labels).sort("condition_hash")
    assert recording.conditions.select(labels).sort("condition_hash").equals(expected)
    assert recording.conditions["tier"].null_count() == K
    assert found.findings() == {
        "n_recognised": 9,
        "n_recognised_trials": 6,
        "recognised_by": {"pixels": 9},
        "n_unmatched": 0,
        "n_unmatched_trials": 0,
        "n_ambiguous": 0,
    }


def test_trials_are_compared_with_those_that_were_planned(shown, mixed):
    planned = tuple(names(shown, [0, 1, 8, 7]))
    with_plan = dataclasses.replace(shown, planned=planned)
    _, found = recognised(mixed, with_plan, "exclude")
    beside = found.findings()  # shown: 0, stranger, 1, stranger, stranger, 8
    assert (beside["n_planned_trials"], beside["n_not_shown"], beside["order"]) == (4, 1, "stopped early")
    assert beside["differences"] == [
        "not shown at all: 1 image, natural 8 (0 of 1)",
        "the session ends after trial 3 of 4, so far in the planned order",
    ]
    hashes = [f"x{row}" for row in range(K)]
    of_session = session(shown.images, [0, 1, 8, 7], hashes=hashes)
    late = dataclasses.replace(of_session, trials=of_session.trials[::-1])  # rows need not stand in order
    assert recognised(late, with_plan)[1].findings()["differences"] == []


def test_two_names_of_one_image_become_one_condition(shown):
    jittered = session(shown.images[:2], [0, 1, 2, 3], hashes=["0.4933 s", "a", "0.5067 s", "b"])
    recording, _ = recognised(jittered, shown)
    assert recording.conditions["condition_hash"].to_list() == names(shown, [0, 1])
    assert recording.trials["condition_hash"].to_list() == names(shown, [0, 1, 0, 1])


@pytest.fixture
def mixed(shown):
    """Two images of the rig's own among those of the set; one of their trials is excluded already."""
    images = np.concatenate([shown.images, noise(2, seed=5)])
    excluded = pl.DataFrame({"trial_idx": [3], "reason": ["brain movement"]})
    return session(images, [0, 9, 1, 10, 9, 8], excluded_trials=excluded)


def test_images_of_no_set_are_refused_and_counted(shown, mixed):
    with pytest.raises(DataError, match=r"2 of 11 images \(3 trials\) are not in .*, first image 9 \(2"):
        recognised(mixed, shown)


def test_or_their_trials_are_excluded_with_a_reason_and_the_closed_loop_takes_the_rest(shown, mixed):
    recording, found = recognised(mixed, shown, "exclude")
    assert recording.excluded_trials.rows() == [(1, STRANGE), (3, "brain movement"), (4, STRANGE)]
    assert (found.findings()["n_unmatched"], found.findings()["n_unmatched_trials"]) == (2, 3)
    assert recording.conditions["condition_hash"].to_list() == [*names(shown, range(K)), "x9", "x10"]
    left = recording.excluded_trials.select("trial_idx", status=pl.lit("excluded: ") + pl.col("reason"))
    status = recording.trials.join(left, on="trial_idx", how="left").with_columns(
        pl.col("status").fill_null("")
    )
    check_shown(status, shown.conditions, "day 2")
    with pytest.raises(DataError, match="3 trials show conditions"):
        check_shown(recording.trials, shown.conditions, "day 2")


def test_a_recording_of_another_set_is_refused_whatever_was_allowed(shown):
    images = noise(3, seed=7)
    for unmatched in ("refuse", "exclude"):
        with pytest.raises(DataError, match=r"none of its 3 images .* is one of the 9 of the set"):
            recognised(session(images, [0, 1]), shown, unmatched)
