"""The oracle of recommendations: against the job's own state machines on a simulated shop, by hand, and with every kind of fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from shop.v1.events_pb2 import Event

from scripts.checker.compare import compare
from scripts.checker.model import BY_PRODUCT, BY_USER, RECOMMENDATIONS, TRENDING, ExpectedEvent, Findings, Output, Outputs, Problem, Terms
from scripts.checker.oracle import expect
from scripts.checker.recommendations import Expected, compare_expected, compare_recommendations, expect_recommendations
from tests.checker import ideal as shop
from tests.checker.ideal import RULES, late_ids, shop_entries
from tests.checker.ideal_recommendations import recommendation_outputs

TERMS = Terms(
    recommendations=True, recommendation_window_ms=5_000, recommendation_half_life_ms=10_000, trending_half_life_ms=4_000,
    ties_in_log_order=True, until_ms=1 << 62,
)  # fmt: skip


@pytest.fixture(scope="module")
def on_time() -> list[ExpectedEvent]:
    expectation = expect(shop_entries(events=3_000), RULES)
    late = late_ids(expectation)
    return [event for event in expectation.events.values() if event.event_id not in late]


@pytest.fixture(scope="module")
def ideal(on_time: list[ExpectedEvent]) -> list[Output]:
    return recommendation_outputs(on_time, TERMS)


@pytest.fixture(scope="module")
def expected(on_time: list[ExpectedEvent]) -> Expected:
    return expect_recommendations(on_time, TERMS)


def findings(expected: Expected, outputs: list[Output], terms: Terms = TERMS) -> dict[tuple[Problem, str], int]:
    found = Findings()
    compare_expected(expected, Outputs.of(outputs), terms, found)
    return dict(found.counts)


def test_a_faultless_run_passes_and_holds_what_the_tests_break(on_time: list[ExpectedEvent], ideal: list[Output]) -> None:
    found = Findings()
    counts = compare_recommendations(on_time, Outputs.of(ideal), TERMS, found)
    assert not found.examples
    assert {topic: counts[topic].equal for topic in RECOMMENDATIONS} == {
        topic: sum(output.topic == topic for output in ideal) for topic in RECOMMENDATIONS
    }
    assert min(counts[topic].equal for topic in RECOMMENDATIONS) > 100
    assert any(json.loads(output.value or b"")["also_bought"] for output in ideal if output.topic == BY_PRODUCT)


def test_beside_all_other_outputs() -> None:
    """As scripts/verify sees them: they are no routed events."""
    expectation = expect(shop_entries(events=3_000), RULES)
    late = late_ids(expectation)
    on_time = [event for event in expectation.events.values() if event.event_id not in late]
    terms = replace(shop.TERMS, recommendations=True, ties_in_log_order=True)
    outputs = [*shop.ideal_outputs(expectation, late, terms), *recommendation_outputs(on_time, terms)]
    report = compare(expectation, Outputs.of(outputs), terms)
    assert not report.findings.examples
    assert report.insights.keys() >= set(RECOMMENDATIONS)
    assert not report.topics.keys() & set(RECOMMENDATIONS)


def test_at_a_higher_parallelism_ties_are_left_out(on_time: list[ExpectedEvent], ideal: list[Output]) -> None:
    tied = sorted(on_time, key=lambda event: (event.session_id, event.time_ms))
    tied = [replace(event, time_ms=tied[place - 1].time_ms) if place % 50 == 49 else event for place, event in enumerate(tied)]
    terms = replace(TERMS, ties_in_log_order=False)
    assert len(expect_recommendations(tied, terms).unsure_products) > 5
    assert findings(expect_recommendations(on_time, terms), ideal, terms) == {}


Break = Callable[[dict[str, Any]], dict[str, Any]]


def altered(outputs: list[Output], topic: str, change: Break) -> list[Output]:
    """The last record of a topic that has two items whose scores are not the same, changed."""
    def fits(output: Output) -> bool:
        if output.topic != topic:
            return False
        row = json.loads(output.value or b"")
        best = [item["score"] for item in row.get("also_viewed", row.get("items", ()))[:2]]
        return len(best) == 2 and best[0] > best[1] * 1.01

    place = next(place for place in reversed(range(len(outputs))) if fits(outputs[place]))
    row = json.loads(outputs[place].value or b"")
    return [*outputs[:place], outputs[place]._replace(value=json.dumps(change(row)).encode()), *outputs[place + 1 :]]


def items(row: dict[str, Any]) -> str:
    return "also_viewed" if "also_viewed" in row else "items"


def swapped(row: dict[str, Any]) -> dict[str, Any]:
    one, other, *rest = row[items(row)]
    return row | {items(row): [other, one, *rest]}


def raised(row: dict[str, Any]) -> dict[str, Any]:
    one, *rest = row[items(row)]
    return row | {items(row): [one | {"score": one["score"] * 1.01}, *rest]}


@pytest.mark.parametrize("topic", [BY_PRODUCT, TRENDING])
@pytest.mark.parametrize(
    "change",
    [
        swapped,
        raised,
        lambda row: row | {items(row): row[items(row)][1:]},
        lambda row: row | {items(row): [*row[items(row)][:-1], row[items(row)][-1] | {"product_id": "nobody"}]},
        lambda row: row | {items(row): [*row[items(row)][:-1], row[items(row)][0]]},
    ],
    ids=["order", "score", "best-missing", "stranger", "twice"],
)
def test_a_wrong_list(expected: Expected, ideal: list[Output], topic: str, change: Break) -> None:
    found = findings(expected, altered(ideal, topic, change))
    assert found[Problem.WRONG_SUM, topic] == 1


@pytest.mark.parametrize(
    ("topic", "change", "problem"),
    [
        (BY_PRODUCT, lambda row: row | {"time_ms": row["time_ms"] + 1}, Problem.UNEXPECTED),
        (BY_PRODUCT, lambda row: row | {"category": "other"}, Problem.WRONG_SUM),
        (BY_PRODUCT, lambda row: row | {"product_id": "nobody"}, Problem.WRONG_KEY),
        (BY_PRODUCT, lambda row: {"product_id": row["product_id"]}, Problem.ALTERED),
        (TRENDING, lambda row: row | {"time_ms": "now"}, Problem.ALTERED),
        (BY_USER, lambda row: row | {"session_id": "nobody"}, Problem.UNEXPECTED),
        (BY_USER, lambda row: row | {"items": []}, Problem.WRONG_SUM),
        (BY_USER, lambda row: row | {"user_id": "another"}, Problem.WRONG_SUM),
        (BY_USER, swapped, Problem.WRONG_SUM),
    ],
    ids=["time", "category", "key", "columns", "type", "session", "empty", "user", "order"],
)
def test_a_wrong_record(expected: Expected, ideal: list[Output], topic: str, change: Break, problem: Problem) -> None:
    outputs = altered(ideal, topic, change)
    if topic == BY_USER and change is swapped:  # only where the scores differ is the order wrong
        outputs = altered(ideal, topic, lambda row: row | {"items": [*row["items"][:-1], row["items"][-1] | {"score": 9.0}]})
    assert (problem, topic) in findings(expected, outputs)


def test_what_a_session_has_just_seen_is_not_for_it(expected: Expected, ideal: list[Output]) -> None:
    def seen(row: dict[str, Any]) -> dict[str, Any]:
        _, recent = expected.visits[row["session_id"], row["time_ms"]]
        return row | {"items": [{"product_id": min(recent), "score": 9.0}, *row["items"][1:]]}

    assert findings(expected, altered(ideal, BY_USER, seen)) == {(Problem.WRONG_SUM, BY_USER): 1}


@pytest.mark.parametrize("topic", RECOMMENDATIONS)
def test_lost_and_doubled(expected: Expected, ideal: list[Output], topic: str) -> None:
    """The last record of a key: what is left is out of date. One that comes twice is seen as well."""
    last = max(place for place, output in enumerate(ideal) if output.topic == topic)
    assert findings(expected, [*ideal[:last], *ideal[last + 1 :]]).get((Problem.LOST, topic)) == 1
    assert findings(expected, [*ideal, ideal[last]]).get((Problem.DOUBLED, topic)) == 1


def test_by_hand() -> None:
    """Session s: looks at a, then b, then buys both; session t: looks at a only. One window, nothing faded.

    a: 1 (s) + 8 (order) + 1 (t) = 10. b: 1 + 8 = 9. Together: 1 (a look) + 8 (the order) = 9.
    """
    def event(event_id: str, session_id: str, time_ms: int, *products: str, bought: bool = False) -> ExpectedEvent:
        made = Event(event_id=event_id, session_id=session_id)
        for product in products:
            if bought:
                made.order_placed.lines.add(product_id=product, category="toys")
            else:
                made.product_viewed.product_id, made.product_viewed.category = product, "toys"
        kind = "order_placed" if bought else "product_viewed"
        return ExpectedEvent(event_id, session_id, kind, time_ms, None, made.SerializeToString(), 0, time_ms,
                             frozenset(), frozenset(), {}, (), 0)  # fmt: skip

    events = [event("1", "s", 10, "a"), event("2", "s", 20, "b"), event("3", "s", 30, "a", "b", bought=True), event("4", "t", 40, "a")]
    found = expect_recommendations(events, TERMS)
    category, viewed, bought = found.products["a"][5_000]
    assert (category, set(viewed), set(bought)) == ("toys", {"b"}, {"b"})
    assert viewed["b"] == pytest.approx(9 / 10 / 9**0.35 * 9 / 11)
    assert bought["b"] == pytest.approx(1 / 10 / 9**0.35 * 1 / 3)
    assert found.products["b"][5_000][1]["a"] == pytest.approx(9 / 9 / 10**0.35 * 9 / 11)
    assert found.trends == {"toys": {5_000: {"a": 10, "b": 9}}}
    assert found.visits == {("s", 5_000): ("", {"a", "b"}), ("t", 5_000): ("", {"a"})}
