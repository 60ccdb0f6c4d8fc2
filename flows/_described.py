"""What artifacts of one listing are, in a few words each, from their manifests alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inception_loop.artifacts.identity import canonical_json
from inception_loop.artifacts.manifest import Manifest

_CORE, _SEED, _UNITS = "network.core.type", "seed", "units"
_ALWAYS = ("fill.type", "objective", "control", "number")
"""Fields of a configuration that say what an artifact is even where it is the only one."""
_FINDINGS = {
    "val_corr": "val_corr {:.4f}",
    "reason": "reason: {}",
    "n_selected": "{} selected",
    "n_candidates": "{} candidates",
    "min_units": "{} asked",
    "n_simple": "{} simple",
    "n_complex": "{} complex units",
    "n_ensemble": "{} models in ensembles",
    "n_validator": "{} validators",
    "n_units": "{} units",
    "n_images": "{} images",
    "n_trials": "{} trials",
    "minutes": "{:.1f} min",
    "headline": "{}",
}
"""What a person wants to know of the findings, in this order."""
_OF = ("stimulus_set", "image", "mei")
"""Roles of the one input that says what an artifact is of."""
_NAMED = 4
"""So many units are named."""


def described(manifests: Sequence[Manifest]) -> list[str]:
    """Describe artifacts: core and seed if it is of a network, what differs from the others, findings.

    Parameters
    ----------
    manifests
        Those of one page; fields of the configuration in which artifacts of one kind (and core) are the same
        are left out.

    Returns
    -------
    One line for each; empty if there is nothing to say.
    """
    fields = [_fields(one.config) for one in manifests]
    kinds = [(one.kind, row.get(_CORE)) for one, row in zip(manifests, fields, strict=True)]
    values: dict[tuple[Any, str], set[str]] = {}
    for kind, row in zip(kinds, fields, strict=True):
        for name, value in row.items():
            values.setdefault((kind, name), set()).add(value)
    lines = []
    for one, kind, row in zip(manifests, kinds, fields, strict=True):
        told = {_CORE, _SEED, _UNITS, *_ALWAYS}
        differ = [name for name in row if len(values[kind, name]) > 1 and name not in told]
        words = [row[_CORE]] if _CORE in row else []
        words += [f"number {row[name]}" if name == "number" else row[name] for name in _ALWAYS if name in row]
        words += [f"{name.removeprefix('network.')}={row[name]}" for name in differ]
        words += [f"seed {row[_SEED]}"] if _SEED in row else []
        if "label" in one.findings:
            words = [one.findings["label"]]
        found = [*_units(one.config.get(_UNITS)), *_found(one.findings), *_of(one)]
        lines.append(", ".join([" ".join(words), *found] if words else found))
    return lines


def _found(findings: Mapping[str, Any]) -> list[str]:
    """Say findings in words; one by member is added up."""
    known = {name: findings[name] for name in _FINDINGS if name in findings}
    sums = {name: sum(value.values()) for name, value in known.items() if isinstance(value, Mapping)}
    return [_FINDINGS[name].format(value) for name, value in (known | sums).items()]


def _units(units: Any) -> list[str]:
    """Say how many units a batch has, and which."""
    if not isinstance(units, Sequence) or not units or isinstance(units, str):
        return []
    ids = [str(unit["unit_id"]) for unit in units[:_NAMED]]
    return [f"{len(units)} units ({' '.join([*ids, '…'] if units[_NAMED:] else ids)})"]


def _of(one: Manifest) -> list[str]:
    """Say what an artifact was made of, where that is one."""
    for role in _OF:
        if len(one.inputs.get(role, ())) == 1:
            (record,) = one.inputs[role]
            return [f"of {record.kind}/{record.digest[:12]}"]
    return []


def _fields(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every field of a configuration by its dotted name, values as text."""
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= _fields(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value if isinstance(value, str) else canonical_json(value)
    return found
