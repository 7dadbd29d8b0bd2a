"""The oracle of totals, top products, funnel and sessions: by hand, against a plainer one, and with every kind of fault.

What the faults are put into (STEPS):

    time (s)   10     11     12       13         14         15       16      17
    s          view   add    order a  failed a   paid a
                             order b  failed b              failed   paid    paid again
    s-2        view                              add
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop.v1.events_pb2 import Event, LineItem, Money, OrderPlaced, PaymentFailed, PaymentProcessed, ProductAddedToCart, ProductViewed

from scripts.checker import sales
from scripts.checker.model import (
    FUNNEL,
    PER_MINUTE,
    SALES_INSIGHTS,
    SESSIONS,
    TOP_PRODUCTS,
    ExpectedEvent,
    Findings,
    Output,
    Outputs,
    Problem,
    Terms,
    WindowCount,
)
from scripts.checker.sales import Step, compare_sales
from tests.checker.ideal_sales import sales_outputs

TERMS = Terms(window_ms=4_000, slide_ms=2_000, totals_ms=4_000, session_gap_ms=2_000, session_step_ms=1, payment_within_ms=3_000)


def step(time_ms: int, kind: str, payload: Any = None, session_id: str = "s", user_id: str = "") -> Step:
    event = Event(event_id=f"e-{time_ms}-{kind}", session_id=session_id, user_id=user_id)
    if payload is not None:
        getattr(event, kind).CopyFrom(payload)
    return Step(time_ms, kind, event)


def usd(amount_minor: int, currency: str = "USD") -> Money:
    return Money(amount_minor=amount_minor, currency=currency)


def order(time_ms: int, order_id: str, *lines: tuple[str, str, int, int], currency: str = "USD", session_id: str = "s") -> Step:
    """`lines`: product, category, quantity, price."""
    items = [
        LineItem(product_id=product, category=category, quantity=quantity, unit_price=usd(price, currency))
        for product, category, quantity, price in lines
    ]
    total = usd(sum(quantity * price for _, _, quantity, price in lines), currency)
    return step(time_ms, "order_placed", OrderPlaced(order_id=order_id, lines=items, total=total), session_id)


def paid(time_ms: int, order_id: str, amount_minor: int = 10, currency: str = "USD") -> Step:
    return step(time_ms, "payment_processed", PaymentProcessed(order_id=order_id, payment_id="y", amount=usd(amount_minor, currency)))


def failed(time_ms: int, order_id: str, amount_minor: int = 10, currency: str = "USD") -> Step:
    return step(time_ms, "payment_failed", PaymentFailed(order_id=order_id, amount=usd(amount_minor, currency)))


def viewed(time_ms: int, category: str = "toys", **more: str) -> Step:
    return step(time_ms, "product_viewed", ProductViewed(product_id="p", category=category), **more)


def added(time_ms: int, quantity: int = 1, **more: str) -> Step:
    item = LineItem(product_id="p", category="toys", quantity=quantity, unit_price=usd(5))
    return step(time_ms, "product_added_to_cart", ProductAddedToCart(item=item), **more)


def removed(time_ms: int, quantity: int = 1) -> Step:
    gone = step(time_ms, "product_removed_from_cart")
    gone.event.product_removed_from_cart.quantity = quantity
    return gone


class TestPerMinute:
    """Windows of 4 s. Rows as (start, orders, amount, payments, paid, failed, orders at risk, amount at risk)."""

    @pytest.mark.parametrize(
        ("steps", "rows"),
        [
            ([order(0, "a", ("p", "toys", 2, 30)), order(3_999, "b", ("p", "toys", 1, 5))], [(0, 2, 65, 0, 0, 0, 0, 0)]),
            ([order(4_000, "a", ("p", "toys", 2, 30))], [(4_000, 1, 60, 0, 0, 0, 0, 0)]),
            ([failed(100, "a")], [(0, 0, 0, 0, 0, 1, 1, 10)]),
            # failed, then paid in the same window: not at risk, in whatever order they come
            ([failed(100, "a"), paid(200, "a")], [(0, 0, 0, 1, 10, 1, 0, 0)]),
            ([paid(100, "a"), failed(200, "a")], [(0, 0, 0, 1, 10, 1, 0, 0)]),
            # paid in the next window: at risk in this one
            ([failed(100, "a"), paid(4_200, "a")], [(0, 0, 0, 0, 0, 1, 1, 10), (4_000, 0, 0, 1, 10, 0, 0, 0)]),
            # each order counts once, with the largest amount that failed
            ([failed(100, "a", 7), failed(200, "a", 9), failed(300, "b", 1)], [(0, 0, 0, 0, 0, 3, 2, 10)]),
            # a payment of another order, or in another currency, rescues nothing
            ([failed(100, "a"), paid(200, "b")], [(0, 0, 0, 1, 10, 1, 1, 10)]),
        ],
    )
    def test_the_rows(self, steps: list[Step], rows: list[tuple[int, ...]]) -> None:
        names = ("window_start", "orders", "amount_minor", "payments", "paid_minor", "failed_payments", "at_risk_orders", "at_risk_minor")
        found = sales.per_minute(steps, TERMS)
        assert sorted(tuple(row[name] for name in names) for row in found) == rows
        assert {(row["currency"], row["window_end"] - row["window_start"]) for row in found} == {("USD", 4_000)}

    def test_currencies_are_never_added(self) -> None:
        found = sales.per_minute([failed(0, "a"), paid(0, "a", 10, "EUR")], TERMS)
        assert {row["currency"]: (row["at_risk_minor"], row["paid_minor"]) for row in found} == {"USD": (10, 0), "EUR": (0, 10)}

    def test_the_average_of_no_order_is_none(self) -> None:
        assert sales.per_minute([paid(0, "a")], TERMS)[0]["avg_minor_per_order"] is None
        assert sales.per_minute([order(0, "a", ("p", "toys", 1, 5)), order(1, "b", ("p", "toys", 1, 6))], TERMS)[0][
            "avg_minor_per_order"
        ] == pytest.approx(5.5)


class TestTopProducts:
    def test_the_best_come_first_and_ties_by_product(self) -> None:
        lines = [("c", "toys", 1, 5), ("a", "toys", 1, 5), ("b", "books", 2, 4), ("a", "toys", 1, 1)]
        found = [row for row in sales.top_products([order(0, "o", *lines)], TERMS) if row["window_start"] == 0]
        assert [(row["rank"], row["product_id"], row["quantity"], row["amount_minor"]) for row in found] == [
            (1, "b", 2, 8), (2, "a", 2, 6), (3, "c", 1, 5),
        ]  # fmt: skip
        tied = [("c", "toys", 1, 5), ("a", "toys", 1, 5)]
        assert [row["product_id"] for row in sales.top_products([order(0, "o", *tied)], TERMS)] == ["a", "c"] * 2

    @pytest.mark.parametrize(
        ("window_ms", "slide_ms", "starts"),
        [
            (10_000, 1_000, [0, 2_000, 4_000, 6_000, 8_000]),
            (4_000, 2_000, [6_000, 8_000]),
            (12_000, 2_000, [-2_000, 0, 2_000, 4_000, 6_000, 8_000]),
        ],
    )
    def test_the_windows_slide_by_a_fifth_if_they_can(self, window_ms: int, slide_ms: int, starts: list[int]) -> None:
        found = sales.top_products([order(9_999, "o", ("p", "toys", 1, 5))], replace(TERMS, window_ms=window_ms, slide_ms=slide_ms))
        assert [row["window_start"] for row in found] == starts

    def test_ten_at_most_for_each_currency(self) -> None:
        lines = [(f"p{number:02}", "toys", 1, number) for number in range(1, 13)]
        found = sales.top_products([order(0, "o", *lines), order(0, "e", *lines[:3], currency="EUR")], TERMS)
        dollars = [row for row in found if (row["currency"], row["window_start"]) == ("USD", 0)]
        assert [row["product_id"] for row in dollars] == [f"p{number:02}" for number in range(12, 2, -1)]
        assert len([row for row in found if row["currency"] == "EUR"]) == 3 * 2


class TestFunnel:
    """Windows of 4 s by 2 s; a payment counts up to 3 s after its order. Rows as (category, start, views, carts, orders, paid)."""

    TWO = (("p", "toys", 1, 5), ("q", "toys", 1, 5), ("r", "books", 1, 5))

    @pytest.mark.parametrize(
        ("steps", "rows"),
        [
            ([viewed(0), viewed(0, "")], [("toys", -2_000, 1, 0, 0, 0), ("toys", 0, 1, 0, 0, 0)]),
            ([added(2_000, 5)], [("toys", 0, 0, 1, 0, 0), ("toys", 2_000, 0, 1, 0, 0)]),
            ([order(0, "a", ("p", "toys", 1, 5)), paid(0, "a")], [("toys", -2_000, 0, 0, 1, 1), ("toys", 0, 0, 0, 1, 1)]),
            (
                [order(0, "a", *TWO), paid(3_000, "a"), paid(3_500, "a")],  # twice in parts, once in each category
                [(category, start, 0, 0, start < 2_000, start >= 0)
                 for category in ("books", "toys") for start in (-2_000, 0, 2_000)],
            ),
            ([order(0, "a", *TWO[:1]), paid(3_001, "a")], [("toys", -2_000, 0, 0, 1, 0), ("toys", 0, 0, 0, 1, 0)]),
            ([paid(0, "a"), order(1, "a", *TWO[:1]), paid(2, "a")], [("toys", -2_000, 0, 0, 1, 0), ("toys", 0, 0, 0, 1, 0)]),
            ([failed(0, "a"), paid(0, "b")], []),
        ],
    )  # fmt: skip
    def test_the_rows(self, steps: list[Step], rows: list[tuple[Any, ...]]) -> None:
        found = sales.funnel(steps, TERMS)
        names = ("category", "window_start", "views", "carts", "orders", "paid")
        assert sorted(tuple(row[name] for name in names) for row in found) == rows

    def test_the_last_order_of_an_id_counts(self) -> None:
        steps = [order(0, "a", ("p", "toys", 1, 5)), order(1, "a", ("p", "books", 1, 5)), order(9, "a", ("p", "music", 1, 5)), paid(5, "a")]
        assert {row["category"] for row in sales.funnel(steps, TERMS) if row["paid"]} == {"books"}


class TestSessions:
    """Gap 2 s. Rows as (start, end, events, views, carts, orders, abandoned)."""

    @pytest.mark.parametrize(
        ("steps", "rows"),
        [
            ([viewed(0)], [(0, 0, 1, 1, 0, 0, False)]),
            ([viewed(2_000), viewed(0)], [(0, 2_000, 2, 2, 0, 0, False)]),
            ([viewed(0), viewed(2_001)], [(0, 0, 1, 1, 0, 0, False), (2_001, 2_001, 1, 1, 0, 0, False)]),
            ([viewed(0), step(1_500, "unknown"), viewed(3_000)], [(0, 3_000, 3, 2, 0, 0, False)]),
            ([added(0, 3), removed(1, 2)], [(0, 1, 2, 0, 1, 0, True)]),
            ([added(0, 3), removed(1, 3)], [(0, 1, 2, 0, 1, 0, False)]),
            ([added(0, 3), order(1, "a", ("p", "toys", 3, 5)), added(2)], [(0, 2, 3, 0, 2, 1, False)]),
        ],
    )
    def test_the_rows(self, steps: list[Step], rows: list[tuple[Any, ...]]) -> None:
        names = ("session_start", "session_end", "events", "views", "carts", "orders", "abandoned")
        assert [tuple(row[name] for name in names) for row in sales.sessions(steps, TERMS)] == rows

    @pytest.mark.parametrize(
        ("first_ms", "second_ms", "sessions"), [(0, 2_999, 1), (0, 3_000, 2), (999, 2_000, 1), (999, 3_000, 2), (500, 2_501, 1)]
    )
    def test_steps_of_a_second(self, first_ms: int, second_ms: int, sessions: int) -> None:
        """A silence over the gap ends a session at once, or up to a step later; one within it never does."""
        steps = [viewed(first_ms), viewed(second_ms)]
        assert len(sales.sessions(steps, replace(TERMS, session_step_ms=1_000))) == sessions

    def test_the_last_known_user_counts(self) -> None:
        steps = [viewed(0, user_id="u-1"), viewed(1, user_id="u-2"), viewed(2), step(3, "user_signed_in", user_id="u-3")]
        assert [row["user_id"] for row in sales.sessions(steps, TERMS)] == ["u-2"]
        assert [row["user_id"] for row in sales.sessions([viewed(0)], TERMS)] == [""]

    def test_sessions_do_not_mix(self) -> None:
        found = sales.sessions([viewed(0, session_id="b"), viewed(1, session_id="a"), viewed(2, session_id="b")], TERMS)
        assert [(row["session_id"], row["events"], row["length_ms"]) for row in found] == [("a", 1, 0), ("b", 2, 2)]


# -- comparing ----------------------------------------------------------------------------------------------------------------

_NONE: frozenset[str] = frozenset()


def expected(steps: list[Step]) -> list[ExpectedEvent]:
    return [
        ExpectedEvent(
            each.event.event_id, each.event.session_id, each.kind, each.time_ms, b"s", each.event.SerializeToString(), 0, number,
            _NONE, _NONE, {}, (), 0,
        )
        for number, each in enumerate(steps)
    ]  # fmt: skip


Verdict = tuple[dict[tuple[Problem, str], int], dict[str, WindowCount]]


def compare(steps: list[Step], outputs: list[Output], terms: Terms = TERMS) -> Verdict:
    findings = Findings()
    counts = compare_sales(expected(steps), Outputs.of(outputs), terms, findings)
    return dict(findings.counts), counts


STEPS = [
    viewed(10_000, user_id="u-1"), added(11_000), order(12_000, "a", ("p", "toys", 1, 5), ("q", "books", 2, 7)), failed(13_000, "a"),
    paid(14_000, "a"), viewed(10_000, session_id="s-2"), added(14_000, session_id="s-2"), order(12_000, "b", ("p", "toys", 1, 5)),
    failed(13_000, "b"), failed(15_000, "b"), paid(16_000, "b"), paid(17_000, "b"),
]  # fmt: skip
IDEAL = sales_outputs(expected(STEPS), TERMS)
NUMBERS = [
    (output.topic, name)
    for topic in SALES_INSIGHTS
    for output in [next(each for each in IDEAL if each.topic == topic)]
    for name, value in json.loads(output.value or b"").items()
    if type(value) in (int, float)
]


def index(topic: str) -> int:
    """Where the row of a topic stands that ends first."""
    end = "session_end" if topic == SESSIONS else "window_end"
    return min((json.loads(output.value or b"")[end], i) for i, output in enumerate(IDEAL) if output.topic == topic)[1]


def changed(topic: str, **columns: Any) -> list[Output]:
    i = index(topic)
    row = json.loads(IDEAL[i].value or b"") | columns
    return [*IDEAL[:i], IDEAL[i]._replace(value=json.dumps(row).encode()), *IDEAL[i + 1 :]]


def test_ideal_outputs_pass() -> None:
    problems, counts = compare(STEPS, IDEAL)
    assert problems == {}
    assert {topic: count.equal for topic, count in counts.items()} == {
        topic: len([output for output in IDEAL if output.topic == topic]) for topic in SALES_INSIGHTS
    }
    assert min(count.equal for count in counts.values()) >= 2


@pytest.mark.parametrize("topic", SALES_INSIGHTS)
def test_a_part_that_the_job_does_not_have(topic: str) -> None:
    others = [output for output in IDEAL if output.topic != topic]
    terms = replace(TERMS, until_ms=1 << 62)
    problems, counts = compare(STEPS, others, replace(terms, switched_off=frozenset({topic})))
    assert (problems, set(counts)) == ({}, set(SALES_INSIGHTS) - {topic})
    assert {where for _, where in compare(STEPS, others, terms)[0]} == {topic}


@pytest.mark.parametrize(("topic", "name"), NUMBERS)
def test_a_wrong_number(topic: str, name: str) -> None:
    row = json.loads(IDEAL[index(topic)].value or b"")
    problems, _ = compare(STEPS, changed(topic, **{name: row[name] + 1_000_000}))
    identity = {PER_MINUTE: {"window_start"}, TOP_PRODUCTS: {"window_start", "rank"}, FUNNEL: {"window_start"}, SESSIONS: {"session_start"}}
    if name in identity[topic]:
        assert problems == {(Problem.UNEXPECTED, topic): 1, (Problem.LOST, topic): 1}
    else:
        assert problems == {(Problem.WRONG_SUM, topic): 1}


@pytest.mark.parametrize(
    ("topic", "columns"),
    [
        (TOP_PRODUCTS, {"product_id": "x"}),
        (TOP_PRODUCTS, {"category": "x"}),
        (SESSIONS, {"user_id": "u-9"}),
        (SESSIONS, {"user_id": None}),
        (SESSIONS, {"abandoned": 0}),
        (PER_MINUTE, {"orders": 1.0}),
        (PER_MINUTE, {"avg_minor_per_order": None}),
        (FUNNEL, {"views": True}),
    ],
)
def test_a_wrong_value_or_type(topic: str, columns: dict[str, Any]) -> None:
    assert compare(STEPS, changed(topic, **columns))[0] == {(Problem.WRONG_SUM, topic): 1}


@pytest.mark.parametrize("topic", SALES_INSIGHTS)
class TestFaults:
    def test_lost(self, topic: str) -> None:
        i = index(topic)
        assert compare(STEPS, IDEAL[:i] + IDEAL[i + 1 :])[0] == {(Problem.LOST, topic): 1}

    def test_doubled(self, topic: str) -> None:
        assert compare(STEPS, [*IDEAL, IDEAL[index(topic)]])[0] == {(Problem.DOUBLED, topic): 1}

    def test_a_row_of_nothing(self, topic: str) -> None:
        assert compare([], IDEAL[index(topic) : index(topic) + 1])[0] == {(Problem.UNEXPECTED, topic): 1}

    def test_a_wrong_key(self, topic: str) -> None:
        i = index(topic)
        assert compare(STEPS, [*IDEAL[:i], IDEAL[i]._replace(key=b"x"), *IDEAL[i + 1 :]])[0] == {(Problem.WRONG_KEY, topic): 1}
        assert compare(STEPS, [*IDEAL[:i], IDEAL[i]._replace(key=None), *IDEAL[i + 1 :]])[0] == {(Problem.WRONG_KEY, topic): 1}

    def test_another_column(self, topic: str) -> None:
        assert compare(STEPS, changed(topic, more=1))[0] == {(Problem.ALTERED, topic): 1, (Problem.LOST, topic): 1}

    @pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"{}", b"\xff"])
    def test_no_row(self, topic: str, value: bytes | None) -> None:
        i = index(topic)
        problems, _ = compare(STEPS, [*IDEAL[:i], IDEAL[i]._replace(value=value), *IDEAL[i + 1 :]])
        assert problems == {(Problem.ALTERED, topic): 1, (Problem.LOST, topic): 1}

    def test_what_has_not_ended_is_open_unless_it_must_have(self, topic: str) -> None:
        outputs = [output for output in IDEAL if output.topic != topic]
        problems, counts = compare(STEPS, outputs)
        assert problems == {}
        assert counts[topic].open == len(IDEAL) - len(outputs) > 0
        problems, counts = compare(STEPS, outputs, replace(TERMS, until_ms=1 << 62))
        assert problems == {(Problem.LOST, topic): counts[topic].lost}
        assert counts[topic].lost == len(IDEAL) - len(outputs)


def test_a_session_is_due_once_its_gap_is_over() -> None:
    steps = [viewed(0, session_id="old"), viewed(1_000, session_id="new")]
    by_key = {each.key: each for each in sales_outputs(expected(steps), TERMS) if each.topic == SESSIONS}
    assert compare(steps, [by_key[b"old"]])[1][SESSIONS] == WindowCount(equal=1, open=1, newest_end_ms=2_001)
    assert compare(steps, [by_key[b"new"]])[1][SESSIONS] == WindowCount(equal=1, lost=1, newest_end_ms=3_001)


_TIMES = st.integers(0, 12_000)
_IDS = st.sampled_from(["a", "b", "c"])
_MINOR = st.integers(0, 3)
_CURRENCY = st.sampled_from(["USD", "EUR"])
_LINE = st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["toys", "books"]), st.integers(1, 3), _MINOR)
_SESSION = st.sampled_from(["s", "t"])
_STEP = st.one_of(
    st.builds(
        lambda time_ms, order_id, lines, currency, session_id: order(time_ms, order_id, *lines, currency=currency, session_id=session_id),
        _TIMES, _IDS, st.lists(_LINE, min_size=1, max_size=3), _CURRENCY, _SESSION,
    ),
    st.builds(paid, _TIMES, _IDS, _MINOR, _CURRENCY),
    st.builds(failed, _TIMES, _IDS, _MINOR, _CURRENCY),
    st.builds(viewed, _TIMES, st.sampled_from(["toys", "books", ""]), session_id=_SESSION, user_id=st.sampled_from(["", "u", "v"])),
    st.builds(added, _TIMES, st.integers(1, 3), session_id=_SESSION),
    st.builds(removed, _TIMES, st.integers(1, 3)),
    st.builds(step, _TIMES, st.just("unknown"), session_id=_SESSION),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(_STEP, max_size=25, unique_by=lambda each: each.time_ms), st.sampled_from([1, 300, 1_000]), st.booleans())
def test_the_oracle_equals_a_plainer_one(steps: list[Step], session_step_ms: int, slides_in_fives: bool) -> None:
    window_ms, slide_ms = (10_000, 1_000) if slides_in_fives else (4_000, 2_000)
    terms = replace(TERMS, session_step_ms=session_step_ms, window_ms=window_ms, slide_ms=slide_ms)
    problems, counts = compare(steps, sales_outputs(expected(steps), terms), terms)
    assert problems == {}
    assert sum(count.lost + count.open + count.wrong for count in counts.values()) == 0
