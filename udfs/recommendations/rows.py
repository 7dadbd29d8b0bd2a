"""The texts that Java's windows hand over to the keyed Python stages; jobs/recommendations.py makes them.

Of a product and window: what happened to it, as elements joined by ELEMENT_SEPARATOR, in any order and as often as it happened. So
one call counts a text of thousands of them. The first letter of an element is its kind:

    V  C  O   the product itself was looked at, put into a cart, ordered; then its category
    v  c      so was another within STEPS events in a session; then the other product
    b         it was ordered together with another; then the other product

Of a category and window, or of all and a window: lines joined by LINE_SEPARATOR, each a product and a weight. Of a session and window:
session id, user id, its last products, newest first. Fields are joined by FIELD_SEPARATOR. The separators are those of udfs/facts.py,
which no text of a valid event holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Final

from udfs.facts import CATEGORY_SEPARATOR, FIELD_SEPARATOR, LINE_SEPARATOR

ELEMENT_SEPARATOR: Final = CATEGORY_SEPARATOR
STEPS: Final = 3
"""How many events before it in its session a product is paired with."""
WEIGHTS: Final = {"V": 1, "C": 3, "O": 8}
"""Weight of a look, a piece of the cart, a line of an order; by the kinds of udfs/facts.py."""
MOST_EVENTS: Final = 1_000
"""Of one session that count: nobody shops so long, but programs do."""
MOST_NEIGHBOURS: Final = 50
"""Of a product that are remembered, and that one window may tell of."""


@dataclass(frozen=True, slots=True)
class ProductWindow:
    """What one window says of one product: the strongest neighbours of each kind."""

    category: str = ""
    weight: float = 0.0
    viewed: list[tuple[str, float]] = field(default_factory=list)
    bought: list[tuple[str, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a session stands: its last products, newest first."""

    session_id: str
    user_id: str
    recent: tuple[str, ...]


def product_window(text: str) -> ProductWindow:
    category, own = "", 0.0
    viewed: dict[str, float] = {}
    bought: dict[str, float] = {}
    for element, times in Counter(text.split(ELEMENT_SEPARATOR)).items():
        kind, name = element[0], element[1:]
        if kind in WEIGHTS:
            own += WEIGHTS[kind] * times
            category = max(category, name)  # one that stands in two belongs to the last by name, as in jobs/recommendations.py
        elif kind == "b":
            bought[name] = bought.get(name, 0.0) + times
        else:
            viewed[name] = viewed.get(name, 0.0) + WEIGHTS[kind.upper()] * times
    return ProductWindow(category, own, strongest(viewed), strongest(bought))


def strongest(weights: Mapping[str, float], count: int = MOST_NEIGHBOURS) -> list[tuple[str, float]]:
    """The items of most weight, in any order; of equal ones, those that come first by name."""
    return list(weights.items()) if len(weights) <= count else nsmallest(count, weights.items(), key=lambda entry: (-entry[1], entry[0]))


def weights(text: str) -> list[tuple[str, float]]:
    """Of a category, or of all."""
    lines = (line.split(FIELD_SEPARATOR) for line in text.split(LINE_SEPARATOR))
    return [(name, float(weight)) for name, weight in lines]


def visit(text: str) -> Visit:
    session_id, user_id, *recent = text.split(FIELD_SEPARATOR)
    return Visit(session_id, user_id, tuple(recent))
