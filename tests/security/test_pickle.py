"""Nothing is ever unpickled: no code that could stands on a load path, and planted pickles never run."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from inception_loop.animals.twin_network import TwinNetwork
from inception_loop.artifacts.checkpoints import StoredCheckpoints
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import ArtifactCorruptError, InceptionLoopError
from inception_loop.images.natural.picture_files import read_pictures
from inception_loop.recordings.formats import read_recording
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.export import export_session
from inception_loop.stimuli.export_session import session_of
from inception_loop.stimuli.export_source import export_source
from inception_loop.stimuli.recognised import exported_set

ROOT = Path(__file__).resolve().parents[2]
SCANNED = ("src", "flows", "infra", "examples", "benchmarks", "deployments")
SCAN = ScanKey(animal_id=1, session=1, scan_idx=1)

# --- static ------------------------------------------------------------------------------------------------

UNSAFE_MODULES = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "pickletools"),
    *("jsonpickle", "pandas.io.pickle", "torch.package"),
}
UNSAFE_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen"),
    *("torch.jit.load", "torch.hub.load", "pd.read_pickle", "pandas.read_pickle"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("DataFrame.deserialize", "LazyFrame.deserialize", "Expr.deserialize"),
}
DEMANDED = {"np.load": ("allow_pickle", False), "numpy.load": ("allow_pickle", False)}
DEMANDED |= {"torch.load": ("weights_only", True)}
FORBIDDEN = {"shell": "True", "allow_pickle": "True", "persist_result": "True", "weights_only": "False"}
SERIALIZERS = {"result_serializer", "serializer"}  # Prefect's own default pickles


def unsafe(source: str) -> Iterator[str]:
    """Yield what in a module could run code that data bring along."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {one.name}" for one in node.names if _unsafe_module(one.name))
        elif isinstance(node, ast.ImportFrom) and node.module and _unsafe_module(node.module):
            yield f"import {node.module}"
        elif isinstance(node, ast.Call):
            yield from _unsafe_call(node)


def _unsafe_module(name: str) -> bool:
    return any(name == bad or name.startswith(bad + ".") for bad in UNSAFE_MODULES)


def _unsafe_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    said = {one.arg: ast.unparse(one.value) for one in node.keywords if one.arg}
    if name in UNSAFE_CALLS or any(name.endswith(f".{bad}") for bad in UNSAFE_CALLS if "." in bad):
        yield f"{name}(…)"
    if name in DEMANDED and said.get(DEMANDED[name][0]) != str(DEMANDED[name][1]):
        yield f"{name}(…) without {DEMANDED[name][0]}={DEMANDED[name][1]}"
    if name.endswith("import_module") and not _named_by_us(node):
        yield f"{name}(…) of a name that is not written there"
    yield from (f"{name}({key}={value})" for key, value in said.items() if value == FORBIDDEN.get(key))
    yield from (f"{name}({key}={said[key]})" for key in SERIALIZERS & set(said))


def _named_by_us(node: ast.Call) -> bool:
    first = ast.unparse(node.args[0]) if node.args else ""
    return first.startswith(("'", "f'inception_loop."))


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "import joblib.numpy_pickle",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "numpy.load(path, allow_pickle=unsafe)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "eval(text)",
        "exec(code)",
        "subprocess.run(command, shell=True)",
        "task(persist_result=True)",
        "flow(result_serializer='pickle')",
        "importlib.import_module(name)",
    ],
)
def test_the_walk_sees_what_is_unsafe(source: str) -> None:
    assert list(unsafe(source))


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path, allow_pickle=False)",
        "torch.load(path, weights_only=True)",
        "network.eval()",
        "re.compile(pattern)",
        "importlib.import_module('oasis.functions')",
        "import_module(f'inception_loop.{module}')",
    ],
)
def test_the_walk_leaves_what_is_safe(source: str) -> None:
    assert list(unsafe(source)) == []


