"""What a gallery says in words and numbers: in its page, in Prefect's UI, on a terminal."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl

from inception_loop.report.gallery.artifact import Gallery
from inception_loop.report.gallery.findings import SHOWN_IN_WORDS, UNEQUAL
from inception_loop.report.gallery.kinds import MEI, ended_words, in_order, rivals_of, title_of
from inception_loop.report.gallery.units import UNIT
from inception_loop.report.learning.words import Fact
from inception_loop.report.words import count, number, percent

LEAVE_OUT = "To show no images of those to leave out, write into the rules of the stage stimulus:"
NAMED = 12  # units in a sentence
QUESTION = "Which images can be shown, which units left out?"
TONES = {"grad_rf": "linear", "best_natural_image": "natural"}


def tone(gallery: Gallery) -> str:
    """Return the tone of the headline: ok, warn, or bad where half of the units are to be left out."""
    n, bad = gallery.units.height, gallery.units.filter(verdict="bad").height
    if 2 * bad >= n and bad:
        return "bad"
    sound = gallery.units.filter(pl.col("verdict") != "ok").height == 0
    return "ok" if sound and _validated(gallery) else "warn"


def _validated(gallery: Gallery) -> bool:
    """Whether networks that had no part in the images have judged any of them."""
    return bool(gallery.images["validator_activation"].count())


def headline(gallery: Gallery) -> str:
    """Answer `QUESTION` in one sentence, and say where nobody else has judged."""
    return _verdict(gallery) + ("" if _validated(gallery) else " No independent networks judged them.")


def _verdict(gallery: Gallery) -> str:
    units = gallery.units
    n, images = units.height, gallery.images.height
    if not gallery.images.filter(what=MEI).height:
        return f"{count(images, 'image')} of {count(n, 'unit')}; there is no MEI among them to judge by."
    bad, warn = (units.filter(verdict=verdict).height for verdict in ("bad", "warn"))
    if not bad and not warn:
        return f"Nothing speaks against the images of {'the unit' if n == 1 else f'all {n} units'}."
    are = "is" if warn == 1 else "are"
    if not bad:
        return f"No unit looks broken; {warn} of {count(n, 'unit')} {are} to be looked at."
    more = f"; {warn} more {are} to be looked at" if warn else ""
    return f"Leave out {bad} of {count(n, 'unit')}{more}."


def value_of(gallery: Gallery, key: str, what: str = "", judge: str = "") -> tuple[float, int] | None:
    """Return a number of the table ``summary`` and its n; None where it is not known."""
    rows = gallery.summary.filter(key=key, what=what, judge=judge)
    return None if rows.height == 0 else (float(rows["value"][0]), int(rows["n"][0]))


def facts(gallery: Gallery) -> list[Fact]:
    """Return the numbers that a page begins with, as far as its data allow them."""
    found = []

    def add(
        name: str, what: str, note: str, key: tuple[str, str, str], digits: int | None = None, of: str = ""
    ) -> None:
        known = value_of(gallery, *key)
        if known is not None:
            shown = percent(known[0]) if digits is None else number(known[0], digits)
            found.append(Fact(name, known[0], shown, what, f"{count(known[1], 'unit')}{note}", of))

    whose = "for the networks that compare all images"
    nobody = "for networks that had no part in any image"
    add("mei_wins_all", "of the MEIs are beaten by none of their controls", f"; {whose}",
        ("mei_wins_all", "", "reference"))  # fmt: skip
    add("mei_wins_all_validator", "of the MEIs are beaten by none of their controls", f"; {nobody}",
        ("mei_wins_all", "", "validator"), of="plain")  # fmt: skip
    for what in ("best_natural_image", "grad_rf"):
        by = value_of(gallery, "share_of_mei", what, "validator")
        beside = f"; for the validator {percent(by[0])}" if by else ""
        add(f"share_{what}", f"of the MEI’s activation is what the {title_of(what)} reaches (median)", beside,
            ("share_of_mei", what, "reference"), of=TONES[what])  # fmt: skip
    add("validator_over_reference", "of the activation by its MEI is left for the validator (median)", "",
        ("validator_over_reference", MEI, ""), of="plain")  # fmt: skip
    add("kept_when_displaced", "of its activation is what a displaced MEI keeps (median)",
        "; mean over displacements", ("kept_when_displaced", MEI, ""))  # fmt: skip
    return found


def sentences(gallery: Gallery) -> list[str]:
    """Return what an experiment's images say, one sentence a comparison, with n."""
    said = []
    for what, own in rivals_of(gallery.images["what"].unique()).items():
        judges = ("reference", "validator")
        whose = [value_of(gallery, "mei_wins", what, judge) for judge in judges]
        shares = [
            f"{percent(one[0])} of the units ({round(one[0] * one[1])} of {one[1]})" for one in whose if one
        ]
        if shares:
            more = f"; for the validator, {shares[1]}" if whose[0] and whose[1] else ""
            title, unlike = title_of(own), _unlike_pairs(gallery, what, own)
            terms = (
                f"; the contrasts of {count(unlike, 'pair')} differ by over {percent(UNEQUAL)}"
                if unlike
                else ""
            )
            title = f"{title[:1].upper()}{title[1:]}"
            said.append(f"{title} not beaten by the {title_of(what)}: {shares[0]}{more}{terms}.")
    if said and value_of(gallery, "mei_wins_all", "", "validator") is None:
        said.append("There is no validator: no network that had no part in these images has judged them.")
    return said


