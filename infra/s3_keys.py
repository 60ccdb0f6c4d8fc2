"""Give out keys of a MinIO server that may do what a policy of ``infra/policies`` allows, and no more.

``python infra/s3_keys.py --bucket NAME --root FILE worker=FILE reader=FILE``: makes the bucket where it is
missing, and lets the key of each FILE do what ``infra/policies/NAME.json`` says. A FILE is one that AWS
clients read (``AWS_SHARED_CREDENTIALS_FILE``). A key given out again with another secret has that from then
on: this is how keys are rotated. The address of the server is that of ``AWS_ENDPOINT_URL``.
"""

from __future__ import annotations

import argparse
import configparser
import io
import json
import os
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

POLICIES = Path(__file__).with_name("policies")
REGION = "us-east-1"
NAMED = "inception-loop"
"""The bucket that the policies name."""


class Key(NamedTuple):
    """An access key and its secret."""

    access: str
    secret: str

    def file(self) -> str:
        """Return it in the form that AWS clients read."""
        return f"[default]\naws_access_key_id = {self.access}\naws_secret_access_key = {self.secret}\n"


def read(path: Path) -> Key:
    """Read a key in the form that AWS clients read."""
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(path.read_text())
    section = parsed["default"]
    return Key(section["aws_access_key_id"], section["aws_secret_access_key"])


def policy(name: str, bucket: str) -> dict[str, Any]:
    """Return a policy by its name, for a bucket."""
    text = (POLICIES / f"{name}.json").read_text()
    return json.loads(text.replace(f"arn:aws:s3:::{NAMED}", f"arn:aws:s3:::{bucket}"))


def make_bucket(endpoint: str, root: Key, bucket: str) -> None:
    """Make a bucket where it is missing."""
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=root.access,
        aws_secret_access_key=root.secret,
    )
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise


def give_out(endpoint: str, root: Key, bucket: str, keys: Mapping[str, Key]) -> None:
    """Let the key of each name do what the policy of that name says, and no more.

    Parameters
    ----------
    endpoint
        Address of the server.
    root
        The server's own key, which must not be one of those.
    bucket
        The bucket that the policies are about.
    keys
        Key by name of its policy.

    Raises
    ------
    SystemExit
        With what the server refused.
    """
    named = {name: f"{bucket}-{name}" for name in keys}
    assets: dict[str, Any] = {
        "policies.json": {named[name]: policy(name, bucket) for name in keys},
        "users.json": {k.access: {"secretKey": k.secret, "status": "enabled"} for k in keys.values()},
        "user_mappings.json": {k.access: {"version": 1, "policy": named[n]} for n, k in keys.items()},
    }
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, content in assets.items():
            archive.writestr(f"iam-assets/{name}", json.dumps(content))
    failed = {
        what: wrong for what, wrong in (_import(endpoint, root, body.getvalue()) or {}).items() if wrong
    }
    if failed:
        raise SystemExit(f"the S3 server refused {failed}; expected every key to be taken")


def _import(endpoint: str, root: Key, body: bytes) -> dict[str, Any]:
    """Send what `mc admin cluster iam import` would send; return what failed."""
    request = AWSRequest("PUT", f"{endpoint}/minio/admin/v3/import-iam-v2", data=body)
    S3SigV4Auth(Credentials(root.access, root.secret), "s3", REGION).add_auth(request)
    sent = urllib.request.Request(request.url, body, dict(request.headers), method="PUT")
    try:
        with urllib.request.urlopen(sent, timeout=30) as answer:
            return json.load(answer).get("failed", {})
    except urllib.error.HTTPError as error:
        said = error.read(500).decode(errors="replace")
        raise SystemExit(
            f"the S3 server at {endpoint} refused to take keys ({error.code}): {said}; "
            "expected MinIO and the server's own key"
        ) from error


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--root", required=True, type=Path, metavar="FILE")
    parser.add_argument("keys", nargs="+", metavar="POLICY=FILE")
    asked = parser.parse_args()
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        raise SystemExit("AWS_ENDPOINT_URL is not set; expected the address of the S3 server")
    root = read(asked.root)
    keys = {name: read(Path(file)) for name, _, file in (one.partition("=") for one in asked.keys)}
    make_bucket(endpoint, root, asked.bucket)
    give_out(endpoint, root, asked.bucket, keys)
    sys.stdout.write(f"bucket {asked.bucket}; keys given out: {', '.join(keys)}\n")


if __name__ == "__main__":
    main()