def test_no_module_could_unpickle_or_run_what_it_reads() -> None:
    modules = [path for folder in SCANNED for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(modules) > 400
    found = {str(path.relative_to(ROOT)): list(unsafe(path.read_text())) for path in modules}
    assert {name: what for name, what in found.items() if what} == {}


def test_prefect_keeps_no_results() -> None:
    from prefect.settings import get_current_settings

    assert get_current_settings().results.persist_by_default is False


# --- dynamic -----------------------------------------------------------------------------------------------


class Trap:
    """Makes a folder when somebody unpickles it."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.canary),))


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    """A trap that works, and has not been sprung when the test is over."""
    proof = tmp_path / "proof"
    pickle.loads(pickle.dumps(Trap(proof)))  # noqa: S301  # the trap is our own
    assert proof.is_dir()
    one = Trap(tmp_path / "canary")
    yield one
    assert not one.canary.exists()


def array(trap: Trap, n: int = 3) -> Any:
    return np.array([trap] * n, dtype=object)


def npz(trap: Trap, member: str = "images", **others: Any) -> bytes:
    """Return an NPZ with a pickled member."""
    out = io.BytesIO()
    np.savez(out, **{member: array(trap), **others})
    return out.getvalue()


def npz_of_raw(trap: Trap, member: str = "images") -> bytes:
    """Return an archive whose member is a bare pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(f"{member}.npy", pickle.dumps(trap))
    return out.getvalue()


def npy(trap: Trap) -> bytes:
    out = io.BytesIO()
    np.save(out, array(trap), allow_pickle=True)
    return out.getvalue()


def pt(trap: Trap) -> bytes:
    out = io.BytesIO()
    torch.save({"images": trap}, out)
    return out.getvalue()


def parquet(trap: Trap, column: str = "n") -> bytes:
    """Return a table whose column says that its type is an extension, given as a pickle."""
    told = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(trap),
    }
    field = pa.field(column, pa.int64(), metadata=told)
    schema = pa.schema([field], metadata={b"pandas": pickle.dumps(trap)})
    out = io.BytesIO()
    pq.write_table(pa.table([pa.array([1, 2])], schema=schema), out)
    return out.getvalue()


def hdf5(trap: Trap, nwb: bool = False) -> bytes:
    """Return a file that is recognised and holds a pickle as opaque bytes, as text and as attributes."""
    out, data = io.BytesIO(), pickle.dumps(trap)
    with h5py.File(out, "w") as file:
        file.attrs["nwb_version" if nwb else "format"] = "2.6.0" if nwb else "inception-loop-recording/1"
        file.attrs["pickle"] = np.void(data)
        file["images"] = np.void(data)
        file["responses"] = np.array([np.void(data)])
        group = file.create_group("units")
        group["unit_id"] = np.array([np.void(data)])
    return out.getvalue()


RECORDINGS: dict[str, Callable[[Trap], dict[str, bytes]]] = {
    "npz": lambda trap: {"day.npz": npz(trap, responses=np.ones((3, 2)))},
    "npz with a bare pickle": lambda trap: {"day.npz": npz_of_raw(trap)},
    "torch": lambda trap: {"day.pt": pt(trap)},
    "hdf5": lambda trap: {"day.h5": hdf5(trap)},
    "nwb": lambda trap: {"day.nwb": hdf5(trap, nwb=True)},
    "folder, images": lambda trap: {"day/images.npy": npy(trap), "day/responses.npy": npy(trap)},
    "folder, table": lambda trap: {
        "day/images.npy": safe_npy(np.zeros((2, 4, 4), np.uint8)),
        "day/responses.npy": safe_npy(np.ones((2, 1))),
        "day/trials.parquet": parquet(trap, "trial_idx"),
        "day/units.npz": npz(trap, "unit_id"),
    },
    "sensorium": lambda trap: {
        **{f"day/data/{part}/{n}.npy": npy(trap) for part in ("images", "responses") for n in range(3)},
        "day/meta/trials/tiers.npy": npy(trap),
        "day/meta/neurons/unit_ids.npy": npy(trap),
    },
}


