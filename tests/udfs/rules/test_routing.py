"""Where an event goes by a whole set of rules, and in which form."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from shop.v1.events_pb2 import Event

from tests.udfs import samples
from udfs.rules.engine import DESTINATION_SEPARATOR, FORM_SEPARATOR, NOWHERE, Route, RuleSet
from udfs.rules.language import EVENT_TYPES
from udfs.validation import UNKNOWN

SEED_RULE = Path(__file__).parents[3] / "rules" / "high-value-orders.yaml"
ORDERED = {"topic": "orders", "order": "session"}
INSTANT = {"topic": "orders", "order": "none"}
PAYMENTS = {"topic": "payments"}
FRAUD = {"topic": "fraud-detection", "order": "none"}
MASK_KEY = b"a key"


def rule_set(rules: Iterable[dict[str, Any]]) -> RuleSet:
    return RuleSet((samples.parsed(raw) for raw in rules), MASK_KEY)


def route(rules: Iterable[dict[str, Any]], event_type: str = "order_placed") -> Route:
    """Where an event of this type goes; one of an unknown type has a known envelope only."""
    event = samples.event() if event_type == UNKNOWN else samples.event(event_type)
    return rule_set(rules).route(event, event_type)


def rule(rule_id: str, *to: dict[str, Any], total_over: int | None = None, unmatched: bool = False, **changes: Any) -> dict[str, Any]:
    """A rule for orders; the sample's total is 5498."""
    total = {"path": "$.order_placed.total.amount_minor", "op": ">", "value": total_over}
    when = {"events": ["order_placed"], "unmatched": unmatched} | ({} if total_over is None else {"all": [total]})
    return samples.rule(id=rule_id, when=when, to=list(to), **changes)


def first(rule_id: str, priority: int, *to: dict[str, Any], group: str = "g", **more: Any) -> dict[str, Any]:
    return rule(rule_id, *to, match="first", group=group, priority=priority, **more)


ROUTES: dict[str, tuple[list[dict[str, Any]], Route]] = {
    "no rules": ([], NOWHERE),
    "in session order": ([rule("a", ORDERED)], Route("orders", "")),
    "at once": ([rule("a", INSTANT)], Route("", "orders")),
    "both": ([rule("a", ORDERED, FRAUD)], Route("orders", "fraud-detection")),
    "two topics, as written": ([rule("a", PAYMENTS, ORDERED)], Route("payments;orders", "")),
    "two rules, by their ids": ([rule("b", ORDERED), rule("a", PAYMENTS)], Route("payments;orders", "")),
    "two rules, by their priority": ([rule("b", ORDERED, priority=1), rule("a", PAYMENTS)], Route("orders;payments", "")),
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
    "paused": ([rule("a", ORDERED, mode="paused"), rule("b", PAYMENTS)], Route("payments", "")),
    "shadow": ([rule("a", ORDERED, mode="shadow")], NOWHERE),
    "shadow beside active": ([rule("a", INSTANT, mode="shadow"), rule("b", ORDERED)], Route("orders", "")),
    "first: the higher priority": ([first("a", 1, ORDERED), first("b", 2, PAYMENTS)], Route("payments", "")),
    "first: equal priority, by id": ([first("b", 1, ORDERED), first("a", 1, PAYMENTS)], Route("payments", "")),
    "first: only what matches": ([first("a", 2, ORDERED, total_over=5498), first("b", 1, PAYMENTS)], Route("payments", "")),
    "first: each group by itself": ([first("a", 1, ORDERED), first("b", 2, PAYMENTS, group="h")], Route("payments;orders", "")),
    "first: others match as well": (
        [first("a", 1, ORDERED), first("b", 0, PAYMENTS), rule("c", FRAUD)],
        Route("orders", "fraud-detection"),
    ),
    "first: a shadow does not win": ([first("a", 2, ORDERED, mode="shadow"), first("b", 1, PAYMENTS)], Route("payments", "")),
    "first: nor does a paused one": ([first("a", 2, ORDERED, mode="paused"), first("b", 1, PAYMENTS)], Route("payments", "")),
    "unmatched: nothing else": ([rule("a", ORDERED, total_over=5498), rule("z", FRAUD, unmatched=True)], Route("", "fraud-detection")),
    "unmatched: something else": ([rule("a", ORDERED, total_over=5497), rule("z", FRAUD, unmatched=True)], Route("orders", "")),
    "unmatched: alone": ([rule("z", FRAUD, unmatched=True)], Route("", "fraud-detection")),
    "unmatched: has conditions too": ([rule("z", FRAUD, unmatched=True, total_over=5498)], NOWHERE),
    "unmatched: two": ([rule("y", ORDERED, unmatched=True), rule("z", FRAUD, unmatched=True)], Route("orders", "fraud-detection")),
    "unmatched: a shadow is no match": (
        [rule("a", ORDERED, mode="shadow"), rule("z", FRAUD, unmatched=True)],
        Route("", "fraud-detection"),
    ),
    "unmatched: a shadow itself": ([rule("z", FRAUD, unmatched=True, mode="shadow")], NOWHERE),
    "unmatched: in a group": ([first("y", 1, ORDERED, unmatched=True), first("z", 2, FRAUD, unmatched=True)], Route("", "fraud-detection")),
}


