"""How popular the most popular products are, for the scores of all others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Self

import orjson

from udfs.recommendations.decay import FadingSums, faded

CAPACITY: Final = 1_000
"""Products of which it is known how popular they are; of any other it is known that it is not above the last of these."""
_VERSION: Final = 1


class Popularity:
    """Fed with the most popular products of each window.

    It answers as of a moment: what has come of later windows waits. So the answers do not depend on how far ahead one input of
    an operator is of the other.
    """

    __slots__ = ("_floor", "_half_life_ms", "_sums", "_waiting", "largest")

    def __init__(self, half_life_ms: int) -> None:
        self._half_life_ms = half_life_ms
        self._waiting: dict[int, FadingSums] = {}  # end of the window -> its weights
        self.largest: tuple[str, ...] = ()
        """Products, the most popular first; this one as of all that has come."""
        self._hold(FadingSums())

    def _hold(self, sums: FadingSums) -> None:
        self._sums = sums
        self._floor = min(sums.sums.values()) if len(sums.sums) >= CAPACITY else 0.0

    def _rank(self) -> None:
        known = FadingSums()
        for told in (self._sums, *self._waiting.values()):
            known.add(told.sums.items(), told.as_of_ms, self._half_life_ms, CAPACITY)
        self.largest = tuple(product_id for product_id, _ in known.largest(CAPACITY))

    def add(self, weights: Sequence[tuple[str, float]], time_ms: int) -> None:
        """The weights of one window, which ends at `time_ms`."""
        self._waiting.setdefault(time_ms, FadingSums()).add(weights, time_ms, self._half_life_ms, CAPACITY)
        self._rank()

    def move_to(self, time_ms: int) -> None:
        """Time has come to `time_ms`; it never goes back."""
        ended = sorted(window_ms for window_ms in self._waiting if window_ms <= time_ms)
        for window_ms in ended:
            self._sums.add(self._waiting.pop(window_ms).sums.items(), window_ms, self._half_life_ms, CAPACITY)
        if ended:
            self._hold(self._sums)

    def known_at(self, time_ms: int) -> tuple[Mapping[str, float], float, float]:
        """Weights by product, the most that one which is not among them can have, and the share of all these that is left by then."""
        return self._sums.sums, self._floor, faded(1.0, time_ms - self._sums.as_of_ms, self._half_life_ms)

    def packed(self) -> str:
        """All of it, as JSON."""
        return orjson.dumps([_VERSION, self._sums.plain(), [waiting.plain() for waiting in self._waiting.values()]]).decode()

    @classmethod
    def unpacked(cls, text: str, half_life_ms: int) -> Self:
        popularity = cls(half_life_ms)
        _, sums, waiting = orjson.loads(text)
        popularity._hold(FadingSums.of_plain(sums))
        popularity._waiting = {time_ms: FadingSums.of_plain([time_ms, weights]) for time_ms, weights in waiting}
        popularity._rank()
        return popularity
