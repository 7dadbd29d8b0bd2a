"""Recommendations and trends in plain Python: what each record of them must say, from the events that were on time.

Written from the definition in docs/insights.md, sums kept as lists of (time, weight) that are added up anew for every question. Checked are
every record of `recommendations.by-product` and `trending.by-category`, and that the last one of each key is not out of date. Of
`recommendations.by-user`, what is determined: keys, that what the session has just seen is not recommended, order and number; which
products they are depends on whether the job answers a session before or after it has summed up the same window.

Not determined, and left out: products that stand near two events of one session with the same millisecond (unless `ties_in_log_order`),
and the order of products whose scores differ by less than ONE_PART.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from shop.v1.events_pb2 import Event

from scripts.checker.model import (
    BY_PRODUCT,
    BY_USER,
    TRENDING,
    ExpectedEvent,
    Findings,
    Output,
    Outputs,
    Problem,
    Terms,
    WindowCount,
)

TOP = 10
STEPS, MOST_LINES, MOST_EVENTS = 3, 20, 1_000
WEIGHTS = {"product_viewed": 1, "product_added_to_cart": 3, "order_placed": 8}
REMEMBERED, KNOWN_TO_BE_POPULAR = 50, 1_000
DAMPING, SUPPORT = 0.35, 2.0
ONE_PART = 1e-4
_COLUMNS = {
    BY_PRODUCT: {"product_id", "category", "time_ms", "also_viewed", "also_bought"},
    BY_USER: {"user_id", "session_id", "time_ms", "items"},
    TRENDING: {"category", "time_ms", "items"},
}

Scores = Mapping[str, float]


class Look(NamedTuple):
    """An event of a session; `product` is empty if it is no view and no piece of the cart."""

    time_ms: int
    kind: str
    product: str
    user_id: str


@dataclass(slots=True)
class Sums:
    """What happened in one window."""

    together: Counter[tuple[str, str]] = field(default_factory=Counter)  # both ways
    bought: Counter[tuple[str, str]] = field(default_factory=Counter)  # both ways
    own: Counter[tuple[str, str]] = field(default_factory=Counter)  # category, product


@dataclass(slots=True)
class Expected:
    """What records may say: by key, then by end of window. Only of windows in which the key was active."""

    products: dict[str, dict[int, tuple[str, Scores, Scores]]] = field(default_factory=dict)  # category, viewed, bought
    trends: dict[str, dict[int, Scores]] = field(default_factory=dict)
    visits: dict[tuple[str, int], tuple[str, set[str]]] = field(default_factory=dict)  # session, end -> user, what it has just seen
    unsure_products: set[str] = field(default_factory=set)
    unsure_sessions: set[str] = field(default_factory=set)


def compare_recommendations(
    on_time: Iterable[ExpectedEvent], outputs: Outputs, terms: Terms, findings: Findings
) -> dict[str, WindowCount]:
    """Holds the topics of this module against the oracle; their counts by topic."""
    return compare_expected(expect_recommendations(on_time, terms), outputs, terms, findings)


def compare_expected(expected: Expected, outputs: Outputs, terms: Terms, findings: Findings) -> dict[str, WindowCount]:
    """The same against what `expect_recommendations` gave, for who holds many outputs against it."""
    return {
        BY_PRODUCT: _compare_products(expected, outputs.of_topic(BY_PRODUCT), terms, findings),
        TRENDING: _compare_trends(expected, outputs.of_topic(TRENDING), terms, findings),
        BY_USER: _compare_visits(expected, outputs.of_topic(BY_USER), terms, findings),
    }


# -- what must come out ---------------------------------------------------------------------------------------------------------


def expect_recommendations(on_time: Iterable[ExpectedEvent], terms: Terms) -> Expected:
    expected, windows = Expected(), defaultdict[int, Sums](Sums)
    events = sorted(on_time, key=lambda event: (event.session_id, event.time_ms, event.partition, event.offset))
    for session_id, group in groupby(events, key=lambda event: event.session_id):
        session = list(group)
        looks = [_look(event) for event in session]
        for event in session[:MOST_EVENTS]:
            _count_own(event, windows[_end(event.time_ms, terms)])
        _count_steps(session_id, looks, windows, expected, terms)
        if not terms.ties_in_log_order:
            _doubt(session_id, looks, expected)
    _fade(windows, expected, terms)
    return expected


def _end(time_ms: int, terms: Terms) -> int:
    return time_ms - time_ms % terms.recommendation_window_ms + terms.recommendation_window_ms


def _look(event: ExpectedEvent) -> Look:
    payload = Event.FromString(event.value)
    product = ""
    if event.event_type == "product_viewed":
        product = payload.product_viewed.product_id
    elif event.event_type == "product_added_to_cart":
        product = payload.product_added_to_cart.item.product_id
    return Look(event.time_ms, event.event_type, product, payload.user_id)


def _count_own(event: ExpectedEvent, window: Sums) -> None:
    weight = WEIGHTS.get(event.event_type)
    if weight is None:
        return
    payload = getattr(Event.FromString(event.value), event.event_type)
    match event.event_type:
        case "product_viewed":
            items = [payload]
        case "product_added_to_cart":
            items = [payload.item]
        case _:
            items = list(payload.lines)
            paired = {line.product_id for line in items[:MOST_LINES]}
            for one in paired:
                for other in paired - {one}:
                    window.bought[one, other] += 1
    for item in items:
        window.own[item.category, item.product_id] += weight


def _count_steps(
    session_id: str, looks: Sequence[Look], windows: defaultdict[int, Sums], expected: Expected, terms: Terms
) -> None:
    for place, look in enumerate(looks):
        if not look.product:
            continue
        end_ms = _end(look.time_ms, terms)
        before = {each.product for each in looks[max(0, place - STEPS) : place]} - {""}
        for other in before - {look.product} if place < MOST_EVENTS else ():
            windows[end_ms].together[look.product, other] += WEIGHTS[look.kind]
            windows[end_ms].together[other, look.product] += WEIGHTS[look.kind]
        expected.visits[session_id, end_ms] = (look.user_id, before | {look.product})  # the last one of the window stays


def _doubt(session_id: str, looks: Sequence[Look], expected: Expected) -> None:
    for place in range(1, len(looks)):
        if looks[place].time_ms == looks[place - 1].time_ms:
            expected.unsure_sessions.add(session_id)
            around = looks[max(0, place - 1 - STEPS) : place + STEPS + 1]
            expected.unsure_products.update(look.product for look in around if look.product)


_Parts = dict[str, list[tuple[int, float]]]


def _fade(windows: Mapping[int, Sums], expected: Expected, terms: Terms) -> None:
    """Window by window: adds what it says, keeps the strongest, and writes down what the scores are then."""
    viewed, bought, trends = (defaultdict[str, _Parts](dict) for _ in range(3))
    known: _Parts = {}
    own: _Parts = {}
    categories: dict[str, str] = {}
    for end_ms, window in sorted(windows.items()):
        slow = (end_ms, terms.recommendation_half_life_ms)
        everywhere: Counter[str] = Counter()
        named: dict[str, str] = {}  # product -> category; of several, the last by name
        for (category, product), weight in window.own.items():
            everywhere[product] += weight
            named[product] = max(category, named.get(product, ""))
            own.setdefault(product, []).append((end_ms, weight))
        in_categories: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for product, weight in everywhere.items():
            in_categories[named[product]][product] = weight
        _add(known, _strongest(everywhere, KNOWN_TO_BE_POPULAR), KNOWN_TO_BE_POPULAR, *slow)
        popular = {product: _total(parts, *slow) for product, parts in known.items()}
        least = min(popular.values()) if len(popular) >= KNOWN_TO_BE_POPULAR else 0.0
        together, orders = _by_first(window.together), _by_first(window.bought)
        # One that was looked at in the window before may be paired in this one without being looked at again.
        for product in {product for _, product in window.own} | together.keys() | orders.keys():
            strongest, sold = (_strongest(pairs.get(product, {}), REMEMBERED) for pairs in (together, orders))
            seen = Counter(strongest)
            for other, count in sold.items():
                seen[other] += WEIGHTS["order_placed"] * count
            _add(viewed[product], seen, REMEMBERED, *slow)
            _add(bought[product], sold, REMEMBERED, *slow)
            alone = _total(own.get(product, ()), *slow)
            categories[product] = named.get(product) or categories.get(product, "")
            scores = [_scores(sums[product], alone, popular, least, *slow) for sums in (viewed, bought)]
            expected.products.setdefault(product, {})[end_ms] = (categories[product], scores[0], scores[1])
        for category, products in in_categories.items():
            if category:
                quick = (end_ms, terms.trending_half_life_ms)
                _add(trends[category], _strongest(products, REMEMBERED), REMEMBERED, *quick)
                scores_now = {product: _total(parts, *quick) for product, parts in trends[category].items()}
                expected.trends.setdefault(category, {})[end_ms] = scores_now


def _by_first(pairs: Mapping[tuple[str, str], int]) -> defaultdict[str, Counter[str]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (one, other), weight in pairs.items():
        found[one][other] += weight
    return found


def _strongest(weights: Mapping[str, int], count: int) -> dict[str, int]:
    return dict(sorted(weights.items(), key=lambda entry: (-entry[1], entry[0]))[:count])


def _total(parts: Iterable[tuple[int, float]], now_ms: int, half_life_ms: int) -> float:
    total: float = sum(weight * 0.5 ** ((now_ms - time_ms) / half_life_ms) for time_ms, weight in parts)
    return total


def _add(sums: _Parts, weights: Mapping[str, int], most: int, now_ms: int, half_life_ms: int) -> None:
    for item, weight in weights.items():
        sums.setdefault(item, []).append((now_ms, weight))
    if len(sums) > most:
        order = sorted(sums, key=lambda item: (-_total(sums[item], now_ms, half_life_ms), item))
        for item in order[most:]:
            del sums[item]


def _scores(sums: _Parts, own: float, popular: Scores, least: float, now_ms: int, half_life_ms: int) -> Scores:
    found = {}
    for other, parts in sums.items():
        together = _total(parts, now_ms, half_life_ms)
        probability = together / max(own, together)
        found[other] = probability / max(popular.get(other, least), together) ** DAMPING * together / (together + SUPPORT)
    return found


# -- what did come out ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Count:
    equal: int = 0
    wrong: int = 0
    lost: int = 0
    still_open: int = 0
    newest_ms: int | None = None

    def done(self) -> WindowCount:
        return WindowCount(self.equal, self.wrong, self.lost, self.still_open, self.newest_ms)


def _compare_products(expected: Expected, outputs: Sequence[Output], terms: Terms, findings: Findings) -> WindowCount:
    count = _Count()
    last: dict[str, dict[str, Any]] = {}
    for output, row in _rows(BY_PRODUCT, "product_id", outputs, findings, count):
        product, time_ms = row["product_id"], row["time_ms"]
        if (last[product]["time_ms"] if product in last else -1) >= time_ms:
            findings.add(Problem.DOUBLED, BY_PRODUCT, "{}: {} at {} came before", output.place, product, time_ms)
        last[product] = row
        wanted = expected.products.get(product, {}).get(time_ms)
        if wanted is None:
            findings.add(Problem.UNEXPECTED, BY_PRODUCT, "{}: nobody was at {} until {}: {}", output.place, product, time_ms, row)
        elif product not in expected.unsure_products:
            faults = [*_faults(row["also_viewed"], wanted[1]), *_faults(row["also_bought"], wanted[2])]
            if row["category"] != wanted[0]:
                faults.append(f"category {row['category']!r} instead of {wanted[0]!r}")
            _judge(BY_PRODUCT, output, row, faults, findings, count)
    closed_ms = _closed(count, terms)
    for product, windows in expected.products.items():
        due = [end_ms for end_ms in windows if end_ms <= closed_ms]
        count.still_open += not due
        if due and product not in expected.unsure_products:
            _, viewed, bought = windows[max(due)]
            was = last.get(product)
            if was is None or (was["time_ms"] < max(due) and (_stale(was["also_viewed"], viewed) or _stale(was["also_bought"], bought))):
                count.lost += 1
                findings.add(Problem.LOST, BY_PRODUCT, "{} at {}: {}", product, max(due), was and was["time_ms"])
    return count.done()


def _compare_trends(expected: Expected, outputs: Sequence[Output], terms: Terms, findings: Findings) -> WindowCount:
    count = _Count()
    last: dict[str, dict[str, Any]] = {}
    for output, row in _rows(TRENDING, "category", outputs, findings, count):
        category, time_ms = row["category"], row["time_ms"]
        if (last[category]["time_ms"] if category in last else -1) >= time_ms:
            findings.add(Problem.DOUBLED, TRENDING, "{}: {} at {} came before", output.place, category, time_ms)
        last[category] = row
        wanted = expected.trends.get(category, {}).get(time_ms)
        if wanted is None:
            findings.add(Problem.UNEXPECTED, TRENDING, "{}: nobody was at {} until {}: {}", output.place, category, time_ms, row)
        else:
            _judge(TRENDING, output, row, list(_faults(row["items"], wanted)), findings, count)
    closed_ms = _closed(count, terms)
    for category, windows in expected.trends.items():
        due = [end_ms for end_ms in windows if end_ms <= closed_ms]
        count.still_open += not due
        was = last.get(category)
        if due and (was is None or (was["time_ms"] < max(due) and _stale(was["items"], windows[max(due)]))):
            count.lost += 1
            findings.add(Problem.LOST, TRENDING, "{} at {}: {}", category, max(due), was and was["time_ms"])
    return count.done()


def _compare_visits(expected: Expected, outputs: Sequence[Output], terms: Terms, findings: Findings) -> WindowCount:
    count, seen = _Count(), set()
    for output, row in _rows(BY_USER, None, outputs, findings, count):
        session_id, time_ms, items = row["session_id"], row["time_ms"], row["items"]
        wanted = expected.visits.get((session_id, time_ms))
        if wanted is None:
            findings.add(Problem.UNEXPECTED, BY_USER, "{}: {} looked at nothing until {}", output.place, session_id, time_ms)
            continue
        user_id, recent = wanted
        if (session_id, time_ms) in seen:
            findings.add(Problem.DOUBLED, BY_USER, "{}: {} at {} came before", output.place, session_id, time_ms)
        seen.add((session_id, time_ms))
        products = [item["product_id"] for item in items]
        scores = [item["score"] for item in items]
        faults = []
        if not 0 < len(items) <= TOP or len(set(products)) < len(products):
            faults.append(f"{len(items)} items, {len(set(products))} different")
        if scores != sorted(scores, reverse=True):
            faults.append("not best first")
        if session_id not in expected.unsure_sessions:
            if recent & set(products):
                faults.append(f"has just seen {sorted(recent & set(products))}")
            if row["user_id"] != user_id:
                faults.append(f"user {row['user_id']!r} instead of {user_id!r}")
        if output.key != (row["user_id"] or session_id).encode():
            findings.add(Problem.WRONG_KEY, BY_USER, "{}: key {!r}", output.place, output.key)
        _judge(BY_USER, output, row, faults, findings, count)
    # Nothing can be answered before the first window has been summed up, and in the one after perhaps not everywhere.
    first_ms = min((end_ms for _, end_ms in seen), default=0)
    for session_id, end_ms in expected.visits.keys() - seen:
        if end_ms <= first_ms + terms.recommendation_window_ms:
            continue
        if end_ms <= (count.newest_ms or 0):
            count.lost += 1
            findings.add(Problem.LOST, BY_USER, "{} at {}", session_id, end_ms)
        else:
            count.still_open += 1
    return count.done()


def _rows(
    topic: str, key: str | None, outputs: Iterable[Output], findings: Findings, count: _Count
) -> Iterator[tuple[Output, dict[str, Any]]]:
    for output in outputs:
        try:
            row = json.loads(output.value or b"")
        except ValueError as error:
            findings.add(Problem.ALTERED, topic, "{}: no JSON: {}", output.place, error)
            continue
        if not isinstance(row, dict) or row.keys() != _COLUMNS[topic] or type(row["time_ms"]) is not int:
            findings.add(Problem.ALTERED, topic, "{}: not the columns {}: {!r}", output.place, sorted(_COLUMNS[topic]), output.value)
            continue
        if key is not None and output.key != row[key].encode():
            findings.add(Problem.WRONG_KEY, topic, "{}: key {!r}, {} {!r}", output.place, output.key, key, row[key])
        count.newest_ms = max(row["time_ms"], count.newest_ms or 0)
        yield output, row


def _judge(topic: str, output: Output, row: dict[str, Any], faults: list[str], findings: Findings, count: _Count) -> None:
    if faults:
        count.wrong += 1
        findings.add(Problem.WRONG_SUM, topic, "{}: {}: {}", output.place, row, "; ".join(faults))
    else:
        count.equal += 1


def _closed(count: _Count, terms: Terms) -> int:
    return max((ms for ms in (count.newest_ms, terms.until_ms) if ms is not None), default=-1)


def _faults(items: Sequence[Mapping[str, Any]], wanted: Scores) -> Iterator[str]:
    """What is wrong with a list of the best of `wanted`, order and scores included."""
    for item in items:
        score = wanted.get(item["product_id"])
        if score is None or abs(score - item["score"]) > ONE_PART * score:
            yield f"{item['product_id']} {item['score']} instead of {score}"
    if stale := _stale(items, wanted):
        yield stale


def _stale(items: Sequence[Mapping[str, Any]], wanted: Scores) -> str:
    """In which way the products are not the best of `wanted` in their order; empty if they are, whatever their scores."""
    products = [item["product_id"] for item in items]
    if len(products) != min(TOP, len(wanted)) or len(set(products)) < len(products):
        return f"{len(products)} products of {len(wanted)}"
    scores = [wanted.get(product, 0.0) for product in products]
    for place, score in enumerate(scores):
        if any(later * (1 - ONE_PART) > score for later in scores[place + 1 :]):
            return f"{products[place]} stands too high"
    best_left = max((score for product, score in wanted.items() if product not in products), default=0.0)
    if scores and best_left * (1 - ONE_PART) > min(scores):
        return "a better one is not among them"
    return ""
