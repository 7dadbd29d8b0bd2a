"""Sums over a sliding window: when a condition holds, what is kept for it, and what an observation says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs import samples
from udfs.rules.aggregates import BUCKETS, Observation, SlidingSum, observation, step_ms
from udfs.rules.engine import AGGREGATE_MARK, DESTINATION_SEPARATOR, Route, RuleSet
from udfs.rules.language import Rule

SECOND = 1_000
MINUTE = 60 * SECOND


def told(time_ms: int, amount: float = 1, threshold: float = 3, op: str = ">=", window_ms: int = MINUTE) -> Observation:
    return Observation("a-rule/key", time_ms, amount, window_ms, op, threshold, ("orders",))


# Each step: time in seconds, amount, whether the condition holds, and what is kept by second. The window is a minute, so
# that a bucket is a second.
TIMELINES: dict[str, tuple[dict[str, Any], list[tuple[float, float, bool, dict[int, float]]]]] = {
    # time    0  1  2         60     three within a minute; the first has left it after a minute
    # holds   -  -  x         x
    "three in a minute": (
        {},
        [
            (0, 1, False, {0: 1}),
            (1, 1, False, {0: 1, 1: 1}),
            (2, 1, True, {0: 1, 1: 1, 2: 1}),
            (60, 1, True, {1: 1, 2: 1, 60: 1}),
            (61, 1, True, {2: 1, 60: 1, 61: 1}),
            (121, 1, False, {121: 1}),
        ],
    ),
    # time    0..0.999  59.999  60
    "the edge of the window": (
        {"threshold": 2},
        [(0, 1, False, {0: 1}), (59.999, 1, True, {0: 1, 59: 1}), (60, 1, True, {59: 1, 60: 1}), (120, 1, False, {120: 1})],
    ),
    "within one step all count": ({}, [(5, 1, False, {5: 1}), (5.5, 1, False, {5: 2}), (5.999, 1, True, {5: 3})]),
    "more than": ({"op": ">", "threshold": 2}, [(0, 1, False, {0: 1}), (1, 1, False, {0: 1, 1: 1}), (2, 1, True, {0: 1, 1: 1, 2: 1})]),
    "a sum": (
        {"threshold": 100},
        [
            (0, 60, False, {0: 60}),
            (1, 39, False, {0: 60, 1: 39}),
            (2, 0.5, False, {0: 60, 1: 39, 2: 0.5}),
            (2, 0.5, True, {0: 60, 1: 39, 2: 1}),
        ],
    ),
    # time    10 30 20        a late event counts what lies before it, and not what lies after it
    "out of order": (
        {"threshold": 2},
        [
            (10, 1, False, {10: 1}),
            (30, 1, True, {10: 1, 30: 1}),
            (5, 1, False, {5: 1, 10: 1, 30: 1}),
            (20, 1, True, {5: 1, 10: 1, 20: 1, 30: 1}),
        ],
    ),
    # time    100 40 41       what is older than the window is judged by itself, and not kept
    "too late": (
        {"threshold": 2},
        [
            (100, 1, False, {100: 1}),
            (40, 1, False, {100: 1}),
            (40, 2, True, {100: 1}),
            (41, 1, False, {41: 1, 100: 1}),
            (101, 1, True, {100: 1, 101: 1}),
        ],
    ),
    # time    0 59 1000 59    a clock that runs ahead costs what was summed, and not the order
    "a leap": (
        {"threshold": 2},
        [(0, 1, False, {0: 1}), (59, 1, True, {0: 1, 59: 1}), (1000, 1, False, {1000: 1}), (59, 1, False, {1000: 1})],
    ),
}


@pytest.mark.parametrize(("settings_", "steps"), TIMELINES.values(), ids=TIMELINES)
def test_timeline(settings_: dict[str, Any], steps: list[tuple[float, float, bool, dict[int, float]]]) -> None:
    buckets: dict[int, float] = {}
    for seconds, amount, holds, kept in steps:
        assert SlidingSum(buckets).add(told(int(seconds * SECOND), amount, **settings_)) is holds
        assert buckets == kept


@settings(derandomize=True, database=None, deadline=None, max_examples=settings().max_examples * 2)
@given(
    st.sampled_from([1, 59, 60, 61, 1_000, MINUTE, 10 * MINUTE, 60 * MINUTE]),
    st.lists(st.tuples(st.integers(0, 20 * 60 * MINUTE) | st.integers(0, 70), st.integers(1, 5)), max_size=300),
)
def test_what_is_kept_is_bounded_and_sums_are_exact_to_a_step(window_ms: int, events: list[tuple[int, int]]) -> None:
    buckets: dict[int, float] = {}
    seen: list[tuple[int, int]] = []
    newest = 0
    for time_ms, amount in events:
        seen.append((time_ms, amount))
        threshold = 7
        holds = SlidingSum(buckets).add(told(time_ms, amount, threshold, window_ms=window_ms))
        newest = max(newest, time_ms)
        assert len(buckets) <= BUCKETS
        assert max(buckets) - min(buckets) < BUCKETS, "what has left the window is forgotten"
        if time_ms == newest:
            step = step_ms(window_ms)
            whole = sum(each for at, each in seen if time_ms - BUCKETS * step < at <= time_ms + step)
            inner = sum(each for at, each in seen if time_ms - (BUCKETS - 1) * step < at <= time_ms)
            assert not holds or whole >= threshold, "nothing outside of the window counts"
            assert holds or inner < threshold, "everything inside counts, but for the last step"


@pytest.mark.parametrize(("window_ms", "step"), [(1, 1), (60, 1), (61, 2), (1_000, 17), (MINUTE, 1_000), (60 * MINUTE, MINUTE)])
def test_a_window_has_60_steps_or_fewer(window_ms: int, step: int) -> None:
    assert step_ms(window_ms) == step
    assert window_ms <= step * BUCKETS


# -- observations ---------------------------------------------------------------------------------------------------------------


def rule(changes: dict[str, Any] | None = None, **aggregate: Any) -> Rule:
    """A rule for failed payments; a change to None takes the key away."""
    parts = {"count": "events", "by": "user", "within": "10m", "op": ">=", "value": 3, **aggregate}
    when = {"events": ["payment_failed"], "aggregate": {key: value for key, value in parts.items() if value is not None}}
    to = [{"topic": "fraud-detection", "order": "none"}, {"topic": "payments", "order": "none"}]
    return samples.parsed({**samples.rule(when=when, to=to), **(changes or {})})


def failed(**envelope: Any) -> Any:
    envelope = {"user_id": "u-1", "source": {"ip": "10.0.0.1", "country": "DE"}, **envelope}
    event = samples.event("payment_failed", **envelope)
    event.payment_failed.card_fingerprint = "card-1"
    return event


def told_of(rule_: Rule, event: Any = None) -> Observation:
    encoded = observation(rule_, event or failed())
    assert encoded is not None
    return Observation.decoded(encoded)


def test_what_an_observation_says() -> None:
    found = told_of(rule())
    assert found.key.startswith("a-rule/")
    assert found == Observation(found.key, samples.NOW_MS, 1, 10 * MINUTE, ">=", 3, ("fraud-detection", "payments"))
    assert told_of(rule(count=None, sum="$.payment_failed.amount.amount_minor", op=">", value=0.5)).amount == 5_498


def lost(amount: str = "500.00", currency: str = "USD", path: str = "$.payment_failed.amount", **more: Any) -> Rule:
    return rule(count=None, money=path, value=None, amount=amount, currency=currency, **more)


def test_money_is_summed_in_one_currency_and_compared_in_major_units() -> None:
    found = told_of(lost())
    assert (found.amount, found.threshold) == (5_498, 50_000)
    assert told_of(lost(amount="0.01", op=">")).threshold == 1
    assert observation(lost(currency="EUR"), failed()) is None, "another currency adds nothing"
    assert told_of(lost(amount="9")).key == found.key, "another threshold keeps what was summed"
    assert told_of(rule(count=None, sum="$.payment_failed.amount.amount_minor")).key != found.key


def test_money_in_a_list_is_summed_as_far_as_it_is_in_the_currency() -> None:
    prices = {"money": "$.order_placed.lines[*].unit_price", "amount": "40", "currency": "USD"}
    lines = rule({"when": {"events": ["order_placed"], "aggregate": {"by": "session", "within": "1h", "op": ">", **prices}}})
    order = samples.event("order_placed")
    assert told_of(lines, order).amount == 1_999 + 1_500
    order.order_placed.lines[0].unit_price.currency = "EUR"
    assert told_of(lines, order).amount == 1_500
    order.order_placed.ClearField("lines")
    assert observation(lines, order) is None


@pytest.mark.parametrize("amount", [0, 1, -7, 2**62, 0.1, 1e300])
def test_an_observation_comes_back_as_it_was(amount: float) -> None:
    original = Observation("a-rule/ü;|?\x00", 2**40, amount, MINUTE, ">", amount, ("orders", "payments"))
    encoded = original.encoded()
    assert set(encoded) <= set("0123456789abcdef"), "no separator can be part of it"
    assert Observation.decoded(encoded) == original


@pytest.mark.parametrize("change", [{"value": 99}, {"op": ">"}], ids=str)
def test_another_threshold_keeps_what_was_summed(change: dict[str, Any]) -> None:
    assert told_of(rule(**change)).key == told_of(rule()).key


@pytest.mark.parametrize("change", [{"version": 2}, {"to": [{"topic": "orders", "order": "none"}]}, {"description": "new"}], ids=str)
def test_another_destination_keeps_what_was_summed(change: dict[str, Any]) -> None:
    assert told_of(rule(change)).key == told_of(rule()).key


OTHERS = [
    rule(by="session"),
    rule(by="card"),
    rule(by="ip"),
    rule(by="$.source.country"),
    rule(within="9m"),
    rule(count=None, sum="$.payment_failed.amount.amount_minor"),
    rule(count=None, value=None, money="$.payment_failed.amount", amount="1", currency="USD"),
    rule({"id": "b-rule"}),
    rule({"when": {"events": ["payment_failed", "order_cancelled"], "aggregate": rule().when.aggregate.model_dump(exclude_unset=True)}}),  # type: ignore[union-attr]
]


def test_another_measure_begins_anew() -> None:
    keys = [told_of(each).key for each in (rule(), *OTHERS)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("by", "changes"),
    [
        ("user", {"user_id": "u-2"}),
        ("session", {"session_id": "s-2"}),
        ("ip", {"source": {"ip": "10.0.0.2"}}),
        ("$.event_id", {"event_id": "e-2"}),
    ],
)
def test_each_key_is_summed_by_itself(by: str, changes: dict[str, Any]) -> None:
    assert told_of(rule(by=by), failed(**changes)).key != told_of(rule(by=by)).key
    assert told_of(rule(by=by), failed(event_time_ms=1)).key == told_of(rule(by=by)).key


def test_a_card_is_one_key_whether_it_paid_or_failed() -> None:
    paid = samples.event("payment_processed")
    paid.payment_processed.card_fingerprint = "card-1"
    by_card = rule(by="card").when.aggregate
    assert by_card is not None
    both = rule({"when": {"events": ["payment_failed", "payment_processed"], "aggregate": by_card.model_dump(exclude_unset=True)}})
    assert told_of(both, paid).key == told_of(both, failed()).key


@pytest.mark.parametrize(
    ("changes", "event"),
    [
        ({"by": "user"}, samples.event("payment_failed")),
        ({"by": "card"}, samples.event("payment_failed")),
        ({"by": "ip"}, samples.event("payment_failed")),
        ({"by": "ip"}, samples.event("payment_failed", source={"app": "web"})),
        ({"count": None, "sum": "$.order_placed.total.amount_minor"}, failed()),
    ],
    ids=["nobody signed in", "no card", "no source", "no ip", "nothing to sum"],
)
def test_without_a_key_or_an_amount_nothing_is_told(changes: dict[str, Any], event: Any) -> None:
    assert observation(rule(**changes), event) is None


def test_a_rule_set_tells_what_fits_the_rest_of_the_rule() -> None:
    in_force = RuleSet(
        [rule(), samples.parsed(samples.rule(id="b", when={"events": ["payment_failed"]}, to=[{"topic": "orders", "order": "none"}]))]
    )
    first, second = in_force.route(failed(), "payment_failed"), in_force.route(failed(event_id="e-2", user_id="u-2"), "payment_failed")
    assert first.ordered == ""
    topic, observed = first.unordered.split(DESTINATION_SEPARATOR)
    assert topic == "orders"
    assert Observation.decoded(observed.removeprefix(AGGREGATE_MARK)) == told_of(rule())
    assert first != second, "each event is told by itself"
    assert in_force.route(samples.event("payment_failed"), "payment_failed") == Route("", "orders")
    assert in_force.route(samples.event(), "product_viewed") == Route("", "")
