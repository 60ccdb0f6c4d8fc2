"""What a person types wrong is answered by one line and a status; nothing half-written stays behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from flows import _interrupt
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.upkeep import verify
from inception_loop.examples import example_parameters
from inception_loop.parameters import SelectParameters
from inception_loop.selection.config import SelectionRules

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["demo", "import", "import-images", "run", "export", "report", "doctor"]
STORE_COMMANDS = ["ls", "show", "lineage", "verify", "repair", "sweep", "copy", "events"]
DONE, FAILED, USAGE = 0, 1, 2


def refused(said, status: int, *parts: str) -> None:
    """Check that a command said nothing but one line with all these parts, and ended as it should."""
    assert said.err.count("\n") == 1, said.err
    assert said.err.startswith("error: ")
    for part in parts:
        assert part in said.err
    assert said.status == status
    assert said.out == ""


def failed(said, status: int, *parts: str) -> None:
    """Check that a run that had begun ended with one line of error, after lines of progress alone."""
    *before, last = said.err.splitlines()
    assert not [line for line in before if "error" in line.lower() or "Traceback" in line or "|" in line]
    assert last.startswith("error: ")
    for part in parts:
        assert part in last
    assert said.status == status
    assert said.out == ""


@pytest.fixture
def uri(tmp_path):
    return f"file://{tmp_path}/store"


def nothing_in(uri: str) -> bool:
    """Whether a store on disk holds no payload and no manifest."""
    files = [path for path in Path(uri.removeprefix("file://")).rglob("*") if path.is_file()]
    return not [path for path in files if not {"_leases", "_events"} & set(path.parts)]


# --- usage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [[name] for name in COMMANDS] + [["store", name] for name in STORE_COMMANDS], ids=" ".join
)
def test_help_of_every_command_has_an_example(call, words) -> None:
    said = call(*words, "--help")
    assert said.status == 0
    assert "Example: inception-loop" in " ".join(said.out.split()).replace("`", "")
    assert "--store" in said.out
    assert "--json" in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["fly"], ['Unknown command "fly"', "demo, import, run"]),
        (["demo", "--speed", "9"], ["--speed"]),
        (["run", "sleep"], ['Invalid value "sleep"', '"ingest"']),
        (["run"], ['Command "run" parameter --stage requires']),
        (["run", "train"], ["run train got no --config", "--print-example"]),
        (["run", "train", "--dry-run"], ["run train got no --config", "--print-example"]),
        (["run", "select", "--dry-run"], ["run select has no --dry-run; expected train or stimulus"]),
        (["run", "mei", "--set", "seed"], ["--set is 'seed'; expected KEY=VALUE"]),
        (
            ["run", "mei", "--set", "images=1", "--set", "images.seed=2"],
            ["images is 1; expected a table, with seed"],
        ),
        (["demo", "--size", "huge"], ["huge", "small"]),
        (["demo", "--seed", "one"], ["one", "int"]),
        (["demo", "--seed", "-1"], ["error: --seed is -1; expected greater than or equal to 0"]),
        (["demo", "--animal", "cat"], ["--animal is 'cat'", "expected simulated or twin:PATH.npz"]),
        (["demo", "--animal", "twin:"], ["--animal is 'twin:'", "expected simulated or twin:PATH.npz"]),
        (["store", "show"], ["--artifact requires an argument"]),
        (["store", "burn"], ["burn", "Available commands"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_is_one_line_and_status_2(call, words, parts) -> None:
    refused(call(*words), USAGE, *parts)


def test_debug_gives_the_traceback_the_same_line_and_the_same_status(call) -> None:
    said = call("demo", "--animal", "cat", "--debug")
    assert "Traceback (most recent call last)" in said.err
    assert said.err.splitlines()[-1].startswith("error: --animal is 'cat'")
    assert said.status == USAGE


def test_what_nobody_expected_is_one_line_too(call, monkeypatch) -> None:
    def fall() -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("flows.doctor.examine", lambda **_: fall())
    refused(call("doctor"), FAILED, "unexpected RuntimeError: two lines; --debug gives the traceback")


@pytest.mark.parametrize("words", [["doctor"], ["store", "ls"]], ids=" ".join)
def test_an_interrupt_is_one_line_and_status_130_at_once(call, monkeypatch, words) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_interrupt, "_announced", threading.Lock())
    monkeypatch.setattr("flows.doctor.examine", interrupted)
    monkeypatch.setattr("flows.cli_store.open_store", interrupted)
    said = call(*words)
    assert (said.status, said.err) == (130, _interrupt.MESSAGE)


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "flows.cli", "run", "train", "--print-schema"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert run.stdout is not None
    run.stdout.close()
    _, said = run.communicate(timeout=120)
    assert (run.returncode, said) == (DONE, "")


# --- files and stores --------------------------------------------------------------------------------------


def test_a_file_that_is_no_twin_is_refused_before_anything_starts(call, tmp_path, uri) -> None:
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    (tmp_path / "words.npz").write_text("no archive")
    output = tmp_path / "out"
    for name, parts in {
        "other.npz": ["other.npz is no twin", "no member 'conv0' (it has weights)", "expected every member"],
        "words.npz": ["is no NPZ of plain arrays", "words.npz", "expected members conv0"],
        "none.npz": ["none.npz cannot be read (No such file or directory)", "expected an NPZ file"],
    }.items():
        said = call("demo", "--animal", f"twin:{tmp_path / name}", "--store", uri, "--output", output)
        refused(said, USAGE, *parts)
    assert nothing_in(uri)


@pytest.mark.parametrize(
    ("store", "status", "part"),
    [
        ("file:///proc/nowhere", FAILED, "cannot write file:///proc/nowhere"),
        ("ftp://host/store", USAGE, "expected file:///folder, a plain folder, s3://bucket/prefix"),
        ("s3://user:hidden@bucket/x", USAGE, "expected"),
    ],
)
def test_a_store_that_cannot_be_written_is_refused_before_anything_starts(
    call, tmp_path, store, status, part
) -> None:
    said = call("demo", "--store", store, "--output", tmp_path)
    refused(said, status, part)
    assert "hidden" not in said.err
    config = toml(tmp_path, example_parameters("ingest"))
    refused(call("run", "ingest", "--config", config, "--store", store), status, part)


def test_a_bucket_that_does_not_exist_and_wrong_credentials_are_named_without_the_secret(
    call, s3_uri, minio, tmp_path, monkeypatch
) -> None:
    for words in (["demo", "--output", tmp_path], ["store", "ls"]):
        refused(call(*words, "--store", "s3://no-such-bucket-of-ours/x"), FAILED, "no-such-bucket-of-ours")
    said = call("doctor", "--store", "s3://no-such-bucket-of-ours/x")
    assert (said.status, said.err) == (1, "")
    assert "no-such-bucket-of-ours" in said.out
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-of-ours")
    for words in (["demo", "--output", tmp_path], ["store", "ls"], ["report", "--output", tmp_path]):
        said = call(*words, "--store", s3_uri)
        refused(said, FAILED, s3_uri)
        assert "AWS_" in said.err or "credential" in said.err.lower()
        assert "wrong-secret" not in said.err
        assert minio.password not in said.err
    said = call("doctor", "--store", s3_uri, "--debug")
    assert said.status == 1
    assert "wrong-secret" not in said.out + said.err
    assert not list(tmp_path.iterdir())


def test_an_output_folder_that_cannot_be_written_is_refused_before_anything_starts(
    call, tmp_path, uri
) -> None:
    (tmp_path / "file").write_text("")
    for output, reason in ((tmp_path / "file", "File exists"), ("/proc/x", "No such file or directory")):
        said = call("demo", "--output", output, "--store", uri)
        refused(said, USAGE, f"cannot write into the folder {output}: {reason}", "--output")
    assert nothing_in(uri)


def test_a_prefect_server_that_does_not_answer_is_refused(call, tmp_path, uri, monkeypatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    said = call("demo", "--output", tmp_path, "--store", uri)
    refused(said, USAGE, "PREFECT_API_URL: http://127.0.0.1:1/api does not answer", "make stack")


def test_a_setting_that_is_none_is_refused(call, monkeypatch) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_TREADS", "2")
    refused(call("store", "ls"), USAGE, "INCEPTION_LOOP_TREADS is no setting", "'threads'")


# --- configuration of a stage ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a = [", ["is no TOML", "--print-example"]),
        ("grid = 1\nwings = 2", ["grid is 1; expected a table", "unknown key 'wings'"]),
        ("[session]\nn_train = -1", ["session.n_train is -1", "grid is missing"]),
        ("\xff", ["is no TOML"]),
        (None, ["cannot read", "No such file or directory", "expected a TOML file"]),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(call, tmp_path, uri, text, parts) -> None:
    config = tmp_path / "loop.toml"
    if text is not None:
        config.write_bytes(text.encode("latin1"))
    refused(call("run", "loop", "--config", config, "--store", uri), USAGE, *parts)
    assert nothing_in(uri)


def toml(tmp_path: Path, parameters) -> Path:
    config = tmp_path / "stage.toml"
    config.write_text(tomli_w.dumps(parameters.model_dump(mode="json", exclude_none=True)))
    return config


def test_an_image_count_of_zero_is_refused(call, tmp_path, uri) -> None:
    example = example_parameters("present")
    session = NaturalSessionConfig(n_train=0, n_repeated=0)
    parameters = example.model_copy(update={"day": example.day.model_copy(update={"session": session})})
    said = call("run", "present", "--config", toml(tmp_path, parameters), "--store", uri)
    failed(said, USAGE, "n_train 0 and n_repeated 0; expected at least 1 image")
    assert nothing_in(uri)


def test_an_artifact_that_is_not_in_the_store_is_named(call, tmp_path, uri) -> None:
    example = example_parameters("ingest")
    (ref,) = example.recordings
    elsewhere = call("run", "ingest", "--config", toml(tmp_path, example), "--store", uri)
    failed(elsewhere, USAGE, ref.uri, f"expected an address in {uri}")
    here = ref.model_copy(update={"uri": ref.uri.replace("file:///store", uri)})
    missing = example.model_copy(update={"recordings": (here,)})
    said = call("run", "ingest", "--config", toml(tmp_path, missing), "--store", uri)
    failed(said, FAILED, f"no artifact stands at {here.uri}", "expected a committed 'recording'")
    assert nothing_in(uri)


def test_too_few_selected_units_are_told_with_the_rule_that_removed_them(
    call, tmp_path, tiny, tiny_run
) -> None:
    whole, result = tiny_run
    uri = f"file://{tmp_path}/copy"  # other tests count what stands in the undisturbed store
    shutil.copytree(whole.removeprefix("file://"), uri.removeprefix("file://"))
    before = tiny.contents(uri)
    refs = {
        kind: tuple(ref.model_copy(update={"uri": ref.uri.replace(whole, uri)}) for ref in found)
        for stage in result.stages.values()
        for kind, found in stage.refs.items()
    }
    parameters = SelectParameters(
        dataset=refs["static_multi_dataset"][0],
        models=refs["model"],
        data=tiny.tiny_parameters().grid.data,
        selection=SelectionRules(min_units=59),
    )
    said = call("run", "select", "--config", toml(tmp_path, parameters), "--store", uri)
    failed(said, FAILED, "units selected; expected at least 59; the rules removed", "low_oracle", "relax")
    made = dict(tiny.contents(uri).keys() - before.keys())
    assert "corrected_high_unit_selection" not in made
    refused = f"refused_selection/{made['refused_selection'][:12]}"
    assert f"inception-loop store show {refused} --table units" in said.err
    rows = call("store", "show", refused, "--table", "units", "--store", uri).out.splitlines()
    assert rows[0].split(",")[:3] == ["name", "neuron_id", "unit_id"]
    assert len(rows) > 50
    assert verify(open_store(uri)).sound


@pytest.mark.parametrize(
    ("grid", "part"),
    [
        (
            {"restriction": "core.inputkern = 7"},
            "unknown field 'core.inputkern'; did you mean core.input_kern?",
        ),
        ({"restriction": "seed ="}, "the condition 'seed =' is wrong: Parser Error"),
        ({"restriction": ""}, "a condition is empty"),
        ({"cores": ["Resnet"]}, "no published grid is called 'Resnet'"),
        ({"cores": ["GaussianLaplace", "Linear"]}, "no model of the listed cores Linear"),
        ({"selection": "all"}, "the grid has 2,580,480 models; expected at most most_models = 1000"),
    ],
)
@pytest.mark.parametrize("stage", ["train", "loop"])
def test_a_grid_that_is_none_is_refused_before_anything_starts(
    call, tmp_path, uri, stage, grid, part
) -> None:
    values = example_parameters(stage).model_dump(mode="json", exclude_none=True)
    config = tmp_path / "stage.toml"
    config.write_text(tomli_w.dumps({**values, "grid": {"type": "published", **grid}}))
    refused(call("run", stage, "--config", config, "--store", uri), USAGE, part)
    assert nothing_in(uri)


def test_the_help_of_run_names_the_pages_that_explain_it(call) -> None:
    said = call("run", "--help")
    assert "docs/training.md" in said.out
    assert "docs/stages.md" in said.out


# --- the real script ---------------------------------------------------------------------------------------


def test_the_script_itself_ends_a_failed_run_with_one_line(tmp_path, uri) -> None:
    example = example_parameters("present")
    session = NaturalSessionConfig(n_train=0, n_repeated=0)
    parameters = example.model_copy(update={"day": example.day.model_copy(update={"session": session})})
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", "present", "--config", toml(tmp_path, parameters)],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
        env={**os.environ, "INCEPTION_LOOP_STORE": uri},
        check=False,
    )
    told = done.stderr.splitlines()
    assert done.returncode == USAGE
    assert [line.split(" of this run")[0] for line in told[:2]] == [f"present, store {uri}", "Prefect UI"]
    assert told[2].split()[2:] == ["present", "✗", "recorded_day", "1-1-1"]
    assert told[3].startswith("error: a natural session got n_train 0")
    assert len(told) == 4


def mistyped(tmp_path: Path, restriction: str) -> Path:
    values = example_parameters("train").model_dump(mode="json", exclude_none=True)
    config = tmp_path / "train.toml"
    config.write_text(tomli_w.dumps({**values, "grid": {"type": "published", "restriction": restriction}}))
    return config


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize("restriction", ["core.inputkern = 7", "seed =", "core.type = 3"])
def test_a_mistyped_restriction_is_one_line(call, tmp_path, uri, restriction, dry) -> None:
    said = call("run", "train", "--config", mistyped(tmp_path, restriction), "--store", uri, *dry)
    refused(said, USAGE, "error: the condition ")


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_mistyped_restriction_is_one_line_of_the_script_itself(tmp_path, uri, dry) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", "train", "--config", mistyped(tmp_path, "seed ="), *dry],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
        env={**os.environ, "INCEPTION_LOOP_STORE": uri},
        check=False,
    )
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: the condition ")
    assert (done.returncode, done.stdout) == (USAGE, "")


LOOK = """
import json, sys
from flows import cli
for words in json.loads(sys.argv[1]):
    try:
        cli.main(words)
    except SystemExit as ended:
        print("done", words[0], ended.code, "prefect" in sys.modules)
