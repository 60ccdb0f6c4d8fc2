"""Spoilt recordings are told from sound ones, each by what is wrong, in one file that needs no network."""

import re
import uuid
from dataclasses import replace

import pytest

from inception_loop.artifacts.store import open_store
from inception_loop.quality.kind import load_quality
from inception_loop.quality.words import verdict
from inception_loop.recordings.recording import ScanKey
from inception_loop.report.dataset_report import DatasetReportConfig, make_dataset_report
from inception_loop.report.page import render_page
from inception_loop.report.quality_page import figures, render_quality_page

FOUND = {
    "sound": {},
    "eye_lost": {"eye_tracked": "bad"},
    "leaking": {"lag1": "warn", "leakage": "bad"},
    "slow_background": {"lag1": "warn"},
    "silent_and_drifting": {"silent_units": "bad", "drift": "bad", "lag1": "warn"},
    "binned": {"repeated_images": "warn"},
}
ABSENT = {
    "binned": {
        "eye_tracked",
        "pupil_change",
        "gaze_change",
        "running_tracked",
        "top_speed",
        "frames_missing",
        "samples_filled",
        "oracle",
        "lag1",  # no onset says in which order trials were shown
        "leakage",
        "drift",
        "dropout",
    }
}


def signs(quality, *severities) -> dict[str, str]:
    return {key: one for key, one in quality.findings.select("key", "severity").rows() if one in severities}


@pytest.mark.parametrize("variant", FOUND)
def test_each_recording_raises_its_own_findings_and_no_other(spoilt, variant) -> None:
    store, refs = spoilt
    quality = load_quality(store, refs[variant])
    assert signs(quality, "warn", "bad") == FOUND[variant]
    assert set(signs(quality, "unknown")) == ABSENT.get(variant, set())
    worst = max(FOUND[variant].values(), default="ok", key=("ok", "warn", "bad").index)
    assert verdict(quality) == worst
    findings = store.manifest(refs[variant]).findings
    assert findings["verdict"] == worst
    assert {name: set(keys) for name, keys in findings["findings"].items()} == {
        quality.names[0]: set(FOUND[variant])
    }


def test_the_numbers_are_those_of_what_was_done(spoilt) -> None:
    store, refs = spoilt
    numbers = {
        variant: dict(load_quality(store, ref).numbers.select("key", "value").rows())
        for variant, ref in refs.items()
    }
    assert numbers["eye_lost"]["eye_tracked"] == pytest.approx(0.4, abs=0.02)
    assert numbers["silent_and_drifting"]["silent_units"] == pytest.approx(0.5, abs=0.03)
    assert numbers["leaking"]["leakage"] > 0.3 > 0.1 > numbers["sound"]["leakage"]
    slow = numbers["slow_background"]  # correlation e^(-1/25) a second: near and far trials are alike
    assert slow["lag1"] > 0.2
    assert slow["leakage"] < 0.1
    # from 1 to 0.3 along the session: the thirds lie about their middles at 1/6 and 5/6
    fade = (0.7 * 4 / 6) / 0.65
    assert numbers["silent_and_drifting"]["drift"] == pytest.approx(
        -fade + numbers["sound"]["drift"], abs=0.1
    )


def test_what_dataset_and_tiers_measured_is_taken_from_them(spoilt) -> None:
    store, refs = spoilt
    for ref in refs.values():
        dataset = store.inputs(ref)["dataset"][0]
        found = dict(load_quality(store, ref).numbers.select("key", "value").rows())
        assert found["lag1"] == store.table(dataset, "members")["lag1_leakage"].item()
        told = store.manifest(store.inputs(dataset)["condition_tier"][0]).findings
        assert found["pairs_across_tiers"] == told["near_duplicates_across_tiers"]
        assert found["sources_in_two_tiers"] == told.get("sources_in_two_tiers", 0)


def test_lost_eye_shows_in_the_overview_where_it_was_lost(spoilt) -> None:
    store, refs = spoilt
    quality = load_quality(store, refs["eye_lost"])
    pupil = quality.overview.filter(channel="pupil radius")
    share = pupil["position"] / quality.scans["length"].item()
    lost = pupil["lost"].to_numpy()
    assert lost[(share > 0.42).to_numpy()].min() == 1
    assert lost[(share < 0.38).to_numpy()].mean() < 0.05


