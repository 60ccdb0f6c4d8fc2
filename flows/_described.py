"""What artifacts of one listing are, in a few words each, from their manifests alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inception_loop.artifacts.identity import canonical_json
from inception_loop.artifacts.manifest import Manifest

_CORE, _SEED = "network.core.type", "seed"
_FINDINGS = ("val_corr", "reason")


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
        differ = [name for name in row if len(values[kind, name]) > 1 and name not in (_CORE, _SEED)]
        words = [row[_CORE]] if _CORE in row else []
        words += [f"{name.removeprefix('network.')}={row[name]}" for name in differ]
        words += [f"seed {row[_SEED]}"] if _SEED in row else []
        if "label" in one.findings:
            words = [one.findings["label"]]
        found = [_finding(name, one.findings[name]) for name in _FINDINGS if name in one.findings]
        lines.append(", ".join([" ".join(words), *found] if words else found))
    return lines


def _finding(name: str, value: Any) -> str:
    return f"{name} {value:.4f}" if isinstance(value, float) else f"{name}: {value}"


def _fields(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every field of a configuration by its dotted name, values as text."""
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= _fields(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value if isinstance(value, str) else canonical_json(value)
    return found
