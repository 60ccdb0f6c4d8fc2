"""Give out keys of a MinIO server that may do what a policy of ``infra/policies`` allows, and no more.

``python infra/s3_keys.py --root FILE worker,recordings-reader=FILE reader=FILE rig=FILE``: makes the buckets
that the policies are about where they are missing, and lets the key of each FILE do what ``infra/policies``
says under the names before it. A FILE is one that AWS clients read (``AWS_SHARED_CREDENTIALS_FILE``). A key
given out again with another secret has that from then on: this is how keys are rotated. The server's address
is that of ``AWS_ENDPOINT_URL``.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import botocore.session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from key_files import Key, read

POLICIES = Path(__file__).with_name("policies")
REGION = "us-east-1"
BUCKETS = ("inception-loop", "recordings")
"""The buckets that the policies name: of the store, and of what rigs bring."""


def make_buckets(endpoint: str, root: Key) -> None:
    """Make the buckets where they are missing."""
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=root.access,
        aws_secret_access_key=root.secret,
    )
    for bucket in BUCKETS:
        try:
            client.create_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise


def give_out(endpoint: str, root: Key, keys: Mapping[str, Key]) -> None:
    """Let each key do what its policies say, and no more.

    Parameters
    ----------
    endpoint
        Address of the server.
    root
        The server's own key, which must not be one of those.
    keys
        Key by the names of its policies, separated by commas.

    Raises
    ------
    SystemExit
        With what the server refused.
    """
    policies = {name: POLICIES / f"{name}.json" for names in keys for name in names.split(",")}
    assets: dict[str, Any] = {
        "policies.json": {name: json.loads(path.read_text()) for name, path in policies.items()},
        "users.json": {k.access: {"secretKey": k.secret, "status": "enabled"} for k in keys.values()},
        "user_mappings.json": {k.access: {"version": 1, "policy": names} for names, k in keys.items()},
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
    parser.add_argument("--root", required=True, type=Path, metavar="FILE")
    parser.add_argument("keys", nargs="+", metavar="POLICIES=FILE")
    asked = parser.parse_args()
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        raise SystemExit("AWS_ENDPOINT_URL is not set; expected the address of the S3 server")
    root = read(asked.root)
    keys = {names: read(Path(file)) for names, _, file in (one.partition("=") for one in asked.keys)}
    make_buckets(endpoint, root)
    give_out(endpoint, root, keys)
    sys.stdout.write(f"buckets {', '.join(BUCKETS)}; keys given out: {'; '.join(keys)}\n")


if __name__ == "__main__":
    main()
