"""Pages of reports: whatever a lab calls its things, no word of it is ever anything but text.

Two ways. First every text that a template puts out is replaced by an evil one, which covers every string of
every page, wherever it comes from. Then the free texts of a loop's data are, which covers figures too.
"""

from __future__ import annotations

import ast
import base64
import importlib.util
import os
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import sync_playwright

from flows.telling.publish import defused
from inception_loop.closed_loop.statistics.over_loops import across_loops
from inception_loop.quality.kind import load_quality
from inception_loop.report.gallery.kinds import Look
from inception_loop.report.html import environment
from inception_loop.report.learning.page import render_learning_page
from inception_loop.report.loops_report import render_loops_page
from inception_loop.report.page import render_page
from inception_loop.report.quality_page import render_quality_page

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "src" / "inception_loop" / "report"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
INSTALL = "Chromium is missing; install it (Debian: apt-get install chromium)"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
RAN = "document.title='ran'"
EVIL = (
    f'E<script>{RAN}</script>"onload="{RAN}" \'</style></title></svg>'
    f'<img src=x onerror="{RAN}">--> &lt;$\\f{{1$]]>'
)


def _loaded(name: str, path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Skeleton(HTMLParser):
    """What a browser makes of a page: elements with the names of their attributes, and their text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.words: list[str] = []
        self.policies: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.words += [value for _, value in attrs if value]
        found = dict(attrs)
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(found["content"] or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def pages(days: Any) -> dict[str, Callable[[], str]]:
    """How each page is made, of made-up content."""
    report, loops = _loaded("of_report", "report/conftest.py"), _loaded("of_loops", "report/test_loops.py")
    learning = report.learning_of(configurations=2, seeds=2, n=40)
    data = report.made_up(n_selected=3, n=60)
    from inception_loop.artifacts.store import open_store

    store = open_store("memory://pages-of-evil")
    quality = load_quality(store, days.report_of(store, days.sound_day()))
    units = loops.units_of()
    evidence = across_loops(units, loops=loops.LOOPS, n_permutations=99)
    listed = pl.DataFrame({"loop": ["0", "1", "2"], "animal": ["7", "8", "9"]})
    return {
        "loop": lambda: render_page(replace(data, learning=learning, quality=(quality,))),
        "learning": lambda: render_learning_page(learning, 0),
        "quality": lambda: render_quality_page(quality, 0),
        "loops": lambda: render_loops_page(
            loops=of_loops(listed), loops_evidence=evidence, units=units, digest="0" * 64, settings={"a": "b"}
        ),
    }


def of_loops(listed: pl.DataFrame) -> pl.DataFrame:
    """Return the table of loops with all its columns."""
    from inception_loop.closed_loop.loops import LOOPS_EVIDENCE

    columns = LOOPS_EVIDENCE.payloads["loops"].columns
    more = {name: pl.lit("x" if "string" in str(c.type) else 1) for name, c in columns.items()}
    return listed.with_columns(**{name: value for name, value in more.items() if name not in listed.columns})


class Pair(NamedTuple):
    """A page as it is, and with every text that its templates put out replaced by an evil one."""

    sound: str
    evil: str
    count: int


@pytest.fixture(scope="module")
def pairs(pages: dict[str, Callable[[], str]]) -> dict[str, Pair]:
    """Every page, sound and evil."""
    made, count = environment(), [0]

    def evil(value: object) -> object:
        if type(value) is not str or value.startswith("data:image/"):
            return value
        count[0] += 1
        return EVIL + value

    found = {}
    for name, page in pages.items():
        sound, count[0] = page(), 0
        before, made.finalize = made.finalize, evil
        made.cache.clear()
        try:
            found[name] = Pair(sound, page(), count[0])
        finally:
            made.finalize = before
            made.cache.clear()
    return found


PAGES = ["loop", "learning", "quality", "loops"]


@pytest.mark.parametrize("name", PAGES)
def test_every_text_of_a_page_is_escaped(name: str, pairs: dict[str, Pair]) -> None:
    sound, evil, count = pairs[name]
    assert count > 15
    assert RAN not in sound
    read = Skeleton(evil)
    assert read.elements == Skeleton(sound).elements  # not one element or attribute more
    assert sum(EVIL in word for word in read.words) > 15
    assert EVIL not in evil


@pytest.mark.parametrize("name", PAGES)
def test_a_page_forbids_scripts_and_the_network_to_itself(name: str, pairs: dict[str, Pair]) -> None:
    (policy,) = Skeleton(pairs[name].sound).policies
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


def test_every_template_is_a_page_with_that_policy_or_part_of_one() -> None:
    whole = {path.name for path in (REPORT / "templates").glob("*.jinja") if "<head>" in path.read_text()}
    assert whole == {f"{name}.html.jinja" for name in ("gallery", "learning", "loops", "page", "quality")}
    for path in (REPORT / "templates").glob("*.jinja"):
        text = path.read_text()
        assert ("Content-Security-Policy" in text) == (path.name in whole)
        assert not re.search(r"\|\s*safe|autoescape|<script|\son\w+=|javascript:", text), path.name


TRUSTED = {
    "html.py": "datum: format() of Markup escapes what it is given",
    "page.py": "style sheets of the package",
    "loops_report.py": "a style sheet of the package",
    "quality_page.py": "style sheets of the package; what a template of the package made",
    "learning/page.py": "style sheets of the package",
    "gallery/page.py": "style sheets of the package; what a template of the package made",
    "gallery/charts.py": "numbers, labels by escape(), colours and marks of a Look: see below",
    "closed_loop/strip.py": "numbers and names of the package; its description by format() of Markup",
}
"""Modules that say of a text that it is HTML, and why it is."""


def test_only_known_modules_say_that_a_text_is_html() -> None:
    found = {
        path.relative_to(REPORT).as_posix()
        for path in REPORT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Markup", "Markup.format"))
    }
    assert found <= set(TRUSTED), "say why"
    assert set(TRUSTED) - found == {"learning/page.py"} - found


def test_a_chart_escapes_its_words() -> None:
    from inception_loop.report.gallery.charts import Line, chart, svg

    look = Look("mei", "MEI", "1", "#000000", "")
    line = Line(look, np.arange(2.0), np.arange(2.0))
    drawn, plain = svg(chart([line], EVIL, EVIL), EVIL), svg(chart([line], "x", "y"), "z")
    assert Skeleton(str(drawn)).elements == Skeleton(str(plain)).elements
    assert EVIL in Skeleton(str(drawn)).words


@pytest.mark.parametrize(
    "text",
    [
        EVIL,
        "![seen](http://evil/pixel.png)",
        "![seen][x]\n\n[x]: http://evil/pixel.png",
        "[press](javascript:alert(1))",
        "[press][y]\n\n[y]: javascript:alert(1)",
        "<http://evil> <img src=http://evil/pixel.png>",
        "a\n\n<script>alert(1)</script>",
    ],
)
def test_markdown_for_prefect_is_neither_html_nor_loads_anything(text: str) -> None:
    shown = MarkdownIt("commonmark", {"html": True}).render(
        f"# Title\n\n- {defused(text)}\n\n{defused(text)}"
    )
    read = Skeleton(shown)
    assert {tag for tag, _ in read.elements} <= {"h1", "p", "ul", "li", "em", "strong"}
    assert "http" not in shown or "href" not in shown


def test_markdown_of_our_own_stays_as_it_is() -> None:
    link = "[Open it](https://host/a?b=c) (for 7 days)"
    text = f"# A heading\n\n- one, p = 0.01 {link}.\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    assert defused(text) == text


# --- planted in the data -----------------------------------------------------------------------------------


def evil_column(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    return frame.with_columns(pl.lit(EVIL).alias(name) for name in names)


@pytest.fixture(scope="module")
def evil_loop() -> Any:
    """A loop whose free texts are all evil: animal, notes, scans, fates, rules, settings, versions."""
    report = _loaded("of_report_2", "report/conftest.py")
    data = report.made_up(n_selected=3, n=60)
    learning = report.learning_of(configurations=2, seeds=2, n=40)
    learning = replace(
        learning,
        models=evil_column(learning.models, "model", "label", "core"),
        bad=evil_column(learning.bad, "what", "reason", "record"),
        lineage=evil_column(learning.lineage, "role", "kind", "digest"),
        versions=evil_column(learning.versions, "software", "version"),
    )
    return replace(
        data,
        animal=EVIL,
        animal_note=EVIL,
        notes=(EVIL, EVIL),
        scans=evil_column(data.scans, "scan", "stim_type"),
        trials=evil_column(data.trials, "scan", "fate"),
        funnel=evil_column(data.funnel, "rule"),
        images=tuple(replace(unit, kind=EVIL) for unit in data.images),
        evidence=evil_column(data.evidence, "definition"),
        lineage=evil_column(data.lineage, "scope"),
        settings={EVIL: {EVIL: EVIL}},
        versions={EVIL: EVIL},
        learning=learning,
    )


@pytest.fixture(scope="module")
def planted(evil_loop: Any) -> str:
    """The page of a loop with evil names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)  # names are long
        return render_page(evil_loop)


