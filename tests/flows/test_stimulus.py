"""The stage that fills a session: refusals are one line of its own, and what it made can be exported."""

import shutil
from pathlib import Path

import pytest

from flows import cli
from flows.stimulus import stimulus
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.images.monitor.shown_target import GreyTarget, LuminanceTarget
from inception_loop.parameters import StimulusParameters
from inception_loop.stimuli.fills import GaborFill, UnmaskedFill
from inception_loop.stimuli.rules import StimulusRules

KINDS = ("mei", "grad_rf", "best_gabor", "masked_mei", "best_tight_masked_imagenet", "best_natural_image")


@pytest.fixture(scope="module")
def copy(tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stimulus") / "store"
    shutil.copytree(tiny_run[0].removeprefix("file://"), folder)
    return f"file://{folder}"


@pytest.fixture
def asked(tiny_run, copy, monkeypatch):
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
    with pytest.raises(ConfigurationError, match="10 cd/m² has no monitor: 0 calibrations given"):
        stimulus(asked(light))
    with pytest.raises(ConfigurationError, match="takes images of kind best_gabor, which are not given"):
        stimulus(asked(StimulusRules(fills=(GaborFill(),)), kinds=("mei",)))


def test_the_set_of_a_loop_is_exported_and_says_what_it_was_brought_to(copy, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", "--loop-group", "0", "--output", str(tmp_path / "rig"), "--store", copy])
    assert ended.value.code in (0, None), capsys.readouterr().err
    said = " ".join(Path(tmp_path / "rig" / "README.txt").read_text().split())
    assert "brought to mean" in said
    assert len(list((tmp_path / "rig" / "images").iterdir())) == 69
