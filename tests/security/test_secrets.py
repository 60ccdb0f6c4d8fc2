"""Secrets of the environment are told to nobody: all that runs say and write is searched for them."""

from __future__ import annotations

import base64
import io
import json
import logging
import secrets
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import polars as pl
import pytest
import tomli_w

from inception_loop.animals.recorded import AnimalDayConfig
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.config import DatasetConfig
from inception_loop.errors import ConfigurationError, InceptionLoopError
from inception_loop.parameters import DatasetParameters, IngestParameters, PresentParameters
from inception_loop.recordings.recording import ScanKey
from inception_loop.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SCAN = ScanKey(animal_id=1, session=1, scan_idx=1)
DAY = PresentParameters(
    day=AnimalDayConfig(
        scan=SCAN,
        animal=SimulatedConfig(n_units=12),
        session=NaturalSessionConfig(n_train=24, n_repeated=2, repeats=3, height=36, width=64),
    )
)


def disguises(secret: str) -> dict[str, bytes]:
    """Return the forms in which a secret might slip out."""
    found = {"plain": secret, "quoted": quote(secret, safe=""), "plus": quote_plus(secret)}
    found |= {"hex": secret.encode().hex(), "json": json.dumps(secret)[1:-1], "backwards": secret[::-1]}
    for shift in range(3):  # base64 of the secret somewhere inside a longer text
        coded = base64.b64encode(b"x" * shift + secret.encode()).decode()
        found[f"base64+{shift}"] = coded[4 if shift else 0 : -4]
    return {name: text.encode() for name, text in found.items()}


def leaks(secret: str, said: dict[str, bytes]) -> list[str]:
    """Return where a secret stands, and in which form."""
    forms = disguises(secret)
    return [
        f"{where}: {form}" for where, data in said.items() for form, text in forms.items() if text in data
    ]


@pytest.mark.parametrize("form", list(disguises("an example")))
def test_the_search_finds_every_form(form: str) -> None:
    secret = "AKIA/+secret=key with ümlaut"
    text = {"log": b"before " + disguises(secret)[form] + b" after"}
    assert leaks(secret, text)
    assert leaks(secret, {"log": b"nothing of it"}) == []
    inside = base64.b64encode(b"user:" + secret.encode() + b"@host")
    assert leaks(secret, {"header": inside})


class Hook(BaseHTTPRequestHandler):
    """A web hook: keeps what it is sent."""

    taken: list[bytes]

    def do_POST(self) -> None:
        self.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[tuple[str, list[bytes]]]:
    taken: list[bytes] = []
    server = HTTPServer(("127.0.0.1", 0), type("OneHook", (Hook,), {"taken": taken}))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    server.server_close()
    thread.join()


class Planted:
    """Secrets in the environment, and all that has been said since."""

    def __init__(self, secrets: dict[str, str], call: Callable[..., Any], hook: list[bytes]) -> None:
        self.secrets = secrets
        self.said: dict[str, bytes] = {}
        self._call, self._hook = call, hook

    def call(self, *words: object) -> Any:
        """Run a command and keep what it prints."""
        done = self._call(*words)
        text = f"{done.out}\n{done.err}".encode()
        self.said[f"{len(self.said)} {' '.join(map(str, words))[:60]}"] = text
        return done

    def keep(self, where: str, text: str | bytes) -> None:
        """Keep something else that was said."""
        self.said[where] = text.encode() if isinstance(text, str) else text

    def leaks(self) -> list[str]:
        """Return what has slipped out."""
        self.keep("web hook", b"\n".join(self._hook))
        return [f"{name}: {leak}" for name, one in self.secrets.items() for leak in leaks(one, self.said)]


@pytest.fixture
def plant(
    minio: Any,
    s3_uri: str,
    call: Callable[..., Any],
    hook: tuple[str, list[bytes]],
    prefect_api: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Planted]:
    """Secrets wherever one can be given: keys of S3, of Prefect, and the path of a web hook."""
    from prefect.settings import PREFECT_API_KEY, temporary_settings

    token = secrets.token_urlsafe(24)
    found = {
        "S3 key": minio.password,
        "Prefect key": f"pnu_{secrets.token_hex(18)}",
        "web hook": token,
    }
    monkeypatch.setenv("PREFECT_API_KEY", found["Prefect key"])
    monkeypatch.setenv("INCEPTION_LOOP_NOTIFY", f"{hook[0]}/services/{token} nonsense-{token}")
    with temporary_settings({PREFECT_API_KEY: found["Prefect key"]}):
        yield Planted(found, call, hook[1])


