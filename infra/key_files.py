"""S3 keys in the form of a file that AWS clients read (``AWS_SHARED_CREDENTIALS_FILE``)."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import NamedTuple


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
