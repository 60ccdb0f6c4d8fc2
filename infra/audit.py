"""``make audit``: what is installed is what is pinned, under known licences, and without known holes.

The first two need no network. Known holes are asked of https://osv.dev, all in one request; where that
cannot be reached the run says so in one line and does not fail. Exceptions, each with its reason:
``infra/audit.toml``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT, EXTRAS = "inception-loop", ("dev",)
SERVICE = "https://api.osv.dev/v1/querybatch"
PATIENCE_S = 20
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.+!_-]*)( ;.*)?")


class Package(NamedTuple):
    """A distribution that is installed."""

    name: str
    version: str
    licences: tuple[str, ...]
    requires: tuple[Requirement, ...]


def installed(where: Iterable[metadata.Distribution] | None = None) -> dict[str, Package]:
    """Return what is installed in this environment, by normal name."""
    found = {}
    for one in metadata.distributions() if where is None else where:
        name = canonicalize_name(one.metadata["Name"])
        found[name] = Package(name, one.version, _licences(one), tuple(map(Requirement, one.requires or ())))
    return found


def _licences(one: metadata.Distribution) -> tuple[str, ...]:
    """Return what a distribution says of its licences: an expression, else classifiers, else a line."""
    said = one.metadata.get("License-Expression")
    if said:
        return tuple(part for part in re.split(r"[()]|\bAND\b|\bOR\b|\bWITH\b", said) if part.strip())
    classifiers = [c for c in one.metadata.get_all("Classifier") or () if c.startswith("License :: ")]
    own = (one.metadata.get("License") or "").strip().splitlines()
    return tuple(c.rpartition(" :: ")[2] for c in classifiers) or tuple(own[:1])


def pins(text: str) -> tuple[dict[str, str], list[str]]:
    """Return the version of every pinned name, and what is wrong with the file."""
    found: dict[str, str] = {}
    wrong = []
    for line in (line.strip() for line in text.splitlines()):
        match = _PIN.fullmatch(line)
        if not line or line.startswith("#"):
            continue
        if match is None:
            wrong.append(f"constraints.txt has {line!r}; expected name==version")
        elif canonicalize_name(match[1]) in found:
            wrong.append(f"constraints.txt pins {match[1]} twice; expected once")
        else:
            found[canonicalize_name(match[1])] = match[2]
    return found, wrong


def needed(packages: Mapping[str, Package], extras: Iterable[str] = EXTRAS) -> set[str]:
    """Return the names that the project asks for here, directly or through others, installed or not."""
    seen: set[tuple[str, str]] = set()
    queue = deque((PROJECT, extra) for extra in ("", *extras))
    while queue:
        at = queue.popleft()
        if at in seen:
            continue
        seen.add(at)
        name, extra = at
        for one in packages[name].requires if name in packages else ():
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                queue += [(canonicalize_name(one.name), more) for more in ("", *one.extras)]
    return {name for name, _ in seen} - {PROJECT}


def unpinned(packages: Mapping[str, Package], pinned: Mapping[str, str]) -> Iterator[str]:
    """Yield what is installed otherwise than it is pinned; what nobody asks for (pip) does not count."""
    for name in sorted(needed(packages)):
        if name not in packages:
            yield f"{name} is needed but not installed; run: make setup"
        elif name not in pinned:
            yield f"{name} {packages[name].version} is needed but not pinned; add it to constraints.txt"
        elif pinned[name] != packages[name].version:
            yield f"{name} is {packages[name].version}; expected {pinned[name]}, as pinned; run: make setup"
    for package in packages.values():
        for one in package.requires:
            there = packages.get(canonicalize_name(one.name))
            here = one.marker is None or one.marker.evaluate({"extra": ""})
            if here and there and not one.specifier.contains(there.version, prereleases=True):
                yield f"{package.name} wants {one}; got {there.version}; pin versions that go together"


def unlicensed(packages: Iterable[Package], rules: Mapping[str, Any]) -> Iterator[str]:
    """Yield packages under licences that are neither allowed nor an exception with a reason."""
    allowed = {one.casefold() for one in rules["allowed"]}
    excepted = {name for name, reason in rules.get("exceptions", {}).items() if reason.strip()}
    for package in packages:
        said = [one.strip() for one in package.licences]
        known = said and all(_known(one.casefold(), allowed) for one in said)
        if not known and not {package.name, package.name.partition("-")[0]} & excepted:
            under = " and ".join(said) or "no licence that it names"
            yield f"{package.name} is under {under}; expected one that infra/audit.toml allows"


def _known(licence: str, allowed: set[str]) -> bool:
    return licence in allowed or any(licence.startswith(f"{one}  copyright") for one in allowed)


def advisories(packages: Iterable[Package], service: str = SERVICE) -> dict[str, list[str]] | None:
    """Return the identifiers of known holes by package; None where nobody answers."""
    asked = sorted(packages)
    queries = [
        {"package": {"name": one.name, "ecosystem": "PyPI"}, "version": one.version.partition("+")[0]}
        for one in asked
    ]
    body = json.dumps({"queries": queries}).encode()
    request = urllib.request.Request(service, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            results = json.load(answer)["results"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if len(results) != len(asked):
        return None
    found = zip(asked, results, strict=True)
    return {
        f"{one.name} {one.version}": [hole["id"] for hole in result.get("vulns") or ()]
        for one, result in found
        if result.get("vulns")
    }


def open_holes(found: Mapping[str, list[str]], ignored: Mapping[str, Any], today: date) -> Iterator[str]:
    """Yield the holes that nobody has given a reason for that still holds."""
    for package, holes in found.items():
        for hole in holes:
            said = ignored.get(hole)
            if said is None or not str(said.get("reason", "")).strip():
                yield f"{package} has the known hole {hole} (https://osv.dev/{hole}); take another version"
            elif said["until"] < today:
                yield f"{package}: the reason to ignore {hole} held until {said['until']}; look at it again"


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong, a line each; return 1 if anything is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--service", default=SERVICE, help="where known holes are asked for")
    asked = parser.parse_args(arguments)
    rules = tomllib.loads((ROOT / "infra" / "audit.toml").read_text())
    packages = installed()
    pinned, wrong = pins((ROOT / "constraints.txt").read_text())
    checked = [packages[name] for name in sorted(needed(packages) & set(packages))]
    wrong += [*unpinned(packages, pinned), *unlicensed(checked, rules["licences"])]
    sys.stdout.write(f"audit: {len(checked)} packages, {len(pinned)} pins\n")
    found = advisories(checked, asked.service)
    if found is None:
        sys.stdout.write(f"audit: known holes skipped: {asked.service} does not answer\n")
    else:
        wrong += open_holes(found, rules.get("advisories", {}), datetime.now(UTC).date())
    sys.stdout.writelines(f"audit: {line}\n" for line in wrong or ["nothing found"])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
