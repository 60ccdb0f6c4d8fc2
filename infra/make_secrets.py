"""Make the keys and passwords of ``infra/compose.yaml``: ``python infra/make_secrets.py [--folder FOLDER]``.

Needs Python and nothing else. What is there already stays; delete a file to have it made anew
(docs/operations.md says what to start again then). The folder is closed to everybody but its owner; the files
in it are open, since containers, which get one file each and not the folder, run as another user.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from key_files import Key

FOLDER = Path(__file__).with_name("secrets")
SERVER = """active = "server"
[profiles.server]
PREFECT_SERVER_DATABASE_PASSWORD = "{password}"
PREFECT_SERVER_API_AUTH_STRING = "{auth}"
PREFECT_API_AUTH_STRING = "{auth}"
"""
CLIENT = """active = "client"
[profiles.client]
PREFECT_API_AUTH_STRING = "{auth}"
"""


def make(folder: Path) -> list[str]:
    """Make what is missing and return the names of the files made."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    before = {path.name for path in folder.iterdir()}
    for name in ("s3_root", "s3_worker", "s3_reader", "s3_rig"):
        _keep(folder / name, Key(f"inception-loop-{name[3:]}", secrets.token_urlsafe(24)).file())
    _keep(folder / "postgres_password", secrets.token_urlsafe(24))
    _keep(folder / "prefect_auth", f"admin:{secrets.token_urlsafe(24)}")
    password, auth = (folder / "postgres_password").read_text(), (folder / "prefect_auth").read_text()
    # What follows from the others follows them when they change.
    _, access, secret = (folder / "s3_root").read_text().splitlines()
    root = {"USER": access.partition(" = ")[2], "PASSWORD": secret.partition(" = ")[2]}
    (folder / "s3_root.env").write_text("".join(f"MINIO_ROOT_{k}={v}\n" for k, v in root.items()))
    (folder / "prefect_server.toml").write_text(SERVER.format(password=password, auth=auth))
    (folder / "prefect_client.toml").write_text(CLIENT.format(auth=auth))
    for path in folder.iterdir():
        path.chmod(0o644)
    return sorted({path.name for path in folder.iterdir()} - before)


def _keep(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text)


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    sys.stdout.write(f"{folder}: made {', '.join(make(folder)) or 'nothing, all are there'}\n")


if __name__ == "__main__":
    main()
