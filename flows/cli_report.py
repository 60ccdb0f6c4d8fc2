"""``inception-loop report``: reports that are in the store, as files. Imports no Prefect."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from flows.results import findings, make_folder, write_page, write_results
from inception_loop.artifacts import listing
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import ArtifactCorruptError, ArtifactNotFoundError, ConfigurationError
from inception_loop.quality.kind import load_quality
from inception_loop.quality.words import headline, scan_name, verdict, verdict_lines
from inception_loop.report.closed_loop.export import DATA, FIGURES, export_figures
from inception_loop.report.closed_loop.lines import report_lines
from inception_loop.report.closed_loop.tables import load_tables
from inception_loop.report.gallery.artifact import load_gallery
from inception_loop.report.gallery.words import facts as gallery_facts
from inception_loop.report.gallery.words import gallery_lines, listed_units
from inception_loop.report.gallery.words import headline as gallery_headline
from inception_loop.report.learning.artifact import load_learning
from inception_loop.report.learning.words import facts, learning_lines
from inception_loop.report.learning.words import headline as learning_headline
from inception_loop.report.loops_report import export_loops, loops_lines

LOOP, DATASET, LEARNING, GALLERY = "report", "dataset_report", "learning_report", "gallery"
LOOPS = "loops_report"
MADE_BY = {
    LOOP: "inception-loop demo",
    DATASET: "inception-loop run dataset",
    LEARNING: "inception-loop run train",
    GALLERY: "inception-loop run mei",
    LOOPS: "inception-loop run across-loops",
}


def write_report(
    digest: str | None,
    *,
    dataset: bool = False,
    learning: bool = False,
    gallery: bool = False,
    loops: bool = False,
    output: Path,
    as_json: bool,
) -> int:
    """Write the report of a loop, a dataset, a training or several loops, or a gallery; by default a loop's.

    Parameters
    ----------
    digest
        Beginning of the digest of a ``report``, ``dataset_report``, ``learning_report``, ``gallery`` or
        ``loops_report``; None: the newest.
    dataset, learning, gallery, loops
        Whether a ``dataset_report``, a ``learning_report``, a ``gallery`` or a ``loops_report`` is meant.
    output
        Folder of the files.
    as_json
        Whether to print JSON instead of words.

    Raises
    ------
    ConfigurationError
        If several are meant.
    """
    asked = {
        "--dataset": (dataset, DATASET),
        "--learning": (learning, LEARNING),
        "--gallery": (gallery, GALLERY),
        "--loops": (loops, LOOPS),
    }
    meant = {option: kind for option, (wanted, kind) in asked.items() if wanted}
    if len(meant) > 1:
        names = {2: "two", 3: "three"}.get(len(meant), "four")
        raise ConfigurationError(
            f"{' and '.join(meant)} name {names} reports; expected one; ask one at a time"
        )
    store = open_store()
    ref = find_report(store, digest, next(iter(meant.values()), None))
    make_folder(output)
    sys.stdout.write(WRITERS[ref.kind](store, ref, output, as_json) + "\n")
    return 0


def find_report(store: ArtifactStore, digest: str | None, kind: str | None = None) -> ArtifactRef:
    """Return the report that a person means: of a kind, else of whatever kind has such a digest.

    Raises
    ------
    ArtifactNotFoundError
        If there is none, or several are meant.
    """
    if digest is None:
        return newest_report(store, kind or LOOP)
    missing: ArtifactNotFoundError | None = None
    for one in (kind,) if kind else (LOOP, DATASET, LEARNING, GALLERY, LOOPS):
        try:
            return listing.resolve(store, f"{one}/{digest}")
        except ArtifactNotFoundError as error:
            missing = missing or error
    raise missing or ArtifactNotFoundError(f"{store.uri} holds no report {digest}; see `store list`")


def newest_report(store: ArtifactStore, kind: str = LOOP) -> ArtifactRef:
    """Return the report that was written last, by the store's clock.

    Raises
    ------
    ArtifactNotFoundError
        If there is none.
    """
    found = sorted(listing.artifacts(store, kind), key=lambda one: one.modified)
    if not found:
        raise ArtifactNotFoundError(f"{store.uri} holds no {kind}; expected one; run `{MADE_BY[kind]}` first")
    return found[-1].ref


def write_loop(store: ArtifactStore, ref: ArtifactRef, output: Path, as_json: bool) -> str:
    """Write a loop's page, its summary, its figures and their data into a folder and return what it says."""
    summary = write_results(store, ref, output, stages={}, seconds=0.0)
    tables = load_tables(store, ref)
    if tables is None:  # made before reports kept their data
        return json.dumps(summary, indent=2) if as_json else findings(summary, output)
    for folder in (FIGURES, DATA):
        make_folder(output / folder)
    n = export_figures(tables, lambda path, content: write_page(output / path, content))
    summary |= {"figures": FIGURES, "data": DATA, "n_figures": n}
    as_text = json.dumps(summary, indent=2)
    write_page(output / "summary.json", f"{as_text}\n".encode())
    if as_json:
        return as_text
    where = [
        f"Figures: {output / FIGURES} ({n}, each as SVG and PNG)",
        f"Data: {output / DATA} (behind each figure, as CSV and Parquet; columns.csv says what they mean)",
        f"Report: {output / 'report.html'}",
    ]
    return "\n".join([*report_lines(tables.numbers, tables.tests), *where])


