"""The stage that fills a session: refusals are one line of its own, and what it made can be exported."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from flows import cli
from flows._next import next_lines
from flows._stage import StageResult
from flows.stimulus import stimulus
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import open_store
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.examples import example_parameters
from inception_loop.images.monitor.shown_target import GreyTarget, LuminanceTarget
from inception_loop.parameters import MeiParameters, StimulusParameters, parse
from inception_loop.stimuli.fills import GaborFill, UnmaskedFill
from inception_loop.stimuli.rules import StimulusRules
from inception_loop.stimuli.target_group import current_target

KINDS = ("mei", "grad_rf", "best_gabor", "masked_mei", "best_tight_masked_imagenet", "best_natural_image")


@pytest.fixture(scope="module")
def copy(tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stimulus") / "store"
    shutil.copytree(tiny_run[0].removeprefix("file://"), folder)
    return f"file://{folder}"


@pytest.fixture
def asked(tiny_run, copy, call, monkeypatch):
    """Function that makes the parameters of the stage out of the tiny loop's artifacts."""
    monkeypatch.setenv("INCEPTION_LOOP_STORE", copy)
    found = {
        kind: [ref.model_copy(update={"uri": ref.uri.replace(tiny_run[0], copy)}) for ref in refs]
        for result in tiny_run[1].stages.values()
        for kind, refs in result.refs.items()
    }

    def make(rules, kinds=KINDS, **changes):
        return StimulusParameters(
            recording=found["recording"][0],
            images=tuple(ref for kind in kinds for ref in found[kind]),
            target_model=found["target_model"][0],
            selection=found["corrected_high_unit_selection"][0],
            panel=found["truth_panel"][0],
            rules=rules,
            **changes,
        )

    return make


def test_what_a_later_step_refuses_is_said_in_its_own_words(asked):
    strict = StimulusRules(fills=(UnmaskedFill(min_units=50),))
    with pytest.raises(DataError, match="expected at least 50"):
        stimulus(asked(strict))
    bright = StimulusRules(fills=(UnmaskedFill(),), target=GreyTarget(mean=128, contrast=200))
    with pytest.raises(DataError, match=r"reaches a contrast of .* too much; lower the target"):
        stimulus(asked(bright))


def test_what_cannot_become_a_session_is_refused_before_an_image_is_processed(asked):
    light = StimulusRules(fills=(UnmaskedFill(),), target=LuminanceTarget())
    with pytest.raises(ConfigurationError, match="a target in cd/m² has no monitor: 0 calibrations given"):
        stimulus(asked(light))
    with pytest.raises(ConfigurationError, match="takes images of kind best_gabor, which are not given"):
        stimulus(asked(StimulusRules(fills=(GaborFill(),)), kinds=("mei",)))


