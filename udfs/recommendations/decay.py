"""Sums of weights by item that fade with time and hold a bounded number of items.

Decay is exponential with a half-life. The sums are kept as of one moment and scaled when time moves on; a weight that
comes from before that moment is scaled itself, so the order of arrival does not matter. That is forward decay with an
exponential function, which is the same as backward decay: G. Cormode, V. Shkapenyuk, D. Srivastava, B. Xu, "Forward decay: a
practical time decay model for streaming systems", ICDE 2009.

Bounded: after each batch the largest `capacity` sums stay. As in Space-Saving (A. Metwally, D. Agrawal, A. El Abbadi, "Efficient
computation of frequent and top-k elements in data streams", ICDT 2005) the smallest is evicted; unlike there, a newcomer does not
inherit its count: the batches are sums of a whole window, so a newcomer that matters brings a weight of its own, and an
inherited count would rank noise among the neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import nsmallest
from typing import Any, Final, Self

NO_TIME: Final = -1
_FADED: Final = 1e-9
"""A sum below this is nothing: after 30 half-lives one event is."""


def faded(weight: float, age_ms: int, half_life_ms: int) -> float:
    """What is left of a weight after `age_ms`."""
    return weight * math.exp2(-age_ms / half_life_ms)


class FadingSums:
    """At most `capacity` items with their sums as of `as_of_ms`."""

    __slots__ = ("as_of_ms", "sums")

    def __init__(self) -> None:
        self.as_of_ms = NO_TIME
        self.sums: dict[str, float] = {}

    def add(self, weights: Iterable[tuple[str, float]], time_ms: int, half_life_ms: int, capacity: int) -> None:
        """Adds a batch of weights of one moment."""
        self.move_to(max(time_ms, self.as_of_ms), half_life_ms)
        share = faded(1.0, self.as_of_ms - time_ms, half_life_ms)
        sums = self.sums
        for item, weight in weights:
            sums[item] = sums.get(item, 0.0) + weight * share
        if len(sums) > capacity:
            self.sums = dict(self.largest(capacity))

    def move_to(self, time_ms: int, half_life_ms: int) -> None:
        """Fades all sums to a later moment."""
        if self.sums and time_ms > self.as_of_ms:
            share = faded(1.0, time_ms - self.as_of_ms, half_life_ms)
            self.sums = {item: left for item, total in self.sums.items() if (left := total * share) > _FADED}
        self.as_of_ms = time_ms

    def largest(self, count: int) -> list[tuple[str, float]]:
        """The largest sums first; equal ones by item."""
        return nsmallest(count, self.sums.items(), key=lambda entry: (-entry[1], entry[0]))

    def plain(self) -> list[Any]:
        """As what JSON can hold."""
        return [self.as_of_ms, self.sums]

    @classmethod
    def of_plain(cls, plain: list[Any]) -> Self:
        sums = cls()
        sums.as_of_ms, sums.sums = plain
        return sums
