"""The texts in which Java's windows hand sums over to the keyed Python stages; jobs/recommendations.py makes them.

A text is a list of lines joined by LINE_SEPARATOR, a line has fields joined by FIELD_SEPARATOR (those of udfs/facts.py, which no
text of a valid event holds):

    of a product and window    NEIGHBOUR  other product  weight       looked at, put into the cart within a few steps in a session
                               BOUGHT     other product  orders       lines of one order
                               OWN        category       weight       the product itself
    of a category and window              product        weight
    of all and a window                   product        weight
    of a session and window    session id, user id, then its last products, newest first
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from udfs.facts import FIELD_SEPARATOR, LINE_SEPARATOR

STEPS: Final = 3
"""How many events before it in its session a product is paired with. Two are a little worse, four no better (docs/insights.md)."""
WEIGHTS: Final = {"V": 1, "C": 3, "O": 8}
"""Weight of a look, a piece of the cart, a line of an order; by the kinds of udfs/facts.py."""
MOST_LINES: Final = 20
"""Lines of one order that are paired: 190 pairs at most, whatever an order is made of."""

NEIGHBOUR: Final = "v"
BOUGHT: Final = "b"
OWN: Final = "n"


@dataclass(frozen=True, slots=True)
class ProductWindow:
    """What one window says of one product."""

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
    own = largest = 0.0
    category = ""
    viewed: list[tuple[str, float]] = []
    bought: list[tuple[str, float]] = []
    for line in text.split(LINE_SEPARATOR):
        kind, name, weight = line.split(FIELD_SEPARATOR)
        if kind == NEIGHBOUR:
            viewed.append((name, float(weight)))
        elif kind == BOUGHT:
            bought.append((name, float(weight)))
        else:
            # A product that stands in two categories within a window belongs to the one that saw more of it.
            largest, category = max((largest, category), (float(weight), name))
            own += float(weight)
    return ProductWindow(category, own, viewed, bought)


def weights(text: str) -> list[tuple[str, float]]:
    """Of a category, or of all."""
    lines = (line.split(FIELD_SEPARATOR) for line in text.split(LINE_SEPARATOR))
    return [(name, float(weight)) for name, weight in lines]


def visit(text: str) -> Visit:
    session_id, user_id, *recent = text.split(FIELD_SEPARATOR)
    return Visit(session_id, user_id, tuple(recent))