def safe_npy(values: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def laid(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """Write files and return the file or folder that holds them all."""
    for name, data in files.items():
        path = tmp_path / "laid" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (whole,) = (tmp_path / "laid").iterdir()
    return whole


def refused(action: Callable[[], Any], kind: type[Exception] = InceptionLoopError) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("made", RECORDINGS.values(), ids=RECORDINGS)
def test_no_recording_is_unpickled(
    made: Callable[[Trap], dict[str, bytes]], trap: Trap, tmp_path: Path
) -> None:
    path = laid(tmp_path, made(trap))
    refused(lambda: read_recording(path, SCAN, ReadOptions(trace_kind="spikes")))


@pytest.mark.parametrize("made", [npz, npz_of_raw, npy, pt], ids=["npz", "bare pickle", "npy", "torch"])
def test_no_pictures_are_unpickled(made: Callable[[Trap], bytes], trap: Trap, tmp_path: Path) -> None:
    for name in ("pictures.npz", "pictures.npy", "pictures.pt"):
        (tmp_path / name).write_bytes(made(trap))
        refused(lambda name=name: list(read_pictures(tmp_path / name)))


@pytest.mark.parametrize("made", [npz, npz_of_raw, npy, pt], ids=["npz", "bare pickle", "npy", "torch"])
def test_no_twin_is_unpickled(made: Callable[[Trap], bytes], trap: Trap, tmp_path: Path) -> None:
    (tmp_path / "twin.npz").write_bytes(made(trap))
    assert "is no NPZ of plain arrays" in refused(lambda: TwinNetwork(tmp_path / "twin.npz"))


@pytest.mark.parametrize("signed", [False, True], ids=["spoilt", "signed"])
@pytest.mark.parametrize("payload", ["arrays", "weights"])
@pytest.mark.parametrize("made", [npz, npz_of_raw, npy, pt], ids=["npz", "bare pickle", "npy", "torch"])
def test_no_bundle_of_a_store_is_unpickled(
    made: Any, payload: str, signed: bool, trap: Trap, thing_store: ArtifactStore, things: Any
) -> None:
    ref = things.make(thing_store)
    things.spoil(thing_store, ref, payload, made(trap), signed=signed)
    stores = [thing_store, open_store(thing_store.uri, thing_store.settings.model_copy(update=UNCHECKED))]
    for store in stores:
        refused(lambda store=store: store.arrays(ref, payload), ArtifactCorruptError)
        refused(lambda store=store: store.block(ref, payload, "images"), ArtifactCorruptError)
        refused(lambda store=store: store.rows(ref, payload, "images", 0, 1), ArtifactCorruptError)


UNCHECKED = {"verify_hashes": False}


def test_no_table_of_a_store_is_unpickled(trap: Trap, thing_store: ArtifactStore, things: Any) -> None:
    ref = things.make(thing_store)
    data = parquet(trap)
    things.spoil(thing_store, ref, "rows", data, signed=False)
    refused(lambda: thing_store.table(ref, "rows"), ArtifactCorruptError)
    things.spoil(thing_store, ref, "rows", data, signed=True)
    assert "extension type" in refused(lambda: thing_store.table(ref, "rows"), ArtifactCorruptError)


@pytest.mark.parametrize("made", [npz, npz_of_raw, pt], ids=["npz", "bare pickle", "torch"])
def test_no_checkpoint_is_unpickled(
    made: Any, trap: Trap, thing_store: ArtifactStore, things: Any, caplog: pytest.LogCaptureFixture
) -> None:
    kept = StoredCheckpoints(thing_store.backend, things.make(thing_store), "torch 2")
    kept.save(1, {"weights": np.ones(2)})
    data = made(trap)
    (entry,) = thing_store.backend.walk("_checkpoints")
    folder = entry.key.rpartition("/")[0]
    thing_store.backend.replace(f"{folder}/00000002-{hashlib.sha256(data).hexdigest()}.npz", data)
    assert kept.epochs() == [2, 1]
    assert kept.load(2) is None
    assert "not readable as NPZ" in caplog.text
    assert kept.load(1) is not None


@pytest.mark.parametrize("name", ["images.npz", "conditions.parquet", "images.h5"])
def test_no_export_that_comes_back_is_unpickled(
    name: str, trap: Trap, tmp_path: Path, sets: Any, thing_store: ArtifactStore
) -> None:
    shown = sets.make_set(thing_store)
    rig = tmp_path / "rig"
    formats = ("hdf5",) if name.endswith("h5") else ("npz",)
    export_session(session_of(export_source(thing_store, shown)), rig, formats)
    data = {"images.npz": npz, "conditions.parquet": parquet, "images.h5": hdf5}[name](trap)
    (rig / name).write_bytes(data)
    assert "is not as it was written" in refused(lambda: exported_set(rig))
    body = json.loads((rig / "manifest.json").read_text())
    body["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    del body["manifest_sha256"]
    signed = {**body, "manifest_sha256": hashlib.sha256(text(body).encode()).hexdigest()}
    (rig / "manifest.json").write_text(text(signed))
    refused(lambda: exported_set(rig))


def text(body: Any) -> str:
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
