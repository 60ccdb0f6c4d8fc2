from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from inception_loop.dataset.config import Statistic
from inception_loop.dataset.parts import UsedTrials
from inception_loop.dataset.scan_statistics import (
    ScanStatisticsConfig,
    make_scan_statistics,
    scan_statistics,
    trials_digest,
)
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

RNG = np.random.default_rng(3)
USED = UsedTrials(
    frames=RNG.uniform(0, 255, (8, 2, 3)).astype(np.float32),
    frame_row=np.array([0, 1, 1]),
    responses=RNG.random((3, 3), dtype=np.float32),
    behavior=np.array([[1.0, 2, 3], [np.nan, 3, 5], [5, 7, 9]]),
    pupil_center=None,
)


def test_every_part_that_is_there_is_described():
    table = scan_statistics(USED, Statistic())
    assert dict(table["what"].value_counts().rows()) == {"images": 1, "responses": 3, "behavior": 3}
    assert set(table["tier"]) == {"train"}
    images = table.filter(what="images")
    assert images["mean"].item() == pytest.approx(USED.frames[[0, 1, 1]].mean(), rel=1e-6)
    responses = table.filter(what="responses")
    np.testing.assert_allclose(responses["std"], USED.responses.std(0, ddof=1), rtol=1e-6)
    assert table.filter(what="behavior")["n"].to_list() == [2, 3, 3]
    assert table.filter(what="behavior")["mean"].to_list() == [3.0, 4.0, 17 / 3]


def test_one_trial_is_not_enough():
    one = UsedTrials(USED.frames, USED.frame_row[:1], USED.responses[:1], None, None)
    with pytest.raises(DataError, match="1 trials of tier 'test'"):
        scan_statistics(one, Statistic(norm_tier="test"))


def test_the_digest_names_the_trials_and_their_order():
    def digest(*trials):
        return trials_digest(pl.DataFrame({"trial_idx": list(trials)}))

    assert digest(1, 2) == digest(1, 2)
    assert len({digest(1, 2), digest(2, 1), digest(1, 2, 3), digest(12)}) == 4


def test_other_trials_than_the_configuration_names_are_refused(store):
    config = ScanStatisticsConfig(scan=ScanKey(animal_id=1, session=1, scan_idx=1), trials="0" * 64)
    trials = pl.DataFrame({"trial_idx": [1, 2]})
    refs = dict.fromkeys(("frame", "input_response", "eye", "treadmill"))
    with pytest.raises(DataError, match="2 trials were given"):
        make_scan_statistics(store, config, trials=trials, **refs)