def write_learning_report(store: ArtifactStore, ref: ArtifactRef, output: Path, as_json: bool) -> str:
    """Write the page of a learning report into a folder and return what it says."""
    path = output / f"{ref.kind}.html"
    write_page(path, store.file(ref, "report"))
    learning = load_learning(store, ref)
    if not as_json:
        return "\n".join([*learning_lines(learning), f"Report: {path}"])
    numbers = {fact.key: fact.value for fact in facts(learning)}
    said = {"headline": learning_headline(learning), **numbers, "report": path.name}
    return json.dumps(said, indent=2)


def write_dataset_report(store: ArtifactStore, ref: ArtifactRef, output: Path, as_json: bool) -> str:
    """Write the page of a dataset report into a folder and return what it says."""
    path = output / f"{ref.kind}.html"
    write_page(path, store.file(ref, "report"))
    quality = load_quality(store, ref)
    if not as_json:
        return "\n".join([*verdict_lines(quality), f"Report: {path}"])
    said: dict[str, Any] = {
        "verdict": verdict(quality),
        "headline": headline(quality),
        "scans": {scan_name(row): row["verdict"] for row in quality.scans.iter_rows(named=True)},
        "findings": quality.findings.to_dicts(),
        "report": path.name,
    }
    return json.dumps(said, indent=2)


def pictures_in(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the pictures of a gallery's archive under their own names, whatever folders it gives them.

    Raises
    ------
    ArtifactCorruptError
        If a member has no name that could be a file's, or says that it is larger than the archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as panels:
            if sum(one.file_size for one in panels.infolist()) > len(archive):
                raise ValueError("its members are larger than itself")
            for one in panels.infolist():
                name = PurePosixPath(one.filename).name
                if not name or name.startswith(".") or "\\" in name:
                    raise ValueError(f"its member {one.filename!r} names no file")
                yield name, panels.read(one)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise ArtifactCorruptError(
            f"the pictures of the gallery are not to be trusted ({error}); verify the store, then repair it"
        ) from error


def write_gallery(store: ArtifactStore, ref: ArtifactRef, output: Path, as_json: bool) -> str:
    """Write a gallery into a folder, the page and its pictures as PNG, and return what it says."""
    path, folder = output / f"{ref.kind}.html", output / ref.kind
    write_page(path, store.file(ref, "gallery"))
    make_folder(folder)
    write_page(folder / "contact_sheet.png", store.file(ref, "contact_sheet"))
    for name, picture in pictures_in(store.file(ref, "panels")):
        write_page(folder / name, picture)
    gallery = load_gallery(store, ref)
    if not as_json:
        return "\n".join([*gallery_lines(gallery), f"Gallery: {path}", f"Pictures: {folder}"])
    numbers = {fact.key: fact.value for fact in gallery_facts(gallery)}
    shown = ("name", "unit_id", "verdict", "texts")
    units = [{column: row[column] for column in shown} for row in listed_units(gallery)]
    said = {"headline": gallery_headline(gallery), **numbers, "units": units, "report": path.name}
    return json.dumps(said, indent=2)


def write_loops(store: ArtifactStore, ref: ArtifactRef, output: Path, as_json: bool) -> str:
    """Write the page of several loops, its figures and their data into a folder and return what it says."""
    path = output / f"{ref.kind}.html"
    write_page(path, store.file(ref, "report"))
    (evidence,) = store.inputs(ref)["loops_evidence"]
    for folder in (FIGURES, DATA):
        make_folder(output / folder)
    n = export_loops(store, evidence, lambda place, content: write_page(output / place, content))
    if as_json:
        tests = store.table(evidence, "loops_evidence").to_dicts()
        said = {"headline": store.manifest(ref).findings["headline"], "tests": tests, "report": path.name}
        return json.dumps({**said, "figures": FIGURES, "data": DATA, "n_figures": n}, indent=2)
    where = [
        f"Report:  {path}",
        f"Figures: {output / FIGURES} ({n}, each as SVG and PNG)",
        f"Data:    {output / DATA} (loops, loops_evidence, units, each as CSV and Parquet)",
    ]
    tables = (store.table(evidence, name) for name in ("loops_evidence", "loops"))
    return "\n".join([*loops_lines(*tables), *where])


WRITERS = {
    LOOP: write_loop,
    DATASET: write_dataset_report,
    LEARNING: write_learning_report,
    GALLERY: write_gallery,
    LOOPS: write_loops,
}