def toml(path: Path, parameters: Any) -> Path:
    path.write_text(tomli_w.dumps(parameters.model_dump(mode="json", exclude_none=True)))
    return path


def stored(store: Any) -> dict[str, bytes]:
    """Return every object of a store as it lies there, and every table as text."""
    found = {entry.key: store.backend.read(entry.key) or b"" for entry in store.backend.walk()}
    for key, data in list(found.items()):
        if key.endswith(".parquet"):
            table = pl.read_parquet(io.BytesIO(data))
            flat = table.select(pl.col(pl.String))
            found[f"{key} as text"] = flat.write_csv().encode()
    return found


def of_prefect(home: Path) -> dict[str, bytes]:
    """Return Prefect's files, its database among them, after its logs have arrived."""
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_runs_on_s3_tell_no_secret(
    plant: Planted,
    s3_uri: str,
    prefect_home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "inception_loop")
    day, at = toml(tmp_path / "day.toml", DAY), ("--store", s3_uri)
    for words in (("--debug",), ()):  # computed, then found
        assert plant.call(*words, "run", "present", "--config", day, *at).status == 0
    store = open_store(s3_uri)
    (recording,) = (one.ref for one in artifacts(store, "recording"))
    ingest = toml(tmp_path / "ingest.toml", IngestParameters(recordings=(recording,)))
    located = store.located(recording, "units")
    sound = store.backend.read(located.key)
    store.backend.replace(located.key, bytes(located.payload.size))
    failed = plant.call("--debug", "run", "ingest", "--config", ingest, *at)
    assert failed.status == 1
    assert "Traceback" in failed.err
    store.backend.replace(located.key, sound)
    assert plant.call("run", "ingest", "--config", ingest, *at, "--json").status == 0
    data = toml(
        tmp_path / "dataset.toml",
        DatasetParameters(recordings=(recording,), config=DatasetConfig(group_id=0)),
    )
    assert plant.call("run", "dataset", "--config", data, *at).status in {0, 1}
    for words in (
        ("doctor", "--json"),
        ("doctor",),
        ("store", "ls", "--long", "--json"),
        ("store", "show", recording, "--full"),
        ("store", "verify"),
        ("report", "--dataset", "--output", tmp_path / "report"),
        ("store", "show", "nothing/0123abcd", "--debug"),
    ):
        plant.call(*words, *at)
    plant.said |= stored(store) | of_prefect(prefect_home)
    plant.said |= {str(path): path.read_bytes() for path in (tmp_path / "report").rglob("*.*")}
    plant.keep("log", caplog.text)
    plant.keep("settings", f"{Settings()!r} {Settings()} {Settings().model_dump_json()} {store!r}")

    # what the search must be able to see: a bucket is named in each place, and is no secret
    bucket = s3_uri.split("/")[2]
    seen = {where for where, text in plant.said.items() if bucket.encode() in text}
    assert any(where.endswith((".db", ".db-wal")) for where in seen), "Prefect's database was not searched"
    assert any(where.startswith("_") for where in plant.said), "neither leases nor events were searched"
    assert any(where.endswith("manifest.json") for where in plant.said)
    assert plant._hook, "no notification was sent"
    assert plant.leaks() == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("INCEPTION_LOOP_STORE", "s3://key:{}@bucket/x", ("store", "ls")),
        ("INCEPTION_LOOP_STORE", "s3://key:a/{}@bucket/x", ("doctor",)),
        ("INCEPTION_LOOP_STORE", "s3://key:{}", ("doctor", "--json")),
        ("INCEPTION_LOOP_STORE", "https://user:{}@host/x", ("store", "ls", "--debug")),
        ("AWS_ENDPOINT_URL", "http://user:{}@127.0.0.1:9", ("store", "ls", "--debug")),
        ("PREFECT_API_URL", "http://user:{}@127.0.0.1:9/api", ("doctor", "--json")),
        ("PREFECT_API_URL", "http://127.0.0.1:9/api?key={}", ("doctor",)),
        ("AWS_SECRET_ACCESS_KEY", "wrong-{}", ("store", "ls", "--debug")),
        ("INCEPTION_LOOP_CLUSTER", "tcp://user:{}@head:8786", ("doctor", "--debug")),
        ("INCEPTION_LOOP_DEVICE", "https://user:{}@host", ("store", "ls", "--debug")),
        ("INCEPTION_LOOP_THREADS", "s3://key:{}@bucket", ("doctor", "--json")),
        ("INCEPTION_LOOP_NOTIFY", "no address {}", ("doctor", "--json")),
        ("INCEPTION_LOOP_NOTIFI", "https://host/{}", ("doctor", "--json")),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(
    name: str,
    value: str,
    words: tuple[str, ...],
    s3_uri: str,
    call: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = secrets.token_urlsafe(24)
    monkeypatch.setenv("INCEPTION_LOOP_STORE", s3_uri)
    monkeypatch.setenv(name, value.format(secret))
    done = call(*words)
    assert done.out + done.err
    assert leaks(secret, {"out": done.out.encode(), "err": done.err.encode()}) == []


def test_a_key_in_an_address_among_parameters_is_kept_by_nobody(
    call: Callable[..., Any],
    prefect_api: str,
    prefect_home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the terminal, in files, in the form of the UI and in what a lab has left on the server."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    monkeypatch.chdir(ROOT)
    secret = secrets.token_urlsafe(24)
    said: dict[str, bytes] = {}
    assert call("deploy").status == 0
    for address in (f"s3://AKIA:{secret}@bucket/in", f"https://me:{secret}@host/x"):
        values = {"path": address, "scan": SCAN.model_dump()}
        file = tmp_path / "import.toml"
        file.write_text(tomli_w.dumps(values))
        for words in (
            ("run", "watch", "--set", f"folder={address}"),
            ("run", "night", "--set", f"watch.folder={address}"),
            ("run", "import", "--config", file),
            ("deploy", "--watch", address),
            ("deploy", "--parameters", f"import={file}"),
        ):
            refused = call("--debug", *words)
            assert refused.status == 2, refused
            assert "holds credentials; expected none in it" in refused.err
            said[f"{words} {address}"] = f"{refused.out}{refused.err}".encode()
        assert asked_as_in_the_form(prefect_api, "import/import", values) == {409}
        assert asked_as_in_the_form(prefect_api, "watch/watch", {"folder": address}) == {409}
    assert asked_as_in_the_form(prefect_api, "watch/watch", {"folder": "/data/no-secret"}) == {201, 204}
    said |= {"log": caplog.text.encode()} | of_prefect(prefect_home)
    assert any(b"/data/no-secret" in text for text in said.values()), "the database was not searched"
    assert leaks(secret, said) == []


def asked_as_in_the_form(api: str, name: str, values: dict[str, Any]) -> set[int]:
    """Ask for a run, and for other standing parameters, as the UI does; returns what the server answers."""
    at = f"{api}/deployments"
    deployment = httpx.get(f"{at}/name/{name}").json()["id"]
    asked = {"parameters": {"parameters": values}}
    return {
        httpx.post(f"{at}/{deployment}/create_flow_run", json=asked).status_code,
        httpx.patch(f"{at}/{deployment}", json=asked).status_code,
    }


def test_parameters_with_a_key_that_a_server_holds_are_refused_and_said_nowhere(
    caplog: pytest.LogCaptureFixture, prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a schedule, which no server looks at: the run fails, and Prefect's log is silent."""
    from flows.watch import watch

    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    secret = secrets.token_urlsafe(24)
    with pytest.raises(Exception, match="folder holds credentials") as caught:
        watch({"folder": f"s3://AKIA:{secret}@bucket"})  # type: ignore[arg-type]
    told = "".join(traceback.format_exception(caught.value))
    assert "Parameters that hold credentials were refused." in caplog.text
    assert leaks(secret, {"log": caplog.text.encode(), "error": told.encode()}) == []


def test_an_error_about_a_uri_with_a_secret_holds_none_of_it() -> None:
    for uri in ("s3://key:hush/hush@bucket", "s3://hush@bucket/x", "gs://key:hush@bucket", "s3://key:hush"):
        with pytest.raises(ConfigurationError) as caught:
            open_store(uri)
        link: BaseException | None = caught.value
        while link is not None:
            assert "hush" not in f"{link} {link!r} {link.args} {vars(link)}"
            link = link.__cause__ or link.__context__
        assert isinstance(caught.value, InceptionLoopError)
