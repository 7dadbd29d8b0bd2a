"""Text that strangers wrote, and numbers, made fit for a terminal."""

from __future__ import annotations

import unicodedata
from datetime import datetime, tzinfo
from typing import Final

_LIMIT: Final = 80
# ISO 4217: how many digits the minor unit has, where it is not two.
_MINOR_DIGITS: Final = dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)


def safe(text: str, limit: int = _LIMIT) -> str:
    """Without what moves a cursor, changes colours, reverses the direction or breaks a line; at most `limit` characters.

    Whatever came over Kafka or HTTP goes through here before it is shown: a session id such as "\\x1b]0;..." would otherwise
    command the terminal of whoever watches.
    """
    head = text[: 4 * limit]  # a megabyte of text is not looked at to its end
    kept = "".join(each for each in head if unicodedata.category(each) not in _UNSAFE)
    return kept if len(kept) <= limit and len(head) == len(text) else kept[: limit - 1] + "…"


# Controls, formats (bidirectional overrides, zero width), surrogates, private, unassigned; line and paragraph separators;
# marks, which pile up over other lines.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"})


def money(amount_minor: float, currency: str) -> str:
    """An amount in minor units as people write it: 123456 with "USD" is "1,234.56 USD"."""
    digits = _MINOR_DIGITS.get(currency, 2)
    return f"{amount_minor / 10**digits:,.{digits}f} {safe(currency, 8)}"


def clock(time_ms: int, zone: tzinfo | None = None) -> str:
    """Time of day, in the local zone if none is given; "?" for a time outside of the calendar."""
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, zone):%H:%M:%S}"
    except (OverflowError, OSError, ValueError):
        return "?"


def count(number: int | None) -> str:
    """With separators; a dash for what is not known."""
    return "–" if number is None else f"{number:,}"


def rate(per_second: float | None) -> str:
    """One digit behind the point as long as it says something."""
    if per_second is None:
        return "–"
    return f"{per_second:,.1f}" if 0 < per_second < 10 else f"{per_second:,.0f}"
