"""Normalisation of a member's data as a network sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.dataset.member import MemberData, MemberStatistics
from inception_loop.dataset.sampling import Floats
from inception_loop.errors import DataError

LEAST_SHARE = 0.01  # of the mean std; below it a std is taken as 1, so that silent units do not blow up
IMAGES_AT_ONCE = 256
Singles = npt.NDArray[np.float32]


def safe_scale(std: Floats) -> Floats:
    """Replace every std below 1 % of the mean std (and every zero) by 1.

    Examples
    --------
    >>> safe_scale(np.array([2.0, 0.001, 4.0])).tolist()
    [2.0, 1.0, 4.0]
    """
    return np.where((std < LEAST_SHARE * std.mean()) | (std == 0), 1.0, std)


@dataclass(frozen=True)
class Normaliser:
    """What turns grey levels, responses, behaviour and pupil centre into what a network sees, and back.

    Attributes
    ----------
    image_mean, image_std : grey levels; 0 and 1 where images stay as they are
    per_image : each image by its own mean and std (ddof 1) instead
    response_scale : (N,) float64, divides responses
    behavior_scale : (3,) float64, divides behaviour, or None
    pupil_mean, pupil_scale : (2,) float64, z-score the pupil centre, or None
    """

    image_mean: float
    image_std: float
    per_image: bool
    response_scale: Floats
    behavior_scale: Floats | None
    pupil_mean: Floats | None
    pupil_scale: Floats | None

    def images(self, frames: npt.NDArray[np.floating]) -> Singles:
        """Normalise images (…, H, W) in grey levels."""
        if not self.per_image:
            shifted = frames - self.image_mean
            shifted /= self.image_std
            return shifted.astype(np.float32, copy=False)
        flat = frames.reshape(-1, *frames.shape[-2:])
        out = np.empty(flat.shape, np.float32)
        for start in range(0, len(flat), IMAGES_AT_ONCE):
            block = flat[start : start + IMAGES_AT_ONCE]
            mean = block.mean(axis=(-2, -1), keepdims=True, dtype=np.float64)
            std = block.std(axis=(-2, -1), keepdims=True, ddof=1, dtype=np.float64)
            out[start : start + IMAGES_AT_ONCE] = (block - mean) / np.where(std == 0, 1.0, std)
        return out.reshape(frames.shape)

    def responses(self, values: npt.NDArray[np.floating], out: Singles | None = None) -> Singles:
        """Divide responses (…, N) by each unit's scale, in float64; ``out`` may be ``values`` itself."""
        if out is None:
            out = np.empty(values.shape, np.float32)
        np.divide(values, self.response_scale, out=out, dtype=np.float64, casting="same_kind")
        return out

    def behavior(self, values: npt.NDArray[np.floating]) -> Singles:
        """Divide behaviour (…, 3) by each channel's scale.

        Raises
        ------
        DataError
            If the member has no behaviour.
        """
        if self.behavior_scale is None:
            raise DataError("the member has no behaviour to normalise; expected eye and treadmill traces")
        return (values / self.behavior_scale).astype(np.float32)

    def pupil_center(self, values: npt.NDArray[np.floating]) -> Singles:
        """Z-score the pupil centre (…, 2).

        Raises
        ------
        DataError
            If the member has no eye.
        """
        if self.pupil_mean is None or self.pupil_scale is None:
            raise DataError("the member has no pupil centre to normalise; expected an eye trace")
        return ((values - self.pupil_mean) / self.pupil_scale).astype(np.float32)


@dataclass(frozen=True)
class Normalised:
    """A member's data as a network sees them.

    Attributes
    ----------
    images : (K, H, W) float32
    responses : (T, N) float32
    behavior : (T, 3) float32 or None
    pupil_center : (T, 2) float32 or None
    """

    images: Singles
    responses: Singles
    behavior: Singles | None
    pupil_center: Singles | None


def normaliser(statistics: MemberStatistics, data: CorrectedAreaLayer) -> Normaliser:
    """Return the normaliser that a data configuration asks for.

    Images ``(x − mean)/std``, responses and behaviour divided by their std, pupil centre z-scored; parts in
    ``exclude`` stay as they are (Walker et al. 2019; std rules see `safe_scale`).
    """

    def on(part: str) -> bool:
        return data.normalize and part not in data.exclude

    def scale(part: str, std: Floats | None) -> Floats | None:
        return std if std is None else safe_scale(std) if on(part) else np.ones_like(std)

    responses = scale("responses", statistics.response_std)
    mean = statistics.pupil_mean
    return Normaliser(
        image_mean=statistics.image_mean if on("images") else 0.0,
        image_std=float(safe_scale(np.array([statistics.image_std]))[0]) if on("images") else 1.0,
        per_image=on("images") and data.normalize_per_image,
        response_scale=np.ones_like(statistics.response_std) if responses is None else responses,
        behavior_scale=scale("behavior", statistics.behavior_std),
        pupil_mean=mean if mean is None or on("pupil_center") else np.zeros_like(mean),
        pupil_scale=scale("pupil_center", statistics.pupil_std),
    )


def normalize(member: MemberData, data: CorrectedAreaLayer, *, overwrite: bool = False) -> Normalised:
    """Normalise a member that is restricted to the units of ``data`` already.

    Parameters
    ----------
    member
        As loaded with ``data``.
    data
        What is normalised, and how.
    overwrite
        Put the normalised responses in the place of the member's, so that no second array of that size is
        needed. The member must not be used any more then, save for its statistics and tables.
    """
    rule = normaliser(member.statistics, data)
    return Normalised(
        images=rule.images(member.frames),
        responses=rule.responses(member.responses, out=member.responses if overwrite else None),
        behavior=None if member.behavior is None else rule.behavior(member.behavior),
        pupil_center=None if member.pupil_center is None else rule.pupil_center(member.pupil_center),
    )
