"""A session and what it leaves out, in words: for the terminal and for README.txt."""

from __future__ import annotations

from inception_loop.stimuli.export_plan import Plan, Size

_NAMED = 12  # units named one by one


def duration(minutes: float) -> str:
    """Return a length for a person.

    Examples
    --------
    >>> duration(810.0), duration(59.96), duration(0.75)
    ('13 h 30 min', '1 h 00 min', '0.8 min')
    """
    if minutes < 10:
        return f"{minutes:.1f} min"
    hours, rest = divmod(round(minutes), 60)
    return f"{hours} h {rest:02d} min" if hours else f"{rest} min"


def in_words(plan: Plan) -> tuple[str, str]:
    """Return the whole session of a set, and the one that is cut, each in one line."""
    return _counted(plan.full), _counted(plan.cut)


def _counted(size: Size) -> str:
    what = [f"{size.unit_images} images of {some(size.units, 'unit')}"]
    what += [some(size.shifted_copies, "shifted copy")] if size.shifted_copies else []
    what += [f"{size.others} others (oracle images, blanks)"] if size.others else []
    repeats, trials = some(size.repeats, "repeat"), some(size.trials, "trial")
    return f"{' + '.join(what)}, {repeats}: {trials}, {duration(size.minutes)}"


def some(n: int, what: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> some(1, "unit"), some(2, "shifted copy")
    ('1 unit', '2 shifted copies')
    """
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{n} {what if n == 1 else many}"


def asked_out(plan: Plan) -> str:
    """Say what a session leaves out because that was asked for."""
    images = some(plan.full.images - plan.wanted.images, "image")
    more = f" and {len(plan.asked) - _NAMED} more" if len(plan.asked) > _NAMED else ""
    return f"{', '.join(plan.asked[:_NAMED])}{more}: {images}, as asked"


def left_out(plan: Plan) -> list[str]:
    """Say what a session leaves out, a line each, in the order in which it was given up."""
    full, cut = plan.wanted, plan.cut
    said = [asked_out(plan)] if plan.asked else []
    if cut.shifted_copies < full.shifted_copies:
        said.append(some(full.shifted_copies - cut.shifted_copies, "shifted copy"))
    if cut.repeats < full.repeats:
        said.append(f"{full.repeats - cut.repeats} of {full.repeats} repeats")
    if plan.left_out.height:
        rows = plan.left_out.rows(named=True)
        names = {row["source_name"] for row in rows}
        units = [
            f"{row['source_unit_id']}"
            + (f" of {row['source_name']}" if len(names) > 1 else "")
            + _rank(row["hu_rank"], plan)
            for row in rows[:_NAMED]
        ]
        more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
        what = f"{some(len(rows), 'unit')} from the end of the ranking"
        panel = "; not ranked: of the truth panel only" if any("not ranked" in unit for unit in units) else ""
        said.append(f"{what}: {', '.join(units)}{more}{panel}")
    return said


def _rank(rank: int | None, plan: Plan) -> str:
    if rank is not None:
        return f" (hu_rank {rank})"
    return " (not ranked)" if plan.ranked else ""
