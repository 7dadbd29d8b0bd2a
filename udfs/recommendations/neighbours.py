"""One product: what is looked at and bought together with it. Pure.

Item-to-item collaborative filtering: G. Linden, B. Smith, J. York, "Amazon.com recommendations", IEEE Internet Computing 7(1),
2003; B. Sarwar, G. Karypis, J. Konstan, J. Riedl, "Item-based collaborative filtering recommendation algorithms", WWW 2001. The
score of a neighbour is its conditional probability, the co-occurrence over the product's own weight, divided by a power of
the neighbour's popularity: M. Deshpande, G. Karypis, "Item-based top-N recommendation algorithms", ACM TOIS 22(1), 2004, equation 3. A
power of 1/2 orders the neighbours as the cosine does. So what everybody looks at is not everybody's neighbour.
Sums fade, and so does what nobody looks at together any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Self

import orjson

from udfs.recommendations.decay import NO_TIME, FadingSums, faded
from udfs.recommendations.popularity import Popularity
from udfs.recommendations.rows import MOST_NEIGHBOURS, WEIGHTS, ProductWindow

PUBLISHED: Final = 10
_DAMPING: Final = 0.35
"""How much a neighbour's popularity counts against it, from 0 (not at all) to 1."""
_SUPPORT: Final = 2.0
"""Half of the score goes where the co-occurrence is no more than this: one chance meeting of two rare products is no bond."""
_DIGITS: Final = 6
_SURELY_LESS: Final = 1 - 1e-4
"""A score below this share of another one is less than it when both are rounded, too."""
_VERSION: Final = 1

Scored = list[tuple[str, float]]


@dataclass(slots=True)
class Neighbours:
    """The state of one product: at most MOST_NEIGHBOURS sums of each kind."""

    category: str
    weight: float
    """Of the product itself, as of `as_of_ms`."""
    as_of_ms: int
    viewed: FadingSums
    bought: FadingSums
    published: str = ""
    """Digest of the lists that were published last."""
    used_ms: int = NO_TIME
    """When it was last added to, by the clock and not by event time: for the caller, who forgets what is not used."""

    @classmethod
    def new(cls) -> Self:
        return cls("", 0.0, NO_TIME, FadingSums(), FadingSums())

    def add(self, window: ProductWindow, time_ms: int, half_life_ms: int) -> None:
        """What a window says that ended at `time_ms`."""
        if self.as_of_ms != NO_TIME:
            self.weight = faded(self.weight, time_ms - self.as_of_ms, half_life_ms)
        self.as_of_ms = time_ms
        self.weight += window.weight
        self.category = window.category or self.category
        viewed = [*window.viewed, *((other, WEIGHTS["O"] * orders) for other, orders in window.bought)]
        self.viewed.add(viewed, time_ms, half_life_ms, MOST_NEIGHBOURS)
        if window.bought:
            self.bought.add(window.bought, time_ms, half_life_ms, MOST_NEIGHBOURS)

    def scores(self, sums: FadingSums, popularity: Popularity, time_ms: int, half_life_ms: int, count: int = MOST_NEIGHBOURS) -> Scored:
        """The `count` best neighbours, best first; equal ones by product."""
        share = faded(1.0, time_ms - sums.as_of_ms, half_life_ms)
        own = faded(self.weight, time_ms - self.as_of_ms, half_life_ms)
        known, floor, left = popularity.known_at(time_ms)
        exact = []
        for other, total in sums.sums.items():
            together = total * share
            popular = max(known.get(other, floor) * left, together)
            likely = together / max(own, together)
            exact.append((likely / popular**_DAMPING * together / (together + _SUPPORT), other))
        if len(exact) > count:  # to round one takes as long as to score it
            least = sorted((score for score, _ in exact), reverse=True)[count - 1] * _SURELY_LESS
            exact = [entry for entry in exact if entry[0] >= least]
        scored = [(other, rounded(score)) for score, other in exact]
        scored.sort(key=lambda entry: (-entry[1], entry[0]))
        return scored[:count]

    def lists(self, popularity: Popularity, time_ms: int, half_life_ms: int, count: int) -> tuple[Scored, Scored]:
        """The `count` best of what is viewed with it, and of what is bought with it."""
        viewed, bought = (self.scores(sums, popularity, time_ms, half_life_ms, count) for sums in (self.viewed, self.bought))
        return viewed, bought

    def is_news(self, viewed: Scored, bought: Scored) -> bool:
        """Whether these are other products than those of the last call, or in another order."""
        told = digest(viewed, bought)
        changed, self.published = told != self.published, told
        return changed

    def packed(self) -> str:
        """All of it, as JSON."""
        head = (_VERSION, self.used_ms, self.as_of_ms, self.weight, self.category, self.published)
        return orjson.dumps([*head, self.viewed.plain(), self.bought.plain()]).decode()

    @classmethod
    def unpacked(cls, text: str) -> Self:
        _, used_ms, as_of_ms, weight, category, published, viewed, bought = orjson.loads(text)
        return cls(category, weight, as_of_ms, FadingSums.of_plain(viewed), FadingSums.of_plain(bought), published, used_ms)


def rounded(score: float) -> float:
    """To six digits: two equal scores that were summed in another order stay equal."""
    return float(f"{score:.{_DIGITS}g}")


def digest(*lists: Scored) -> str:
    """A short text that tells lists of products apart, whatever the scores."""
    text = "\x1e".join("\x1f".join(product_id for product_id, _ in each) for each in lists)
    return blake2b(text.encode(), digest_size=8).hexdigest()
