"""Where the cells lie: fields, layers and areas, later days, registration into structural stacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.errors import ConfigurationError

Floats = npt.NDArray[np.float64]
MOST_CELLS_PER_MM3 = 40_000  # denser than that no matching by position can be right
FIELD_PX = 256
TRIES = 200


class CortexConfig(Config):
    """Layout of the imaged tissue and what changes from day to day."""

    depths_um: tuple[float, ...] = Field(
        default=(85.0, 170.0, 230.0, 290.0, 380.0), min_length=1, description="Depth of each field, µm."
    )
    depth_shares: tuple[float, ...] = Field(
        default=(0.05, 0.27, 0.27, 0.27, 0.14), min_length=1, description="Share of the cells in each field."
    )
    field_um: float = Field(default=440.0, gt=50, description="Side of the square fields, µm.")
    slab_um: float = Field(default=20.0, gt=0, description="Thickness from which a field sees cells, µm.")
    layer_bounds_um: tuple[float, float, float] = Field(
        default=(100.0, 350.0, 450.0), description="Depths at which L2/3, L4 and L5 begin, µm."
    )
    lateral_share: float = Field(
        default=0.12,
        ge=0,
        lt=1,
        description="Share of the field's width that lies in area LM; the rest is V1.",
    )
    apart_um: float = Field(default=9.0, ge=0, description="Least distance between two somata, µm.")
    jitter_um: float = Field(
        default=3.0, ge=0, description="S.d. per axis by which cells move from the first to a later day, µm."
    )
    missing: float = Field(
        default=0.1, ge=0, lt=1, description="Share of cells that a later day does not find."
    )
    new: float = Field(
        default=0.1, ge=0, lt=1, description="New cells on a later day, as a share of the first day's."
    )
    other_masks: float = Field(
        default=0.05, ge=0, lt=1, description="Masks that are no soma, as a share of the cells."
    )
    n_stacks: int = Field(
        default=2, ge=1, description="Structural stacks that every scan is registered into."
    )
    registration_um: float = Field(
        default=0.4, ge=0, description="S.d. per axis of the registration noise, µm."
    )


@dataclass(frozen=True)
class Places:
    """Positions in the tissue: ``xyz`` (M, 3) µm, z the depth, and ``field`` (M,) counting from 1."""

    xyz: Floats
    field: npt.NDArray[np.int64]

    def take(self, rows: npt.NDArray[np.int64]) -> Places:
        """Return some positions, in the order given."""
        return Places(self.xyz[rows], self.field[rows])

    def join(self, other: Places) -> Places:
        """Return these positions followed by others."""
        return Places(np.concatenate([self.xyz, other.xyz]), np.concatenate([self.field, other.field]))


def place_cells(
    n: int,
    config: CortexConfig,
    rng: np.random.Generator,
    *,
    xy: Floats | None = None,
    taken: Places | None = None,
) -> Places:
    """Place somata that keep their distance, in the fields' slabs.

    Parameters
    ----------
    n : int
    config : CortexConfig
    rng : numpy Generator
    xy : (n, 2) float64, optional
        Horizontal positions in µm where they are known; then only the depth is drawn.
    taken : Places, optional
        Somata to keep clear of.

    Raises
    ------
    ConfigurationError
        If the fields cannot hold that many cells at a plausible density.
    """
    field = _fields_of(n, config, rng)
    _check_density(field, config)
    near = _Neighbours(config.apart_um)
    for point in taken.xyz if taken is not None else ():
        near.add(point)
    xyz = np.empty((n, 3))
    for i in range(n):
        for _ in range(TRIES):
            xyz[i] = _draw(int(field[i]), config, rng, None if xy is None else xy[i])
            if not near.crowded(xyz[i]):
                break
            if xy is not None:  # the place in the plane is given: look for room at another depth
                field[i] = _fields_of(1, config, rng)[0]
        near.add(xyz[i])
    return Places(xyz, field)


def _fields_of(n: int, config: CortexConfig, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    if len(config.depths_um) != len(config.depth_shares):
        raise ConfigurationError(
            f"cortex has {len(config.depths_um)} depths_um but {len(config.depth_shares)} depth_shares; "
            "expected one share a depth"
        )
    share = np.array(config.depth_shares) / sum(config.depth_shares)
    return np.sort(rng.choice(len(share), size=n, p=share) + 1).astype(np.int64)


def _check_density(field: npt.NDArray[np.int64], config: CortexConfig) -> None:
    volume = config.field_um**2 * config.slab_um * 1e-9
    densest = int(np.bincount(field).max(initial=0)) / volume
    if densest > MOST_CELLS_PER_MM3:
        raise ConfigurationError(
            f"cortex would hold {densest:.0f} cells/mm³ in one field; expected at most {MOST_CELLS_PER_MM3}: "
            "enlarge field_um, add depths_um or ask for fewer cells"
        )


def _draw(field: int, config: CortexConfig, rng: np.random.Generator, xy: Floats | None) -> Floats:
    half = config.field_um / 2
    plane = rng.uniform(-half, half, 2) if xy is None else xy
    depth = config.depths_um[field - 1] + rng.uniform(-0.5, 0.5) * config.slab_um
    return np.array([plane[0], plane[1], depth])


class _Neighbours:
    """Grid hash that tells whether a point has a neighbour closer than a distance."""

    def __init__(self, distance: float) -> None:
        self.distance = distance
        self.cells: dict[tuple[int, int, int], list[Floats]] = {}

    def _key(self, point: Floats) -> tuple[int, int, int]:
        side = max(self.distance, 1.0)
        return int(point[0] // side), int(point[1] // side), int(point[2] // side)

    def add(self, point: Floats) -> None:
        self.cells.setdefault(self._key(point), []).append(point.copy())

    def crowded(self, point: Floats) -> bool:
        a, b, c = self._key(point)
        return any(
            float(np.sum((other - point) ** 2)) < self.distance**2
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
            for k in (-1, 0, 1)
            for other in self.cells.get((a + i, b + j, c + k), ())
        )


def later_day(
    first: Places, config: CortexConfig, seed: int, day: int
) -> tuple[npt.NDArray[np.int64], Places]:
    """Return which cells of the first day a later one finds again (rows, ascending), and where they stand."""
    rng = np.random.default_rng([seed, day, 11])
    n = len(first.field)
    kept = np.sort(rng.permutation(n)[round(config.missing * n) :])
    moved = first.xyz + rng.normal(0, config.jitter_um, first.xyz.shape)
    return kept, Places(moved[kept], first.field[kept])


def unit_tables(
    places: Places,
    soma: npt.NDArray[np.bool_],
    unit_id: npt.NDArray[np.int64],
    config: CortexConfig,
    frame_s: float,
    offset: Floats,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables of units and fields of a scan.

    Parameters
    ----------
    places : Places of all M masks
    soma : (M,) whether a mask is a soma
    unit_id : (M,) int64
    config : CortexConfig
    frame_s : float
        Time from one frame to the next, over which the scanner passes the fields one after the other, s.
    offset : (3,) µm
        Origin of the scan's coordinates: a place is at ``xyz + offset``.
    """
    n_fields = len(config.depths_um)
    um = places.xyz + offset
    center = offset[:2]
    half = config.field_um / 2
    px = np.clip((um[:, :2] - (center - half)) / config.field_um, 0, 1) * (FIELD_PX - 1)
    passed = (places.field - 1 + px[:, 1] / FIELD_PX) / n_fields
    units = pl.DataFrame(
        {
            "unit_id": unit_id,
            "field": places.field,
            "px_x": px[:, 0],
            "px_y": px[:, 1],
            "um_x": um[:, 0],
            "um_y": um[:, 1],
            "um_z": um[:, 2],
            "ms_delay": 1000 * frame_s * passed,
            "mask_type": np.where(soma, "soma", "artifact"),
            "brain_area": np.where(
                places.xyz[:, 0] > half - config.lateral_share * config.field_um, "LM", "V1"
            ),
            "layer": _layers(places, config),
        }
    )
    table = {
        "field": np.arange(1, n_fields + 1),
        "px_height": np.full(n_fields, float(FIELD_PX)),
        "px_width": np.full(n_fields, float(FIELD_PX)),
        "um_height": np.full(n_fields, config.field_um),
        "um_width": np.full(n_fields, config.field_um),
        "x": np.full(n_fields, center[0]),
        "y": np.full(n_fields, center[1]),
        "z": np.array(config.depths_um) + offset[2],
    }
    return units, pl.DataFrame(table)


