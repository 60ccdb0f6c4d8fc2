"""Where an artifact lies: a pure function of its kind, its configuration and its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from inception_loop.artifacts import identity
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Kind
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import ConfigurationError

MANIFEST = "manifest.json"
LEASES = "_leases"
CHECKPOINTS = "_checkpoints"
# Left as they are, so that a person can read the address; what remains would divide, hide or expand a key.
_PLAIN = " !$&'()+,;@-_.~"

Inputs = Mapping[str, ArtifactRef | Sequence[ArtifactRef]]


def listed(inputs: Inputs) -> dict[str, list[ArtifactRef]]:
    """Return the inputs with every role as a list."""
    return {
        role: [refs] if isinstance(refs, ArtifactRef) else list(refs) for role, refs in sorted(inputs.items())
    }


def digest_of(kind: Kind, config: Config, inputs: Inputs) -> str:
    """Return the SHA-256 of the question."""
    digests = {role: [ref.digest for ref in refs] for role, refs in listed(inputs).items()}
    return identity.digest(kind.name, kind.version, config, digests)


def folder_of(kind: Kind, config: Config, digest: str) -> str:
    """Return the artifact's folder, relative to the root.

    Raises
    ------
    ConfigurationError
        If the configuration lacks a field of the partition.
    """
    return "/".join((kind.name, *partition_of(kind, config), digest))


def partition_of(kind: Kind, config: Config) -> list[str]:
    """Return the readable part of the address, one ``name=value`` a level."""
    return [f"{dotted.rpartition('.')[2]}={plain(_field(config, dotted, kind))}" for dotted in kind.partition]


def plain(value: object) -> str:
    """Return a value as one level of a key: readable, but with nothing in it that divides or expands keys.

    Examples
    --------
    >>> plain("a b/ü"), plain(".."), plain(7)
    ('a b%2Fü', '%2E.', '7')
    """
    text = "".join(
        char if char.isprintable() and ord(char) > 127 else quote(char, safe=_PLAIN) for char in str(value)
    )
    return "%2E" + text[1:] if text.startswith(".") else text


def _field(config: object, dotted: str, kind: Kind) -> object:
    if not isinstance(config, Config):
        raise ConfigurationError(
            f"the configuration of kind '{kind.name}' is a {type(config).__name__}; expected a Config, "
            "such as ModelConfig(…) for a model"
        )
    value: object = config
    for name in dotted.split("."):
        if not hasattr(value, name):
            raise ConfigurationError(
                f"the configuration {type(config).__name__} of kind '{kind.name}' has no field '{dotted}'; "
                f"expected one, since the kind is partitioned by {kind.partition}"
            )
        value = getattr(value, name)
    return value
