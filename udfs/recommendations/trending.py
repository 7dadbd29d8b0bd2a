"""One category: which of its products are looked at, put into carts and bought most now. Pure.

The sums fade with a short half-life, so that the list follows the last minutes and not the whole of the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import orjson

from udfs.recommendations.decay import NO_TIME, FadingSums
from udfs.recommendations.neighbours import PUBLISHED, Scored, digest, rounded

CAPACITY: Final = 50
"""Products of a category that are remembered."""
_VERSION: Final = 1


@dataclass(slots=True)
class Trend:
    """The state of one category."""

    sums: FadingSums
    published: str = ""
    """Digest of the list that was published last."""
    used_ms: int = NO_TIME
    """As of Neighbours."""

    @classmethod
    def new(cls) -> Self:
        return cls(FadingSums())

    def add(self, weights: Sequence[tuple[str, float]], time_ms: int, half_life_ms: int) -> Scored | None:
        """What a window says that ended at `time_ms`. Returns the list, best first, if it is another than before."""
        self.sums.add(weights, time_ms, half_life_ms, CAPACITY)
        items = [(product_id, rounded(total)) for product_id, total in self.sums.largest(PUBLISHED)]
        told = digest(items)
        if told == self.published:
            return None
        self.published = told
        return items

    def packed(self) -> str:
        """All of it, as JSON."""
        return orjson.dumps([_VERSION, self.used_ms, self.published, self.sums.plain()]).decode()

    @classmethod
    def unpacked(cls, text: str) -> Self:
        _, used_ms, published, sums = orjson.loads(text)
        return cls(FadingSums.of_plain(sums), published, used_ms)
