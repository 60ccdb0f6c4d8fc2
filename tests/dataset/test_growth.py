"""A group that grows: what stands is found again, and only what changed is read and computed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.config import AreaRules, DatasetConfig, Tiers
from inception_loop.dataset.stage import make_dataset

CONFIG = DatasetConfig(group_id=3, areas=AreaRules(otherwise="V1"))
GROUP_KINDS = {"condition_tier", "statistics", "static_multi_dataset"}


@pytest.fixture
def seen(monkeypatch):
    """Count what is computed, and which responses and traces are read, by kind and session."""
    computed: Counter[tuple[str, int | None]] = Counter()
    read: Counter[tuple[str, int]] = Counter()
    make, vectors, block = ArtifactStore.make, ArtifactStore.vectors, ArtifactStore.block

    def counted_make(self, kind, config, build, *args, **kwargs):
        outcome = make(self, kind, config, build, *args, **kwargs)
        if not outcome.cached:
            scan = getattr(config, "scan", None)
            computed[kind.name, scan and scan.session] += 1
        return outcome

    def counted_read(original):
        def of(self, ref, *args):
            read[ref.kind, self.manifest(ref).config["scan"]["session"]] += 1
            return original(self, ref, *args)

        return of

    monkeypatch.setattr(ArtifactStore, "make", counted_make)
    monkeypatch.setattr(ArtifactStore, "vectors", counted_read(vectors))
    monkeypatch.setattr(ArtifactStore, "block", counted_read(block))
    return computed, read


def of_other_images(recording, offset):
    """The same recording with other images of other sources."""
    return replace(
        recording,
        trials=recording.trials.with_columns(condition_hash=pl.format("{}+{}", "condition_hash", offset)),
        conditions=recording.conditions.with_columns(
            condition_hash=pl.format("{}+{}", "condition_hash", offset),
            image_id=pl.col("image_id") + offset,
            source_id=pl.format("{}+{}", "source_id", offset),
        ),
    )


def with_a_repeat_of(recording, condition):
    """The same recording, with another trial's image replaced by one that is then shown twice."""
    shown = recording.trials["condition_hash"].to_list()
    once = [i for i, name in enumerate(shown) if shown.count(name) == 1 and name != condition]
    shown[once[0]] = condition
    return replace(recording, trials=recording.trials.with_columns(condition_hash=pl.Series(shown)))


def test_a_scan_added_computes_and_reads_nothing_of_the_others(store, save, make_recording, seen):
    computed, read = seen
    refs = [save(make_recording(scan=(17, session, 1))) for session in (1, 2, 3)]
    computed.clear()
    for newest in (1, 2, 3):
        make_dataset(store, CONFIG, refs[:newest])
        of_scans = {session for kind, session in computed if kind not in GROUP_KINDS}
        assert of_scans == {newest}
        assert computed["scan_statistics", newest] == computed["input_response", newest] == 1
        assert {kind for kind, session in computed if session is None} == GROUP_KINDS
        assert {session for _, session in read} == {newest}
        assert read["input_response", newest] == 1  # by its own statistics, and by nothing else
        computed.clear()
        read.clear()


def test_only_the_scans_of_which_an_image_moved_are_described_again(store, save, make_recording, seen):
    computed, read = seen
    config = CONFIG.model_copy(update={"tiers": Tiers(validation_fraction=0)})
    first = make_recording(scan=(17, 1, 1))
    apart = of_other_images(make_recording(scan=(17, 2, 1)), 1000)
    again = with_a_repeat_of(make_recording(scan=(17, 3, 1)), "c030")
    refs = [save(r) for r in (first, apart, again)]
    before = make_dataset(store, config, refs[:2])["statistics"][0].ref
    computed.clear()
    read.clear()
    after = make_dataset(store, config, refs)["statistics"][0].ref
    assert {session for kind, session in computed if kind == "scan_statistics"} == {1, 3}
    assert {session for _, session in read} == {1, 3}
    old, new = (store.manifest(ref).findings["scan_statistics"] for ref in (before, after))
    assert {name for name in old if old[name] == new[name]} == {"group003-17-2-1"}
    n_before, n_after = (
        store.table(ref, "statistics").filter(name="group003-17-1-1", what="responses")["n"][0]
        for ref in (before, after)
    )
    assert n_after == n_before - 1


def test_two_groups_share_the_statistics_of_a_scan(store, save, make_recording, seen):
    computed, _ = seen
    ref = save(make_recording())
    one = make_dataset(store, CONFIG, [ref])["statistics"][0].ref
    computed.clear()
    other = make_dataset(store, CONFIG.model_copy(update={"group_id": 4}), [ref])["statistics"][0].ref
    assert {kind for kind, _ in computed} == GROUP_KINDS
    numbers = [store.table(made, "statistics").drop("name") for made in (one, other)]
    assert numbers[0].equals(numbers[1])


def test_a_group_made_at_once_is_the_group_that_grew(store, save, make_recording):
    refs = [save(make_recording(scan=(17, session, 1))) for session in (1, 2)]
    make_dataset(store, CONFIG, refs[:1])
    grown = make_dataset(store, CONFIG, refs)
    at_once = make_dataset(store, CONFIG, refs[::-1])
    assert grown["static_multi_dataset"][0].ref == at_once["static_multi_dataset"][0].ref
    statistics = store.table(grown["statistics"][0].ref, "statistics")
    alone = make_dataset(store, CONFIG, refs[1:])["statistics"][0].ref
    second = statistics.filter(name="group003-17-2-1")
    assert second.equals(store.table(alone, "statistics"))
    assert np.isfinite(second["mean"].to_numpy()).all()
