"""Files that would fill a memory are refused before it is taken: measured in a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from inception_loop.artifacts.store import ArtifactStore

CHILD = Path(__file__).with_name("refusing.py")
CLAIMED = 2**33
"""Bytes that files without them claim: more than the child may have."""
HELD = 2**29
"""Bytes that files unpack to."""
MOST = 64 * 2**20
"""Bytes that refusing one may take, beside what a sound file takes."""


@cache
def npz_bomb(member: str = "images") -> bytes:
    """Return an archive of half a MB that unpacks to half a GiB of zeros: sound, but for its size."""
    head, out, block = io.BytesIO(), io.BytesIO(), bytes(2**24)
    shape = (HELD // 2**20, 2**10, 2**10)
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    archive = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open(f"{member}.npy", "w", force_zip64=True) as file:
        file.write(head.getvalue())
        for _ in range(HELD // len(block)):
            file.write(block)
    return out.getvalue()


def npz_claim(member: str = "images") -> bytes:
    """Return an archive whose one member has a header of 8 GiB and no numbers."""
    head, out = io.BytesIO(), io.BytesIO()
    shape = (CLAIMED // 2**20, 2**10, 2**10)
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(f"{member}.npy", head.getvalue())
    return out.getvalue()


def npy_claim() -> bytes:
    out = io.BytesIO()
    shape = (CLAIMED // 2**20, 2**10, 2**10)
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return out.getvalue()


def parquet_texts(column: str = "tier") -> bytes:
    """Return a table of which many rows share one long text."""
    indices = pa.array(np.zeros(CLAIMED // 2**20, np.int32))
    texts = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 2**20]))
    out = io.BytesIO()
    pq.write_table(
        pa.table({column: texts}), out, compression="zstd", write_statistics=False, store_schema=False
    )
    return out.getvalue()


def parquet_rows(column: str = "n") -> bytes:
    """Return a table whose row groups repeat one number."""
    out = io.BytesIO()
    group = pa.table({column: pa.array(np.zeros(2**22, np.int64))})
    with pq.ParquetWriter(out, group.schema, compression="zstd", write_statistics=False) as writer:
        for _ in range(HELD // 2**25):
            writer.write_table(group, row_group_size=2**22)
    return out.getvalue()


def parquet_columns(count: int = 20_000) -> bytes:
    """Return a table of very many columns."""
    out = io.BytesIO()
    pq.write_table(pa.table({f"c{n}": [1] for n in range(count)}), out, write_statistics=False)
    return out.getvalue()


def hdf5_claim(chunks: Any = (1, 1024, 1024)) -> bytes:
    """Return a file whose images were never written."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["format"] = "inception-loop-recording/1"
        file.create_dataset("images", (CLAIMED // 2**20, 1024, 1024), np.uint8, chunks=chunks)
    return out.getvalue()


def hdf5_bomb() -> bytes:
    """Return a file that holds the same packed chunk of zeros again and again."""
    out, side = io.BytesIO(), 2**12
    packed = zlib.compress(bytes(side**2), 9)
    with h5py.File(out, "w") as file:
        file.attrs["format"] = "inception-loop-recording/1"
        shape, chunks = (CLAIMED // side**2, side, side), (1, side, side)
        made = file.create_dataset("images", shape, np.uint8, chunks=chunks, compression="gzip")
        for row in range(len(made)):
            made.id.write_direct_chunk((row, 0, 0), packed)
    return out.getvalue()


def nested(depth: int = 100_000) -> bytes:
    return b'{"a":' * depth


def child(*words: object) -> dict[str, Any]:
    """Run one way of reading in a process that may have no more than a few GiB; returns what it said."""
    done = subprocess.run(
        [sys.executable, str(CHILD), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


IMPORTS: dict[str, tuple[str, Callable[[], dict[str, bytes]]]] = {
    "zip bomb": ("recording", lambda: {"day.npz": npz_bomb()}),
    "huge shape in an npz": ("recording", lambda: {"day.npz": npz_claim()}),
    "huge shape in an npy": ("recording", lambda: folder(**{"images.npy": npy_claim()})),
    "shared text": ("recording", lambda: folder(**{"conditions.parquet": parquet_texts()})),
    "rows": ("recording", lambda: folder(**{"trials.parquet": parquet_rows("trial_idx")})),
    "columns": ("recording", lambda: folder(**{"units.parquet": parquet_columns(5000)})),
    "unwritten HDF5": ("recording", lambda: {"day.h5": hdf5_claim()}),
    "packed HDF5": ("recording", lambda: {"day.h5": hdf5_bomb()}),
    "pictures, zip bomb": ("pictures", lambda: {"pictures.npz": npz_bomb()}),
    "pictures, huge shape": ("pictures", lambda: {"pictures.npy": npy_claim()}),
    "twin, zip bomb": ("twin", lambda: {"twin.npz": npz_bomb("conv0")}),
    "twin, huge shape": ("twin", lambda: {"twin.npz": npz_claim("conv0")}),
}


def folder(**files: bytes) -> dict[str, bytes]:
    """Return a folder of a recording in which the files given are hostile."""
    sound = io.BytesIO()
    np.save(sound, np.zeros((2, 4, 4), np.uint8))
    responses = io.BytesIO()
    np.save(responses, np.ones((2, 1)))
    trials = io.BytesIO()
    pq.write_table(pa.table({"trial_idx": [0, 1], "image_row": [0, 1]}), trials)
    whole = {
        "images.npy": sound.getvalue(),
        "responses.npy": responses.getvalue(),
        "trials.parquet": trials.getvalue(),
    }
    return {f"day/{name}": data for name, data in (whole | files).items()}


def test_imports_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    asked = []
    for place, (how, made) in enumerate(IMPORTS.values()):
        files = made()
        for name, data in files.items():
            path = tmp_path / str(place) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (whole,) = (tmp_path / str(place)).iterdir()
        asked += [how, whole]
    *said, taken = child("import", *asked, "take", 3 * MOST)["found"]
    for name, found in zip(IMPORTS, said, strict=True):
        assert found["error"] in {"RecordingError", "DataError", "ConfigurationError"}, (name, found)
        assert "\n" not in found["text"], name
        assert found["grown"] < MOST, (name, found)
    assert taken["grown"] > 2 * MOST, "the measure does not see what is taken"


STORED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "zip bomb": ("arrays", npz_bomb),
    "huge shape": ("arrays", lambda: npz_claim("x")),
    "weights": ("weights", lambda: npz_claim("w")),
    "shared text": ("rows", lambda: parquet_texts("text")),
    "rows": ("rows", parquet_rows),
    "vectors": ("vectors", lambda: parquet_rows("v")),
}


def test_payloads_of_a_store_are_refused_before_memory_is_taken(
    thing_store: ArtifactStore, things: Any
) -> None:
    """Spoilt by a disk, and with a manifest that says so by somebody who may write there."""
    asked: list[str] = []
    for signed in (False, True):
        for name, (payload, made) in STORED.items():
            ref = things.make(thing_store, f"{name}, {signed}")
            things.spoil(thing_store, ref, payload, made(), signed=signed)
            asked += [payload, ref.model_dump_json()]
    manifest = things.make(thing_store, "nested")
    thing_store.backend.replace(f"{thing_store.key(manifest)}/manifest.json", nested())
    asked += ["rows", manifest.model_dump_json()]
    said = child("store", thing_store.uri, *asked)["found"]
    for name, found in zip((*STORED, *STORED, "nested"), said, strict=True):
        assert found["error"] == "ArtifactCorruptError", (name, found)
        assert "\n" not in found["text"], name
        assert found["grown"] < MOST, (name, found)
