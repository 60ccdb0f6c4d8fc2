"""Write ``docs/catalogue.md`` from the declarations of the kinds: ``python docs/make_catalogue.py``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import inception_loop
from inception_loop.artifacts.kind import Arrays, File, Kind, Table

HEAD = """# Catalogue of artifacts

Written by `python docs/make_catalogue.py` from the declarations; a test keeps it up to date. An artifact
lies at `{store}/{kind}/{partition}/{digest}/`, its payloads in the attempt folder that `manifest.json` names.
Tables are Parquet, arrays NPZ (stored members, never pickled): open them with anything.
"""


def kinds() -> list[Kind]:
    """Import every module of the library and return the kinds that it declares, by name."""
    found: dict[str, Kind] = {}
    for info in walk_packages(inception_loop.__path__, "inception_loop."):
        module = import_module(info.name)
        found |= {value.name: value for value in vars(module).values() if isinstance(value, Kind)}
    return [found[name] for name in sorted(found)]


def catalogue() -> str:
    """Return the page."""
    parts = [HEAD, "| kind | what it is |\n|---|---|"]
    parts[-1] += "".join(f"\n| [`{kind.name}`](#{kind.name}) | {kind.meaning} |" for kind in kinds())
    return "\n\n".join([*(part.rstrip("\n") for part in parts), *map(section, kinds())]) + "\n"


def section(kind: Kind) -> str:
    """Return the section of one kind."""
    where = ", ".join(name.rpartition(".")[2] for name in kind.partition) or "none"
    lines = [f"## {kind.name}", "", f"{kind.meaning} Step version {kind.version}; partition: {where}."]
    for name, payload in kind.payloads.items():
        lines += ["", *payload_lines(name, payload)]
    return "\n".join(lines)


def payload_lines(name: str, payload: Table | Arrays | File) -> list[str]:
    """Return the description of one payload."""
    if isinstance(payload, File):
        return [f"**`{name}{payload.suffix}`** {payload.meaning}."]
    if isinstance(payload, Arrays):
        if payload.members is None:
            return [f"**`{name}.npz`** {payload.meaning}."]
        rows = [
            f"| `{member}` | {array.dtype} ({', '.join(array.dims)}) | {array.meaning} |"
            for member, array in payload.members.items()
        ]
        return [f"**`{name}.npz`**", "", "| member | dtype (dimensions) | meaning |", "|---|---|---|", *rows]
    rows = [
        f"| `{column}` | {spec.type}{' or null' if spec.nullable else ''} | {spec.meaning} |"
        for column, spec in payload.columns.items()
    ]
    return [f"**`{name}.parquet`**", "", "| column | type | meaning |", "|---|---|---|", *rows]


if __name__ == "__main__":
    Path(__file__).with_name("catalogue.md").write_text(catalogue())
