"""A person sees every step end, progress now and then, and why a try failed; a program sees nothing."""

import io
from functools import partial

import pytest
from rich.console import Console as RichConsole

from flows import console as console_module
from flows.console import Console
from flows.observing import Event


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
        console(event("refused", text="the kernel is\ntoo large"))
        console(event("refused", text="the kernel is too large", cached=True))
        console(event("finished", seconds=2.0, text="1 of 3 cannot be trained"))
    told = [line[line.index("train") :] for line in capsys.readouterr().err.splitlines()]
    assert [" ".join(line.split()) for line in told] == [
        "train ✓ model a (1.3 s)",
        "train = model a (already there)",
        "train ✗ model a",
        "train ✗ model a: no answer",
        "train » model a (another worker has reserved it)",
        "train ✗ model a cannot be trained: the kernel is too large",
        "train ✗ model a cannot be trained: the kernel is too large (known)",
        "train ✓ model a (1 of 3 cannot be trained, 2.0 s)",
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


NAME = (
    "model_job GaussianLaplace core.gamma_input=50.0 core.gamma_hidden=0.1 readout.downsample=true seed 1009"
)
TEXT = "epochs, val corr 0.1562, 12,936 images/s, ≤ 1.2 min left"
OVERALL = "12 of 64 trained, 1 cannot be trained, 2 with other workers, about 3.0 h left"


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch):
    """A console on a terminal of some width, and what it shows now, without styles."""

    def live(width: int):
        terminal = partial(RichConsole, file=io.StringIO(), force_terminal=True, width=width)
        monkeypatch.setattr(console_module, "RichConsole", terminal)
        console = Console()

        def shown() -> list[str]:
            screen = RichConsole(record=True, file=io.StringIO(), width=width)
            screen.print(console._progress.get_renderable())
            return [line.rstrip() for line in screen.export_text().splitlines()]

        return console, shown

    return live


@pytest.mark.parametrize(("width", "name"), [(80, "Gau"), (100, "Gauss"), (160, "GaussianLaplace")])
def test_epoch_correlation_rate_and_time_left_come_first_and_the_name_is_cut(live, width, name) -> None:
    console, shown = live(width)
    for seed in ("1009", "2"):
        begun = Event(stage="train", what="started", name=NAME.replace("1009", seed))
        console(begun)
        console(begun.model_copy(update={"what": "progress", "done": 12, "total": 100, "text": TEXT}))
    console(Event(stage="train", what="overall", name="", done=13, total=64, text=OVERALL))
    overall, first, second = shown()
    assert all(len(line) <= width for line in (first, second, overall))
    for line in (first, second):
        assert f"12/100 {TEXT} " in line
        assert name in line
        assert "…" in line
    assert (first[-9:], second[-6:]) == ("seed 1009", "seed 2")
    if width > 80:
        assert overall == f"train: {OVERALL}"
    else:
        assert overall == f"train: {OVERALL}"[:79] + "…"


def test_a_wide_terminal_shows_whole_names_and_one_of_100_columns_has_bars(live) -> None:
    for width in (80, 100, 220):
        console, shown = live(width)
        console(event("started"))
        console(event("progress", done=1, total=2, text="epochs"))
        (line,) = shown()
        assert "1/2 epochs model a" in line
        assert ("━" in line) == (width >= 100)


def test_a_step_that_waits_says_so_and_counts_nothing(live, capsys) -> None:
    console, shown = live(80)
    console(event("started"))
    console(event("progress", text="another worker trains it"))
    assert [line[1:].strip() for line in shown()] == ["another worker trains it model a"]
    console._live = False
    console(event("progress", text="another worker trains it"))
    assert capsys.readouterr().err.endswith("… model a another worker trains it\n")


def test_how_far_the_grid_is_is_told_now_and_then_and_at_its_end(capsys, monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: clock[0])
    console = Console()
    for done in range(13):
        clock[0] += 1
        console(Event(stage="train", what="overall", name="", done=done, total=12, text=f"{done} of 12"))
    told = [line[line.index("train") :].split(maxsplit=1)[1] for line in capsys.readouterr().err.splitlines()]
    assert told == ["… 0 of 12", "… 10 of 12", "✓ 12 of 12"]


def test_a_name_loses_first_its_kind_of_step_and_then_its_middle() -> None:
    name = "model_job GaussianLaplace core.gamma_input=50.0 seed 1009"
    assert console_module.cut(name, 60) == name
    assert console_module.cut(name, 50) == "GaussianLaplace core.gamma_input=50.0 seed 1009"
    assert console_module.cut(name, 20) == "Gaussi…0.0 seed 1009"
