"""Where countries are, and how numbers are told."""

from __future__ import annotations

import pytest

from udfs.fraud.places import distance_km, is_known
from udfs.fraud.words import length, money


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [("DE", "FR", 800), ("GB", "AU", 15_000), ("US", "NZ", 12_600), ("FJ", "WS", 1_440), ("DE", "DE", 0), ("BR", "CN", 16_600)],
)
def test_distance(one: str, other: str, km: float) -> None:
    """To a tenth: great circles also across the date line."""
    assert distance_km(one, other) == pytest.approx(km, rel=0.1)
    assert distance_km(other, one) == distance_km(one, other)


@pytest.mark.parametrize("country", ["", "ZZ", "de", "USA"])
def test_unknown(country: str) -> None:
    assert distance_km("DE", country) is None
    assert not is_known(country)


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [(0, "0 ms"), (999, "999 ms"), (1_000, "1 s"), (60_000, "1 min"), (90_000, "90 s"), (150_000, "2.5 min"), (600_000, "10 min"),
     (3_600_000, "1 h"), (5_400_000, "90 min"), (86_400_000, "1 d"), (200_000_000, "2.3 d")],
)  # fmt: skip
def test_length(time_ms: int, text: str) -> None:
    assert length(time_ms) == text


@pytest.mark.parametrize(
    ("amount", "text"), [((123_456, "USD"), "1,234.56 USD"), ((5, "JPY"), "5 JPY"), ((1_234, "KWD"), "1.234 KWD"), ((5, "XYZ"), "5 XYZ")]
)
def test_money(amount: tuple[int, str], text: str) -> None:
    assert money(*amount) == text