"""


def test_commands_that_only_look_import_no_prefect(uri, tmp_path) -> None:
    example = example_parameters("train")
    dataset = example.dataset.model_copy(update={"uri": f"{uri}/static_multi_dataset/{'0' * 64}"})
    config = str(toml(tmp_path, example.model_copy(update={"dataset": dataset})))
    commands = [["store", "ls"], ["report"], ["doctor"], ["run", "train", "--dry-run", "--config", config]]
    done = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps([[*words, "--store", uri] for words in commands])],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=200,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    ended = [line for line in done.stdout.splitlines() if line.startswith("done ")]
    assert ended == [
        "done store 0 False", "done report 1 False", "done doctor 0 False", "done run 1 False",
    ], done.stdout + done.stderr  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("without_prefect_api")
def test_ctrl_c_ends_a_run_with_130_and_leaves_neither_process_nor_half_an_artifact(
    tiny, tmp_path, uri
) -> None:
    parameters = tiny.tiny_parameters()
    train = parameters.grid.train.model_copy(update={"max_epoch": 100_000, "patience": 100_000})
    grid = parameters.grid.model_copy(update={"train": train})
    config = toml(tmp_path, parameters.model_copy(update={"grid": grid}))
    run = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "run", "loop", "--config", config, "--store", uri],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PREFECT_HOME": str(tmp_path / "prefect")},
    )
    assert run.stderr is not None
    with run.stderr:
        told = []
        for line in run.stderr:
            told.append(line)
            if "… model" in line:
                break
        else:
            pytest.fail("".join(told))
        children = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True)
        run.send_signal(signal.SIGINT)
        began = time.monotonic()
        rest = run.stderr.read().splitlines()
        assert run.wait(60) == 130
    assert time.monotonic() - began < 30
    assert rest, "nothing was said after the interrupt"
    assert rest[-1] == "interrupted; the same command again goes on from here", "\n".join(rest)
    assert not [line for line in rest if "Traceback" in line or "error" in line]
    for child in children.stdout.split():
        deadline = time.monotonic() + 20
        while alive(int(child)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not alive(int(child))
    assert verify(open_store(uri)).sound
    assert "model" not in {kind for kind, _ in tiny.contents(uri)}


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
