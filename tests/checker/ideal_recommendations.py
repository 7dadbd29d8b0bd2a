"""Recommendations and trends as a faultless job writes them: the job's own state machines (udfs/), windowed without Flink."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from shop.v1.events_pb2 import Event

from scripts.checker.model import BY_PRODUCT, BY_USER, TRENDING, ExpectedEvent, Output, Terms
from scripts.evaluation.interactions import Interaction, of_event
from scripts.evaluation.learning import Learner, Lengths
from udfs.recommendations.answers import next_items
from udfs.recommendations.neighbours import PUBLISHED, Scored
from udfs.recommendations.rows import STEPS
from udfs.recommendations.trending import Trend


def recommendation_outputs(on_time: Iterable[ExpectedEvent], terms: Terms) -> list[Output]:
    window_ms, half_life_ms = terms.recommendation_window_ms, terms.recommendation_half_life_ms
    learner = Learner(Lengths(window_ms, half_life_ms, terms.trending_half_life_ms))
    trends: dict[str, Trend] = {}
    events = sorted(on_time, key=lambda event: (event.time_ms, event.partition, event.offset))
    before: dict[str, list[str]] = {}
    out: list[Output] = []
    for _, group in groupby(events, key=lambda event: event.time_ms // window_ms):
        window = [(of_event(Event.FromString(event.value))._replace(time_ms=event.time_ms), event) for event in group]
        visits: dict[str, tuple[str, list[str]]] = {}
        for interaction, event in window:
            learner.learn(interaction)
            _visit(interaction, Event.FromString(event.value).user_id, before, visits)
        end_ms = window[0][0].time_ms // window_ms * window_ms + window_ms
        for session_id, (user_id, recent) in visits.items():
            items = next_items(learner.neighbours(recent[0]), learner.popularity.largest, recent)
            if items:
                row = {"user_id": user_id, "session_id": session_id, "time_ms": end_ms, "items": _items(items)}
                out.append(_output(BY_USER, user_id or session_id, row))
        learner.close()
        out.extend(_products(learner, half_life_ms))
        out.extend(_trends(window, trends, learner.time_ms, terms))
    return out


def _visit(event: Interaction, user_id: str, before: dict[str, list[str]], visits: dict[str, tuple[str, list[str]]]) -> None:
    seen = before.setdefault(event.session_id, [])
    product = event.items[0][0] if event.kind in ("V", "C") else ""
    if product:
        visits[event.session_id] = (user_id, [product, *(each for each in seen[:STEPS] if each)])
    seen.insert(0, product)


def _products(learner: Learner, half_life_ms: int) -> Iterator[Output]:
    for product, state in learner.products.items():
        if state.as_of_ms != learner.time_ms:
            continue
        viewed, bought = state.lists(learner.popularity, learner.time_ms, half_life_ms, PUBLISHED)
        if state.is_news(viewed, bought):
            row = {"product_id": product, "category": state.category, "time_ms": learner.time_ms,
                   "also_viewed": _items(viewed), "also_bought": _items(bought)}  # fmt: skip
            yield _output(BY_PRODUCT, product, row)


def _trends(window: list[tuple[Interaction, ExpectedEvent]], trends: dict[str, Trend], end_ms: int, terms: Terms) -> Iterator[Output]:
    for category in {category for event, _ in window for _, category in event.items}:
        weights = {"V": 1.0, "C": 3.0, "O": 8.0}
        sums: dict[str, float] = {}
        for event, _ in window:
            for product, where in event.items:
                if where == category:
                    sums[product] = sums.get(product, 0.0) + weights[event.kind]
        items = trends.setdefault(category, Trend.new()).add(list(sums.items()), end_ms, terms.trending_half_life_ms)
        if items is not None:
            yield _output(TRENDING, category, {"category": category, "time_ms": end_ms, "items": _items(items)})


def _items(scored: Scored) -> list[dict[str, Any]]:
    return [{"product_id": product, "score": score} for product, score in scored]


def _output(topic: str, key: str, row: dict[str, Any]) -> Output:
    return Output(topic, 0, 0, 0, key.encode(), json.dumps(row).encode())
