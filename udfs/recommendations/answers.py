"""One session: what comes next, from the neighbours of the product that it looked at last. Pure.

Only the last product is asked: of three, weighted by age, the answers were worse on the simulated shop (docs/insights.md), and each
more would be a message more for every session and window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from udfs.recommendations.neighbours import PUBLISHED, Scored
from udfs.recommendations.rows import STEPS

MOST_ASKED: Final = PUBLISHED + STEPS + 1
"""Neighbours that can matter: PUBLISHED of them, and as many as the session has just seen."""
_POPULAR = 0.0
"""Score of a product that is there for being popular, and not for what the session looked at."""


def next_items(neighbours: Scored, popular: Iterable[str], recent: Sequence[str]) -> Scored:
    """PUBLISHED products, best first: neighbours, then popular ones where there are too few; none that the session has just seen."""
    seen = set(recent)
    items: Scored = []
    for product_id, score in chain(neighbours, ((product_id, _POPULAR) for product_id in popular)):
        if product_id not in seen:
            seen.add(product_id)
            items.append((product_id, score))
            if len(items) == PUBLISHED:
                break
    return items
