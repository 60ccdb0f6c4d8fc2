from __future__ import annotations

import uuid
from dataclasses import replace
from itertools import permutations

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.kind import CATALOGUE, Kind
from inception_loop.artifacts.store import open_store
from inception_loop.dataset import image_hash
from inception_loop.dataset import tiers as rules
from inception_loop.dataset.condition_tier import (
    CONDITION_TIER,
    ConditionTierConfig,
    make_condition_tier,
)
from inception_loop.dataset.config import Tiers
from inception_loop.dataset.image_hash import make_image_hash
from inception_loop.dataset.near_duplicates import perceptual_hashes
from inception_loop.dataset.scan_tables import ScanConfig
from inception_loop.errors import ArtifactNotFoundError, DataError
from inception_loop.recordings.archive import RECORDING, load_recording, save_recording

CONFIG = ConditionTierConfig(group_id=1)
MERGING = ConditionTierConfig(group_id=1, tiers=Tiers(near_duplicates="same_tier"))


def tiers_of(store, ref):
    table = store.table(ref, "condition_tier")
    return dict(zip(table["condition_hash"], table["tier"], strict=True))


def make_tiers(store, config, recordings):
    """Hash the images of every scan, then make the tiers."""
    hashes = [
        make_image_hash(store, ScanConfig(scan=load_recording(store, ref).scan), recording=ref).ref
        for ref in recordings
    ]
    return make_condition_tier(store, config, recordings=recordings, image_hashes=hashes)


@pytest.fixture
def swapped(make_recording):
    """A second scan that repeats image 10 where the first repeats image 0."""
    second = make_recording(scan=(17, 2, 1))
    swap = {"c000": "c010", "c010": "c000"}
    return replace(second, trials=second.trials.with_columns(pl.col("condition_hash").replace(swap)))


def test_a_new_scan_makes_a_new_artifact_that_names_the_images_it_moved(store, save, make_recording, swapped):
    refs = [save(make_recording()), save(swapped)]
    alone = make_tiers(store, CONFIG, refs[:1]).ref
    both = make_tiers(store, CONFIG, refs).ref
    assert alone != both
    assert make_tiers(store, CONFIG, refs[::-1]).cached
    assert {h for h, tier in tiers_of(store, both).items() if tier == "test"} == {"c000", "c001", "c010"}
    assert store.table(alone, "moved").height == 0
    assert store.manifest(alone).findings["images_moved"] == 0
    moved = store.table(both, "moved")
    assert store.manifest(both).findings["images_moved"] == moved["condition_hash"].n_unique() >= 2
    to_test = moved.filter(tier="test").select("session", "scan_idx", "condition_hash")
    assert to_test.rows() == [(1, 2, "c010"), (2, 1, "c000")]
    was, now = tiers_of(store, alone), tiers_of(store, both)
    of_first = moved.filter(session=1).select("condition_hash", "tier_alone", "tier").rows()
    assert of_first == [(h, was[h], now[h]) for h in sorted(was) if was[h] != now[h]]


def test_tiers_depend_on_the_set_of_scans_only(make_recording, swapped):
    third = make_recording(scan=(18, 1, 1))
    given = pl.Series([None, "validation", "test"] + [None] * 57, dtype=pl.String)
    third = replace(third, conditions=third.conditions.with_columns(tier=given))
    made = set()
    for seed, order in enumerate(permutations([make_recording(), swapped, third])):
        store = open_store(f"memory://{uuid.uuid4().hex}")
        refs = []
        for recording in order:  # one call after the other
            shuffled = replace(
                recording, conditions=recording.conditions.sample(fraction=1, shuffle=True, seed=seed)
            )
            config = ScanConfig(scan=recording.scan)
            refs.append(store.make(RECORDING, config, lambda a, r=shuffled: save_recording(a, r)).ref)
            last = make_tiers(store, CONFIG, refs).ref
        sums = [payload.sha256 for _, payload in sorted(store.manifest(last).payloads.items())]
        made.add((last.digest, *sums))
    assert len(made) == 1


def test_tiers_given_by_one_scan_win_in_all(store, save, make_recording, swapped):
    given = pl.Series(["train"] + [None] * 9 + ["validation"] + [None] * 49, dtype=pl.String)
    first = make_recording()
    first = replace(first, conditions=first.conditions.with_columns(tier=given))
    ref = make_tiers(store, CONFIG, [save(first), save(swapped)]).ref
    tiers = tiers_of(store, ref)
    assert (tiers["c000"], tiers["c001"], tiers["c010"]) == ("train", "test", "validation")


