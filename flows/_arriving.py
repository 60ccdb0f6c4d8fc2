"""One recording of a watched folder at a time: taken in, said to be there already, or put into quarantine."""

from __future__ import annotations

import errno
import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import _interrupt
from flows._stage import Stage, StageResult
from inception_loop.artifacts.backend import Backend
from inception_loop.artifacts.listing import artifacts, resolve
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError, InceptionLoopError, ReservedError, StoreError
from inception_loop.recordings.arrivals.fetching import StillChangingError, as_it_lies, fetched
from inception_loop.recordings.arrivals.listing import Arrival
from inception_loop.recordings.arrivals.looks import Seen
from inception_loop.recordings.arrivals.quarantine import quarantine, quarantined, release
from inception_loop.recordings.files import content_digest
from inception_loop.recordings.formats import read_recording
from inception_loop.recordings.imported import import_config
from inception_loop.stimuli.shown_by import shown_by, targets_of
from inception_loop.watch_parameters import ImportRules, WatchParameters

if TYPE_CHECKING:
    from inception_loop.parameters import ImportParameters

LARGEST_RULES = 2**20
_FLEETING = re.compile(r"(\btime = )[^,]+|(\bfile descriptor = )\d+|(\b0x)[0-9a-f]+")
"""What HDF5 and Python put into errors that is another at every try: such words could not be told once."""
NOT_THE_FILES = {
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENOENT,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOSPC,
}
"""Of what the machine could not read for now, the bytes are not to blame."""


@dataclass
class Look:
    """What one look at a folder works with.

    Attributes
    ----------
    store, place
        The store, and what is watched.
    parameters, pattern
        What was asked, and which names are recordings.
    now
        s by the store's clock.
    patient
        Whether what has failed lately is left alone.
    results
        What the imports made.
    news
        Whether something has become of a recording.
    line, aside, reasons
        What there is to say in the end: how much there is, why something was put aside in this look, and
        why something is.
    """

    store: ArtifactStore
    place: Backend
    parameters: WatchParameters
    pattern: re.Pattern[str]
    now: float
    patient: bool = False
    results: list[StageResult] = field(default_factory=list)
    news: bool = False
    line: str = ""
    aside: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def folder(self) -> str:
        """The watched folder's address."""
        return self.place.uri

    def take(self, arrival: Arrival, seen: Seen) -> Seen:
        """Take in a recording that is at rest; what is wrong with it is remembered, never raised."""
        try:
            with fetched(self.place, arrival, self.pattern) as (path, rules):
                return self._judge(arrival, seen, path, rules)
        except StillChangingError as error:
            return seen.model_copy(update={"fate": "waiting", "since": self.now, "said": str(error)})
        except _interrupt.StoppedError:
            raise
        except Exception as error:
            if not_its_fault(error):
                return seen.failed(self._words(error), self.now)
            return self._put_away(arrival, seen, arrival.signature, error)

    def _judge(self, arrival: Arrival, seen: Seen, path: Path, rules: Path | None) -> Seen:
        said = b"" if rules is None else read_rules(rules)
        known = quarantined(self.store.backend, self.folder, arrival.name)
        retried = known is None or self.parameters.retry_quarantined
        if known is not None and not retried and known.sha256 == _digest(path, said):
            return seen.model_copy(update={"fate": "quarantined", "said": known.error})
        try:
            fate = self._import(
                arrival, path, self.parameters.read if rules is None else self._rules(rules.name, said)
            )
        except Exception as error:
            if isinstance(error, _interrupt.StoppedError) or not_its_fault(error):
                raise
            return self._put_away(arrival, seen, _digest(path, said), error)
        release(self.store.backend, self.folder, arrival.name)
        return seen.model_copy(update=fate)

    def _rules(self, name: str, text: bytes) -> ImportRules:
        from inception_loop.parameters import parse

        try:
            values = tomllib.loads(text.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{name} beside it is no TOML: {error}; expected import rules"
            ) from error
        try:
            return parse(ImportRules, values, meant=lambda name: resolve(self.store, name))
        except ConfigurationError as error:
            what = str(error).removeprefix("ImportRules: ").removesuffix(" (see --print-schema)")
            raise ConfigurationError(f"{name} beside it: {what}; correct the file") from error

    def _import(self, arrival: Arrival, path: Path, rules: ImportRules) -> dict[str, Any]:
        """Import a recording unless its scan stands already; returns its fate."""
        from inception_loop.parameters import ImportParameters

        scan = arrival.scan
        config = import_config(path, scan, rules.options, rules.format)
        standing = recordings_of(self.store, arrival)
        same = [ref for ref in standing if self.store.manifest(ref).config.get("sha256") == config.sha256]
        if same:
            return {"fate": "already there", "recording": same[-1].uri, "said": ""}
        if standing:
            line = (
                f"scan {scan} stands as {standing[-1]}, made from other bytes; nothing was replaced; "
                "to have this one too, import it by hand"
            )
            return {"fate": "other bytes", "recording": standing[-1].uri, "said": line}
        asked = ImportParameters(path=str(path), scan=scan, **(dict(rules) | {"format": config.format}))
        stage = Stage("import")
        submit_import(stage, asked.model_copy(update={"stimulus_set": self._shown(asked)}))
        result = stage.result()
        self.results.append(result)
        return {"fate": "imported", "recording": result.one("recording").uri, "said": ""}

    def _shown(self, asked: ImportParameters) -> ArtifactRef | None:
        """Return the set that a recording showed: the one that was said, or else found by its images."""
        known = asked.stimulus_set is not None or asked.export is not None
        if known or not any(targets_of(self.store, asked.scan.animal_id)):
            return asked.stimulus_set
        recording = read_recording(Path(asked.path), asked.scan, asked.options, asked.format)
        return shown_by(self.store, recording)

    def _words(self, error: Exception) -> str:
        return as_it_lies(in_one_line(error), self.place)

    def _put_away(self, arrival: Arrival, seen: Seen, digest: str, error: Exception) -> Seen:
        record = quarantine(
            self.store.backend,
            self.folder,
            arrival.name,
            path=self.place.url(arrival.name),
            scan=str(arrival.scan),
            sha256=digest,
            error=self._words(error),
            now=self.now,
        )
        return seen.model_copy(update={"fate": "quarantined", "said": record.error})