@pytest.mark.parametrize("variant", FOUND)
def test_a_page_is_whole_and_needs_no_network(spoilt, variant, read_page) -> None:
    store, refs = spoilt
    html = store.file(refs[variant], "report").decode()
    page = read_page(html)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & page.tags
    assert page.links
    assert all(link.startswith("data:image/") for link in page.links)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"https?://(?!www\.w3\.org)", html)
    assert page.open == []
    assert len(html) < 1.5e6
    quality = load_quality(store, refs[variant])
    alts = [image["alt"] for image in page.images]
    assert len(alts) == len(figures(quality)) == len(set(alts))
    assert min(map(len, alts)) > 20


@pytest.mark.parametrize("variant", FOUND)
def test_a_page_says_the_verdict_first_and_every_number_unrounded(spoilt, variant, read_page) -> None:
    store, refs = spoilt
    html = store.file(refs[variant], "report").decode()
    page, quality = read_page(html), load_quality(store, refs[variant])
    words = " ".join("".join(page.text).split())
    head = words[: words.index("Scan 1-1-1")]
    expected = {"ok": "sound", "warn": "usable with care", "bad": "is bad"}[verdict(quality)]
    assert expected in head
    assert f'<header class="{verdict(quality)}">' in html
    for row in quality.findings.to_dicts():
        if row["value"] is not None:
            assert repr(row["value"]) in {value for value, _ in page.of(row["key"])}
        else:
            assert row["text"] in words
        assert row["advice"] in words


def test_the_same_recordings_make_the_same_bytes(spoilt, days) -> None:
    store, refs = spoilt
    again = open_store(f"memory://{uuid.uuid4().hex}")
    ref = days.report_of(again, days.SPOILT["eye_lost"](days.sound_day()), variant="eye_lost")
    assert ref.digest == refs["eye_lost"].digest
    one, other = store.manifest(refs["eye_lost"]).payloads, again.manifest(ref).payloads
    assert {name: payload.sha256 for name, payload in one.items()} == {
        name: payload.sha256 for name, payload in other.items()
    }


def test_a_report_stands_once_and_hangs_on_dataset_recordings_and_rules(spoilt) -> None:
    store, refs = spoilt
    inputs = store.inputs(refs["sound"])
    assert {role: [ref.kind for ref in found] for role, found in inputs.items()} == {
        "dataset": ["static_multi_dataset"],
        "recordings": ["recording"],
    }
    same = make_dataset_report(store, DatasetReportConfig(group_id=0), dataset=inputs["dataset"][0])
    assert (same.ref, same.cached) == (refs["sound"], True)


def test_several_scans_are_told_one_by_one(store, days, day, read_page) -> None:
    other = replace(days.SPOILT["eye_lost"](day), scan=ScanKey(animal_id=1, session=2, scan_idx=1))
    ref = days.report_of(store, day, other)
    quality = load_quality(store, ref)
    assert quality.scans["verdict"].to_list() == ["ok", "bad"]
    html = store.file(ref, "report").decode()
    page = read_page(html)
    assert html == render_quality_page(quality, 0)
    words = " ".join("".join(page.text).split())  # no-break spaces too
    assert re.search(r"1 of 2 recordings is bad: eye tracked \((39|40|41) %\)\.", words)
    assert len(set(re.findall(r'id="([^"]+)"', html))) == len(re.findall(r'id="', html))


def test_the_report_of_a_loop_has_a_part_on_the_recordings_early_on(spoilt, bare, read_page) -> None:
    store, refs = spoilt
    quality = load_quality(store, refs["leaking"])
    html = render_page(replace(bare, quality=(quality,)))
    page = read_page(html)
    assert page.open == []
    assert html.index('id="quality"') < html.index('id="evidence"')
    assert repr(quality.findings.filter(key="leakage")["value"].item()) in {v for v, _ in page.of("leakage")}
    assert "<details open><summary>Plots of scan 1-1-1" in html
    sound = render_page(replace(bare, quality=(load_quality(store, refs["sound"]),)))
    assert "<details><summary>Plots of scan 1-1-1" in sound
    assert 'id="quality"' not in render_page(bare)
