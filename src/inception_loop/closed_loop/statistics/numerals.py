"""Numbers as a sentence has them: a true minus sign, powers of ten instead of exponents."""

from __future__ import annotations

import math

MINUS = "−"
SMALL = 0.001
"""Below it numbers are powers of ten."""

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def said(value: float) -> str:
    """Return a number with three digits, for the words of a test.

    Examples
    --------
    >>> said(-0.19), said(0.0625), said(1e-05), said(-123456.7), said(0)
    ('−0.19', '0.0625', '1.0 × 10⁻⁵', '−123,457', '0')
    """
    size = abs(value)
    plain = f"{size:,.0f}" if size >= 999.5 else f"{size:.3g}"
    text = power_of_ten(size) if 0 < size < SMALL else plain
    return f"{MINUS}{text}" if value < 0 else text


def power_of_ten(value: float) -> str:
    """Return a number above 0 as one decimal times a power of ten.

    Examples
    --------
    >>> power_of_ten(4.2e-4), power_of_ten(9.99e-4)
    ('4.2 × 10⁻⁴', '1.0 × 10⁻³')
    """
    exponent = math.floor(math.log10(value))
    mantissa = f"{value / 10**exponent:.1f}"
    if mantissa == "10.0":
        mantissa, exponent = "1.0", exponent + 1
    return f"{mantissa} × 10{str(exponent).translate(_SUPERSCRIPT)}"