def test_the_set_of_a_loop_is_exported_and_says_what_it_was_brought_to(copy, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", "--loop-group", "0", "--output", str(tmp_path / "rig"), "--store", copy])
    assert ended.value.code in (0, None), capsys.readouterr().err
    said = " ".join(Path(tmp_path / "rig" / "README.txt").read_text().split())
    assert re.search(r"brought to mean [\d.]+ and RMS contrast [\d.]+ cd/m²", said)
    assert "Their grey levels come from the calibration" in said
    assert "not in light" not in said
    assert len(list((tmp_path / "rig" / "images").iterdir())) == 66


def listing(uri):
    """Every file of a store, with its size."""
    folder = Path(uri.removeprefix("file://"))
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def words_of(asked, *changes):
    """Return the options that name what the stage needs, with a gallery for the images."""
    p = asked(StimulusRules(fills=(UnmaskedFill(),)))
    (gallery,) = [listed.ref for listed in artifacts(open_store(), "gallery")]
    given = {"recording": p.recording, "target_model": p.target_model, "gallery": gallery}
    named = [f"{key}={ref.kind}/{ref.digest[:12]}" for key, ref in given.items()]
    options = [*named, 'rules.fills=[{type = "unmasked"}]', *changes]
    return ["run", "stimulus", *(word for option in options for word in ("--set", option))]


def test_a_dry_run_says_what_is_there_and_what_is_to_be_made_and_changes_nothing(asked, call, copy):
    before = listing(copy)
    said = call(*words_of(asked, "rules.session.repeats=3"), "--dry-run", "--store", copy)
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[:2] == [
        "fill unmasked: 12 images of 12 units (6 selected, 6 of the panel)",
        "  unmasked_imgnet from best_natural_image: 12 of 12 units",
    ]
    assert "session: to be made: 13 images, 39 trials" in said.out
    assert said.out.endswith("nothing was changed (--dry-run)\n")
    bright = words_of(asked, 'rules.target={type = "grey", mean = 128, contrast = 200}')
    said = call(*bright, "--dry-run", "--store", copy)
    assert "  refused: best_natural_image of unit" in said.out  # in the words of the stage itself
    assert "too much; lower the target" in said.out
    assert "session:" not in said.out
    lacking = words_of(asked, 'images=["mei/"]')
    (batch, *_) = [listed.ref for listed in artifacts(open_store(copy), "mei")]
    lacking[lacking.index('images=["mei/"]')] = f'images=["mei/{batch.digest[:12]}"]'
    said = call(*lacking, "--dry-run", "--store", copy)
    assert "0 of 12 units; missing: group000-1-1-1/" in said.out
    assert "refused: fill_unmasked_stimulus takes images of kind best_natural_image" in said.out
    assert listing(copy) == before


def test_a_gallery_names_the_images_and_a_set_may_be_named_as_the_next_one_later(asked, call, copy, caplog):
    fill = UnmaskedFill()
    named = asked(StimulusRules(fills=(fill,)))
    (gallery,) = [listed.ref for listed in artifacts(open_store(), "gallery")]
    short = named.model_copy(update={"gallery": gallery, "images": (), "selection": None, "panel": None})
    by_name = stimulus(named.model_copy(update={"name_target": False}))
    by_gallery = stimulus(short.model_copy(update={"name_target": False}))
    said = "alike in grey levels, not in light (no calibration of the monitor is given): mean"
    assert said in caplog.text
    assert by_gallery.refs == by_name.refs
    assert by_gallery.computed == 0
    store, made = open_store(), by_name.one("stimulus_set")
    before = current_target(store, 0)
    assert before.stimulus_set != made
    name = f"stimulus_set/{made.digest[:12]}"
    lines = next_lines(store, short.model_copy(update={"name_target": False}), by_gallery, None)
    assert lines == [
        f"next: inception-loop export {name} --output rig",
        f"then: inception-loop target {name}",
    ]
    said = call(*lines[1].split()[2:], "--store", copy)
    assert said.out.splitlines()[-1].split() == [
        str(before.number + 1),
        name,
        *["shown", "next", "in", "loop", "0"],
    ]
    assert call(*lines[1].split()[2:], "--store", copy).out == said.out
    assert current_target(store, 0).stimulus_set == made
    assert (
        "was made for loop 0; expected one of loop 1"
        in call("target", name, "--loop-group", 1, "--store", copy).err
    )
    assert "loop 1 shows nothing next; name a set" in call("target", "--loop-group", 1, "--store", copy).out
    said = call(*words_of(asked), "--dry-run", "--store", copy)
    assert f"there: stimulus_set/{made.digest[:12]}" in said.out


def test_after_the_images_the_next_command_is_the_dry_run_of_their_session(asked, call, copy):
    p = asked(StimulusRules(fills=(UnmaskedFill(),)))
    store = open_store()
    (gallery,) = [listed.ref for listed in artifacts(store, "gallery")]
    (dataset,) = [listed.ref for listed in artifacts(store, "static_multi_dataset")]
    asked_mei = MeiParameters(dataset=dataset, target_model=p.target_model, selection=p.selection)
    result = StageResult(stage="mei", refs={"gallery": [gallery]}, computed=1, cached=0, seconds=1.0)
    first, second = next_lines(store, asked_mei, result, copy)
    assert first.replace(" --dry-run", "").split()[1:] == second.split()[1:]
    said = call(*shlex.split(first)[2:])
    assert said.status == 0, said.err
    assert "fill multimei: 24 images of 12 units" in said.out


def test_neither_gallery_nor_images_is_refused():
    with pytest.raises(ConfigurationError, match="neither gallery nor images is given; expected the gallery"):
        parse(StimulusParameters, example_parameters("stimulus").model_dump(mode="json") | {"gallery": None})


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("stimulus_fill", "multimei, 12 units, 24 images"),
        ("stimulus_set", "12 units, 66 images, 198 trials, 3.0 min"),
        ("target_static_group_id", "number 0, of stimulus_set/"),
        ("processed_image", "4 images, of mei/"),
        ("tight_mei_mask", "4 units ("),
        ("gallery", "12 units, 72 images, "),
        ("target_model", "2 models in ensembles, 1 validators"),
        ("corrected_high_unit_selection", "6 selected, 51 candidates"),
    ],
)
def test_a_long_listing_says_how_many_units_and_images(tiny_run, call, kind, said):
    assert said in call("store", "ls", kind, "--long", "--store", tiny_run[0]).out


def test_a_lineage_has_a_line_for_each_kind(tiny_run, call):
    (listed,) = artifacts(open_store(tiny_run[0]), "stimulus_set")
    short, full = (
        call("store", "lineage", listed.ref.uri, *words, "--store", tiny_run[0]).out.splitlines()
        for words in ([], ["--full"])
    )
    assert "  ← 4 stimulus_fill  for stimulus_set" in short
    assert len(short) < 40 < 200 < len(full)
    kinds = {line.split("← ")[1].split("/")[0] for line in full[1:]}
    assert len(short) == 1 + len(kinds)
