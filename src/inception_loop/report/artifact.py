"""The report as an artifact: the page, written once for the artifacts that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, File, Kind
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.report.closed_loop.kinds import SHOWN_IMAGES, TABLES
from inception_loop.report.closed_loop.tables import loop_tables, write_tables
from inception_loop.report.collect import collect, ordered
from inception_loop.report.page import render_page

REPORT = Kind(
    name="report",
    # 2: says whether the recordings are sound; 3: tests, trials, the data behind its figures;
    # 4: a comparison that was not tested stands in the headline, each count has its n,
    # and it says which responses the matching used; matches over several days have no interval;
    # 5: power of the sign flips with the interval's end nearer 0, and repeats needed; settings of tests and
    # assigned matches; a match is not called found again
    version=5,
    meaning="What a loop has shown: one HTML file that needs no network, and the data behind its figures.",
    payloads={"report": File(".html", "the page, UTF-8"), **TABLES, "shown_images": SHOWN_IMAGES},
    partition=LOOP,
)


class ReportConfig(Config):
    """Of which loop."""

    loop_group: int = Field(ge=0, description="Number of the loop.")


def make_report(
    store: ArtifactStore, config: ReportConfig, *, refs: Mapping[str, Sequence[ArtifactRef]]
) -> Outcome:
    """Make the report of a loop.

    Parameters
    ----------
    store, config
        Where, and of which loop.
    refs
        Every artifact of the loop by kind, see `collect`; their order does not matter.

    Raises
    ------
    DataError
        If a kind that the report needs is missing.
    """
    everything = ordered(refs)

    def build(attempt: Attempt) -> None:
        data = collect(store, everything)
        tables = loop_tables(data)
        page = render_page(data, tables).encode()
        attempt.write_file("report", page)
        write_tables(attempt, tables)
        attempt.report(n_bytes=len(page))

    return store.make(REPORT, config, build, inputs=everything)
