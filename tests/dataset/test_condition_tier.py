from __future__ import annotations

from dataclasses import replace

import polars as pl

from inception_loop.dataset.condition_tier import ConditionTierConfig, make_condition_tier
from inception_loop.dataset.config import Tiers


def test_a_new_scan_makes_a_new_artifact_that_counts_the_images_it_moved(store, save, make_recording):
    first, second = make_recording(), make_recording(scan=(17, 2, 1))
    swap = {"c000": "c010", "c010": "c000"}  # the second scan repeats another image
    trials = second.trials.with_columns(pl.col("condition_hash").replace(swap))
    refs = [save(first), save(replace(second, trials=trials))]
    config = ConditionTierConfig(group_id=1, tiers=Tiers())
    alone = make_condition_tier(store, config, recordings=refs[:1]).ref
    both = make_condition_tier(store, config, recordings=refs).ref
    assert alone != both
    assert make_condition_tier(store, config, recordings=refs[::-1]).cached
    table = store.table(both, "condition_tier").filter(tier="test")
    assert table["condition_hash"].to_list() == ["c000", "c001", "c010"]
    assert store.manifest(alone).findings["images_moved"] == 0
    assert store.manifest(both).findings["images_moved"] >= 2  # c010 for the first, c000 for the second
