"""``inception-loop store …``: look at artifacts, and at what runs did. Imports no Prefect."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import polars as pl
import polars.selectors as cs
from cyclopts import App, Parameter

from flows._described import described
from flows.telling.event_lines import run_lines, step_lines
from inception_loop.artifacts import events as run_events
from inception_loop.artifacts import listing
from inception_loop.artifacts.lineage import Link, ancestors, descendants
from inception_loop.artifacts.manifest import Manifest
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import ArtifactCorruptError, ArtifactNotFoundError, ConfigurationError
from inception_loop.recordings.arrivals.overview import in_lines, overview

READERS = 3
"""So many kinds that read one are named in a lineage."""

store_app = App(name="store", help="Look at, check, mend, tidy and copy artifacts.")

AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON instead of words.")]
StoreUri = Annotated[str | None, Parameter(name="--store", help="Store; overrides INCEPTION_LOOP_STORE.")]


def opened_at(uri: str | None) -> ArtifactStore:
    """Open the store that a command names, or else the environment."""
    if uri is not None:
        os.environ["INCEPTION_LOOP_STORE"] = uri
    return open_store()


def say(as_json: bool, value: Any, lines: list[str]) -> None:
    """Print an answer, as JSON or in words."""
    text = json.dumps(value, indent=2, ensure_ascii=False) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")


@store_app.command
def ls(
    kind: str = "",
    partition: str = "",
    *,
    limit: int = 100,
    after: str = "",
    long: bool = False,
    json_: AsJson = False,
    store: StoreUri = None,
) -> int:
    """List artifacts, a page at a time.

    Example: ``inception-loop store ls frame animal_id=17/session=1``

    Parameters
    ----------
    kind
        Only artifacts of this kind.
    partition
        Only this partition of the kind (any number of its levels, from the first).
    limit
        Length of a page.
    after
        Where the page begins, as the page before said.
    long
        Say of each what it is: a model's core, what tells it from the others of the page, its seed and
        validation correlation; why a configuration cannot be trained; how many units, images and trials.
        Reads a manifest an artifact.
    """
    opened = opened_at(store)
    page = listing.page(opened, kind, partition, after=after, limit=limit)
    rows: list[dict[str, Any]] = [
        {
            "kind": one.ref.kind,
            "digest": one.ref.digest,
            "partition": one.partition,
            "modified": datetime.fromtimestamp(one.modified, UTC).isoformat(timespec="seconds"),
            "uri": one.ref.uri,
        }
        for one in page.artifacts
    ]
    if long:
        for row, text in zip(rows, _descriptions(opened, page.artifacts), strict=True):
            row["description"] = text
    lines = [
        f"{r['kind']}/{r['digest'][:12]}  {r['modified']}  {r['partition']}"
        + (f"  {r['description']}" if r.get("description") else "")
        for r in rows
    ]
    if page.after:
        lines.append(f"more: --after '{page.after}'")
    say(json_, {"artifacts": rows, "after": page.after}, lines or ["no artifacts"])
    return 0


def _descriptions(store: ArtifactStore, page: Sequence[listing.Listed]) -> list[str]:
    """Describe what is listed; of what cannot be read, why."""
    manifests: dict[int, Manifest] = {}
    lines = [""] * len(page)
    for place, one in enumerate(page):
        try:
            manifests[place] = store.manifest(one.ref)
        except (ArtifactCorruptError, ArtifactNotFoundError) as error:
            lines[place] = f"!! {error}"
    for place, text in zip(manifests, described(list(manifests.values())), strict=True):
        lines[place] = text
    return lines


@store_app.command
def show(
    artifact: str,
    *,
    full: bool = False,
    table: str | None = None,
    json_: AsJson = False,
    store: StoreUri = None,
) -> int:
    """Show what an artifact is: its question, payloads, findings, and who computed it.

    Example: ``inception-loop store show statistics/0123abcd``

    Parameters
    ----------
    artifact
        Its URI, or its kind and the beginning of its digest.
    full
        Show the whole configuration: the question leaves out what has its default.
    table
        Print the rows of this table of it instead, as CSV.
    """
    opened = opened_at(store)
    ref = listing.resolve(opened, artifact)
    if table is not None:
        return _rows(opened, ref, table, json_)
    manifest = opened.manifest(ref).model_dump(mode="json")
    lines = [f"{ref}  {ref.uri}"]
    for name in ("version", "question", "findings", "seed", "device", "threads", "finished", "seconds"):
        lines.append(f"  {name:<10} {json.dumps(manifest[name], ensure_ascii=False)}")
    if full:
        lines += [f"  config     {line}" for line in json.dumps(manifest["config"], indent=2).splitlines()]
    for role, records in manifest["inputs"].items():
        lines += [f"  input      {role}: {r['kind']}/{r['digest'][:12]}" for r in records]
    for name, payload in manifest["payloads"].items():
        lines.append(f"  payload    {name}: {payload['size']} bytes, sha256 {payload['sha256'][:12]}…")
    say(json_, manifest, lines)
    return 0


def _rows(store: ArtifactStore, ref: ArtifactRef, name: str, as_json: bool) -> int:
    """Print the rows of a table; values of vectors are separated by blanks."""
    payloads = store.manifest(ref).payloads
    if name not in payloads:
        raise ConfigurationError(f"{ref} has no {name!r}; expected one of {', '.join(sorted(payloads))}")
    rows = store.table(ref, name)
    if as_json:
        say(True, rows.to_dicts(), [])
        return 0
    words = pl.List(pl.String)
    nested = cs.list() | cs.array()
    sys.stdout.write(rows.with_columns(nested.cast(words).list.join(" ")).write_csv())
    return 0


@store_app.command
def lineage(
    artifact: str,
    *,
    down: bool = False,
    full: bool = False,
    json_: AsJson = False,
    store: StoreUri = None,
) -> int:
    """Follow an artifact back to everything that it was made from.

    Example: ``inception-loop store lineage report/0123abcd``

    Parameters
    ----------
    artifact
        Its URI, or its kind and the beginning of its digest.
    down
        Follow what was made from it instead.
    full
        Print a line for each artifact and what it was read for; by default one for each kind.
    """
    opened = opened_at(store)
    ref = listing.resolve(opened, artifact)
    links = descendants(opened, ref) if down else ancestors(opened, ref)
    rows = [
        {"depth": k.depth, "child": str(k.child), "role": k.role, "parent": str(k.parent), "state": k.state}
        for k in links
    ]
    lines = _links(links, down) if full else _grouped(links, down)
    say(json_, rows, [str(ref), *lines])
    return 0


def _links(links: Sequence[Link], down: bool) -> list[str]:
    lines = []
    for k in links:
        arrow, other = ("→", k.child) if down else ("←", k.parent)
        mark = "" if k.state == "same bytes" else f"   !! {k.state}"
        lines.append(f"{'  ' * k.depth}{arrow} {other} as {k.role} of {k.child}{mark}")
    return lines


def _grouped(links: Sequence[Link], down: bool) -> list[str]:
    """Say each kind once, where it is nearest, and what read it; then each that is not as it was."""
    kinds: dict[str, tuple[int, list[ArtifactRef], list[str]]] = {}
    for k in links:
        other, beside = (k.child, k.parent) if down else (k.parent, k.child)
        _, refs, readers = kinds.setdefault(other.kind, (k.depth, [], []))
        refs.append(other)
        readers.append(beside.kind)
    arrow, verb = ("→", "from") if down else ("←", "for")
    lines = []
    for kind, (depth, refs, readers) in kinds.items():
        several = len(set(refs))
        what = str(refs[0]) if several == 1 else f"{several} {kind}"
        named = list(dict.fromkeys(readers))
        rest = f" and {len(named) - READERS} kinds more" if named[READERS:] else ""
        lines.append(f"{'  ' * depth}{arrow} {what}  {verb} {', '.join(named[:READERS])}{rest}")
    return [*lines, *_links([k for k in links if k.state != "same bytes"], down)]


@store_app.command
def events(run: str = "", *, limit: int = 20, json_: AsJson = False, store: StoreUri = None) -> int:
    """List what runs did, the last first; or every step of one run.

    Example: ``inception-loop store events``

    Parameters
    ----------
    run
        Id of a run, or the beginning of it.
    limit
        Only so many runs.
    """
    backend = opened_at(store).backend
    if run:
        steps = run_events.of_run(backend, run)
        rows = [{**row, "started": row["started"].isoformat()} for row in steps.iter_rows(named=True)]
        say(json_, rows, step_lines(steps))
        return 0
    runs = run_events.recent(backend, limit)
    shown = [one | {"started": one["started"].isoformat()} for one in runs]
    say(json_, {"runs": shown}, run_lines(runs) or ["no run has left events here"])
    return 0


@store_app.command(name="arrivals")
def arrivals_(*, json_: AsJson = False, store: StoreUri = None) -> int:
    """List the folders that recordings arrive in, and which of these are in quarantine or failed, and why.

    Example: ``inception-loop store arrivals``
    """
    folders = overview(opened_at(store).backend)
    say(json_, {"folders": folders}, in_lines(folders) or ["no folder was ever looked at"])
    return 0
