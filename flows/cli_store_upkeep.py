"""``inception-loop store …``: check, mend, tidy and copy artifacts. Imports no Prefect."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from flows.cli_store import AsJson, StoreUri, opened_at, say, store_app
from inception_loop.artifacts import listing, upkeep
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.artifacts.transfer import copy as copy_artifact
from inception_loop.artifacts.transfer import copy_all as copy_everything
from inception_loop.errors import ConfigurationError

__all__ = ["store_app"]


@store_app.command
def verify(
    artifact: str | None = None, *, hashes: bool = True, json_: AsJson = False, store: StoreUri = None
) -> int:
    """Check artifacts against their manifests; status 1 if something is not sound.

    Example: ``inception-loop store verify``

    Parameters
    ----------
    artifact
        One artifact (and what was made from it); by default all.
    hashes
        Read every payload; otherwise only sizes are compared.
    """
    opened = opened_at(store)
    found = upkeep.verify(opened, listing.resolve(opened, artifact) if artifact else None, hashes=hashes)
    lines = [f"{fault.ref}: {text}" for fault in found.faults for text in fault.faults]
    lines += [f"{k.child} was made from {k.parent} ({k.role}): now {k.state}" for k in found.stale]
    lines.append(f"{found.checked} artifacts checked: {'all sound' if found.sound else 'see above'}")
    value = {
        "checked": found.checked,
        "faults": [{"artifact": str(f.ref), "faults": f.faults} for f in found.faults],
        "stale": [{"child": str(k.child), "parent": str(k.parent), "state": k.state} for k in found.stale],
    }
    say(json_, value, lines)
    return 0 if found.sound else 1


@store_app.command
def repair(artifact: str, *, json_: AsJson = False, store: StoreUri = None) -> int:
    """Take an unsound artifact back, so that the next run of its stage makes it anew.

    Example: ``inception-loop store repair frame/0123abcd``

    Parameters
    ----------
    artifact
        Its URI, or its kind and the beginning of its digest.
    """
    opened = opened_at(store)
    ref = listing.resolve(opened, artifact)
    reasons = upkeep.withdraw(opened, ref)
    said = [f"{ref}: {reason}; taken back, run its stage again" for reason in reasons]
    say(json_, {"artifact": str(ref), "reasons": reasons}, said or [f"{ref} is sound; nothing done"])
    return 0


@store_app.command
def withdraw(artifact: str, *, because: str, json_: AsJson = False, store: StoreUri = None) -> int:
    """Take a sound artifact back that nothing was made from, so that its question is asked anew.

    Example: ``inception-loop store withdraw bad_config/0123abcd --because "more trials per batch"``

    Parameters
    ----------
    artifact
        Its URI, or its kind and the beginning of its digest.
    because
        Why; it is remembered.
    """
    opened = opened_at(store)
    ref = listing.resolve(opened, artifact)
    done = upkeep.take_back(opened, ref, because)
    said = f"{ref} taken back; the next run of its stage asks anew" if done else f"{ref} does not stand"
    say(json_, {"artifact": str(ref), "taken_back": done}, [said])
    return 0


@store_app.command
def sweep(*, dry_run: bool = False, json_: AsJson = False, store: StoreUri = None) -> int:
    """Remove what no manifest names, no live lease holds and nobody touched for a day.

    Example: ``inception-loop store sweep --dry-run``

    Parameters
    ----------
    dry_run
        Only tell what would go.
    """
    swept = upkeep.sweep(opened_at(store), dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    value = {"keys": swept.keys, "bytes": swept.size, "uploads": swept.uploads, "dry_run": dry_run}
    say(json_, value, [*swept.keys, f"{verb} {len(swept.keys)} objects, {swept.size} bytes"])
    return 0


@store_app.command
def copy(
    *names: str,
    all_: Annotated[bool, Parameter(name="--all")] = False,
    json_: AsJson = False,
    store: StoreUri = None,
) -> int:
    """Copy an artifact, with everything that it was made from, or a whole store into another store.

    Example: ``inception-loop store copy report/0123abcd s3://bucket/prefix``, or
    ``inception-loop store copy --all s3://bucket/prefix``

    Every byte is checked against its manifest on the way. What stands there already is passed over: cut
    short, the same command goes on from there.

    Parameters
    ----------
    names
        The artifact (its URI, or its kind and the beginning of its digest) and the URI of the other store.
    all_
        Copy every artifact; then only the URI of the other store is named. Status 1 if some are left out,
        since they are not what their manifests name.
    """
    if len(names) != (1 if all_ else 2):
        wanted = "--all and the other store" if all_ else "an artifact and the other store, or --all"
        raise ConfigurationError(f"store copy got {len(names)} names; expected {wanted}; see --help")
    opened, target = opened_at(store), open_store(names[-1])
    if all_:
        return _copy_all(opened, target, json_)
    outcomes = copy_artifact(opened, target, listing.resolve(opened, names[0]))
    copied = sum(not outcome.cached for outcome in outcomes)
    value = {"copied": copied, "there": len(outcomes) - copied}
    say(json_, value, [f"{copied} artifacts copied, {value['there']} already there"])
    return 0


def _copy_all(opened: ArtifactStore, target: ArtifactStore, as_json: bool) -> int:
    def tell(done: int, total: int) -> None:
        if done % 100 == 0:
            sys.stderr.write(f"{done} of {total} artifacts\n")

    found = copy_everything(opened, target, on_progress=tell)
    faults = [{"artifact": str(ref), "fault": why} for ref, why in found.faults.items()]
    lines = [f"left out: {fault['artifact']}: {fault['fault']}" for fault in faults]
    lines.append(f"{found.copied} artifacts copied, {found.there} already there, {len(faults)} left out")
    say(as_json, {"copied": found.copied, "there": found.there, "faults": faults}, lines)
    return 1 if faults else 0
