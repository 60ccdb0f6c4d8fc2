"""The networks of a learning report as rows for a person: what varies among them, each in a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inception_loop.report.learning.artifact import Learning
from inception_loop.training.config import ModelConfig
from inception_loop.training.labels import fields_of

_SHOWN_ANYWAY = {"core.type", "group_id", "seed"}


def network_rows(learning: Learning) -> tuple[list[str], list[dict[str, Any]]]:
    """Return headings of what varies, and ``models`` as rows with these values as ``varied``."""
    rows = learning.models.to_dicts()
    fields = [fields_of(ModelConfig.model_validate_json(row["config"])) for row in rows]
    names = varying(fields)
    told = ({"varied": [of.get(name, "").removesuffix(".0") for name in names]} for of in fields)
    return headings(names), [row | varied for row, varied in zip(rows, told, strict=True)]


def varying(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the fields in which the rows that have them differ; core, seed and group are shown anyway.

    Examples
    --------
    >>> varying([{"core.type": "A", "core.skip": "1", "gain": "after"},
    ...          {"core.type": "B", "core.skip": "3", "gain": "after", "core.stack": "2"}])
    ['core.skip']
    """
    names = dict.fromkeys(name for row in rows for name in row if name not in _SHOWN_ANYWAY)
    return [name for name in names if len({row[name] for row in rows if name in row}) > 1]


def headings(names: Sequence[str]) -> list[str]:
    """Shorten dotted names as far as they stay different.

    Examples
    --------
    >>> headings(["core.gamma_input", "core.momentum", "train.momentum", "readout.type"])
    ['gamma_input', 'core.momentum', 'train.momentum', 'readout']
    """
    short = [name.removesuffix(".type").rpartition(".")[2] for name in names]
    return [one if short.count(one) == 1 else name for name, one in zip(names, short, strict=True)]
