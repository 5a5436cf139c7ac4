"""Conversion of amounts in USD to whole pico-dollars (1e-12 USD) and back. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

DIGITS = 12
"""Decimal places of a stored amount."""
MAX_PICO = 2**63 - 1
"""The largest amount that a column holds, in pico-dollars: 9.2 million USD."""
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def to_pico(amount: Decimal) -> int:
    """Round an amount in USD, half to even, to whole pico-dollars."""
    return int(amount.scaleb(DIGITS, _EXACT).to_integral_value(ROUND_HALF_EVEN))


def from_pico(pico: int) -> Decimal:
    """Convert pico-dollars to USD, without trailing zeros (`0`, `0.1`, `12`)."""
    amount = Decimal(pico).scaleb(-DIGITS, _EXACT).normalize(_EXACT)
    return amount if amount.as_tuple().exponent <= 0 else amount.quantize(Decimal(1), context=_EXACT)  # type: ignore[operator]
