from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from inception_loop.dataset.config import AreaRules, CorrectedAreaLayer, DatasetConfig
from inception_loop.dataset.fill import fill_data_configs, fill_groups, group_numbers
from inception_loop.dataset.member import load_member, member_names
from inception_loop.dataset.stage import make_dataset
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

BASE = DatasetConfig(group_id=5, areas=AreaRules(otherwise="V1"))


def key(animal_id, session, scan_idx):
    return ScanKey(animal_id=animal_id, session=session, scan_idx=scan_idx)


ONE, TWO, OTHER = key(17, 1, 2), key(17, 2, 1), key(18, 1, 1)


@pytest.fixture
def three(save, make_recording):
    return [save(make_recording(scan=(s.animal_id, s.session, s.scan_idx))) for s in (ONE, TWO, OTHER)]


def made(store, group):
    return make_dataset(store, group.config, group.recordings)["static_multi_dataset"][0]


def test_every_data_configuration_of_a_dataset_loads_every_member(store, three):
    dataset = make_dataset(store, BASE, three[:2])["static_multi_dataset"][0].ref
    configs = fill_data_configs(store, dataset)
    assert len(configs) == 8 * 3 * 2  # L2/3, L4, all; V1, all
    assert CorrectedAreaLayer() in configs
    for config in configs:
        for name in member_names(store, dataset):
            assert load_member(store, dataset, name, config).units.height > 0


def test_layers_that_a_member_lacks_are_not_filled(store, save, make_recording):
    shallow = make_recording(scan=(17, 2, 1))
    shallow = replace(shallow, units=shallow.units.with_columns(um_z=pl.lit(150.0)))
    dataset = make_dataset(store, BASE, [save(make_recording()), save(shallow)])["static_multi_dataset"][
        0
    ].ref
    assert {config.layer for config in fill_data_configs(store, dataset)} == {"L2/3", "all"}


def test_the_complement_of_still_images_is_refused_since_a_dataset_has_no_such_trial(store, three):
    dataset = make_dataset(store, BASE, three[:1])["static_multi_dataset"][0].ref
    (config,) = [
        c
        for c in CorrectedAreaLayer.fill(["all"], ["all"], ["~stimulus.Frame"])
        if c.normalize and not c.normalize_per_image and not c.exclude
    ]
    with pytest.raises(DataError, match=r"still images only; expected stimulus_type 'stimulus\.Frame'"):
        load_member(store, dataset, member_names(store, dataset)[0], config)


def test_groups_are_each_scan_alone_and_all_scans_of_an_animal(store, three):
    groups = fill_groups(store, three[::-1], BASE)
    assert [group.scans for group in groups] == [(ONE,), (TWO,), (ONE, TWO), (OTHER,)]
    assert [group.config.group_id for group in groups] == [5, 6, 7, 8]
    assert {group.config.model_copy(update={"group_id": 5}) for group in groups} == {BASE}
    ref = made(store, groups[2]).ref
    assert member_names(store, ref) == ["group007-17-1-2", "group007-17-2-1"]


def test_a_group_keeps_its_number_when_a_scan_is_added(store, three):
    before = fill_groups(store, three[1:], BASE)
    assert [(g.scans, g.config.group_id) for g in before] == [((TWO,), 5), ((OTHER,), 6)]
    for group in before:
        made(store, group)
    after = fill_groups(store, three, BASE)
    assert {g.scans: g.config.group_id for g in after} == {(ONE,): 7, (TWO,): 5, (ONE, TWO): 8, (OTHER,): 6}
    assert [made(store, group).cached for group in after] == [False, True, False, True]


def test_a_number_under_which_scans_were_added_stays_with_the_larger_group(store, three):
    make_dataset(store, BASE, three[:1])
    make_dataset(store, BASE, three[:2])
    assert group_numbers(store) == {(ONE, TWO): 5}
    groups = fill_groups(store, three[:2], BASE)
    assert {g.scans: g.config.group_id for g in groups} == {(ONE,): 6, (TWO,): 7, (ONE, TWO): 5}


def test_closed_loop_scans_are_in_no_group(store, save, three, make_recording):
    r = make_recording(scan=(17, 3, 1))
    synthesised = r.conditions.with_columns(image_class=pl.lit("multi_cnn_mei"))
    later = save(replace(r, conditions=synthesised))
    scans = [group.scans for group in fill_groups(store, [*three, later], BASE)]
    assert scans == [(ONE,), (TWO,), (ONE, TWO), (OTHER,)]