def test_a_scan_given_twice_is_refused(store, save, make_recording):
    refs = [save(make_recording()), save(make_recording(), variant="again")]
    with pytest.raises(DataError, match="scan twice"):
        make_tiers(store, CONFIG, refs)


def with_twin(recording, of=0, at=40):
    """Put a darker, noisy copy of one image in the place of another, under its own source."""
    images = recording.images.copy()
    noise = np.random.default_rng(0).normal(0, 4, images.shape[1:])
    images[at] = np.clip(0.8 * images[of] + 10 + noise, 0, 255).astype(np.uint8)
    return replace(recording, images=images)


def test_pictures_that_look_alike_are_reported_with_their_tiers_and_change_none(store, save, make_recording):
    plain, twin = make_recording(), with_twin(make_recording(scan=(17, 2, 1)))
    before = make_tiers(store, CONFIG, [save(plain)]).ref
    after = make_tiers(store, CONFIG, [save(twin)]).ref
    assert store.table(before, "near_duplicates").height == 0
    row = store.table(after, "near_duplicates").row(0, named=True)
    assert 0 < row.pop("distance") <= 8
    assert row.pop("tier_b") in ("train", "validation")
    assert row == {
        "condition_hash_a": "c000",
        "condition_hash_b": "c040",
        "source_id_a": "photo0",
        "source_id_b": "photo40",
        "tier_a": "test",
        "across_tiers": True,
    }
    findings = store.manifest(after).findings
    assert (findings["near_duplicates"], findings["near_duplicates_across_tiers"]) == (1, 1)
    assert tiers_of(store, before) == tiers_of(store, after)


def test_pictures_that_look_alike_share_a_tier_by_policy(store, save, make_recording):
    ref = make_tiers(store, MERGING, [save(with_twin(make_recording()))]).ref
    table = store.table(ref, "condition_tier")
    assert table.filter(condition_hash="c040").select("tier", "reason").row(0) == ("test", rules.KIN)
    assert table.filter(tier="test")["condition_hash"].to_list() == ["c000", "c001", "c040"]
    findings = store.manifest(ref).findings
    assert (findings["near_duplicates"], findings["near_duplicates_across_tiers"]) == (1, 0)


def test_a_twin_in_another_scan_is_found_and_moved_by_policy(store, save, make_recording):
    def named(recording, letter):
        new = pl.col("condition_hash").str.replace("c", letter)
        conditions = recording.conditions.with_columns(
            new, pl.col("image_id") + ord(letter) * 1000, pl.col("source_id") + letter
        )
        return replace(recording, trials=recording.trials.with_columns(new), conditions=conditions)

    first, second = make_recording(), make_recording(scan=(17, 2, 1))
    images = second.images.copy()
    images[30] = first.images[0] // 2
    refs = [save(named(first, "a")), save(named(replace(second, images=images), "b"))]
    reported = make_tiers(store, CONFIG, refs).ref
    pairs = store.table(reported, "near_duplicates").select("condition_hash_a", "condition_hash_b")
    assert pairs.rows() == [("a000", "b030")]
    merged = make_tiers(store, MERGING, refs).ref
    assert tiers_of(store, merged)["b030"] == "test" != tiers_of(store, reported)["b030"]
    moved = store.table(merged, "moved").filter(condition_hash="b030")
    assert moved.select("session", "tier").rows() == [(2, "test")]


def test_the_threshold_is_in_the_configuration(store, save, make_recording):
    ref = save(with_twin(make_recording()))
    strict = ConditionTierConfig(group_id=1, tiers=Tiers(near_distance=0))
    assert store.table(make_tiers(store, strict, [ref]).ref, "near_duplicates").height == 0


def test_crops_of_one_source_are_no_finding_and_flat_pictures_are_counted(store, save, make_recording):
    r = with_twin(make_recording())
    r.images[[50, 51]] = 127
    same = pl.when(pl.col("image_row") == 40).then(pl.lit("photo0")).otherwise("source_id")
    r = replace(r, conditions=r.conditions.with_columns(source_id=same))
    findings = store.manifest(make_tiers(store, CONFIG, [save(r)]).ref).findings
    assert (findings["near_duplicates"], findings["images_without_hash"]) == (0, 2)


