"""Which names in a watched folder are recordings, of which scan, and which are still being written."""

from __future__ import annotations

import re

from inception_loop.errors import ConfigurationError
from inception_loop.recordings.files import passed_over
from inception_loop.recordings.recording import ScanKey

NUMBERS = tuple(ScanKey.model_fields)
RULES = ".toml"
"""Suffix of the file beside a recording that says how it is read."""
_UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".swp", "~")
_MARK = re.compile(r"\{(\w*)\}|(\*)")


def scan_pattern(text: str) -> re.Pattern[str]:
    """Return the expression that a pattern such as ``{animal_id}-{session}-{scan_idx}`` means.

    Each number stands in it once; ``*`` is anything. A name may have one suffix (``.nwb``) more.

    Raises
    ------
    ConfigurationError
        If a number is missing, comes twice or has another name.

    Examples
    --------
    >>> scan_pattern("mouse{animal_id}_{session}_{scan_idx}_*").fullmatch("mouse17_1_2_am.nwb")["animal_id"]
    '17'
    """
    found = [match[1] for match in _MARK.finditer(text) if not match[2]]
    if sorted(found) != sorted(NUMBERS):
        raise ConfigurationError(
            f"the pattern {text!r} names {', '.join(found) or 'no number'}; expected each of "
            f"{', '.join(NUMBERS)} once, as {{animal_id}}-{{session}}-{{scan_idx}}"
        )
    parts, end = [], 0
    for match in _MARK.finditer(text):
        parts += [
            re.escape(text[end : match.start()]),
            ".*" if match[2] else rf"(?P<{match[1]}>[0-9]{{1,18}})",
        ]
        end = match.end()
    return re.compile("".join([*parts, re.escape(text[end:])]) + r"(\.\w+)?", re.ASCII)


def example_name(text: str) -> str:
    """Return a name that a pattern takes.

    Examples
    --------
    >>> example_name("mouse{animal_id}_{session}_{scan_idx}_*")
    'mouse17_1_2_x.nwb'
    """
    numbers = dict(zip(NUMBERS, (17, 1, 2), strict=True))
    return _MARK.sub(lambda mark: "x" if mark[2] else str(numbers[mark[1]]), text) + ".nwb"


def scan_of(name: str, pattern: re.Pattern[str]) -> ScanKey | None:
    """Return the scan that a file or folder of this name is of; None where it is no recording.

    Examples
    --------
    >>> pattern = scan_pattern("{animal_id}-{session}-{scan_idx}")
    >>> [str(scan_of(name, pattern)) for name in ("17-1-2.nwb", "017-1-2", "17-1-2.toml", "notes.txt")]
    ['17-1-2', '17-1-2', 'None', 'None']
    """
    match = None if name.endswith(RULES) else pattern.fullmatch(name)
    return match and ScanKey(**{number: int(match[number]) for number in NUMBERS})


def is_unfinished(name: str) -> bool:
    """Whether a name is one that copying programs give to what they are still writing.

    Examples
    --------
    >>> [name for name in (".17-1-2.nwb.x8Fq2a", "17-1-2.nwb.part", "a.tmp", "a.nwb") if is_unfinished(name)]
    ['.17-1-2.nwb.x8Fq2a', '17-1-2.nwb.part', 'a.tmp']
    """
    return name.lower().endswith(_UNFINISHED) or passed_over(name)


def rules_name(name: str) -> str:
    """Return what the file beside a recording is called that says how it is read.

    Examples
    --------
    >>> rules_name("17-1-2.nwb"), rules_name("17-1-2")
    ('17-1-2.toml', '17-1-2.toml')
    """
    stem, dot, suffix = name.rpartition(".")
    return (stem if dot and suffix.isalnum() else name) + RULES
