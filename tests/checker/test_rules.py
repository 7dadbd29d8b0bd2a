"""The contract's words on comparisons, one case each, and the reading of rule files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shop.v1.events_pb2 import Event, LineItem, Money, OrderPlaced, Source

from scripts.checker.rules import RuleError, event_as_dict, load_rules, parse_rule

LINES = [
    LineItem(product_id="a", category="toys", quantity=1, unit_price=Money(amount_minor=500, currency="USD")),
    LineItem(product_id="b", category="books", quantity=3, unit_price=Money(amount_minor=70_000, currency="USD")),
]
ORDER = Event(
    event_id="e",
    session_id="s",
    event_time_ms=1_790_000_000_000,
    order_placed=OrderPlaced(order_id="o", lines=LINES, total=Money(amount_minor=2**53 + 1, currency="USD")),
)


def rule(*comparisons: dict[str, Any], events: tuple[str, ...] = ("order_placed",)) -> dict[str, Any]:
    return {
        "id": "r",
        "version": 1,
        "when": {"events": list(events), "all": list(comparisons)},
        "to": [{"topic": "t", "order": "none"}],
    }


def matches(path: str, op: str, value: Any = None) -> bool:
    return parse_rule(rule({"path": path, "op": op, "value": value})).matches("order_placed", ORDER)


TOTAL = "$.order_placed.total.amount_minor"


@pytest.mark.parametrize(
    ("path", "op", "value", "holds"),
    [
        (TOTAL, "==", 2**53 + 1, True),  # a 64-bit integer, exactly
        (TOTAL, "==", 2**53, False),
        (TOTAL, "!=", 2**53, True),
        (TOTAL, ">", 2**53, True),
        (TOTAL, ">", 2**53 + 1, False),
        (TOTAL, ">=", 2**53 + 1, True),
        (TOTAL, "<", 2**53 + 2, True),
        (TOTAL, "<=", 2**53, False),
        (TOTAL, ">", 1.5, True),
        (TOTAL, "==", "9007199254740993", False),  # another type
        (TOTAL, "!=", "x", False),
        (TOTAL, "<", "x", False),
        ("$.order_placed.total.currency", "==", "USD", True),
        ("$.order_placed.total.currency", "<", "USE", True),
        ("$.order_placed.total.currency", "<", 5, False),
        ("$.order_placed.total.currency", "in", ["EUR", "USD"], True),
        ("$.order_placed.total.currency", "in", ["EUR", 1], False),
        ("$.order_placed.total.currency", "in", [], False),
        ("$.order_placed.lines[*].category", "==", "books", True),  # any of those found
        ("$.order_placed.lines[*].category", "!=", "books", True),
        ("$.order_placed.lines[0].category", "==", "books", False),
        ("$.order_placed.lines[*].unit_price.amount_minor", ">", 60_000, True),
        ("$.order_placed.lines[9].category", "!=", "books", False),  # nothing found
        ("$.payment_failed.reason", "!=", "x", False),
        ("$.payment_failed.reason", "exists", None, False),
        ("$.source.country", "exists", None, False),  # a message that is not set is absent
        ("$.source", "exists", None, False),
        ("$.user_id", "exists", None, True),  # a scalar is always there
        ("$.user_id", "==", "", True),
        ("$.event_time_ms", "==", 1_790_000_000_000, True),
        ("$..quantity", ">", 2, True),
        ("$.order_placed.lines[?(@.quantity > 2)].category", "==", "books", True),
        ("$.order_placed.lines[?(@.category > 2)].category", "exists", None, False),  # what raises in jsonpath-ng finds nothing
    ],
)
def test_comparison(path: str, op: str, value: Any, holds: bool) -> None:
    assert matches(path, op, value) is holds


def test_all_comparisons_must_hold() -> None:
    usd = {"path": "$.order_placed.total.currency", "op": "==", "value": "USD"}
    high = {"path": TOTAL, "op": ">", "value": 1}
    assert parse_rule(rule(usd, high)).matches("order_placed", ORDER)
    assert not parse_rule(rule(usd, high | {"op": "<"})).matches("order_placed", ORDER)
    assert parse_rule(rule()).matches("order_placed", ORDER)


TOYS = {"path": "$.order_placed.lines[*].category", "op": "==", "value": "toys"}
CARS = TOYS | {"value": "cars"}
PRICE = "$.order_placed.lines[*].unit_price"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (TOYS, True),
        (TOYS | {"every": True}, False),
        (TOYS | {"op": "in", "value": ["toys", "books"], "every": True}, True),
        (CARS | {"op": "!=", "every": True}, True),
        ({"path": "$.payment_failed.reason", "op": "!=", "value": "x", "every": True}, False),  # nothing found
        (TOYS | {"op": "contains", "value": "oy"}, True),
        (TOYS | {"op": "contains", "value": "x"}, False),
        (TOYS | {"op": "matches", "value": "^t.*s$"}, True),
        (TOYS | {"op": "matches", "value": "^oys"}, False),
        ({"money": PRICE, "op": ">", "amount": "699.99", "currency": "USD"}, True),
        ({"money": PRICE, "op": ">", "amount": "700", "currency": "USD"}, False),
        ({"money": PRICE, "op": ">", "amount": "1", "currency": "EUR"}, False),
        ({"count": "$.order_placed.lines[*]", "op": "==", "value": 2}, True),
        ({"count": "$.payment_failed", "op": "==", "value": 0}, True),
        ({"sum": "$.order_placed.lines[*].quantity", "op": ">=", "value": 4}, True),
        ({"sum": "$.order_placed.lines[*].quantity", "op": ">", "value": 4}, False),
        ({"any": [CARS, TOYS]}, True),
        ({"all": [CARS, TOYS]}, False),
        ({"not": CARS}, True),
        ({"not": {"any": [CARS, {"not": CARS}]}}, False),
    ],
)
def test_condition(condition: dict[str, Any], holds: bool) -> None:
    assert parse_rule(rule(condition)).matches("order_placed", ORDER) is holds


@pytest.mark.parametrize("key", ["rollout", "sample", "valid_from", "match"])
def test_what_the_checker_has_no_reading_of_is_refused(key: str) -> None:
    with pytest.raises(RuleError, match=f"rule has {key}, which the checker has no reading of"):
        parse_rule(rule() | {key: 1})


def test_an_amount_in_a_currency_without_a_minor_unit_is_refused() -> None:
    with pytest.raises(RuleError, match="XAU has no minor unit"):
        parse_rule(rule({"money": PRICE, "op": ">", "amount": "1", "currency": "XAU"}))


def test_events_choose_by_payload() -> None:
    assert not parse_rule(rule(events=("payment_failed",))).matches("order_placed", ORDER)
    assert parse_rule(rule(events=("*",))).matches("order_placed", ORDER)
    assert parse_rule(rule(events=("*",))).matches("unknown", Event())
    assert parse_rule(rule(events=("unknown", "order_placed"))).matches("unknown", Event())
    assert not parse_rule(rule(events=("order_placed",))).matches("unknown", Event())


def test_an_event_as_dict() -> None:
    as_dict = event_as_dict(Event(event_time_ms=5, source=Source(app="web")))
    assert as_dict["event_time_ms"] == 5
    assert as_dict["source"] == {"app": "web", "app_version": "", "device_id": "", "ip": "", "country": ""}
    assert "order_placed" not in as_dict


def test_load_rules_takes_the_highest_enabled_version(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        """
id: one
version: 2
when: {events: [order_placed]}
to: [{topic: new, order: session}]
---
id: one
version: 1
when: {events: [order_placed]}
to: [{topic: old, order: session}]
---
id: two
version: 1
enabled: false
when: {events: ["*"]}
to: [{topic: never, order: none}]
"""
    )
    rules = load_rules(tmp_path)
    assert [(rule.rule_id, rule.topics) for rule in rules] == [("one", {"new": True})]


@pytest.mark.parametrize(
    "text",
    [
        "id: x",
        "id: x\nversion: 1\nwhen: {events: ['*']}\nto: [{topic: t, order: sideways}]",
        "id: x\nversion: 1\nwhen: {events: ['*'], all: [{path: '$.a', op: '~', value: 1}]}\nto: [{topic: t, order: none}]",
        "id: x\nversion: 1\nwhen: {events: ['*'], all: [{path: '$[', op: '==', value: 1}]}\nto: [{topic: t, order: none}]",
    ],
)
def test_a_rule_that_cannot_be_understood(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(RuleError, match=r"bad\.yaml: rule 'x'"):
        load_rules(tmp_path)


def test_no_rules(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="no rules"):
        load_rules(tmp_path)
