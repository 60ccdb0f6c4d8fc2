"""Several loops, of one or several animals, in one analysis."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Column, Kind, Table
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.diagonal import Control
from inception_loop.closed_loop.loop_units import (
    LoopUnits,
    compared,
    named_apart,
    read_loop,
    unit_table,
    words_of,
)
from inception_loop.closed_loop.matching import SOURCE_UNIT
from inception_loop.closed_loop.scans import F64, I64, TEXT
from inception_loop.closed_loop.statistics.over_loops import UNITS, across_loops
from inception_loop.errors import ArtifactNotFoundError, ConfigurationError

LOOP_NAME = Column(TEXT, "name of the loop: its number, with the source scan where two have the same")
COMPARISON = Column(
    TEXT, "own and control image, cnn_linear say; cnn_others: own MEI against the mean of the other units'"
)
ANIMAL = Column(TEXT, "number of the animal")
NULL_POOLED = "null: over all loops"
WHY = "null where it was not done; words says why"

LOOPS = Table(
    {
        "loop": LOOP_NAME,
        "loop_group": Column(I64, "number of the loop"),
        "animal": ANIMAL,
        "source_scan": Column(TEXT, "scan whose units the images were made for"),
        "n_later_scans": Column(I64, "later scans that are pooled in it"),
        "n_selected": Column(I64, "units that the selection rule chose"),
        "n_units": Column(I64, "of these, units shown the MEI of every one of them"),
        "own_image_is_best": Column(I64, "units that their own MEI drives most of all these MEIs"),
        "diagonal_p_value": Column(
            F64, "of the permutation of image labels; null: under two units", nullable=True
        ),
        "evidence": Column(TEXT, "digest of the loop's evidence"),
    }
)
ROWS = Table(
    {
        "key": Column(TEXT, "comparison, and loop or statement over all loops"),
        "comparison": COMPARISON,
        "loop": Column(TEXT, f"name of the loop; {NULL_POOLED}", nullable=True),
        "animal": Column(TEXT, f"its animal; {NULL_POOLED}", nullable=True),
        "what": Column(TEXT, "what is compared, in words"),
        "statistic": Column(TEXT, "what value is"),
        "value": Column(
            F64,
            f"mean difference own − control (of a permutation own − shuffled image), z-score; {WHY}",
            nullable=True,
        ),
        "lower": Column(F64, f"lower end of its 95 % interval; {WHY}", nullable=True),
        "upper": Column(F64, f"upper end of it; {WHY}", nullable=True),
        "p_value": Column(
            F64, f"of no difference, two-sided; of a permutation one-sided; {WHY}", nullable=True
        ),
        "q_value": Column(
            F64,
            "p_value corrected (Benjamini–Hochberg): of a loop over loops and comparisons, else over "
            "comparisons",
            nullable=True,
        ),
        "n": Column(I64, f"units or animals; {WHY}", nullable=True),
        "n_of": Column(TEXT, "what n counts"),
        "n_above": Column(I64, "units with own above control; null: n counts animals", nullable=True),
        "method": Column(TEXT, f"how; {WHY}", nullable=True),
        "assumptions": Column(TEXT, "what has to hold for it"),
        "words": Column(TEXT, "the result as a sentence"),
    }
)
UNIT_ROWS = Table(
    {
        "comparison": COMPARISON,
        "loop": LOOP_NAME,
        "animal": ANIMAL,
        "source_scan": Column(TEXT, "scan whose units the images were made for"),
        "source_unit_id": SOURCE_UNIT,
        "own": Column(F64, "mean response to the own image, z-score"),
        "control": Column(F64, "mean response to the control image, z-score"),
    }
)

LOOPS_EVIDENCE = Kind(
    name="loops_evidence",
    # 2: no sign flips against others' images; pooled rows say that they are about these animals; 3: rows say
    # how many units share trials; against others' images the permutation within loops
    version=3,
    meaning="Own images against controls in several loops: every loop, all units together, the animals.",
    payloads={"loops": LOOPS, "loops_evidence": ROWS, "units": UNIT_ROWS},
)


class LoopsEvidenceConfig(Config):
    """How several loops are analysed together."""

    controls: tuple[Control, ...] = Field(
        (), description="What own images are compared with, in every loop; none: what at least one loop has."
    )
    n_permutations: int = Field(99_999, ge=99, description="Sign flips, where they are not enumerated.")
    seed: int = Field(0, ge=0, description="Seed of the sign flips and of the bootstrap.")


def evidence_of_loop(store: ArtifactStore, loop_group: int) -> ArtifactRef:
    """Return the evidence of a loop by its number.

    Raises
    ------
    ArtifactNotFoundError
        If the store holds none.
    ConfigurationError
        If it holds several: which one counts is for a person to say.
    """
    where = f"loop_group={loop_group}"
    found = [one.ref for one in artifacts(store, "evidence", where) if one.partition == where]
    if not found:
        raise ArtifactNotFoundError(
            f"{store.uri} holds no evidence of loop {loop_group}; run stage closed-loop for it first"
        )
    if len(found) > 1:
        names = ", ".join(f"evidence/{ref.digest[:12]}" for ref in found)
        raise ConfigurationError(
            f"loop {loop_group} has {len(found)} evidences in {store.uri} ({names}); expected one; name the "
            'one that counts, as evidence = ["evidence/0123abcd"]'
        )
    return found[0]


def make_loops_evidence(
    store: ArtifactStore, config: LoopsEvidenceConfig, *, evidences: Sequence[ArtifactRef]
) -> Outcome:
    """Make the evidence of several loops together.

    Parameters
    ----------
    store, config
        Where, and how.
    evidences
        The ``evidence`` of every loop, in any order.

    Raises
    ------
    ConfigurationError
        If there are fewer than two, or one stands there twice.
    DataError
        If one loop is there twice, loops do not share a comparison, lack one that was asked for, or hold the
        same units.
    """
    refs = sorted(evidences, key=store.key)
    twice = {str(ref) for place, ref in enumerate(refs) if ref in refs[:place]}
    if twice:
        raise ConfigurationError(f"{min(twice)} is given twice; expected each loop once")
    if len(refs) < 2:
        raise ConfigurationError(
            f"{len(refs)} loops are given; expected at least two; one loop's evidence stands in its report"
        )

    def build(attempt: Attempt) -> None:
        loops = sorted(
            (read_loop(store, ref) for ref in refs), key=lambda one: (one.loop_group, one.source_scan)
        )
        loops = named_apart(loops)
        comparisons = compared(loops, config.controls)
        units = unit_table(loops, comparisons)
        cells = units.with_columns(
            what=pl.col("comparison").replace_strict({key: words_of(key) for key in comparisons}),
            unit=pl.format("{}/{}", "source_scan", "source_unit_id"),
        )
        tests = across_loops(
            cells.select(list(UNITS)),
            loops=[(one.name, one.animal) for one in loops],
            n_permutations=config.n_permutations,
            seed=config.seed,
            shared={(key, one.name): note for one in loops for key, note in one.shared.items()},
            matrices={
                key: [one.matrices[key] for one in loops if key in one.matrices] for key in comparisons
            },
        )
        table = pl.DataFrame([_loop(one) for one in loops])
        attempt.write_table("loops", table.select(list(LOOPS.columns)))
        attempt.write_table("loops_evidence", tests.select(list(ROWS.columns)))
        attempt.write_table("units", units)
        attempt.report(n_loops=len(loops), n_animals=table["animal"].n_unique())

    return store.make(LOOPS_EVIDENCE, config, build, inputs={"evidence": refs})


def _loop(one: LoopUnits) -> dict[str, object]:
    return {"loop": one.name} | {name: value for name, value in vars(one).items() if name in LOOPS.columns}
