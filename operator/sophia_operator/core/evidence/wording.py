"""Numbers as people read them, and as status holds them."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

_USUAL_DIGITS: Final = 3
_MOST_DIGITS: Final = 12


def exact(value: float) -> Decimal:
    """The decimal number that a sample was written as."""
    return Decimal(repr(value))


def text(value: Decimal, *bounds: Decimal) -> str:
    """A plain decimal number, rounded, but never so far that it seems to lie on the other side of a bound."""
    for digits in range(_USUAL_DIGITS, _MOST_DIGITS + 1):
        rounded = _rounded(value, digits)
        if all(_side(rounded, bound) == _side(value, bound) for bound in bounds):
            return _plain(rounded)
    return _plain(_rounded(value, _MOST_DIGITS))


def _rounded(value: Decimal, digits: int) -> Decimal:
    if value.adjusted() > 15:
        # Digits that a double does not have.
        return Decimal(f"{value:.15e}")
    return value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)


def _plain(value: Decimal) -> str:
    if value.adjusted() > 20:
        return f"{value.normalize():e}"
    written = f"{value:f}"
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return "0" if written in ("-0", "") else written


def _side(value: Decimal, bound: Decimal) -> int:
    return (value > bound) - (value < bound)