def _layers(places: Places, config: CortexConfig) -> npt.NDArray[np.str_]:
    names = np.array(["L1", "L2/3", "L4", "L5"])
    depth = np.array(config.depths_um)[places.field - 1]
    return names[np.searchsorted(config.layer_bounds_um, depth, side="right")]


def stack_table(
    places: Places, unit_id: npt.NDArray[np.int64], config: CortexConfig, seed: int, day: int
) -> pl.DataFrame:
    """Register a scan's masks into every structural stack; one row a mask and stack, µm.

    The stacks belong to the animal: each has its own rotation about the depth axis and its own origin, the
    same on every day; the registration adds noise per field and per mask.
    """
    parts = []
    for stack in range(1, config.n_stacks + 1):
        rotation, origin = _stack_frame(seed, stack)
        noise = np.random.default_rng([seed, day, 12, stack])
        per_field = noise.normal(0, config.registration_um, (len(config.depths_um), 3))[places.field - 1]
        per_mask = noise.normal(0, config.registration_um, places.xyz.shape)
        xyz = places.xyz @ rotation.T + origin + per_field + per_mask
        parts.append(
            pl.DataFrame(
                {
                    "stack_session": np.full(len(xyz), 100 + stack),
                    "stack_idx": np.ones(len(xyz), dtype=np.int64),
                    "field": places.field,
                    "unit_id": unit_id,
                    "stack_x": xyz[:, 0],
                    "stack_y": xyz[:, 1],
                    "stack_z": xyz[:, 2],
                }
            )
        )
    return pl.concat(parts)


def _stack_frame(seed: int, stack: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng([seed, 13, stack])
    angle = rng.uniform(-0.3, 0.3)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return turn, rng.uniform(200, 800, 3)
