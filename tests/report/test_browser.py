"""The report as a browser shows it: complete, offline, readable on a phone. Never skipped in CI."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, sync_playwright

from inception_loop.report.learning.page import render_learning_page
from inception_loop.report.page import render_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
INSTALL = "Chromium is missing; install it (Debian: apt-get install chromium)"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason=INSTALL),
]


@pytest.fixture(scope="module", params=["loop", "learning", "sound", "eye_lost", "binned"])
def path(request, tmp_path_factory, data, learning, spoilt) -> Path:
    page = tmp_path_factory.mktemp("report") / "report.html"
    store, refs = spoilt
    pages = {
        "loop": lambda: render_page(replace(data, learning=learning)).encode(),
        "learning": lambda: render_learning_page(learning, 0).encode(),
    }
    page.write_bytes(pages.get(request.param, lambda: store.file(refs[request.param], "report"))())
    return page


@pytest.fixture(scope="module")
def browser():
    assert CHROMIUM is not None, INSTALL
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


PAPER = 688
"""Width of an A4 page without its margins, CSS px."""


@pytest.mark.parametrize("width", [1280, 390, PAPER], ids=["desk", "phone", "paper"])
def test_a_report_is_whole_offline_and_fits_its_screen(browser, path, width, tmp_path) -> None:
    page: Page = browser.new_page(viewport={"width": width, "height": 900})
    if width == PAPER:
        page.emulate_media(media="print")
    asked: list[Request] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(path.as_uri())
    assert [request.url for request in asked if not request.url.startswith(("file:", "data:"))] == []
    assert errors == []
    pictures = page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
    assert pictures
    assert min(pictures) > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == PAPER:
        heads = page.eval_on_selector_all("details > summary", "all => all.map(one => one.offsetHeight)")
        assert min(heads, default=1) > 0  # what a folded block is about stands above it on paper
    lines = page.eval_on_selector_all("data", "all => all.map(one => one.getClientRects().length)")
    assert max(lines, default=1) == 1  # 1.0 × 10⁻⁵ is one word
    page.screenshot(path=tmp_path / f"report-{width}.png", full_page=True)
    page.close()
