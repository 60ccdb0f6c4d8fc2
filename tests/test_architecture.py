"""The house keeps its directions: who may import whom, and what `import inception_loop` may cost."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "inception_loop"
GROUND = {"errors", "credentials", "settings", "artifacts"}
BASE = GROUND | {"recordings"}
"""`recordings` defines the words that every room speaks (scan, recording)."""
ALLOWED = {
    "errors": set(),
    "credentials": {"errors"},
    "settings": {"errors", "credentials"},
    "artifacts": {"errors", "credentials", "settings"},
    "pictures": GROUND,
    "recordings": GROUND,
    "animals": BASE | {"pictures"},
    "dataset": BASE,
    "network": {"errors", "artifacts"},
    "training": BASE | {"dataset", "network"},
    "selection": BASE | {"dataset", "network", "training", "animals"},
    "images": BASE | {"dataset", "training", "selection", "pictures", "animals"},
    "stimuli": BASE | {"dataset", "training", "selection", "images", "pictures"},
    "closed_loop": BASE | {"dataset", "selection", "images", "stimuli", "animals"},
    "recovery": BASE | {"dataset", "network", "training", "selection", "images", "animals"},
    "quality": BASE | {"dataset"},
    "report": BASE
    | {
        "quality",
        "recovery",
        "dataset",
        "training",
        "selection",
        "images",
        "stimuli",
        "closed_loop",
        "animals",
    },
}
"""Room → rooms it may import. `network` knows no store, only the base of configurations."""


def modules() -> Iterator[Path]:
    yield from sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "inception_loop" and len(parts) > 1 else None


@pytest.mark.parametrize("path", list(modules()), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_below_it(path: Path) -> None:
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if here not in ALLOWED:
        return
    there = {room(name) for name in imports(path)} - {None, here}
    assert there <= ALLOWED[here], f"{here} imports {sorted(there - ALLOWED[here])}"


@pytest.mark.parametrize("path", list(modules()), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_prefect_and_flows_stay_out_of_the_library(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {"prefect", "prefect_dask", "flows"}


def test_every_room_has_a_rule() -> None:
    rooms = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert rooms <= set(ALLOWED), f"no direction is written down for {sorted(rooms - set(ALLOWED))}"


def test_images_and_closed_loop_know_networks_only_as_callables() -> None:
    for path in modules():
        if path.relative_to(PACKAGE).parts[0] in {"images", "closed_loop", "stimuli"}:
            assert "network" not in {room(name) for name in imports(path)}, path


HEAVY = {"torch", "prefect", "matplotlib", "skimage", "sklearn", "scipy"}


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import inception_loop", HEAVY),
        ("from flows import cli", HEAVY),
        ("import inception_loop.parameters", {"prefect", "matplotlib"}),
        ("import flows.watch", (HEAVY | {"pandas"}) - {"prefect"}),  # every few minutes
    ],
)
def test_light_imports_load_no_heavy_library(statement: str, heavy: set[str]) -> None:
    code = f"import sys; {statement}; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
