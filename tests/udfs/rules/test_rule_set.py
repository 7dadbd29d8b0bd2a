"""What is beside the conditions: validity, rollout, sample, the index, counters, and changes of the rules in force."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from shop.v1.events_pb2 import Event

from tests.udfs import samples
from udfs.rules import engine
from udfs.rules.conditions import Slots, compile_when
from udfs.rules.engine import NOWHERE, Counters, Route, RuleSet
from udfs.rules.language import When

TO_ORDERS = Route("orders", "")
IDS = 10_000
NOON = 1_796_126_400_000  # 2026-12-01T12:00:00Z


def rule_set(*rules: dict[str, Any]) -> RuleSet:
    return RuleSet(samples.parsed(raw) for raw in rules)


def everything(**changes: Any) -> dict[str, Any]:
    return samples.rule(when={"events": ["*"]}, **changes)


# -- validity -------------------------------------------------------------------------------------------------------------------

VALIDITY: list[tuple[str, str, int, bool]] = [
    # from, until, event's time after noon in ms, whether it is routed
    ("2026-12-01T12:00:00Z", "", -1, False),
    ("2026-12-01T12:00:00Z", "", 0, True),
    ("2026-12-01T13:00:00+01:00", "", 0, True),
    ("2026-12-01T13:00:00+01:00", "", -1, False),
    ("", "2026-12-01T12:00:00Z", -1, True),
    ("", "2026-12-01T12:00:00Z", 0, False),
    ("2026-12-01T12:00:00Z", "2026-12-01T12:00:01Z", 999, True),
    ("2026-12-01T12:00:00Z", "2026-12-01T12:00:01Z", 1_000, False),
    # A float of seconds would lose a millisecond of these.
    *((f"2026-12-01T12:00:00.{ms:03}Z", "", ms, True) for ms in range(120, 130)),
    *((f"2026-12-01T12:00:00.{ms:03}Z", "", ms - 1, False) for ms in range(120, 130)),
    ("2026-12-01T12:00:00.0005Z", "", 0, False),
    ("", "2026-12-01T12:00:00.0005Z", 0, True),
    ("", "2026-12-01T12:00:00.0005Z", 1, False),
]


@pytest.mark.parametrize(("start", "end", "after_noon_ms", "expected"), VALIDITY)
def test_validity(start: str, end: str, after_noon_ms: int, expected: bool) -> None:
    in_force = rule_set(everything(valid_from=start or None, valid_until=end or None))
    event = samples.event(event_time_ms=NOON + after_noon_ms)
    assert in_force.route(event, "product_viewed") == (TO_ORDERS if expected else NOWHERE)


# -- shares ---------------------------------------------------------------------------------------------------------------------


def chosen(id_field: str = "session_id", prefix: str = "s-", **changes: Any) -> set[int]:
    """The numbers of ids, of 10,000, that a rule routes."""
    in_force = rule_set(everything(**changes))
    event = samples.event()
    found = set()
    for number in range(IDS):
        setattr(event, id_field, f"{prefix}{number}")
        if in_force.route(event, "product_viewed") is not NOWHERE:
            found.add(number)
    return found


SHARES = [
    (lambda percent, **more: chosen(rollout={"percent": percent}, **more)),
    (lambda percent, **more: chosen("event_id", sample=percent, **more)),
]


@pytest.mark.parametrize("share", SHARES, ids=["rollout", "sample"])
def test_a_share_is_about_as_large_as_it_says_and_grows(share: Any) -> None:
    before: set[int] = set()
    for percent in (0, 0.5, 1, 10, 25, 50, 90, 100):
        now = share(percent)
        assert before <= now, "who is in stays in while the share grows"
        # 5 standard deviations of a fair draw
        assert abs(len(now) - IDS * percent / 100) <= 5 * (IDS * percent / 100 * (1 - percent / 100)) ** 0.5
        before = now


@pytest.mark.parametrize("share", SHARES, ids=["rollout", "sample"])
@pytest.mark.parametrize("other", ["b-rule", "a-rulf", "another-rule"])
def test_two_rules_choose_independently(share: Any, other: str) -> None:
    both = len(share(20) & share(20, id=other))
    assert abs(both - IDS * 0.04) <= 5 * (IDS * 0.04 * 0.96) ** 0.5


def test_rollout_and_sample_of_one_rule_are_independent() -> None:
    both = len(chosen(rollout={"percent": 20}) & chosen("event_id", sample=20))
    assert abs(both - IDS * 0.04) <= 5 * (IDS * 0.04 * 0.96) ** 0.5


def test_a_rollout_is_the_same_everywhere_and_always() -> None:
    """Literal numbers: another hash in a later version would choose other users in the middle of a rollout."""
    found = sorted(chosen(rollout={"percent": 10}))
    assert sorted(chosen(rollout={"percent": 10}, version=2, to=[{"topic": "payments"}])) == found
    assert found[:8] == [7, 40, 58, 68, 70, 90, 99, 105]


def test_a_rollout_by_user() -> None:
    by_user = chosen("user_id", "u-", rollout={"percent": 30, "by": "user_id"})
    assert 0 < len(by_user) < IDS
    assert len(chosen("session_id", rollout={"percent": 30, "by": "user_id"})) in (0, IDS), "sessions of one user are not told apart"


# -- the index ------------------------------------------------------------------------------------------------------------------


def demanding(number: int, **changes: Any) -> dict[str, Any]:
    """Rules that the index covers in different ways, and some that it does not."""
    product = {"path": "$.product_viewed.product_id", "op": "==", "value": f"p-{number % 7}"}
    category = {"path": "$.product_viewed.category", "op": "in", "value": ["books", "books", f"c-{number % 5}"]}
    price = {"path": "$.product_viewed.price.amount_minor", "op": "in", "value": [number]}
    conditions = [[product], [category], [product, category], [price, product], [price], [{"not": product}], [{"any": [product, category]}]]
    when = {"events": ["product_viewed"], "all": conditions[number % len(conditions)]}
    return samples.rule(id=f"r-{number}", when=when, **changes)


def test_the_index_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [demanding(number, priority=number % 3) for number in range(60)]
    events = []
    for number in range(100):
        category = ("books", "toys", f"c-{number % 9}")[number % 3]
        price = {"amount_minor": number, "currency": "USD"}
        events.append(samples.event(product_viewed={"product_id": f"p-{number % 11}", "category": category, "price": price}))
    events.append(samples.event(product_viewed={}))

    def matched() -> list[list[tuple[str, bool]]]:
        in_force = rule_set(*rules)
        return [[(each.id, routes) for each, routes in in_force.matches(event, "product_viewed")] for event in events]

    with_index = matched()
    assert len({len(each) for each in with_index}) > 3, "the events differ in what matches"
    monkeypatch.setattr(engine, "_demanded_texts", lambda rule: None)
    assert with_index == matched()


def test_a_thousand_rules_for_a_thousand_products_cost_one() -> None:
    condition = {"path": "$.product_viewed.product_id", "op": "=="}
    in_force = rule_set(
        *(
            samples.rule(id=f"r-{number}", when={"events": ["product_viewed"], "all": [{**condition, "value": f"p-{number}"}]})
            for number in range(1_000)
        )
    )
    in_force.route(samples.event(), "product_viewed")  # compiles
    for compiled in in_force._plans["product_viewed"].rules:
        if compiled.rule.id != "r-1":
            compiled.holds = lambda _: pytest.fail("not to be asked")
    assert in_force.route(samples.event(), "product_viewed") == TO_ORDERS


# -- counters -------------------------------------------------------------------------------------------------------------------


def counted(in_force: RuleSet) -> dict[str, tuple[int, int, int, int]]:
    """Evaluated, matched, matched in shadow, errors."""

    def numbers(counters: Counters) -> tuple[int, int, int, int]:
        return counters.evaluated, counters.matched, counters.shadow_matched, counters.errors

    return {rule_id: numbers(each) for rule_id, each in in_force.counters().items()}


def view(in_force: RuleSet, times: int, product: str = "p-1") -> None:
    for _ in range(times):
        in_force.route(samples.event(product_viewed={"product_id": product}), "product_viewed")


def of_product(rule_id: str, product: str = "p-1", **changes: Any) -> dict[str, Any]:
    condition = {"path": "$.product_viewed.product_id", "op": "!=", "value": product}
    return samples.rule(id=rule_id, when={"events": ["product_viewed"], "not": condition}, **changes)


def test_counters_of_rules_without_conditions() -> None:
    in_force = rule_set(everything(id="all"), samples.rule(id="orders"))
    view(in_force, 5)
    in_force.route(samples.event("order_placed"), "order_placed")
    assert counted(in_force) == {"all": (6, 6, 0, 0), "orders": (1, 1, 0, 0)}
    assert counted(in_force) == {"all": (6, 6, 0, 0), "orders": (1, 1, 0, 0)}, "asking counts nothing"


def test_counters_of_rules_with_conditions() -> None:
    in_force = rule_set(
        of_product("one"),
        of_product("shadow", mode="shadow"),
        of_product("paused", mode="paused"),
        of_product("loser", match="first", group="g"),
        of_product("winner", match="first", group="g", priority=1),
        samples.rule(id="rest", when={"events": ["product_viewed"], "unmatched": True}),
    )
    view(in_force, 3)
    view(in_force, 4, "p-2")
    assert counted(in_force) == {
        "one": (7, 3, 0, 0), "shadow": (7, 0, 3, 0), "loser": (7, 0, 0, 0), "winner": (7, 3, 0, 0), "rest": (7, 4, 0, 0),
    }  # fmt: skip


def test_an_error_counts_and_stops_nothing() -> None:
    in_force = rule_set(of_product("broken"), of_product("sound"))
    view(in_force, 1)
    for compiled in in_force._plans["product_viewed"].rules:
        if compiled.rule.id == "broken":
            compiled.holds = lambda _: 1 / 0 > 0
    view(in_force, 2)
    assert counted(in_force) == {"broken": (3, 1, 0, 2), "sound": (3, 3, 0, 0)}


def test_time_is_estimated_from_samples_that_become_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which each evaluation of a rule takes a nanosecond, and that counts how often it is asked."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(ticks))
    in_force = rule_set(of_product("old"), samples.rule(id="rest", when={"events": ["product_viewed"], "unmatched": True}))
    for events in (1, 9, 90, 20_000):
        view(in_force, events, "p-2")
        for each in in_force.counters().values():
            assert max(each.evaluated / 2, each.evaluated - 4_096) < each.time_ns <= each.evaluated
    asked = next(ticks)
    assert asked < 2 * 2 * (20_000 / 4_096 + 15), "of few events only"
    in_force.put(samples.parsed(of_product("new")))
    view(in_force, 10)
    assert 5 < in_force.counters()["new"].time_ns <= 10, "not only after thousands of further events"
    assert in_force.counters()["old"].time_ns <= in_force.counters()["old"].evaluated


def test_looking_on_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter_ns", lambda: pytest.fail("not to be timed"))
    in_force = rule_set(of_product("one"))
    for _ in range(3):
        assert len(in_force.matches(samples.event(), "product_viewed")) == 1


# -- changes --------------------------------------------------------------------------------------------------------------------


def to(rule_id: str, topic: str, event: str = "order_placed", **changes: Any) -> Any:
    return samples.parsed(samples.rule(id=rule_id, when={"events": [event]}, to=[{"topic": topic}], **changes))


def test_a_rule_is_replaced_and_removed() -> None:
    in_force = RuleSet()
    order: Event = samples.event("order_placed")
    assert (in_force.route(order, "order_placed"), len(in_force)) == (NOWHERE, 0)
    in_force.put(to("a", "orders"))
    in_force.put(to("b", "payments"))
    assert (in_force.route(order, "order_placed"), len(in_force)) == (Route("orders;payments", ""), 2)
    in_force.put(to("a", "fraud-detection", version=2))
    assert in_force.route(order, "order_placed") == Route("fraud-detection;payments", "")
    in_force.put(to("a", "orders", "order_cancelled"))
    assert in_force.route(order, "order_placed") == Route("payments", "")
    assert in_force.route(samples.event("order_cancelled"), "order_cancelled") == TO_ORDERS
    in_force.put(to("b", "payments", mode="paused"))
    assert (in_force.route(order, "order_placed"), len(in_force)) == (NOWHERE, 1)
    in_force.remove("a")
    in_force.remove("never there")
    assert (in_force.route(samples.event("order_cancelled"), "order_cancelled"), len(in_force)) == (NOWHERE, 0)


def test_a_change_resets_its_own_counters_only() -> None:
    in_force = rule_set(of_product("a"), of_product("b"))
    view(in_force, 3)
    in_force.put(samples.parsed(of_product("a", version=2)))
    view(in_force, 2)
    assert counted(in_force) == {"a": (2, 2, 0, 0), "b": (5, 5, 0, 0)}
    in_force.remove("a")
    assert counted(in_force) == {"b": (5, 5, 0, 0)}


def test_a_change_compiles_its_own_event_types_only() -> None:
    in_force = RuleSet([to("a", "orders"), to("b", "payments", "order_cancelled")])
    for event_type in ("order_placed", "order_cancelled"):
        in_force.route(samples.event(event_type), event_type)
    before = dict(in_force._plans)
    in_force.put(to("a", "payments", version=2))
    in_force.route(samples.event("order_placed"), "order_placed")
    assert in_force._plans["order_cancelled"] is before["order_cancelled"]
    assert in_force._plans["order_placed"] is not before["order_placed"]


def test_a_rule_among_thousands_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event between each two changes, as on a live stream: else a thousand rules that are pushed cost half a million compilations."""
    compiled: list[When] = []

    def counted(when: When, slots: Slots) -> Any:
        compiled.append(when)
        return compile_when(when, slots)

    monkeypatch.setattr(engine, "compile_when", counted)
    in_force = RuleSet()
    for number in range(1_000):
        in_force.put(samples.parsed(of_product(f"r-{number % 500}", version=number + 1)))
        view(in_force, 1)
    # Each once when it comes in, and those of the 500 rules once more whenever half of what is compiled is not in force any more.
    assert len(compiled) <= 2_000
    assert len(in_force) == 500
    in_force.put(samples.parsed(of_product("r-1", version=2_000, to=[{"topic": "payments"}])))
    assert in_force.route(samples.event("product_viewed"), "product_viewed") == Route("orders;payments", "")


def test_what_is_no_longer_in_force_is_given_up() -> None:
    in_force = RuleSet()
    for number in range(1_000):
        in_force.put(samples.parsed(samples.rule(
            id="a", version=number + 1,
            when={"events": ["product_viewed"], "all": [{"path": "$.product_viewed.category", "op": "matches", "value": f"^{number}$"}]},
        )))  # fmt: skip
        view(in_force, 1)
    assert len(in_force._types["product_viewed"].slots.patterns("$.product_viewed.category")._patterns) <= 3


def test_routes_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_MAX_KEPT_ROUTES", 10)
    halves = [everything(id=f"r-{number}", sample=50, to=[{"topic": samples.TOPICS[number % 3]}]) for number in range(9)]
    in_force = rule_set(*halves)
    seen = {in_force.route(samples.event(event_id=f"e-{number}"), "product_viewed") for number in range(300)}
    assert len(in_force._plans["product_viewed"].routes) == 10
    again = {in_force.route(samples.event(event_id=f"e-{number}"), "product_viewed") for number in range(300)}
    assert again == seen