@pytest.mark.parametrize(("rules", "expected"), ROUTES.values(), ids=ROUTES)
def test_route(rules: list[dict[str, Any]], expected: Route) -> None:
    in_force = rule_set(rules)
    for _ in range(3):  # the second time from what is kept of the first
        assert in_force.route(samples.event("order_placed"), "order_placed") == expected


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


def test_which_rules_match_and_which_route() -> None:
    rules = [
        first("loses", 1, ORDERED),
        first("wins", 2, PAYMENTS),
        rule("shadow", FRAUD, mode="shadow", priority=9),
        rule("no", FRAUD, total_over=5498),
    ]
    found = rule_set(rules).matches(samples.event("order_placed"), "order_placed")
    assert [(each.id, routes) for each, routes in found] == [("shadow", False), ("wins", True), ("loses", False)]


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


# -- forms: topic|key|payload ---------------------------------------------------------------------------------------------------


def masked(text: str) -> str:
    return hmac.new(MASK_KEY, text.encode(), hashlib.sha256).hexdigest()[:32]


def form(destination: dict[str, Any], event: Event) -> tuple[str, str, Event | None]:
    """Topic, key and payload of the one destination."""
    token = rule_set([samples.rule(when={"events": ["*"]}, to=[destination])]).route(event, "order_placed").ordered
    assert DESTINATION_SEPARATOR not in token
    topic, key, payload = token.split(FORM_SEPARATOR)
    return topic, bytes.fromhex(key).decode(), Event.FromString(bytes.fromhex(payload)) if payload else None


@pytest.mark.parametrize(
    ("path", "key"),
    [("$.user_id", "ü;|?"), ("$.event_time_ms", str(samples.NOW_MS)), ("$.order_placed.order_id", "o-1"), ("$.source.country", "")],
)
def test_a_key_of_its_own(path: str, key: str) -> None:
    event = samples.event("order_placed", user_id="ü;|?")
    assert form({"topic": "orders", "key": path}, event) == ("orders", key, None)


def test_a_projection() -> None:
    event = samples.event("order_placed", user_id="u-1", source={"app": "web", "ip": "10.0.0.1"})
    before = event.SerializeToString()
    fields = ["event_id", "source.app", "order_placed.total.currency", "order_placed.lines", "payment_failed.reason"]
    _, key, payload = form({"topic": "orders", "fields": fields}, event)
    kept = Event(event_id="e-1", source={"app": "web"}, order_placed={"total": {"currency": "USD"}, "lines": event.order_placed.lines})
    assert (key, payload) == ("", kept)
    assert event.SerializeToString() == before


def test_masked_fields() -> None:
    event = samples.event("order_placed", user_id="u-1", source={"app": "web", "ip": "10.0.0.1"})
    before = event.SerializeToString()
    _, _, payload = form({"topic": "orders", "mask": ["user_id", "source.ip", "source.country", "payment_failed.reason"]}, event)
    expected = Event.FromString(before)
    expected.user_id, expected.source.ip = masked("u-1"), masked("10.0.0.1")
    assert payload == expected, "what is empty stays so, and what is not there is not made"
    assert event.SerializeToString() == before


def test_a_masked_field_of_a_projection() -> None:
    destination = {"topic": "orders", "key": "$.session_id", "fields": ["user_id"], "mask": ["user_id", "source.ip"]}
    found = form(destination, samples.event("order_placed", user_id="u-1"))
    assert found == ("orders", "s-1", Event(user_id=masked("u-1")))


@pytest.mark.parametrize(("user_id", "key"), [("u-1", masked("u-1")), ("", "")], ids=["signed in", "nobody"])
def test_a_key_that_is_masked_is_masked_as_key_too(user_id: str, key: str) -> None:
    event = samples.event("order_placed", user_id=user_id)
    _, found, payload = form({"topic": "orders", "key": "$.user_id", "mask": ["user_id"]}, event)
    assert payload is not None
    assert (found, payload.user_id) == (key, key)


@pytest.mark.parametrize("destination", [{"mask": ["user_id"]}, {"fields": ["event_id", "source"]}], ids=["mask", "fields"])
def test_a_newer_schemas_fields_are_left_out(destination: dict[str, Any]) -> None:
    unknown = b"\x7a\x06secret"  # field 15
    event = Event.FromString(samples.event("order_placed", source={"app": "web"}).SerializeToString() + unknown)
    event.source.MergeFromString(unknown)
    _, _, payload = form({"topic": "orders", **destination}, event)
    assert payload is not None
    assert b"secret" not in payload.SerializeToString()
    assert event.SerializeToString().count(b"secret") == 2


def test_of_two_forms_the_higher_priority_wins() -> None:
    plain, keyed = rule("a", ORDERED, priority=1), rule("b", {"topic": "orders", "key": "$.event_id"})
    assert route([plain, keyed]) == Route("orders", "")
    assert route([{**plain, "priority": 0}, {**keyed, "priority": 1}]) == Route(f"orders|{b'e-1'.hex()}|", "")
    assert route([rule("a", INSTANT), {**keyed, "priority": 1}]) == Route("", f"orders|{b'e-1'.hex()}|"), "at once, and in its form"


def test_forms_are_of_their_event() -> None:
    in_force = rule_set([rule("a", {"topic": "orders", "key": "$.event_id"})])
    routes = [in_force.route(samples.event("order_placed", event_id=each), "order_placed").ordered for each in ("e-1", "e-2")]
    assert routes == [f"orders|{each.encode().hex()}|" for each in ("e-1", "e-2")]