def test_a_loop_with_evil_names_is_a_page_of_names(planted: str) -> None:
    read = Skeleton(planted)
    assert EVIL not in planted
    assert not {"script", "iframe", "object"} & {tag for tag, _ in read.elements}
    assert not [names for _, names in read.elements if any(name.startswith("on") for name in names)]
    assert sum(EVIL in word for word in read.words) > 20


def test_figures_draw_evil_names_as_they_are(planted: str) -> None:
    drawn = [base64.b64decode(one) for one in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", planted)]
    assert len(drawn) > 5
    assert any(b"E&lt;script&gt;" in one for one in drawn)  # the words are there, as a comment of the drawing
    for one in drawn:
        for element in ElementTree.fromstring(one).iter():
            assert element.tag.rpartition("}")[2] not in {"script", "foreignObject", "a", "iframe"}
            for name, value in element.attrib.items():
                assert not name.startswith("on")
                assert not name.endswith("href") or value.startswith(("#", "data:image/png"))


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason=INSTALL)
def test_a_browser_runs_nothing_and_asks_nobody(pairs: dict[str, Pair], planted: str, tmp_path: Path) -> None:
    assert CHROMIUM is not None, INSTALL
    made = {name: pair.evil for name, pair in pairs.items()} | {"planted": planted}
    proof = f"<!doctype html><title>a</title><body>{EVIL}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            assert seen(browser, tmp_path, proof)[0] == "ran"  # the evil text works where nobody escapes it
            for name, page in made.items():
                bare = re.sub(r"<meta http-equiv[^>]+>", "", page)  # escaping alone has to do
                assert bare != page
                title, asked, dialogs = seen(browser, tmp_path, bare)
                assert (title != "ran", asked, dialogs) == (True, [], []), name
        finally:
            browser.close()


def seen(browser: Any, tmp_path: Path, page: str) -> tuple[str, list[str], list[str]]:
    """Return a page's title once it is shown, what it asked for, and the dialogs that it opened."""
    path = tmp_path / "page.html"
    path.write_text(page)
    tab = browser.new_page()
    asked: list[str] = []
    dialogs: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    tab.goto(path.as_uri())
    title = tab.title()
    tab.close()
    return title, [url for url in asked if not url.startswith("data:") and url != path.as_uri()], dialogs
