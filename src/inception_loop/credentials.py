"""Addresses that hold a name or a key: they are refused wherever they are given, and never repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inception_loop.errors import ConfigurationError

IN_ADDRESS = (
    r"[A-Za-z][A-Za-z0-9+.-]{1,15}:/{1,2}"  # a path object has made one stroke of two
    r"(?:[^/\s@]*@|(?!arn:|\[)[^/\s:@]*:(?![0-9]+(?:[/\s?#]|$)))"
)
"""An address with ``name@``, or with ``name:`` and no port; in the dialect of Python and of JSON schemas."""
IN_QUERY = (
    r"[?&](?:[Xx]-(?:[Aa]mz|[Gg]oog)-[A-Za-z-]{1,30}"
    r"|AWSAccessKeyId|Signature|sig|(?:access_)?token|api_?key|password|secret)="
)
"""What a signed address has behind its ``?``: whoever has the address may do what its signer allows."""
WITHOUT = rf"^(?![\s\S]*(?:{IN_ADDRESS}|{IN_QUERY}))"
"""What texts match that hold none."""
_FOUND = re.compile(f"{IN_ADDRESS}|{IN_QUERY}")


def holds_credentials(text: str) -> bool:
    """Whether a text holds an address with a name or a key in it.

    Examples
    --------
    >>> [holds_credentials(text) for text in ("https://me:key@host/x", "s3://key:secret", "a s3://me@b")]
    [True, True, True]
    >>> holds_credentials("s3://bucket/x?X-Amz-Signature=abc")
    True
    >>> [holds_credentials(text) for text in ("s3://b/a@b:c", "tcp://head:8786", "http://[::1]:42", "a@b")]
    [False, False, False, False]
    """
    return _FOUND.search(text) is not None


def refuse_credentials(values: Any, what: str = "") -> None:
    """Refuse plain values, nested to any depth, if an address among them holds credentials.

    Parameters
    ----------
    values
        Mappings, sequences and scalars.
    what
        What they are called in the message; by default only the place among them.

    Raises
    ------
    ConfigurationError
        Names the place, and repeats nothing of what stands there.
    """
    place = next(_places(values), None)
    if place is None:
        return
    where = ": ".join(part for part in (what, ".".join(place)) if part)
    raise ConfigurationError(
        f"{where or 'it'} holds credentials; expected none in it; "
        "use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def _places(values: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(values, str):
        if holds_credentials(values):
            yield ()
    elif isinstance(values, Mapping):
        for key, value in values.items():
            if holds_credentials(str(key)):
                yield ("a key",)
            yield from ((str(key), *rest) for rest in _places(value))
    elif isinstance(values, Sequence) and not isinstance(values, (bytes, bytearray)):
        for number, value in enumerate(values):
            yield from ((str(number), *rest) for rest in _places(value))