def test_images_of_no_tier_are_compared_with_nothing(store, save, make_recording):
    r = make_recording()
    synthesised = r.conditions.with_columns(image_class=pl.lit("multi_cnn_mei"))
    refs = [save(r), save(replace(make_recording(scan=(17, 2, 1)), conditions=synthesised, images=r.images))]
    ref = make_tiers(store, CONFIG, refs).ref
    assert store.table(ref, "scans")["closed_loop"].to_list() == [False, True]
    assert store.table(ref, "near_duplicates").height == 0
    assert store.manifest(ref).findings["images_moved"] == 0


def test_a_scan_added_hashes_its_own_images_only(store, save, make_recording, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        image_hash,
        "perceptual_hashes",
        lambda images, rows: hashed.append(len(rows)) or hash_all(images, rows),
    )
    hash_all = perceptual_hashes
    refs = [save(make_recording()), save(make_recording(scan=(17, 2, 1), n_images=30))]
    make_tiers(store, CONFIG, refs[:1])
    make_tiers(store, CONFIG, refs)
    assert hashed == [60, 30]


def test_an_artifact_of_the_first_version_is_still_read(store, save, make_recording, monkeypatch):
    payloads = {name: CONDITION_TIER.payloads[name] for name in ("condition_tier", "scans")}
    monkeypatch.setitem(CATALOGUE, "condition_tier", CONDITION_TIER)  # puts it back at the end
    first = Kind("condition_tier", 1, "as it was", payloads, CONDITION_TIER.partition)
    now = make_tiers(store, CONFIG, [save(make_recording())]).ref

    def build(attempt):
        for name in payloads:
            attempt.write_table(name, store.table(now, name))

    old = store.make(first, CONFIG, build).ref
    monkeypatch.undo()
    assert store.table(old, "condition_tier").equals(store.table(now, "condition_tier"))
    with pytest.raises(ArtifactNotFoundError, match="near_duplicates"):
        store.table(old, "near_duplicates")


def findings_of(store, config, recordings):
    return store.manifest(make_tiers(store, config, recordings).ref).findings


def test_sources_that_given_tiers_split_are_counted(store, save, make_recording):
    """Of every third photograph two crops, one to learn from and one to test on."""
    r = make_recording()
    given = pl.Series(["train", "test", "validation"] * 20, dtype=pl.String)
    at = pl.col("image_row")
    source = pl.when(at % 3 == 1).then(at - 1).otherwise(at)
    split = r.conditions.with_columns(tier=given, source_id=pl.format("photo{}", source))
    shown = r.trials["condition_hash"].n_unique()
    n_split = len([i for i in range(0, shown, 3) if i + 1 < shown])
    assert findings_of(store, CONFIG, [save(replace(r, conditions=split))])["sources_in_two_tiers"] == n_split
    assert findings_of(store, CONFIG, [save(r, variant="plain")])["sources_in_two_tiers"] == 0


def test_images_drawn_from_given_train_images_are_counted(store, save, make_recording):
    r = make_recording()
    given = replace(r, conditions=r.conditions.with_columns(tier=pl.lit("train")))
    ref = save(given)
    with pytest.raises(DataError, match="given_incomplete"):
        make_tiers(store, CONFIG, [ref])
    config = ConditionTierConfig(group_id=1, tiers=Tiers(given_incomplete="draw"))
    findings = findings_of(store, config, [ref])
    assert findings["images_drawn_from_given"] == 6 + 5  # ⌈10 %⌉ of 54 images, ⌈10 %⌉ of the 48 left
    assert findings["images_per_tier"] == {"test": 6, "train": 43, "validation": 5}


def test_identities_that_stand_for_two_pictures_are_counted_and_the_first_named(store, save, make_recording):
    first, second = make_recording(), make_recording(scan=(17, 2, 1))
    new = pl.col("condition_hash").str.replace("c", "d")
    images = first.images.copy()
    images[[7, 9]] = second.images[[7, 9]]
    assert (images[7] != first.images[7]).any()
    images[11] = np.clip(first.images[11].astype(int) + 1, 0, 255)  # looks the same
    other = replace(
        second,
        images=images,
        trials=second.trials.with_columns(new),
        conditions=second.conditions.with_columns(new),
    )
    findings = findings_of(store, CONFIG, [save(first), save(other)])
    assert findings["identities_of_two_pictures"] == 2
    assert findings["first_identity_of_two_pictures"] == "imagenet/7"
    alone = findings_of(store, CONFIG, [save(first)])
    assert alone["identities_of_two_pictures"] == 0
    assert alone["first_identity_of_two_pictures"] == ""
