"""Program that imports spoilt recordings, one a line of its input, and says what became of each.

A process of its own: whatever a damaged file does to a library, the tests live to tell.
"""

import json
import resource
import sys
import warnings
from pathlib import Path

from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.upkeep import verify
from inception_loop.errors import InceptionLoopError
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.formats import READERS
from inception_loop.recordings.imported import import_config, make_imported_recording
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import Recording, ScanKey
from inception_loop.recordings.validation import validate

MEMORY_BYTES = 12 * 2**30  # no file here is larger than 1 MiB
PARTS = ("activity", "images", "units", "fields", "trials", "conditions", "eye", "treadmill", "calibration")


def payloads(store: Path) -> set[str]:
    """Return what lies in a store, without its leases."""
    return {str(path) for path in store.glob("[!_]*/**/*") if path.is_file()}


def outcome(case: dict, folder: Path) -> dict[str, str]:
    """Import one file or folder; *broken* is everything that must not be."""
    store, before = open_store(f"file://{folder}"), payloads(folder)
    path = Path(case["path"])
    try:
        for name, reader in READERS.items():
            if not isinstance(reader.recognises(path), bool):
                return {"end": "broken", "text": f"{name} says neither yes nor no"}
        config = import_config(path, ScanKey(**case["scan"]), ReadOptions(**case["options"]), case["format"])
        made = make_imported_recording(store, config, path=path)
        loaded = load_recording(store, made.ref)
        parts = {name: getattr(loaded, name) for name in PARTS}
        validate(Recording(scan=loaded.scan, trace_kind=loaded.trace_kind, **parts))
    except InceptionLoopError as error:
        text = str(error)
        if len(text.splitlines()) != 1:
            return {"end": "broken", "text": f"not one line: {text!r}"}
        left = payloads(folder) - before
        return {"end": "broken", "text": f"left {left}"} if left else {"end": "refused", "text": text}
    except BaseException as error:
        return {"end": "broken", "text": f"{type(error).__name__}: {error}"}
    if not verify(store).sound:
        return {"end": "broken", "text": "the store is unsound"}
    return {"end": "recording", "text": ""}


def main(folder: Path) -> None:
    """Answer line by line."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for line in sys.stdin:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answer = outcome(json.loads(line), folder)
        if caught:
            answer = {"end": "broken", "text": f"warned: {caught[0].message} ({caught[0].filename})"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
