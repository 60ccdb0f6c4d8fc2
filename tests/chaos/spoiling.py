"""Ways in which disks, copies and people spoil the files of a recording; all drawn from one generator."""

import ast
import io
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

NAMES = [
    "nine.npy",
    "٣.npy",
    "a\nb.npy",
    ".hidden",
    "x" * 200,
    "00.npy",
    "1e3.npy",
    "-1.npy",
    "99999.npy",
    "\udcff.npy",
]
ARRAYS: list[Callable[[random.Random], np.ndarray]] = [
    lambda rng: np.full(rng.randrange(4), np.nan),
    lambda rng: np.full((2, rng.randrange(1, 4)), np.inf, np.float32),
    lambda rng: np.array(["text"] * rng.randrange(1, 4), "S4"),
    lambda rng: np.arange(rng.randrange(1, 9))[::-1],
    lambda rng: np.zeros((0, 3)),
    lambda rng: np.array(rng.random()),
    lambda rng: np.array([-1, 2**62]),
    lambda rng: np.array([1 + 2j]),
    lambda rng: np.array([True, False]),
]


def bytes_spoilt(whole: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to four faults."""
    spoilt = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 4])):
        if not spoilt:
            return bytes(spoilt)
        at, n = rng.randrange(len(spoilt)), rng.choice([1, 2, 4, 8, 64, 1024])
        n = min(n, len(spoilt) - at)
        fault = rng.randrange(9)
        if fault == 0:
            spoilt[at] ^= 1 << rng.randrange(8)
        elif fault == 1:
            spoilt[at : at + n] = bytes(n)
        elif fault == 2:
            spoilt[at : at + n] = b"\xff" * n
        elif fault == 3:
            spoilt[at : at + n] = rng.randbytes(n)
        elif fault == 4:  # written twice
            spoilt[at:at] = spoilt[at : at + n]
        elif fault == 5:  # lost
            del spoilt[at : at + n]
        elif fault == 6:  # of another place
            other = rng.randrange(len(spoilt))
            copied = spoilt[other : other + n]
            spoilt[at : at + len(copied)] = copied
        elif fault == 7:
            spoilt[at:at] = rng.randbytes(n)
        else:
            del spoilt[at:]
    return bytes(spoilt)


def npy_spoilt(whole: bytes, rng: random.Random) -> bytes:
    """Return an NPY whose header says something else."""
    length = int.from_bytes(whole[8:10], "little")
    try:
        said = ast.literal_eval(whole[10 : 10 + length].decode("latin-1"))
        shape = list(said["shape"])
    except (ValueError, SyntaxError, TypeError, KeyError):
        return bytes_spoilt(whole, rng)
    fault = rng.randrange(5)
    if fault == 0 and shape:
        shape[rng.randrange(len(shape))] = rng.choice([0, 1, -1, 2**31, 10**12, 10**30])
    elif fault == 1:
        shape.insert(rng.randrange(len(shape) + 1), rng.choice([1, 2]))
    elif fault == 2:
        said["descr"] = rng.choice(
            ["|O", "<f2", ">f8", "<U4", "|V8", "<c8", "<M8[s]", "|b1", "<i8", "|S0", "f?"]
        )
    elif fault == 3:
        said["fortran_order"] = rng.choice([True, 3])
    else:
        said = rng.choice([{}, [], "((((" * 500, {**said, "more": 1}])
    if isinstance(said, dict) and "shape" in said:
        said["shape"] = tuple(shape)
    text = (said if isinstance(said, str) else repr(said)).encode("latin-1") + b"\n"
    return whole[:8] + len(text).to_bytes(2, "little") + text + whole[10 + length :]


def npz_spoilt(path: Path, rng: random.Random) -> None:
    """Spoil one member of a zip that stays a zip."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    fault = rng.randrange(5)
    if fault == 0:
        members[name] = npy_spoilt(members[name], rng)
    elif fault == 1:
        members[name] = bytes_spoilt(members[name], rng)
    elif fault == 2:
        members[rng.choice([*NAMES[:-1], "../out.npy", "images.npy", "responses.npy"])] = members.pop(name)
    elif fault == 3:
        del members[name]
    else:
        members[name] = npy_of(rng.choice(ARRAYS)(rng))
    with zipfile.ZipFile(path, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def npy_of(array: np.ndarray) -> bytes:
    """Return an array as the bytes of an NPY."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def hdf5_spoilt(path: Path, rng: random.Random) -> None:
    """Change an object or attribute of an HDF5 file that stays one."""
    with h5py.File(path, "r+") as file:
        places: list[str] = []
        file.visit(places.append)
        place = rng.choice(sorted(places))
        attributes = sorted(file[place].attrs)
        if attributes and rng.random() < 0.3:
            name = rng.choice(attributes)
            if rng.random() < 0.5:
                del file[place].attrs[name]
            else:
                file[place].attrs[name] = rng.choice([0, -1.5, "text", "a\nb", np.nan, [1, 2], b"\xff", ""])
            return
        fault = rng.randrange(6)
        if fault == 4:
            file.move(place, rng.choice(["/elsewhere", f"{place}s", "/a\nb"]))
            return
        found, old = file[place], np.zeros(3)
        if isinstance(found, h5py.Dataset) and found.shape and found.dtype.kind in "iufS":
            old = found[()]
        del file[place]
        if fault == 0:
            return
        if fault == 1:
            file[place] = h5py.SoftLink(rng.choice(["/", f"/{place}", "/nowhere"]))
        elif fault == 2:
            file[place] = h5py.ExternalLink(rng.choice(["/etc/hostname", "other.h5", str(path)]), "/")
        elif fault == 3:
            file[place] = rng.choice(ARRAYS)(rng)
        else:
            file[place] = changed(old, rng)


def changed(array: np.ndarray, rng: random.Random) -> np.ndarray:
    """Return an array with a few values, rows or a type of its own."""
    if not array.size:
        return array
    array = array.copy()
    fault = rng.randrange(5)
    if fault == 0:
        return array[: rng.randrange(len(array) + 1)]
    if fault == 1:
        return array[::-1]
    if fault == 2 and array.dtype.kind == "f":
        array[rng.randrange(len(array))] = rng.choice([np.nan, np.inf, -1e30])
    elif fault == 3:
        return np.concatenate([array, array[:1]])
    elif fault == 4 and array.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            return array.astype(rng.choice(["f2", "i1", "f8", ">f4", "u8"]), casting="unsafe")
    return array


def folder_spoilt(folder: Path, rng: random.Random) -> None:
    """Spoil one file of a folder, or the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path, other = rng.choice(files), rng.choice(files)
    fault = rng.randrange(9)
    if fault == 0:
        path.unlink()
    elif fault == 1:
        path.rename(path.with_name(rng.choice(NAMES)))
    elif fault == 2:
        content = path.read_bytes()
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif fault == 3:
        path.with_name(rng.choice([*NAMES, "7.npy", "units.parquet", "responses.npy"])).write_bytes(
            other.read_bytes()
        )
    elif fault == 4:
        path.unlink()
        path.symlink_to(rng.choice([other, Path("/etc/hostname"), path, folder.parent]))
    elif fault == 5:
        path.unlink()
        path.mkdir() if rng.random() < 0.5 else os.mkfifo(path)
    elif fault == 6:
        path.write_bytes(npy_of(rng.choice(ARRAYS)(rng)))
    else:
        file_spoilt(path, rng)


def file_spoilt(path: Path, rng: random.Random) -> None:
    """Spoil one file, as a file of bytes or as what it is."""
    whole = path.read_bytes()
    if rng.random() < 0.5:
        path.write_bytes(bytes_spoilt(whole, rng))
    elif whole[:6] == b"\x93NUMPY":
        path.write_bytes(npy_spoilt(whole, rng))
    elif whole[:2] == b"PK":
        npz_spoilt(path, rng)
    elif whole[:4] == b"\x89HDF":
        hdf5_spoilt(path, rng)
    else:
        path.write_bytes(bytes_spoilt(whole, rng))


def spoil(path: Path, rng: random.Random) -> None:
    """Spoil a recording, file or folder, in place."""
    (folder_spoilt if path.is_dir() else file_spoilt)(path, rng)
