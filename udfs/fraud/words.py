"""Numbers as an analyst reads them."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Final

from iso4217 import Currency

_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def length(time_ms: int) -> str:
    """A length of time in its largest unit, with one digit behind the point if it is not whole: 90 min, 1.5 d."""
    for unit_ms, name in _UNITS:
        if time_ms >= unit_ms * (1 if time_ms % unit_ms == 0 else 2):
            return f"{round(time_ms / unit_ms, 1):g} {name}"
    return f"{time_ms} ms"


def money(amount_minor: int, currency: str) -> str:
    """An amount in minor units as people write it: 123456 with "USD" is "1,234.56 USD"."""
    exponent = _exponent(currency)
    return f"{Decimal(amount_minor).scaleb(-exponent):,.{exponent}f} {currency}"


@lru_cache(maxsize=1_000)
def _exponent(currency: str) -> int:
    try:
        return Currency(currency).exponent or 0
    except ValueError:  # any three letters are a valid currency of an event
        return 0
