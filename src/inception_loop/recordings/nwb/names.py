"""Names, types and attributes of the objects in an NWB file."""

from __future__ import annotations

import re

import h5py
import numpy as np

_ATTRIBUTE_BYTES = 2**16
_PLAIN_TYPES = (
    h5py.h5t.TypeStringID,
    h5py.h5t.TypeIntegerID,
    h5py.h5t.TypeFloatID,
    h5py.h5t.TypeEnumID,
    h5py.h5t.TypeReferenceID,
)


def attribute(found: h5py.Group | h5py.Dataset, name: str, default: object) -> object:
    """Return an attribute, or the default where there is none.

    Raises
    ------
    ValueError
        If it holds anything but a little text, numbers or references: on ragged values of a damaged type the
        library crashes.
    """
    if name not in found.attrs:
        return default
    there = found.attrs.get_id(name)
    if not isinstance(there.get_type(), _PLAIN_TYPES) or there.get_storage_size() > _ATTRIBUTE_BYTES:
        raise ValueError(f"the attribute {name} of {found.name} holds neither text nor numbers")
    return found.attrs[name]


def number(found: h5py.Dataset, name: str, default: float) -> float:
    """Return an attribute that is one number, or the default.

    Raises
    ------
    ValueError
    """
    value = np.asarray(attribute(found, name, default))
    if value.size != 1 or value.dtype.kind not in "iuf":
        raise ValueError(f"the attribute {name} of {found.name} is no number")
    return float(value.reshape(-1)[0])


def scaling(dataset: h5py.Dataset) -> tuple[float, float]:
    """Return what data are multiplied by, and what is added then, to give their unit."""
    return number(dataset, "conversion", 1.0), number(dataset, "offset", 0.0)


def type_of(found: h5py.Group | h5py.Dataset) -> str:
    """Return the neurodata type of an object, or an empty text."""
    return text(attribute(found, "neurodata_type", ""))


def text(value: object) -> str:
    """Return an attribute or scalar as text."""
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def last(found: h5py.Group | h5py.Dataset) -> str:
    """Return the name of an object in its group."""
    return str(found.name).rsplit("/", 1)[-1]


def natural(name: str) -> list[tuple[int, str]]:
    """Return the key that sorts ``plane2`` before ``plane10``.

    Examples
    --------
    >>> sorted(["plane10", "plane2"], key=natural)
    ['plane2', 'plane10']
    """
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts]
