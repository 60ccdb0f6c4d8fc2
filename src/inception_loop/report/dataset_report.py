"""The dataset report as an artifact: whether recordings are sound, hours before a loop ends."""

from __future__ import annotations

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.quality.kind import DATASET_REPORT, Quality
from inception_loop.quality.measure import measure
from inception_loop.quality.member import read_members, recordings_of
from inception_loop.quality.rules import QualityRules
from inception_loop.quality.words import headline, verdict
from inception_loop.report.quality_page import render_quality_page


class DatasetReportConfig(Config):
    """Of which group, and from where on a number is a sign of trouble."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    rules: QualityRules = Field(QualityRules(), description="The thresholds.")


def make_dataset_report(
    store: ArtifactStore, config: DatasetReportConfig, *, dataset: ArtifactRef
) -> Outcome:
    """Measure and judge every recording of a group; tables for programs and a page for a person.

    Nothing is refused here: a bad recording is named, with what to do, and the loop may go on.

    Parameters
    ----------
    store, config
        Where, and of which group.
    dataset
        Its ``static_multi_dataset``; the recordings are found through it.
    """

    def build(attempt: Attempt) -> None:
        found, total = [], store.table(dataset, "members").height
        for done, member in enumerate(read_members(store, dataset)):
            attempt.progress(done, total, member.name)
            found.append(measure(member, config.rules))
        tables = zip(*(one.tables().items() for one in found), strict=True)
        quality = Quality(**{parts[0][0]: pl.concat(frame for _, frame in parts) for parts in tables})
        for name, frame in quality.tables().items():
            attempt.write_table(name, frame)
        attempt.write_file("report", render_quality_page(quality, config.group_id).encode())
        attempt.report(
            verdict=verdict(quality),
            headline=headline(quality),
            findings={
                name: quality.findings.filter(pl.col("severity").is_in(["warn", "bad"]), name=name)[
                    "key"
                ].to_list()
                for name in quality.names
            },
        )

    recordings = recordings_of(store, dataset)
    return store.make(DATASET_REPORT, config, build, {"dataset": dataset, "recordings": recordings})
