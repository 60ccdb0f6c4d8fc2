"""A person sees every step end, progress now and then, and why a try failed; a program sees nothing."""

import io
from functools import partial

import pytest
from rich.console import Console as RichConsole

from flows import console as console_module
from flows._stage import Event
from flows.console import Console


def event(what: str, **changes) -> Event:
    return Event(stage="train", what=what, name="model a", **changes)


def test_plain_lines_tell_how_each_step_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        console(event("started"))
        console(event("finished", seconds=1.26))
        console(event("finished", cached=True))
        console(event("failed"))
        console(event("failed", text="no\nanswer"))
        console(event("passed", text="another worker has reserved it"))
    told = [line[line.index("train") :] for line in capsys.readouterr().err.splitlines()]
    assert [" ".join(line.split()) for line in told] == [
        "train ✓ model a (1.3 s)",
        "train = model a (already there)",
        "train ✗ model a",
        "train ✗ model a: no answer",
        "train » model a (another worker has reserved it)",
    ]


def test_progress_is_told_at_most_once_in_ten_seconds(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: clock[0])
    console = Console()
    for second in range(25):
        clock[0] = 100.0 + second
        console(event("progress", done=second, total=25, text="loss 1"))
    told = capsys.readouterr().err.splitlines()
    assert [line.split("…")[1] for line in told] == [f" model a {done}/25 loss 1" for done in (0, 10, 20)]


def test_a_quiet_console_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(quiet=True) as console:
        console.say("hello")
        console(event("finished"))
    assert capsys.readouterr() == ("", "")


def test_a_terminal_keeps_a_line_a_step_and_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        console_module, "RichConsole", partial(RichConsole, file=screen, force_terminal=True, width=100)
    )
    with Console() as console:
        console.say("begun")
        console(event("started"))
        console(event("progress", done=1, total=2, text="loss 1"))
        console(event("finished", seconds=2.0))
        assert console._bars == {}
        console(event("failed", text="nobody began this"))  # a step that this console never saw begin
    assert "begun" in screen.getvalue()
    assert "✓ model a (2.0 s)" in screen.getvalue()
    assert "nobody began" not in screen.getvalue()
