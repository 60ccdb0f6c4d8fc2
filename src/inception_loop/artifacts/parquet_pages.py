"""What the pages of a Parquet file say of themselves; its footer, from which readers plan, may say less.

A page's header is a Thrift struct in the compact protocol (https://github.com/apache/parquet-format,
``parquet.thrift``). Only its few whole numbers are of interest here.
"""

from __future__ import annotations

import io
from typing import Any, NamedTuple, Protocol

_UNCOMPRESSED, _COMPRESSED = 2, 3
_DATA, _DATA_V2 = 5, 8
_NUM_VALUES = 1
_DEEPEST = 8
_LONGEST_LIST = 1000
_LONGEST_NUMBER = 9  # bytes: 63 bits
_STOP, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 0, 3, 7, 8, 9, 10, 12
_NUMBERS = (4, 5, 6)
_FLAGS = (1, 2)

Fields = dict[int, Any]


class Readable(Protocol):
    """A file that is read and moved in."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, fewer at the end."""
        ...

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Move."""
        ...

    def tell(self) -> int:
        """Return the position."""
        ...


class Pages(NamedTuple):
    """All pages of one column of one row group: bytes when unpacked, and values."""

    unpacked: int
    values: int


def pages_of(file: Readable, start: int, stop: int) -> Pages:
    """Walk from header to header; nothing is unpacked.

    Parameters
    ----------
    file
        The whole Parquet file.
    start, stop
        Where the column's first page begins and its last ends.

    Raises
    ------
    ValueError
        If a header is damaged or speaks of bytes beyond the end.
    """
    unpacked = values = 0
    while start < stop:
        file.seek(start)
        header = _struct(file)
        size, packed = _whole(header.get(_UNCOMPRESSED)), _whole(header.get(_COMPRESSED))
        data = [part for part in (header.get(_DATA), header.get(_DATA_V2)) if isinstance(part, dict)]
        count = sum(_whole(part.get(_NUM_VALUES)) for part in data)
        start = file.tell() + packed
        if start > stop:
            raise ValueError("the header of a page speaks of bytes beyond its column")
        unpacked, values = unpacked + size, values + count
    return Pages(unpacked, values)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("the header of a page lacks a number")
    return value


def _struct(file: Readable, depth: int = 0) -> Fields:
    fields: Fields = {}
    number = 0
    while (head := _byte(file)) != _STOP:
        number = number + (head >> 4) if head >> 4 else _number(file)
        fields[number] = _value(file, head & 15, depth)
    return fields


def _value(file: Readable, kind: int, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError("the header of a page is nested too deeply")
    if kind in _FLAGS:
        return kind == 1
    if kind in _NUMBERS:
        return _number(file)
    if kind == _STRUCT:
        return _struct(file, depth + 1)
    if kind in (_LIST, _SET):
        return _list(file, depth)
    if kind in (_BYTE, _DOUBLE, _BINARY):
        size = 1 if kind == _BYTE else 8 if kind == _DOUBLE else _unsigned(file)
        file.seek(size, io.SEEK_CUR)
        return None
    raise ValueError("the header of a page has a field of an unknown type")


def _list(file: Readable, depth: int) -> None:
    head = _byte(file)
    count = head >> 4 if head >> 4 < 15 else _unsigned(file)
    if count > _LONGEST_LIST:
        raise ValueError("the header of a page holds a list that no header has")
    for _ in range(count):
        if head & 15 in _FLAGS:
            _byte(file)
        else:
            _value(file, head & 15, depth + 1)


def _number(file: Readable) -> int:
    raw = _unsigned(file)
    return (raw >> 1) ^ -(raw & 1)


def _unsigned(file: Readable) -> int:
    value = 0
    for place in range(_LONGEST_NUMBER):
        byte = _byte(file)
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value
    raise ValueError("the header of a page holds a number without end")


def _byte(file: Readable) -> int:
    found = file.read(1)
    if not found:
        raise ValueError("the header of a page is cut off")
    return found[0]
