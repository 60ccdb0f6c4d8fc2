"""What file systems and S3 clients raise, turned into this project's errors: one line, no secret in it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inception_loop.errors import (
    ArtifactExistsError,
    ArtifactNotFoundError,
    InceptionLoopError,
    StoreError,
    TransientStoreError,
)

LOST_RACE = {"PreconditionFailed", "ConditionalRequestConflict", "412"}
BAD_CREDENTIALS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "AuthorizationHeaderMalformed",
    "InvalidSecurity",
}
WRONG_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
NO_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "CredentialRetrievalError",
}
FULL = {"XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"}
PASSING_CODES = {
    "InternalError",
    "ServiceUnavailable",
    "SlowDown",
    "RequestTimeout",
    "OperationAborted",
    "XMinioServerNotInitialized",
    "500",
    "502",
    "503",
    "504",
}
PASSING_TYPES = {
    "EndpointConnectionError",
    "ConnectionClosedError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "HTTPClientError",
    "ConnectionError",
    "IncompleteReadError",
    "ResponseParserError",
    "FSTimeoutError",
    "ClientPayloadError",
    "ServerDisconnectedError",
    "ClientConnectorError",
}
PASSING_ERRNO = {errno.ETIMEDOUT, errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH}
FULL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN_ERRNO = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def faults(doing: str, where: str) -> Iterator[None]:
    """Turn everything that a backend raises inside the block into an error of this project."""
    try:
        yield
    except InceptionLoopError:
        raise
    except Exception as error:
        raise translate(error, doing, where) from error


class GuardedSink:
    """A sink whose failures are errors of this project; what its user raises meanwhile stays as it is."""

    def __init__(self, write: Callable[[bytes | memoryview], int], where: str) -> None:
        self._write = write
        self._where = where

    def write(self, data: bytes | memoryview, /) -> int:
        """Take some bytes."""
        with faults("write", self._where):
            return self._write(data)


def translate(error: BaseException, doing: str, where: str) -> Exception:
    """Return the project's error for one that a client raised while ``doing`` something at ``where``."""
    code, names, number = code_of(error), _type_names(error), _errno_of(error)
    text = f"cannot {doing} {where}: "
    if code in LOST_RACE or isinstance(error, FileExistsError):
        return ArtifactExistsError(f"{text}something stands there already; nothing is ever overwritten")
    if code == "NoSuchBucket":
        return StoreError(f"{text}the bucket does not exist; create it or correct the store's URI")
    if isinstance(error, FileNotFoundError) and doing == "read":
        return ArtifactNotFoundError(f"{text}nothing stands there; list the store to see what does")
    if code in WRONG_CLOCK:
        return StoreError(
            f"{text}this machine's clock is too far from the server's ({code}); expected minutes at most; "
            "set the clock"
        )
    if code in BAD_CREDENTIALS:
        return StoreError(
            f"{text}the server refuses the credentials ({code}); correct AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY (or AWS_PROFILE)"
        )
    if names & NO_CREDENTIALS:
        return StoreError(
            f"{text}no usable credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "(or AWS_PROFILE)"
        )
    if code in FULL or number in FULL_ERRNO:
        return StoreError(f"{text}no space is left there; free some or use another store, then run again")
    if code in PASSING_CODES or names & PASSING_TYPES or number in PASSING_ERRNO:
        return TransientStoreError(f"{text}the store does not answer; check that it runs, then run again")
    if isinstance(error, (ConnectionError, TimeoutError)):
        return TransientStoreError(f"{text}the store does not answer; check that it runs, then run again")
    if number in FORBIDDEN_ERRNO or isinstance(error, PermissionError) or code in {"AccessDenied", "403"}:
        return StoreError(f"{text}permission denied; use a store that this user may read and write")
    return StoreError(f"{text}{_brief(error)}; check the store's URI and that it can be read and written")


def code_of(error: BaseException) -> str:
    """Return the S3 error code found along the chain of causes, or an empty text."""
    for link in _chain(error):
        response = getattr(link, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _type_names(error: BaseException) -> set[str]:
    return {
        cls.__name__ for link in _chain(error) for cls in type(link).__mro__ if cls is not ConnectionError
    }


def _errno_of(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _brief(error: BaseException) -> str:
    code = code_of(error)
    if code:
        return code
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__} ({error.strerror})"
    return type(error).__name__
