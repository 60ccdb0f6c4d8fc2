"""A run's end is told to web hooks: once, small, in time, and without ever failing or showing the address."""

import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Cancelling, Crashed, Failed

from flows.telling import events, notify
from flows.telling.record import Step, recorded
from flows.telling.runs import completed, end_of_run, no_news, watched
from inception_loop.artifacts.identity import Config
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.settings import Settings

SECRET = "s3cr3t-hook-token"


class Hook(ThreadingHTTPServer):
    """Takes messages, answers with what is asked of it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[dict] = []
        self.answers: list[int] = []
        self.pause = threading.Event()
        self.pause.set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{SECRET}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        hook = self.server
        assert isinstance(hook, Hook)
        hook.pause.wait(10)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hook.taken.append(json.loads(body))
        self.send_response(hook.answers.pop(0) if hook.answers else 204)
        self.send_header("Location", f"http://127.0.0.1:{hook.server_port}/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook(monkeypatch, tmp_path):
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("INCEPTION_LOOP_NOTIFY", server.address)
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    monkeypatch.setattr(notify, "PAUSE_SECONDS", 0.0)
    yield server
    server.pause.set()
    server.shutdown()
    thread.join()
    server.server_close()


class Ends(Config):
    """How it ends."""

    how: str = "well"


@flow(name="ends", **watched(lambda p: f"ends {p.how}"))
def ends(parameters: Ends) -> None:
    with recorded(Step(stage="ends", make="thing", origin=events.origin())) as record:
        record.ended("computed", size=5)
    with recorded(Step(stage="ends", make="thing", label="2", origin=events.origin())) as record:
        record.ended("cached")
    if parameters.how.startswith("quietly"):
        no_news()
    if parameters.how.endswith("badly"):
        raise DataError("no light;\nexpected some; open the shutter")
    if parameters.how == "within":
        ends(Ends(how="part"))
    return (
        completed(None, "1 put aside:\nx.nwb: bad", "Put aside") if parameters.how == "with words" else None
    )


def run(how: str):
    state = ends(Ends(how=how), return_state=True)
    with get_client(sync_client=True) as client:
        return state, client.read_flow_run(state.state_details.flow_run_id)


def test_a_run_that_ends_well_is_told_with_its_counts(hook) -> None:
    _, found = run("well")
    (said,) = hook.taken
    assert said.pop("seconds") >= 0
    assert said.pop("text").startswith("ends well: Completed after ")
    assert said.pop("url").endswith(f"/runs/flow-run/{found.id}")
    assert said == {
        "flow": "ends",
        "run": "ends well",
        "run_id": str(found.id),
        "state": "Completed",
        "computed": 1,
        "cached": 1,
        "failed": 0,
        "bytes": 5,
        "error": "",
        "message": "",
    }


def test_a_run_that_fails_is_told_with_its_line_and_fails_as_it_would(hook) -> None:
    state, _ = run("badly")
    with pytest.raises(DataError):
        state.result()
    (said,) = hook.taken
    assert said["state"] == "Failed"
    assert said["error"].endswith("DataError: no light; expected some; open the shutter")
    assert said["text"].endswith(said["error"])


def test_what_a_run_that_ends_well_has_to_say_is_told(hook) -> None:
    run("with words")
    (said,) = hook.taken
    assert (said["state"], said["error"], said["message"]) == ("Put aside", "", "1 put aside: x.nwb: bad")
    assert said["text"].startswith("ends with words: Put aside after ")
    assert said["text"].endswith(", 1 computed, 1 cached: 1 put aside: x.nwb: bad")


def test_a_part_of_a_run_is_not_told(hook) -> None:
    run("within")
    assert [said["run"] for said in hook.taken] == ["ends within"]


def test_a_run_that_found_nothing_to_do_is_not_told_unless_it_fails(hook) -> None:
    run("quietly")
    assert hook.taken == []
    run("quietly and badly")
    assert [said["state"] for said in hook.taken] == ["Failed"]


def test_a_schedule_that_fails_as_the_time_before_is_not_told_again(hook) -> None:
    """Nothing can be remembered in a store that is away; Prefect knows how the last run ended."""
    with get_client(sync_client=True) as client:
        made = client.create_deployment(client.create_flow_from_name("ends"), "often")

    def fails(message: str) -> None:
        with get_client(sync_client=True) as client:
            ran = client.create_flow_run_from_deployment(made).id
            state = Failed(message=message)
            client.set_flow_run_state(ran, state, force=True)
            found = client.read_flow_run(ran).model_copy(update={"auto_scheduled": True})
        end_of_run(flow=ends, flow_run=found, state=state)

    for message in ("no answer", "no answer", "no answer", "no room", "no answer"):
        fails(message)
    assert [said["error"] for said in hook.taken] == ["no answer", "no room", "no answer"]
    with get_client(sync_client=True) as client:
        client.delete_deployment(made)


@pytest.mark.parametrize(
    ("state", "called"),
    [(Crashed(message="gone"), "Crashed"), (Cancelling(message="by a person"), "Cancelled")],
)
def test_what_a_worker_tells_of_a_run_that_is_gone_has_the_counts_that_it_left(
    hook, monkeypatch, state, called
) -> None:
    _, found = run("well")
    hook.taken.clear()
    assert str(found.id) not in events._recorders  # as in the process of a worker
    end_of_run(flow=ends, flow_run=found.model_copy(update={"name": "humorous-tortoise"}), state=state)
    (said,) = hook.taken
    assert said["run"] == "ends well"  # not what it was called before it began
    assert (said["state"], said["computed"], said["cached"]) == (called, 1, 1)
    assert said["error"] == state.message


def test_it_is_tried_again_where_that_may_help(hook, caplog) -> None:
    hook.answers = [500, 429, 204]
    run("well")
    assert len(hook.taken) == 3
    hook.taken.clear()
    hook.answers = [404]
    with caplog.at_level(logging.WARNING):
        run("well")
    assert len(hook.taken) == 1
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert said == ["notification 1 was not taken: HTTP status 404"]
    hook.taken.clear()
    hook.answers = [302]
    run("well")
    assert len(hook.taken) == 1  # no redirect is followed


def test_every_address_is_told_and_what_is_wrong_with_one_shows_none(hook, monkeypatch, caplog) -> None:
    nobody = f"http://127.0.0.1:9/{SECRET}"
    wrong = f"http://[{SECRET}"
    monkeypatch.setenv("INCEPTION_LOOP_NOTIFY", f"{nobody}, {wrong} file:///{SECRET} {hook.address}")
    with caplog.at_level(logging.DEBUG):
        state, _ = run("well")
    assert state.is_completed()
    assert len(hook.taken) == 1
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert said[0].startswith("entry 3 of INCEPTION_LOOP_NOTIFY begins with neither https:// nor http://")
    assert sorted(line[:14] for line in said[1:]) == ["notification 1", "notification 2", "notification 3"]
    assert SECRET not in caplog.text
    assert SECRET not in repr(Settings()) + str(Settings()) + Settings().model_dump_json()


def test_a_web_hook_that_does_not_answer_holds_a_run_up_no_longer_than_it_may(hook, monkeypatch) -> None:
    monkeypatch.setattr(notify, "PATIENCE_SECONDS", 0.2)
    hook.pause.clear()
    began = time.monotonic()
    notify.ended("ends", *reversed(run_without_hook(monkeypatch)), {})
    assert time.monotonic() - began < 5


def run_without_hook(monkeypatch):
    address = Settings().notify.get_secret_value()
    monkeypatch.setenv("INCEPTION_LOOP_NOTIFY", "")
    done = run("well")
    monkeypatch.setenv("INCEPTION_LOOP_NOTIFY", address)
    return done


def test_a_wrong_setting_does_not_show_the_address(monkeypatch, tmp_path) -> None:
    (tmp_path / "inception-loop.toml").write_text(f'notify = ["https://hooks.example/{SECRET}"]\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="setting 'notify' is not shown: ") as caught:
        Settings()
    assert SECRET not in str(caught.value)
    assert SECRET not in str(caught.value.__cause__)
