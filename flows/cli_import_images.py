"""``inception-loop import-images``: any pictures into the store, for searches. Imports no Prefect."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from inception_loop.errors import ConfigurationError

if TYPE_CHECKING:
    from inception_loop.artifacts.store import ArtifactStore, Outcome


def import_images(
    path: Path | None = None,
    *,
    bundled: int | None = None,
    seed: int = 1,
    name: str | None = None,
    height: int = 36,
    width: int = 64,
    grey: Literal["bt709", "bt601", "mean"] = "bt709",
    how: Literal["average", "centre", "tiles"] = "average",
    scale: int = 1,
    aspect: Literal["refuse", "crop", "letterbox"] = "refuse",
    border: float = 128.0,
    store: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Bring pictures into the store, in which the best natural image of each unit is then searched.

    Example: ``inception-loop import-images photographs/ --how tiles --scale 4``

    Parameters
    ----------
    path
        Folder of PNG, JPEG or TIFF files, one such file, or an NPY or NPZ of images (K, height, width) or
        (K, height, width, 3). Files are never unpickled, and links that leave the folder are refused.
    bundled
        Instead of a path: so many crops of the photographs that come along, and dead leaves.
    seed
        Of the choice of those crops.
    name
        What to call the set; by default as the file or folder.
    height
        Rows of the images, px; as the networks see them.
    width
        Columns of the images, px.
    grey
        Weights of red, green and blue: those of either standard, or the three alike.
    how
        Average the whole picture; take one window about its centre; or all windows side by side.
    scale
        Side of the square of picture pixels that a pixel of a window averages.
    aspect
        A whole picture of another aspect ratio: refuse it, cut it, or give it borders.
    border
        Grey level of such borders.
    store
        Store of the artifacts; overrides INCEPTION_LOOP_STORE.
    json_
        Print the result as JSON.
    """
    if store is not None:
        os.environ["INCEPTION_LOOP_STORE"] = store
    if (path is None) == (bundled is None):
        raise ConfigurationError(
            f"import-images got {'both a path and' if path else 'neither a path nor'} --bundled; "
            "expected one of them"
        )
    from inception_loop.artifacts.store import open_store
    from inception_loop.images.fitting import Fit
    from inception_loop.images.natural.image_set import (
        BundledSource,
        ImageSetConfig,
        image_set_config,
        make_image_set,
    )

    fit = Fit(height=height, width=width, grey=grey, how=how, scale=scale, aspect=aspect, border=border)
    if path is not None:
        config = image_set_config(path, name or name_of(path), fit)
    else:
        config = ImageSetConfig(
            name=name or "bundled", source=BundledSource(n=bundled or 0, seed=seed), fit=fit
        )
    with progress("pictures") as tell:
        opened = open_store(on_progress=tell)
        made = make_image_set(opened, config, path=path)
    found = _value(opened, made, config.name)
    _print(json.dumps(found, indent=2) if json_ else "\n".join(_lines(found)))
    return 0


def name_of(path: Path) -> str:
    """Return what a set is called by default: the name of its file or folder, in plain letters.

    Examples
    --------
    >>> name_of(Path("My photos.v2.npz")), name_of(Path("/tmp/…"))
    ('My-photos.v2', 'images')
    """
    stem = path.absolute().stem if path.suffix else path.absolute().name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:100] or "images"


def _value(store: ArtifactStore, made: Outcome, name: str) -> dict[str, Any]:
    findings = store.manifest(made.ref).findings
    counted = ("n_pictures", "n_colour", "n_images", "n_duplicates", "n_flat")
    shape = store.arrays(made.ref, "images")["images"].shape
    return {
        "image_set": str(made.ref),
        "ref": made.ref.model_dump(mode="json"),
        "name": name,
        "height": shape[1],
        "width": shape[2],
        **{what: findings[what] for what in counted},
        "cached": made.cached,
    }


def _lines(found: dict[str, Any]) -> list[str]:
    return [
        f"{found['name']}: {found['n_images']} images of {found['height']}×{found['width']} px from "
        f"{found['n_pictures']} pictures ({found['n_colour']} in colour); left out: {found['n_duplicates']} "
        f"that were there already, {found['n_flat']} flat; "
        f"{'already there' if found['cached'] else 'imported'}",
        "",
        "next: search them, with this line in the parameters of stage mei (mei.toml)",
        f'  pictures = "{found["image_set"]}"',
    ]


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int, str], None] | None]:
    """Show how far it is, where somebody looks on."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
