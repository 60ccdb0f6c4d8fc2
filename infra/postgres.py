"""A Postgres of one's own on the loopback interface, where its programs are installed."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import asyncpg
import leash

ROLE = DATABASE = "prefect"
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
HBA = "host all all 127.0.0.1/32 scram-sha-256\n"


class Postgres:
    """A database cluster in a folder.

    Parameters
    ----------
    programs
        Folder of ``initdb`` and ``postgres``.
    data
        Folder of the cluster; made where it is missing.

    Attributes
    ----------
    user
        Who runs it: None is whoever runs this; Postgres refuses root.
    """

    def __init__(self, programs: Path, data: Path) -> None:
        self.programs, self.data = programs, data
        self.user = _servant() if os.geteuid() == 0 else None

    def prepare(self, password: str) -> None:
        """Make the cluster where it is missing, and set its only role's password.

        Raises
        ------
        OSError, subprocess.CalledProcessError
            If it cannot be done on this machine.
        """
        if not self.data.exists():
            partial = self.data.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(mode=0o700)
            self._give(partial)
            made = ["initdb", "-D", str(partial), "-U", ROLE, "--auth=trust", "--encoding=UTF8", "--locale=C"]
            self._run(made)  # the trust is replaced before anything listens
            (partial / "pg_hba.conf").write_text(HBA)
            self._single(partial, "template1", f"CREATE DATABASE {DATABASE}")
            partial.rename(self.data)
        self._single(self.data, DATABASE, f"ALTER ROLE {ROLE} PASSWORD '{password}'")

    def command(self, port: int) -> list[str]:
        """Return what runs it: reachable on a port of this machine and nowhere else."""
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *settings]

    def _give(self, folder: Path) -> None:
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)

    def _single(self, data: Path, database: str, statement: str) -> None:
        self._run(["postgres", "--single", "-D", str(data), database], statement)

    def _run(self, command: list[str], statement: str = "") -> None:
        name, *arguments = command
        done = subprocess.run(
            [self.programs / name, *arguments],
            input=f"{statement}\n",
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **leash.as_user(self.user),
        )
        # In single-user mode a refused statement is said and passed over.
        if done.returncode or "ERROR:" in done.stdout or "FATAL:" in done.stdout:
            lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
            said = [line for line in lines if not statement or statement not in line]  # it holds a password
            raise OSError(f"{name}: {said[-1] if said else f'status {done.returncode}'}")


def url(password: str, port: int) -> str:
    """Return the address of its database in the words of Prefect."""
    return f"postgresql+asyncpg://{ROLE}:{password}@127.0.0.1:{port}/{DATABASE}"


def pass_file(password: str, port: int) -> str:
    """Return what its own programs read as ``PGPASSFILE``."""
    return f"127.0.0.1:{port}:{DATABASE}:{ROLE}:{password}\n"


def ready(password: str, port: int) -> bool:
    """Whether the database takes connections."""

    async def connect() -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user=ROLE, password=password, database=DATABASE, timeout=5
        )
        await connection.close()

    try:
        asyncio.run(connect())
    except (OSError, asyncpg.CannotConnectNowError):
        return False
    return True


def find(data: Path) -> Path | None:
    """Return the folder of the newest programs, or of those that made the cluster; None if there are none."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    for place in PLACES:
        root, _, pattern = place.partition("*")
        parent = Path(root).parent
        folders += sorted(parent.glob(f"{Path(root).name}*{pattern}"), reverse=True)
    usable = [one for one in folders if all((one / name).exists() for name in ("initdb", "postgres"))]
    if (data / "PG_VERSION").exists():
        made_by = (data / "PG_VERSION").read_text().strip()
        usable = [one for one in usable if version(one).split(".")[0] == made_by]
    return next(iter(usable), None)


def version(programs: Path) -> str:
    """Return the version of the programs in a folder."""
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
    return next(word for word in said.stdout.split() if word[0].isdigit())


def _servant() -> str:
    """Return a user without rights to run it as, where this one is root."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise OSError("Postgres refuses to run as root, and there is neither a user postgres nor nobody")
