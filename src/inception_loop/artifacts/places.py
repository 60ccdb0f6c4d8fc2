"""From a store's URI to the backend that serves it."""

from __future__ import annotations

from pathlib import Path

from inception_loop.artifacts.backend import Backend
from inception_loop.credentials import holds_credentials
from inception_loop.errors import ConfigurationError


def backend_of(uri: str) -> Backend:
    """Return the backend of a store's URI; nothing is contacted.

    Raises
    ------
    ConfigurationError
        If the scheme is unknown, the bucket is missing or the URI holds credentials.
    """
    scheme, divider, rest = uri.partition("://")
    if divider and (_names_somebody(scheme, rest) or holds_credentials(uri)):
        raise ConfigurationError(
            f"the store's URI ({scheme}://…) holds credentials; expected none in it; "
            "use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if not divider:
        return _disk(uri)
    rest = rest.rstrip("/")
    if scheme == "file" and (rest.startswith("/") or not rest):
        return _disk(rest or "/")
    if scheme == "memory":
        from inception_loop.artifacts.memory import MemoryBackend

        return MemoryBackend(f"memory://{rest.strip('/') or 'default'}")
    if scheme == "s3" and rest and not rest.startswith("/"):
        from inception_loop.artifacts.s3 import S3Backend

        return S3Backend(f"s3://{rest}")
    raise ConfigurationError(
        f"the store's URI begins with '{scheme}://{rest[:1]}'; expected file:///folder, a plain folder, "
        "s3://bucket/prefix or memory://name; correct INCEPTION_LOOP_STORE or --store"
    )


def _names_somebody(scheme: str, rest: str) -> bool:
    """Whether a key may stand before a bucket; a secret may hold slashes, a bucket's name no colon."""
    first = rest.partition("/")[0]
    return "@" in first or (scheme != "file" and ":" in first and not first.startswith("arn:"))


def _disk(folder: str) -> Backend:
    from inception_loop.artifacts.disk import DiskBackend

    return DiskBackend(Path(folder).expanduser().absolute())
