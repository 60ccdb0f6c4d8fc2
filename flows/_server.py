"""A temporary Prefect server that ends with the process that started it, even when that one is killed."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from flows import _interrupt
from inception_loop.errors import StoreError

READY_SECONDS = 180.0


@contextmanager
def prefect_server() -> Iterator[str]:
    """Provide the URL of a Prefect API: the configured one, or a temporary local server.

    Prefect's own temporary server outlives a killed parent and keeps its database locked; this one
    watches a pipe to its parent and leaves when that closes.

    Yields
    ------
    str
        The API's URL, also set as ``PREFECT_API_URL`` while the context is open.
    """
    configured = os.environ.get("PREFECT_API_URL")
    if configured:
        yield configured
        return
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {
        **os.environ,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_API_URL": url,
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "flows._server", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # Ctrl-C goes to the parent alone, which then ends the server in order
    )
    _interrupt.on_leaving.append(server.kill)
    patience = 10.0
    try:
        _wait_until_ready(server, url)
        with _pointed_at(url):
            yield url
    except KeyboardInterrupt:
        patience = 2.0
        raise
    finally:
        if server.stdin:
            server.stdin.close()
        try:
            server.wait(patience)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        _interrupt.on_leaving.remove(server.kill)


@contextmanager
def _pointed_at(url: str) -> Iterator[None]:
    """Point this process's Prefect at an API: it read the environment when it was imported."""
    from prefect.logging.handlers import APILogHandler
    from prefect.settings import PREFECT_API_URL, temporary_settings

    os.environ["PREFECT_API_URL"] = url  # for the processes that this one starts
    try:
        with temporary_settings({PREFECT_API_URL: url}):
            try:
                yield
            finally:  # also after a failed run: logs sent to a server that is gone are retried for a minute
                APILogHandler().flush()
    finally:
        os.environ.pop("PREFECT_API_URL", None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise StoreError(
        f"the temporary Prefect server did not answer at {url} within {READY_SECONDS:.0f} s; "
        "set PREFECT_API_URL to a running server, or try again"
    )


def serve(port: int) -> None:
    """Serve the Prefect API and UI on ``port`` until standard input, if it is a pipe, closes."""
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    from flows._sqlite import keep_going

    keep_going()
    said = get_current_settings().server
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(),
            host="127.0.0.1",
            port=port,
            log_level=said.logging_level.lower(),
            timeout_keep_alive=said.api.keepalive_timeout,
            lifespan="on",
        )
    )

    def leave_with_parent() -> None:
        while os.read(0, 1024):
            pass
        server.should_exit = True
        time.sleep(5)
        os._exit(0)

    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=leave_with_parent, daemon=True).start()
    server.run()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
