"""The job's recommendations without Flink: its windows in plain Python (jobs/recommendations.py has them in SQL), and behind them the
very state machines of udfs/recommendations/."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import combinations

from jobs.settings import Settings
from scripts.evaluation.interactions import Interaction
from udfs.facts import MOST_PAIRED
from udfs.recommendations import popularity, trending
from udfs.recommendations.neighbours import Neighbours, Scored
from udfs.recommendations.popularity import Popularity
from udfs.recommendations.rows import MOST_NEIGHBOURS, STEPS, WEIGHTS, ProductWindow
from udfs.recommendations.trending import Trend


@dataclass(frozen=True)
class Lengths:
    """As the job's settings of the same names, in ms."""

    recommendation_window_ms: int = Settings.recommendation_window_ms
    recommendation_half_life_ms: int = Settings.recommendation_half_life_ms
    trending_half_life_ms: int = Settings.trending_half_life_ms


@dataclass
class _Window:
    """Sums of one window."""

    end_ms: int
    together: Counter[tuple[str, str]] = field(default_factory=Counter)
    bought: Counter[tuple[str, str]] = field(default_factory=Counter)
    own: Counter[tuple[str, str]] = field(default_factory=Counter)  # category, product


class Learner:
    """Learns from interactions in the order of time; `close` ends the window that is open."""

    def __init__(self, lengths: Lengths = Lengths()) -> None:
        self._lengths = lengths
        self._before: defaultdict[str, deque[str]] = defaultdict(_no_products)  # session -> products; "" is none
        self._last_ms: dict[str, int] = {}  # session -> its last event
        self._window: _Window | None = None
        self.products: defaultdict[str, Neighbours] = defaultdict(Neighbours.new)
        self.trends: defaultdict[str, Trend] = defaultdict(Trend.new)
        self.popularity = Popularity(lengths.recommendation_half_life_ms)
        self.time_ms = 0
        """End of the last window that was closed."""

    def learn(self, event: Interaction) -> None:
        size_ms = self._lengths.recommendation_window_ms
        end_ms = event.time_ms - event.time_ms % size_ms + size_ms
        if self._window is None or self._window.end_ms != end_ms:
            self.close()
            self._window = _Window(end_ms)
        window, weight, before = self._window, WEIGHTS.get(event.kind, 0), self._before[event.session_id]
        for product, category in event.items:
            window.own[category, product] += weight
        if event.kind == "O":
            bought = sorted({product for product, _ in event.items[:MOST_PAIRED]})
            window.bought.update(combinations(bought, 2))
        looked_at = event.items[0][0] if event.kind in ("V", "C") else ""
        for product in set(before) - {looked_at, ""} if looked_at else ():
            window.together[min(looked_at, product), max(looked_at, product)] += weight
        before.append(looked_at)
        self._last_ms[event.session_id] = event.time_ms

    def close(self) -> None:
        if self._window is None:
            return
        window, half_life_ms = self._window, self._lengths.recommendation_half_life_ms
        self._window, self.time_ms = None, window.end_ms
        viewed, bought = _both_ways(window.together), _both_ways(window.bought)
        by_category: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
        own: defaultdict[str, tuple[float, str]] = defaultdict(lambda: (0.0, ""))
        for (category, product), more in window.own.items():
            before, name = own[product]
            own[product] = (before + more, max(name, category))
        for product, (weight, category) in own.items():
            by_category[category].append((product, weight))
        # One that was looked at in the window before may be paired in this one without being looked at again.
        for product in own.keys() | viewed.keys() | bought.keys():
            strongest = (_strongest(pairs.get(product, ()), MOST_NEIGHBOURS) for pairs in (viewed, bought))
            weight, category = own[product]
            self.products[product].add(ProductWindow(category, weight, *strongest), window.end_ms, half_life_ms)
        for category, weights in by_category.items():
            self.trends[category].add(_strongest(weights, trending.CAPACITY), window.end_ms, self._lengths.trending_half_life_ms)
        everything = [entry for weights in by_category.values() for entry in weights]
        self.popularity.add(_strongest(everything, popularity.CAPACITY), window.end_ms)
        self.popularity.move_to(window.end_ms)

    def forget(self, before_ms: int) -> None:
        """Drops what was last used before a moment, as the job does, and the sessions that are over by then."""
        self.products = defaultdict(Neighbours.new, {name: each for name, each in self.products.items() if each.as_of_ms >= before_ms})
        self.trends = defaultdict(Trend.new, {name: each for name, each in self.trends.items() if each.sums.as_of_ms >= before_ms})
        self._before = defaultdict(_no_products, {name: each for name, each in self._before.items() if self._last_ms[name] >= before_ms})
        self._last_ms = {name: self._last_ms[name] for name in self._before}

    def neighbours(self, product: str) -> Scored:
        """Of a product, best first, as of the last window."""
        if product not in self.products:
            return []
        state = self.products[product]
        return state.scores(state.viewed, self.popularity, self.time_ms, self._lengths.recommendation_half_life_ms)


def _no_products() -> deque[str]:
    return deque(maxlen=STEPS)


def _both_ways(pairs: Counter[tuple[str, str]]) -> defaultdict[str, list[tuple[str, float]]]:
    found: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for (one, other), weight in pairs.items():
        found[one].append((other, weight))
        found[other].append((one, weight))
    return found


def _strongest(weights: Iterable[tuple[str, float]], count: int) -> list[tuple[str, float]]:
    return nsmallest(count, weights, key=lambda entry: (-entry[1], entry[0]))
