"""The store on S3: AWS, MinIO or any server that honours conditional puts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from inception_loop.artifacts.backend import CHUNK, Backend, Entry, Sink, inside
from inception_loop.artifacts.faults import GuardedSink, code_of, faults
from inception_loop.errors import ConfigurationError, StoreError
from inception_loop.settings import s3_environment

PAGE = 1000
RETRIES = 2  # each of these makes the client's own attempts (AWS_MAX_ATTEMPTS) again
CONFLICT_RETRIES = 5


_MAKING = threading.Lock()


def _shared(environment: str, pid: int, endpoint: str = "") -> Any:
    """Return the client for an environment: making one takes longer than most of what it is asked to do."""
    with _MAKING:
        return _make(environment, pid, endpoint)


@lru_cache(maxsize=4)
def _make(environment: str, pid: int, endpoint: str) -> Any:
    import s3fs  # takes half a second, and most stores are on disk

    # Not fsspec's cached instance: that would keep the credentials of an earlier environment.
    # Signed as all requests are, so that a presigned address is taken by every region and every server.
    fs = s3fs.S3FileSystem(
        use_listings_cache=False,
        skip_instance_cache=True,
        endpoint_url=endpoint or None,
        config_kwargs={"signature_version": "s3v4"},
    )
    fs.retries = RETRIES
    return fs


class S3Backend(Backend):
    """A bucket and a prefix. Credentials and endpoint come from the usual ``AWS_*`` variables."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._bucket, _, self._prefix = uri.removeprefix("s3://").partition("/")
        self._fs: Any = None
        self._pid = -1

    @property
    def fs(self) -> Any:
        """The S3 file system of this process; a forked child gets one of its own."""
        if self._pid != os.getpid():
            self._fs, self._pid = _shared(s3_environment(), os.getpid()), os.getpid()
        return self._fs

    def _key(self, key: str) -> str:
        return "/".join(part for part in (self._prefix, inside(key)) if part)

    def _path(self, key: str) -> str:
        return f"{self._bucket}/{self._key(key)}"

    def check(self) -> None:
        """Raise if the bucket cannot be listed."""
        with faults("open the store", self.uri):
            if "@" in self.fs.s3.meta.endpoint_url:
                raise ConfigurationError(
                    "AWS_ENDPOINT_URL holds credentials; expected none in it; "
                    "use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                )
            self._page(self._prefix, "", limit=1)

    def create(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Put an object on the condition that there is none."""
        with faults("write", self.url(key)):
            for last in [False] * CONFLICT_RETRIES + [True]:
                try:
                    return self._put_new(key, data)
                except OSError as error:
                    # A conflict says that another request was under way, not who won.
                    if last or code_of(error) != "ConditionalRequestConflict":
                        raise

    def _put_new(self, key: str, data: bytes) -> None:
        self.fs.pipe_file(self._path(key), data, mode="create")

    def replace(self, key: str, data: bytes) -> None:
        """Put an object whether or not there is one."""
        with faults("write", self.url(key)):
            self.fs.pipe_file(self._path(key), data)

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, None if there is none."""
        with faults("read", self.url(key)):
            try:
                return bytes(self.fs.cat_file(self._path(key), max_concurrency=1))
            except FileNotFoundError as error:
                if code_of(error) == "NoSuchBucket":
                    raise
                return None

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a part of an object."""
        if start >= stop:
            return b""
        with faults("read", self.url(key)):
            return bytes(self.fs.cat_file(self._path(key), start=start, end=stop))

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes, None if there is none."""
        with faults("read", self.url(key)):
            try:
                head = self.fs.call_s3("head_object", Bucket=self._bucket, Key=self._key(key))
            except FileNotFoundError:
                return None
            return int(head["ContentLength"])

    @contextmanager
    def writer(self, key: str) -> Iterator[Sink]:
        """Upload in parts; an error inside the block leaves nothing there."""
        where = self.url(key)
        with faults("write", where):
            file = self.fs.open(self._path(key), "wb", block_size=2 * CHUNK)
        try:
            yield GuardedSink(file.write, where)
            with faults("write", where):
                file.close()
        except BaseException:
            with suppress(Exception):  # the server may be gone; what it keeps are parts of no object
                file.discard()
            file.closed = True  # else the garbage collector would complete the upload
            raise

    def remove(self, keys: Iterable[str]) -> None:
        """Delete objects; an absent one is no error."""
        batch = [{"Key": self._key(key)} for key in keys]
        with faults("remove objects from", self.uri):
            for start in range(0, len(batch), PAGE):
                request = {"Objects": batch[start : start + PAGE], "Quiet": True}
                answer = self.fs.call_s3("delete_objects", Bucket=self._bucket, Delete=request)
                for refused in answer.get("Errors", []):
                    raise StoreError(
                        f"cannot remove {refused.get('Key')} from {self.uri}: the server answers "
                        f"{refused.get('Code')}; check that this user may delete objects"
                    )

    def walk(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        """Yield the objects below a prefix, one page of the listing at a time."""
        base = self._key(prefix) + "/" if self._key(prefix) else ""
        cut = len(self._prefix) + 1 if self._prefix else 0
        while True:
            with faults("list", self.url(prefix)):
                page = self._page(base, self._key(after) if after else "", limit=PAGE)
            for item in page.get("Contents", []):
                after = item["Key"][cut:]
                yield Entry(after, int(item["Size"]), item["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return

    def _page(self, base: str, after: str, limit: int) -> Any:
        start = {"StartAfter": after} if after else {}
        return self.fs.call_s3("list_objects_v2", Bucket=self._bucket, Prefix=base, MaxKeys=limit, **start)

    def link(self, key: str, content_type: str, seconds: float, endpoint: str = "") -> str | None:
        """Return a presigned address; None under temporary credentials, whose token would stand in it.

        The host is part of what is signed, so that it cannot be replaced afterwards.
        """
        with faults("sign an address in", self.uri):
            fs = _shared(s3_environment(), os.getpid(), endpoint) if endpoint else self.fs
            url = str(fs.url(self._path(key), expires=int(seconds), ResponseContentType=content_type))
        return None if "security-token" in url.lower() else url

    def tidy(self, before: float) -> int:
        """Abort the uploads that were begun before a time and never ended (a killed writer's)."""
        with faults("list the uploads of", self.uri):
            answer = self.fs.call_s3("list_multipart_uploads", Bucket=self._bucket, Prefix=self._prefix)
            left = [one for one in answer.get("Uploads", []) if one["Initiated"].timestamp() < before]
            for one in left:
                request = {"Key": one["Key"], "UploadId": one["UploadId"]}
                self.fs.call_s3("abort_multipart_upload", Bucket=self._bucket, **request)
        return len(left)

    def now(self) -> float:
        """Return the server's time (to the second), as it stamps its answers."""
        with faults("open the store", self.uri):
            headers = self._page(self._prefix, "", limit=1)["ResponseMetadata"]["HTTPHeaders"]
        return parsedate_to_datetime(headers["date"]).timestamp()
