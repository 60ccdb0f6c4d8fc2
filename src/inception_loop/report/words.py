"""Numbers in words: one place that decides how each is rounded."""

from __future__ import annotations

from inception_loop.closed_loop.statistics import numerals

MINUS = numerals.MINUS


def number(value: float, digits: int = 2) -> str:
    """Return a number with a fixed count of decimals and a true minus sign.

    Examples
    --------
    >>> number(-0.456), number(12, 0), number(-0.001)
    ('−0.46', '12', '0.00')
    """
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def percent(value: float) -> str:
    """Return a share as percent; 100 % and 0 % only for what is exactly that.

    Examples
    --------
    >>> percent(18 / 21), percent(0.998), percent(1.0), percent(-0.1)
    ('86 %', '99.8 %', '100 %', '−10 %')
    >>> percent(0.999645), percent(0.0004)
    ('99.96 %', '0.04 %')
    """
    digits, whole_ones = 0, ("100", "0")
    while value not in (0, 1) and digits < 9 and f"{100 * value:.{digits}f}".lstrip("-") in whole_ones:
        digits += 1
        whole_ones = (f"{100:.{digits}f}", f"{0:.{digits}f}")
    return f"{number(100 * value, digits)} %"


def p_value(value: float) -> str:
    """Return a p-value: three decimals, or a power of ten below 0.001.

    Examples
    --------
    >>> p_value(0.0321), p_value(1e-5), p_value(0.00042)
    ('0.032', '1.0 × 10⁻⁵', '4.2 × 10⁻⁴')
    """
    if value >= numerals.SMALL:
        return f"{value:.3f}"
    return numerals.power_of_ten(value)


def count(value: float, what: str, plural: str | None = None) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> count(1, "cell"), count(12345, "trial"), count(2, "network")
    ('1 cell', '12,345 trials', '2 networks')
    """
    return f"{int(value):,} {what if value == 1 else plural or what + 's'}"


def general(value: float) -> str:
    """Return any number: counts as they are, everything else with three decimals.

    Examples
    --------
    >>> general(1400.0), general(-0.1234567), general(0.25)
    ('1,400', '−0.123', '0.250')
    """
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1 else number(value, 3)


def whole(value: int) -> str:
    """Return a whole number.

    Examples
    --------
    >>> whole(12345)
    '12,345'
    """
    return f"{value:,}"
