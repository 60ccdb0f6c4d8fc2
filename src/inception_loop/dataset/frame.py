"""Every condition's image as the network sees it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.npz import Blocks
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.area_average import area_average, fit_aspect, framing, to_luminance
from inception_loop.dataset.config import FrameSize
from inception_loop.dataset.sampling import Floats
from inception_loop.dataset.scan_tables import I64, TEXT
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.recording import ScanKey

Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
BLOCK_BYTES = 4 * 2**20

FRAME = Kind(
    name="frame",
    version=1,
    meaning="Every condition's image as shown, averaged to the size of the network.",
    payloads={
        "conditions": Table(
            {
                "condition_hash": Column(TEXT, "content hash of the image and its presentation; row = frame"),
                "image_class": Column(TEXT, "class of the image"),
                "image_id": Column(I64, "number of the image in its class"),
                "source_id": Column(TEXT, "photograph that it was cut from; empty: its own source"),
            }
        ),
        "frames": Arrays(
            {
                "frames": Array(
                    "float32", ("conditions", "row", "col"), "grey level 0..255, or cd/m² with gamma"
                )
            }
        ),
    },
    partition=SCAN,
)


class FrameConfig(Config):
    """Configuration of a scan's frames."""

    scan: ScanKey = Field(description="The scan.")
    frame: FrameSize = Field(FrameSize(), description="Size and unit of the frames.")


def network_frames(
    images: Images, size: FrameSize, curve: tuple[Floats, Floats] | None = None
) -> npt.NDArray[np.float32]:
    """Bring images as sent to the monitor to frames: luminance, aspect ratio, area averaging.

    Parameters
    ----------
    images : (K, h, w) uint8, or float32 grey levels
    size
        Target and policies.
    curve
        Measured grey levels and cd/m² at them, needed with ``size.gamma``.

    Returns
    -------
    (K, row, col) float32

    Raises
    ------
    DataError
        If the aspect ratio is refused or luminance is asked for without a calibration.
    """
    shown: npt.NDArray[np.generic] = images
    if size.gamma:
        if curve is None or len(curve[0]) == 0:
            raise DataError(
                "frames in cd/m² were asked for but the monitor was not measured; "
                "expected a calibration; add it to the recording or set gamma to false"
            )
        shown = to_luminance(images, *curve)
    return area_average(fit_aspect(shown, size.row, size.col, size.aspect, size.border), size.row, size.col)


def refuse_luminance(store: ArtifactStore, datasets: Iterable[ArtifactRef]) -> None:
    """Refuse datasets whose networks see cd/m²: images are climbed and compared in grey levels.

    Raises
    ------
    ConfigurationError
        If a frame of one was made with gamma.
    """
    for dataset in datasets:
        for frame in store.inputs(dataset).get("frame", []):
            if store.manifest(frame).config["frame"]["gamma"]:
                raise ConfigurationError(
                    f"the networks of {dataset} see cd/m² (dataset.frame.gamma = true); expected grey "
                    "levels, in which images are made; set gamma = false and train anew"
                )


def picture_blocks(images: Images, rows: npt.NDArray[np.int64]) -> Iterator[Images]:
    """Yield the pictures of some conditions in order, a block of bounded memory at a time.

    Parameters
    ----------
    images : (K, h, w)
        May be memory-mapped.
    rows : (M,) int64
        Picture of each condition.
    """
    step = max(1, BLOCK_BYTES // max(1, images.itemsize * int(np.prod(images.shape[1:]))))
    for start in range(0, len(rows), step):
        yield images[rows[start : start + step]]


def make_frame(
    store: ArtifactStore, config: FrameConfig, *, recording: ArtifactRef, calibration: ArtifactRef
) -> Outcome:
    """Make the frames of all conditions of a scan, a block of pictures at a time.

    Findings: size as shown, how many conditions were letterboxed or cropped, and how many show exactly the
    same pixels as another condition.
    """

    def build(attempt: Attempt) -> None:
        source = load_recording(store, recording)
        images, size = source.images, config.frame
        rows = source.conditions["image_row"].to_numpy()
        measured = store.table(calibration, "monitor_calibration")
        curve = (measured["pixel_value"].to_numpy(), measured["luminance"].to_numpy())
        height, width = images.shape[1:]
        how = framing((height, width), size.row, size.col, size.aspect)
        seen: Counter[bytes] = Counter()

        def frames() -> Iterator[npt.NDArray[np.float32]]:
            for pictures in picture_blocks(images, rows):
                seen.update(
                    hashlib.blake2b(picture.tobytes(), digest_size=16).digest() for picture in pictures
                )
                attempt.progress(seen.total(), len(rows), "frames")
                yield network_frames(pictures, size, curve)

        columns = ["condition_hash", "image_class", pl.col("image_id").cast(pl.Int64), "source_id"]
        attempt.write_table("conditions", source.conditions.select(columns))
        shape = (len(rows), size.row, size.col)
        attempt.write_arrays("frames", {"frames": Blocks(shape, np.float32, frames())})
        attempt.report(
            n_conditions=len(rows),
            shown_height_px=height,
            shown_width_px=width,
            n_letterboxed=len(rows) if how == "letterbox" else 0,
            n_cropped=len(rows) if how == "crop" else 0,
            n_same_pixels=sum(count for count in seen.values() if count > 1),
        )

    return store.make(
        FRAME, config, build, inputs={"recording": recording, "monitor_calibration": calibration}
    )