def submit_import(stage: Stage, asked: ImportParameters) -> None:
    """Submit what flow *import* does; it loads torch, seconds that looks at nothing new do not spend."""
    from flows import import_recording

    import_recording.submit_import(stage, asked)


def _digest(path: Path, rules: bytes) -> str:
    return hashlib.sha256(content_digest(path).encode() + rules).hexdigest()


def recordings_of(store: ArtifactStore, arrival: Arrival) -> list[ArtifactRef]:
    """Return the recordings of a scan that stand, the newest last."""
    partition = "/".join(f"{name}={value}" for name, value in arrival.scan.model_dump().items())
    found = sorted(artifacts(store, "recording", partition), key=lambda one: (one.modified, one.ref.digest))
    return [one.ref for one in found]


def read_rules(path: Path) -> bytes:
    """Return the bytes of the file beside a recording.

    Raises
    ------
    ConfigurationError
        If it is far too large for one.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST_RULES + 1)
    if len(data) > LARGEST_RULES:
        raise ConfigurationError(
            f"{path.name} has more than {LARGEST_RULES} bytes; expected a few lines of TOML"
        )
    return data


def not_its_fault(error: BaseException) -> bool:
    """Whether an error is the store's or the machine's, and the same bytes may go through later."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, (StoreError, ReservedError, MemoryError)):
            return True
        if isinstance(found, OSError) and found.errno in NOT_THE_FILES:
            return True
        found = found.__cause__
    return False


def in_one_line(error: BaseException) -> str:
    """Say an error in one line; one that nobody expected with its type."""
    text = _FLEETING.sub(r"\1\2\3…", " ".join(str(error).split()))
    return text if isinstance(error, InceptionLoopError) else f"{type(error).__name__}: {text}"