def remarks(gallery: Gallery) -> list[str]:
    """Return what a reader must know: what is absent, whose contrasts differ, how ascents ended."""
    said = (absent(gallery), _partly(gallery), _unequal(gallery), _ended(gallery), _out_of_memory(gallery))
    return [text for text in said if text]


def leave_out(gallery: Gallery) -> str:
    """Return the line of a configuration that leaves out the units that look broken; empty: none does."""
    bad = gallery.units.filter(verdict="bad").select("name", "unit_id").rows()
    return f"leave_out = {json.dumps([f'{name}/{unit}' for name, unit in bad])}" if bad else ""


def absent(gallery: Gallery) -> str:
    """Name the kinds that an experiment usually has and this one lacks."""
    missing = gallery.kinds.filter(~pl.col("given"))["title"].to_list()
    return f"Not in this gallery, since there is none: {', '.join(missing)}." if missing else ""


def markdown(gallery: Gallery, see: str = "") -> str:
    """Return the gallery as Markdown: the answer first, then its numbers and the units to leave out.

    Parameters
    ----------
    gallery
        What it says.
    see
        How to see the page with its pictures; shown under the answer.
    """
    lines = [f"# {headline(gallery)}", ""] + ([see, ""] if see else [])
    lines += [f"- **{fact.shown}** {fact.what} ({fact.note})" for fact in facts(gallery)]
    lines += [f"- {text}" for text in (*sentences(gallery), *remarks(gallery))]
    listed = listed_units(gallery)
    for verdict, title in (("bad", "To leave out"), ("warn", "To look at")):
        of = [row for row in listed if row["verdict"] == verdict]
        if of:
            lines += ["", f"## {title}", "", *(f"- unit {row['unit_id']}: {row['texts']}" for row in of)]
            if verdict == "bad":
                lines += ["", f"{LEAVE_OUT} `{leave_out(gallery)}`"]
    return "\n".join(lines)


def gallery_lines(gallery: Gallery) -> list[str]:
    """Say for a terminal what the images are worth and which units to leave out."""
    numbers = [f"  {fact.shown:>8}  {fact.what} ({fact.note})" for fact in facts(gallery)]
    told = [*sentences(gallery), *remarks(gallery)]
    bad = [row for row in listed_units(gallery) if row["verdict"] == "bad"]
    out = [f"  leave out unit {row['unit_id']} ({row['short']})" for row in bad]
    out += [f"  {LEAVE_OUT}", f"    {leave_out(gallery)}"] if bad else []
    return [headline(gallery), *numbers, *(f"  {text}" for text in told), *out]


