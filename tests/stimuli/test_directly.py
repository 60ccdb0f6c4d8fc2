"""Stimulus sets of images that are matched and zoomed on the spot."""

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.identity import Config
from inception_loop.errors import DataError
from inception_loop.images.mei import MEI
from inception_loop.images.natural import BEST_NATURAL_IMAGE
from inception_loop.images.rf import GRAD_RF
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.stimulus_set import STIMULUS_SET, StimulusSetConfig, make_stimulus_set

SCAN = ScanKey(animal_id=1, session=1, scan_idx=1)


class StubConfig(Config):
    group_id: int = 0
    scan: ScanKey = SCAN
    batch: int = 0


@pytest.fixture
def artifacts(store, make_made):
    """MEI, RF and natural image of units 11, 7 and 30 in batches of two and one."""

    def save(kind, group, rows, batch):
        declared = kind.payloads[kind.name].columns
        units = group.units[rows]
        numbers = {
            name: (["a"] if str(column.type) == "string" else [True] if str(column.type) == "bool" else [1])
            * len(rows)
            for name, column in declared.items()
        }
        images = group.images[rows]
        known = {c: units[c] for c in units.columns}
        known |= {"img_mean": images.mean((1, 2), dtype=float), "contrast": images.std((1, 2), dtype=float)}
        table = pl.DataFrame(numbers | known).select(list(declared))

        def build(attempt):
            attempt.write_table(kind.name, table)
            for name, payload in kind.payloads.items():
                if name == "images":
                    attempt.write_arrays("images", dict.fromkeys(payload.members, images))
                elif name != kind.name:
                    empty = {m: np.zeros([1] * len(a.dims), a.dtype) for m, a in payload.members.items()}
                    attempt.write_arrays(name, empty)

        return store.make(kind, StubConfig(batch=batch), build).ref

    made = make_made()
    kinds = {"meis": MEI, "rfs": GRAD_RF, "naturals": BEST_NATURAL_IMAGE}
    return {
        role: [save(kind, group, [0, 1], 0), save(kind, group, [2], 1)]
        for (role, kind), group in zip(kinds.items(), made, strict=True)
    }


@pytest.fixture
def loop_config():
    return StimulusSetConfig(loop_group=2, session=StimulusConfig(repeats=3))


def test_the_set_holds_all_images_of_all_batches_and_the_oracle_images(
    store, artifacts, recording, loop_config
):
    ref, hashes = recording
    made = make_stimulus_set(store, loop_config, **artifacts, recording=ref).ref
    conditions, trials = store.table(made, "conditions"), store.table(made, "trials")
    images = store.arrays(made, "images")["images"]
    assert images.shape == (9 + 2 + 1, 72, 128)
    assert trials.height == 3 * 12
    assert conditions.filter(model_type="cnn")["source_unit_id"].to_list() == [11, 7, 30]
    # image 0 was shown 5 times, but once in an excluded trial
    assert conditions.filter(model_type="oracle")["condition_hash"].to_list() == hashes[1:3]


def test_the_target_is_the_mean_of_the_meis_unless_told(store, artifacts, recording, loop_config):
    def findings(**session):
        config = loop_config.model_copy(update={"session": StimulusConfig(repeats=3, **session)})
        return store.manifest(
            make_stimulus_set(store, config, **artifacts, recording=recording[0]).ref
        ).findings

    assert (findings()["mean"], findings()["contrast"]) == pytest.approx((110, 9), rel=1e-5)
    told = findings(mean=128.0, contrast=12.0)
    assert (told["mean"], told["contrast"]) == (128, 12)
    assert told["worst_mean_miss"] < 0.01
    assert told["worst_contrast_miss"] < 0.01


def test_findings_say_what_the_session_takes(store, artifacts, recording, loop_config):
    made = make_stimulus_set(store, loop_config, **artifacts, recording=recording[0]).ref
    findings = store.manifest(made).findings
    assert findings["images_by_model_type"] == {"blank": 1, "cnn": 3, "linear": 3, "natural": 3, "oracle": 2}
    assert findings["n_trials"] == 36
    assert findings["minutes"] == pytest.approx(36 * 0.9 / 60)


def test_the_same_question_is_answered_once(store, artifacts, recording, loop_config):
    first = make_stimulus_set(store, loop_config, **artifacts, recording=recording[0])
    second = make_stimulus_set(store, loop_config, **artifacts, recording=recording[0])
    assert (first.cached, second.cached) == (False, True)


def test_nothing_is_left_of_a_refused_set(store, artifacts, recording, loop_config):
    short = artifacts | {"rfs": artifacts["rfs"][:1]}
    with pytest.raises(DataError, match="first difference unit 30"):
        make_stimulus_set(store, loop_config, **short, recording=recording[0])
    assert not list(store.backend.walk(STIMULUS_SET.name))


def test_oracle_images_can_be_left_out(store, artifacts, recording, loop_config):
    config = loop_config.model_copy(update={"session": StimulusConfig(repeats=3, max_oracle=0, blanks=0)})
    made = make_stimulus_set(store, config, **artifacts, recording=recording[0]).ref
    assert store.arrays(made, "images")["images"].shape == (9, 72, 128)
