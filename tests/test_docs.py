"""The documentation says what the code says."""

import importlib
import importlib.util
import re
import shlex
import tomllib
import uuid
from pathlib import Path
from types import ModuleType

import pytest

from inception_loop.night_parameters import NightParameters
from inception_loop.presets import paper_grid

ROOT = Path(__file__).resolve().parents[1]


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_catalogue_is_up_to_date() -> None:
    written = (ROOT / "docs" / "catalogue.md").read_text()
    assert written == load_script("make_catalogue").catalogue(), "run `python docs/make_catalogue.py`"


def test_the_reference_of_the_functions_is_up_to_date() -> None:
    written = (ROOT / "docs" / "api.md").read_text()
    assert written == load_script("make_api").api(), "run `python docs/make_api.py`"


PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


def places(page: Path) -> set[str]:
    """What links into a page may end with: its headings as they are made into anchors."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", text):
        if "://" in target:
            continue
        there = page.parent / target if target else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in places(there), f"{page.name} links to {target}#{anchor}"


def blocks(page: Path) -> list[str]:
    """The blocks of a page that are meant for a shell: they name no language."""
    parts = re.split(r"^```(\w*)\n", page.read_text(), flags=re.MULTILINE)  # text, language, text, "", text …
    return [inside for language, inside in zip(parts[1::4], parts[2::4], strict=True) if not language]


def commands(page: Path) -> list[str]:
    """The commands of a page's blocks; without settings before them, comments, and where output goes."""
    lines = [line.strip() for block in blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    words = [re.sub(r"^(\w+=\S+ +)+", "", re.split(r"\s+#|\s+>|\s+\|", line)[0]) for line in lines]
    return [line for line in words if line.partition(" ")[0] in PARSERS]


def parse_own(words: list[str]) -> None:
    from flows.cli import app

    app.parse_args(words, exit_on_error=False, print_error=False)


def parse_prefect(words: list[str]) -> None:
    from prefect.cli._app import _app  # what its program calls

    _app.parse_args(words, exit_on_error=False, print_error=False)


def parse_dask(words: list[str]) -> None:
    main = importlib.import_module(f"distributed.cli.dask_{words[0]}").main
    main.make_context(words[0], words[1:])


PARSERS = {"inception-loop": parse_own, "prefect": parse_prefect, "dask": parse_dask}


@pytest.mark.parametrize(
    "line", sorted({line for page in PAGES for line in commands(page)}), ids=lambda line: line[:60]
)
def test_a_command_is_one_that_there_is(line: str) -> None:
    program, *words = shlex.split(line)
    PARSERS[program](words)


def test_a_command_that_there_is_not_is_found() -> None:
    for line in ("inception-loop deploy --wotch x", "prefect worker begin", "dask worker --nthreads many"):
        program, *words = shlex.split(line)
        with pytest.raises(Exception, match=r"(?i)unknown|not a valid"):
            PARSERS[program](words)
    found = {page.name: len(commands(page)) for page in PAGES}
    assert found["night.md"] >= 4
    assert found["distributed.md"] >= 5
    assert sum(found.values()) > 30


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, new = set(), {ROOT / "README.md"}
    while new:
        reached |= new
        links = {
            (page.parent / target).resolve()
            for page in new
            for target in re.findall(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)", page.read_text())
            if "://" not in target
        }
        new = links - reached
    adrs = set((ROOT / "docs" / "adr").glob("*.md"))
    assert set(PAGES) - reached - adrs == set()


def test_the_small_grid_of_the_night_on_paper_is_the_published_pair_with_its_seeds() -> None:
    (block,) = re.findall(r"```toml\n(\[grid\].*?)```", (ROOT / "docs" / "night.md").read_text(), re.DOTALL)
    parameters = NightParameters.model_validate(tomllib.loads(block))
    assert parameters.grid == paper_grid()
    assert len(parameters.grid.models(0)) == 8


def test_the_notebook_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    code = "\n".join(blocks).replace("file:///tmp/notebook", f"memory://{uuid.uuid4().hex}")
    for small in ("NaturalSessionConfig(n_train=60, n_repeated=4, repeats=3)", "SimulatedConfig(n_units=20)"):
        code = code.replace(f"{small.partition('(')[0]}()", small)
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[1:3]] == ["1", "2"]
    assert said[3] == "own image against control image: 30 units"