def listed_units(gallery: Gallery) -> list[dict[str, Any]]:
    """Return the units with findings, those to leave out first, each with its findings in words."""
    rows = gallery.units.filter(pl.col("verdict") != "ok").sort(pl.col("verdict") != "bad", "place")
    found = []
    for unit in rows.iter_rows(named=True):
        of = gallery.findings.filter(name=unit["name"], unit_id=unit["unit_id"])
        graver = of.filter(pl.col("severity") != "note")["key"]
        short = ", ".join(SHOWN_IN_WORDS[key] for key in graver)
        found.append({**unit, "short": short, "texts": " ".join(of["text"])})
    return found


def _partly(gallery: Gallery) -> str:
    """Count the units that lack a kind which others have."""
    n = gallery.units.height
    lacking = gallery.kinds.filter(pl.col("given"), pl.col("n_units") < n)
    said = [f"{title} ({n - units})" for title, units in lacking.select("title", "n_units").rows()]
    return f"Some units lack a picture that others have: {', '.join(said)}." if said else ""


def _unlike_pairs(gallery: Gallery, what: str, own: str) -> int:
    """Count the units of which a control and the image that it is compared with differ in contrast."""
    first = gallery.images.filter(number=0).select(*UNIT, "what", "contrast")
    pairs = first.filter(what=what).join(first.filter(what=own), on=UNIT, suffix="_own")
    gap = (pl.col("contrast") - pl.col("contrast_own")).abs()
    return pairs.filter(gap > UNEQUAL * pl.col("contrast_own")).height


def _unequal(gallery: Gallery) -> str:
    first = gallery.images.filter(number=0)
    of = {what: float(np.median(first.filter(what=what)["contrast"])) for what in in_order(first["what"])}
    unlike = [
        f"{title_of(what)} {number(of[what], 1)}"
        for what, own in rivals_of(of).items()
        if own in of and abs(of[what] - of[own]) > UNEQUAL * of[own]
    ]
    if not unlike:
        return ""
    return (
        f"Contrasts differ (median, grey levels): MEI {number(of[MEI], 1)}, {', '.join(unlike)}; "
        "activations by these are not compared at equal terms."
    )


def _ended(gallery: Gallery) -> str:
    """Say how the ascents of the MEIs ended."""
    rows = gallery.summary.filter(pl.col("key").str.starts_with("stopped_"), what=MEI)
    if not rows.height:
        return ""
    numbers = rows.select("key", "value").rows()
    counts = {key.removeprefix("stopped_"): round(value) for key, value in numbers}
    steps = value_of(gallery, "iterations", MEI)
    after = f"; after {number(steps[0], 0)} steps (median)" if steps else ""
    more = " More steps may give better images: iterations in [images.procedure]."
    late = gallery.findings.filter(key="out_of_steps").height
    return (
        f"Ascents of {count(rows['n'][0], 'MEI')} ended: {ended_words(counts)}{after}.{more if late else ''}"
    )


def _out_of_memory(gallery: Gallery) -> str:
    """Name the units of whose images memory ran out, and what to do about it."""
    ids = gallery.findings.filter(key="out_of_memory")["unit_id"].to_list()
    if not ids:
        return ""
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    at_once = min(gallery.images["images_at_once"].drop_nulls().to_list())
    return (
        f"Memory ran out while images of {count(len(ids), 'unit')} were made "
        f"({', '.join(map(str, ids[:NAMED]))}{more}); they went on {at_once} at a time and are sound. To be "
        "faster: a smaller batch in [images], fewer networks, or another device."
    )
