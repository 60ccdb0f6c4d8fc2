"""Signs of trouble: from where on a number counts as one, and how a person is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl

from inception_loop.quality.checks import CHECKS, Check
from inception_loop.quality.rules import Limits, QualityRules

Severity = Literal["ok", "warn", "bad", "unknown"]
WORSE: tuple[Severity, ...] = ("ok", "unknown", "warn", "bad")
"""From good to bad; what is not known is no sign of trouble."""


def shown(value: float, unit: str) -> str:
    """Write a number as a person reads it.

    Examples
    --------
    >>> shown(0.476, "share"), shown(-0.5612, "change"), shown(0.2311, "correlation"), shown(1071, "count")
    ('48 %', '−56 %', '0.23', '1,071')
    >>> shown(0.005, "share"), shown(0.00001, "share"), shown(0.9999, "share")
    ('0.5 %', 'under 0.1 %', '99.9 %')
    """
    if unit == "share":
        return _percent(100 * value)
    if unit == "change":
        return f"{round(100 * value) + 0:+d} %".replace("-", "−")
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "cm/s":
        return f"{value:.1f} cm/s"
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _percent(value: float) -> str:
    if 0 < value < 0.05:
        return "under 0.1 %"
    if 99.5 <= value < 100:
        return f"{min(value, 99.9):.1f} %"
    small = value < 10 and abs(value - round(value)) >= 0.05
    return f"{value:.{1 if small else 0}f} %"


def severity(value: float | None, limits: Limits, worse: str) -> Severity:
    """Say how bad a number is.

    Examples
    --------
    >>> severity(0.3, Limits(warn=0.1, bad=0.2), "above"), severity(-0.4, Limits(warn=0.3), "away")
    ('bad', 'warn')
    >>> severity(0.1, Limits(warn=0.1), "below"), severity(None, Limits(warn=0.1), "below")
    ('ok', 'unknown')
    """
    if value is None:
        return "unknown"
    sign = -1 if worse == "below" else 1
    at = abs(value) if worse == "away" else value
    for name in ("bad", "warn"):
        limit = getattr(limits, name)
        if limit is not None and sign * (at - limit) > 0:
            return "bad" if name == "bad" else "warn"
    return "ok"


FINE_IF_IN_ORDER = "Fine if trial_idx is the order of presentation: no onset tells."
IF_IN_ORDER = (
    " This holds if trial_idx is the order of presentation: no onset is known that would tell. Trials sorted "
    "otherwise hide it, trials sorted by image feign it."
)


def judge(
    numbers: Mapping[str, float | None],
    rules: QualityRules,
    why: Mapping[str, str] | None = None,
    *,
    ordered: bool = True,
) -> pl.DataFrame:
    """Judge every number of `CHECKS`.

    Parameters
    ----------
    numbers
        Key → value, None where it is not known.
    rules
        The limits.
    why
        Key → why this number is not known, where more is known about that than its check says.
    ordered
        Whether the order of presentation is known. If not, what asks for it is said with that condition: it
        is neither sound (but unknown) nor bad (but worth a look).

    Returns
    -------
    Table ``key, title, severity, value, unit, worse, warn, bad, text, advice``, in the order of `CHECKS`;
    ``advice`` is empty where nothing is to do.
    """
    rows = []
    for check in CHECKS:
        value, limits = numbers.get(check.key), getattr(rules, check.key)
        found = severity(value, limits, check.worse)
        text = _text(check, numbers, rules, why or {})
        if check.in_order and not ordered and value is not None:
            found = "unknown" if found == "ok" else "warn" if found == "bad" else found
            text = FINE_IF_IN_ORDER if found == "unknown" else text + IF_IN_ORDER
        if found == "ok":
            text = text.replace(" only.", ".").replace(" only (", " (")
        rows.append(
            {
                "key": check.key,
                "title": check.title,
                "severity": found,
                "value": value,
                "unit": check.unit,
                "worse": check.worse,
                "warn": limits.warn,
                "bad": limits.bad,
                "text": text,
                "advice": check.advice if found in ("warn", "bad") else "",
            }
        )
    floats = dict.fromkeys(("value", "warn", "bad"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=floats)


def _text(
    check: Check, numbers: Mapping[str, float | None], rules: QualityRules, why: Mapping[str, str]
) -> str:
    value, excess = numbers.get(check.key), numbers.get("leakage")
    if value is None:
        return why.get(check.key, check.absent).format(repeats=rules.repeats)
    leakage = "an unknown part" if excess is None else shown(excess, "correlation")
    return check.says.format(shown(value, check.unit), repeats=rules.repeats, leakage=leakage)


def worst(severities: pl.Series) -> Severity:
    """Return the verdict on several findings: the worst of them.

    Examples
    --------
    >>> worst(pl.Series(["ok", "unknown", "warn"])), worst(pl.Series(["unknown"]))
    ('warn', 'ok')
    """
    found: Severity = max(severities.to_list(), key=WORSE.index, default="ok")
    return "ok" if found == "unknown" else found
