"""Write ``docs/api.md`` from the docstrings of the public names: ``python docs/make_api.py``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import inception_loop

HEAD = """# Reference of `import inception_loop as il`

Written by `python docs/make_api.py` from the docstrings; a test keeps it up to date, and the examples in it
run with `make check`. Importing is light: a name's module is loaded when it is used. The parts under these
verbs (a core, a constraint of the ascent, a test) have docstrings of the same form in their modules.
"""


def api() -> str:
    """Return the page."""
    names = inception_loop.__all__
    index = " · ".join(f"[`{name}`](#{name.lower()})" for name in names)
    return "\n\n".join([HEAD.rstrip("\n"), index, *(section(name) for name in names)]) + "\n"


def section(name: str) -> str:
    """Return the section of one name: its signature and its docstring as it stands."""
    thing = getattr(inception_loop, name)
    text = inspect.getdoc(thing) or ""
    parts = [
        f"## {name}",
        f"`{thing.__module__}`",
        f"```python\n{signature(name, thing)}\n```",
        f"```text\n{text}\n```",
    ]
    return "\n\n".join([*parts, *fields(thing)])


def signature(name: str, thing: Any) -> str:
    """Return how it is called, one argument a line where there are many."""
    if isinstance(thing, type) and issubclass(thing, BaseModel):
        return f"il.{name}(…)"
    shown = inspect.signature(thing)
    written = [str(p) for p in shown.parameters.values() if p.name != "self"]
    kinds = [p.kind for p in shown.parameters.values() if p.name != "self"]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        written.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    back = "" if isinstance(thing, type) else f" -> {shown.return_annotation}"
    written = [one.replace("'", "") for one in written]
    line = f"il.{name}({', '.join(written)}){back}"
    return line if len(line) <= 100 else f"il.{name}(\n    " + ",\n    ".join(written) + f",\n){back}"


def fields(thing: Any) -> list[str]:
    """Return the table of a configuration's fields."""
    if not (isinstance(thing, type) and issubclass(thing, BaseModel)):
        return []
    rows = [
        f"| `{name}` | {default(field)} | {cell(field.description or '')} |"
        for name, field in thing.model_fields.items()
    ]
    return ["| field | default | meaning |\n|---|---|---|\n" + "\n".join(rows)]


def default(field: Any) -> str:
    """Return a field's default as Markdown."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    text = f"`{type(value).__name__}()`" if isinstance(value, BaseModel) else f"`{value!r}`"
    return text if len(text) < 60 else "see the module"


def cell(text: str) -> str:
    """Return a text that fits into a cell."""
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    Path(__file__).with_name("api.md").write_text(api())
