"""Where an event goes by a whole set of rules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.udfs import samples
from udfs.rules import EVENT_TYPES, NOWHERE, Route, RuleSet, rule_from
from udfs.validation import UNKNOWN

SEED_RULE = Path(__file__).parents[2] / "rules" / "high-value-orders.yaml"
ORDERED = {"topic": "orders", "order": "session"}
INSTANT = {"topic": "orders", "order": "none"}
PAYMENTS = {"topic": "payments"}
FRAUD = {"topic": "fraud-detection", "order": "none"}


def rule_set(rules: Iterable[dict[str, Any]]) -> RuleSet:
    return RuleSet(rule_from(raw, samples.TOPICS) for raw in rules)


def route(rules: Iterable[dict[str, Any]], event_type: str = "order_placed") -> Route:
    """Where an event of this type goes; one of an unknown type has a known envelope only."""
    event = samples.event() if event_type == UNKNOWN else samples.event(event_type)
    return rule_set(rules).route(event, event_type)


def rule(rule_id: str, *to: dict[str, str], total_over: int | None = None, enabled: bool = True) -> dict[str, Any]:
    """A rule for orders; the sample's total is 5498."""
    if total_over is None:
        return samples.rule(id=rule_id, enabled=enabled, to=list(to))
    path = "$.order_placed.total.amount_minor"
    return samples.conditional_rule(path, ">", total_over, events=("order_placed",), id=rule_id, enabled=enabled, to=list(to))


ROUTES: dict[str, tuple[list[dict[str, Any]], Route]] = {
    "no rules": ([], NOWHERE),
    "in session order": ([rule("a", ORDERED)], Route("orders", "")),
    "at once": ([rule("a", INSTANT)], Route("", "orders")),
    "both": ([rule("a", ORDERED, FRAUD)], Route("orders", "fraud-detection")),
    "two topics, as written": ([rule("a", PAYMENTS, ORDERED)], Route("payments;orders", "")),
    "two rules, by their ids": ([rule("b", ORDERED), rule("a", PAYMENTS)], Route("payments;orders", "")),
    "two rules, one topic: once": ([rule("a", ORDERED), rule("b", ORDERED)], Route("orders", "")),
    "none wins, last": ([rule("a", ORDERED), rule("b", INSTANT)], Route("", "orders")),
    "none wins, first": ([rule("a", INSTANT), rule("b", ORDERED)], Route("", "orders")),
    "none wins for its topic alone": ([rule("a", ORDERED, PAYMENTS), rule("b", INSTANT)], Route("payments", "orders")),
    "condition holds": ([rule("a", ORDERED, total_over=5497)], Route("orders", "")),
    "condition does not hold": ([rule("a", ORDERED, total_over=5498)], NOWHERE),
    "with and without a condition": ([rule("a", FRAUD, total_over=5497), rule("b", ORDERED)], Route("orders", "fraud-detection")),
    "without a condition only": ([rule("a", FRAUD, total_over=5498), rule("b", ORDERED)], Route("orders", "")),
    "none wins by a condition": ([rule("a", INSTANT, total_over=5497), rule("b", ORDERED)], Route("", "orders")),
    "none wins over a condition": ([rule("a", INSTANT), rule("b", ORDERED, total_over=5497)], Route("", "orders")),
    "disabled": ([rule("a", ORDERED, enabled=False)], NOWHERE),
    "disabled, with a condition": ([rule("a", INSTANT, total_over=0, enabled=False), rule("b", ORDERED)], Route("orders", "")),
}


@pytest.mark.parametrize(("rules", "expected"), ROUTES.values(), ids=ROUTES)
def test_route(rules: list[dict[str, Any]], expected: Route) -> None:
    assert route(rules) == expected


def test_all_conditions_must_hold() -> None:
    def both(total_over: int, order_id: str) -> dict[str, Any]:
        total = {"path": "$.order_placed.total.amount_minor", "op": ">", "value": total_over}
        order = {"path": "$.order_placed.order_id", "op": "==", "value": order_id}
        return samples.rule(when={"events": ["order_placed"], "all": [total, order]})

    assert route([both(1, "o-1")]) == Route("orders", "")
    assert route([both(1, "o-2")]) == NOWHERE
    assert route([both(9999, "o-1")]) == NOWHERE


@pytest.mark.parametrize("event_type", [*EVENT_TYPES, UNKNOWN])
def test_event_types(event_type: str) -> None:
    to_orders = Route("orders", "")
    assert route([samples.rule(when={"events": ["*"]})], event_type) == to_orders
    assert route([samples.rule(when={"events": [event_type]})], event_type) == to_orders
    assert route([samples.rule(when={"events": [each for each in (*EVENT_TYPES, UNKNOWN) if each != event_type]})], event_type) == NOWHERE
    assert route([samples.conditional_rule("$.session_id", "==", "s-1")], event_type) == to_orders
    assert route([samples.conditional_rule("$.session_id", "==", "s-2")], event_type) == NOWHERE


def test_an_event_named_twice_goes_out_once() -> None:
    assert route([samples.rule(when={"events": ["order_placed", "*", "order_placed"]})]) == Route("orders", "")


@pytest.mark.parametrize(
    ("total_minor", "currency", "expected"),
    [
        (100_000, "USD", NOWHERE),
        (100_001, "USD", Route("", "fraud-detection")),
        (100_001, "EUR", NOWHERE),
        (0, "USD", NOWHERE),
        (10**12, "USD", Route("", "fraud-detection")),
    ],
)
def test_the_rule_for_orders_over_1000_dollars(total_minor: int, currency: str, expected: Route) -> None:
    rules = rule_set([yaml.safe_load(SEED_RULE.read_text(encoding="utf-8"))])
    event, event_type = samples.decoded(samples.order(total_minor, currency).SerializeToString())
    assert rules.route(event, event_type) == expected
    assert rules.route(samples.event("payment_processed"), "payment_processed") == NOWHERE
