"""Sales, funnel and sessions in plain Python: what the job's windows must hold. Its sliding sales windows are in windows.py.

Everything here is a function of the events that were on time. Times are their records' timestamps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from shop.v1.events_pb2 import Event

from scripts.checker.model import FUNNEL, PER_MINUTE, SESSIONS, TOP_PRODUCTS, ExpectedEvent, Findings, Outputs, Terms, WindowCount
from scripts.checker.rows import Row, Table, compare_rows
from scripts.checker.windows import window_starts

TOP = 10
_PER_MINUTE = Table(PER_MINUTE, "currency", ("currency", "window_start"))
_TOP_PRODUCTS = Table(TOP_PRODUCTS, "currency", ("currency", "window_start", "rank"))
_FUNNEL = Table(FUNNEL, "category", ("category", "window_start"))
_SESSIONS = Table(SESSIONS, "session_id", ("session_id", "session_start"), end="session_end")


class Step(NamedTuple):
    """One event: `kind` is the name of its payload, or "unknown"."""

    time_ms: int
    kind: str
    event: Event


def compare_sales(on_time: Iterable[ExpectedEvent], outputs: Outputs, terms: Terms, findings: Findings) -> dict[str, WindowCount]:
    """Holds the topics of this module against the oracle's rows; their counts by topic."""
    steps = [Step(each.time_ms, each.event_type, Event.FromString(each.value)) for each in on_time]

    parts: list[tuple[Table, Callable[[Sequence[Step], Terms], list[Row]], int]] = [
        (_PER_MINUTE, per_minute, 0),
        (_TOP_PRODUCTS, top_products, 0),
        (_FUNNEL, funnel, 0),
        (_SESSIONS, sessions, terms.session_gap_ms + terms.session_step_ms),
    ]
    return {
        table.topic: compare_rows(table, rows_of(steps, terms), outputs.of_topic(table.topic), findings, terms.until_ms, after_ms)
        for table, rows_of, after_ms in parts
        if table.topic not in terms.switched_off
    }


# -- totals per minute -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Money:
    """What happened to the money of one currency in one window."""

    orders: int = 0
    amount_minor: int = 0
    payments: int = 0
    paid_minor: int = 0
    failed_payments: int = 0


def per_minute(steps: Iterable[Step], terms: Terms) -> list[Row]:
    """Orders, payments and what is at risk: orders with a failed payment and none that went through, in the same window and currency."""
    sums: dict[tuple[int, str], _Money] = {}
    failed: dict[tuple[int, str], dict[str, int]] = {}
    paid: set[tuple[int, str, str]] = set()
    for step in steps:
        start_ms = step.time_ms - step.time_ms % terms.totals_ms
        match step.kind:
            case "order_placed":
                total = step.event.order_placed.total
                money = sums.setdefault((start_ms, total.currency), _Money())
                money.orders += 1
                money.amount_minor += total.amount_minor
            case "payment_processed":
                payment = step.event.payment_processed
                money = sums.setdefault((start_ms, payment.amount.currency), _Money())
                money.payments += 1
                money.paid_minor += payment.amount.amount_minor
                paid.add((start_ms, payment.amount.currency, payment.order_id))
            case "payment_failed":
                failure = step.event.payment_failed
                window = (start_ms, failure.amount.currency)
                sums.setdefault(window, _Money()).failed_payments += 1
                orders = failed.setdefault(window, {})
                orders[failure.order_id] = max(failure.amount.amount_minor, orders.get(failure.order_id, 0))
    rows: list[Row] = []
    for (start_ms, currency), money in sums.items():
        unpaid = {id_: minor for id_, minor in failed.get((start_ms, currency), {}).items() if (start_ms, currency, id_) not in paid}
        rows.append({
            "currency": currency, "window_start": start_ms, "window_end": start_ms + terms.totals_ms,
            "orders": money.orders, "amount_minor": money.amount_minor,
            "avg_minor_per_order": money.amount_minor / money.orders if money.orders else None,
            "payments": money.payments, "paid_minor": money.paid_minor, "failed_payments": money.failed_payments,
            "at_risk_orders": len(unpaid), "at_risk_minor": sum(unpaid.values()),
        })  # fmt: skip
    return rows


# -- top products -----------------------------------------------------------------------------------------------------------


def top_products(steps: Iterable[Step], terms: Terms) -> list[Row]:
    """The TOP products by amount in each sliding window and currency; of equal ones, the smaller product id comes first."""
    sums: dict[tuple[int, str], dict[tuple[str, str], list[int]]] = {}
    for step in steps:
        if step.kind != "order_placed":
            continue
        order = step.event.order_placed
        for start_ms in window_starts(step.time_ms, terms.window_ms, terms.top_slide_ms):
            products = sums.setdefault((start_ms, order.total.currency), {})
            for line in order.lines:
                sold = products.setdefault((line.product_id, line.category), [0, 0])
                sold[0] += line.quantity
                sold[1] += line.quantity * line.unit_price.amount_minor
    rows: list[Row] = []
    for (start_ms, currency), products in sums.items():
        best = sorted(products.items(), key=lambda each: (-each[1][1], each[0]))[:TOP]
        for rank, ((product_id, category), (quantity, amount_minor)) in enumerate(best, 1):
            rows.append({
                "currency": currency, "window_start": start_ms, "window_end": start_ms + terms.window_ms, "rank": rank,
                "product_id": product_id, "category": category, "quantity": quantity, "amount_minor": amount_minor,
            })  # fmt: skip
    return rows


# -- funnel ------------------------------------------------------------------------------------------------------------------


def funnel(steps: Sequence[Step], terms: Terms) -> list[Row]:
    """Views, carts, orders and paid orders of each category in each sliding window; what has no category counts nowhere."""
    windows: dict[tuple[int, str], list[int]] = {}
    for time_ms, stage, category in (*_looks_and_orders(steps), *_paid(steps, terms.payment_within_ms)):
        for start_ms in window_starts(time_ms, terms.window_ms, terms.slide_ms):
            windows.setdefault((start_ms, category), [0, 0, 0, 0])[stage] += 1
    return [
        {
            "category": category, "window_start": start_ms, "window_end": start_ms + terms.window_ms,
            "views": views, "carts": carts, "orders": orders, "paid": paid,
        }
        for (start_ms, category), (views, carts, orders, paid) in windows.items()
    ]  # fmt: skip


def _looks_and_orders(steps: Iterable[Step]) -> Iterator[tuple[int, int, str]]:
    for step in steps:
        match step.kind:
            case "product_viewed":
                if step.event.product_viewed.category:
                    yield step.time_ms, 0, step.event.product_viewed.category
            case "product_added_to_cart":
                yield step.time_ms, 1, step.event.product_added_to_cart.item.category
            case "order_placed":
                for category in _categories(step.event):
                    yield step.time_ms, 2, category


def _paid(steps: Iterable[Step], within_ms: int) -> Iterator[tuple[int, int, str]]:
    """At the time of the first payment of an order id, the categories of the last order of that id until then."""
    orders: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    first: dict[str, int] = {}
    for step in steps:
        if step.kind == "order_placed":
            orders.setdefault(step.event.order_placed.order_id, []).append((step.time_ms, _categories(step.event)))
        elif step.kind == "payment_processed":
            order_id = step.event.payment_processed.order_id
            first[order_id] = min(step.time_ms, first.get(order_id, step.time_ms))
    for order_id, time_ms in first.items():
        before = [order for order in orders.get(order_id, ()) if order[0] <= time_ms]
        if before and time_ms - max(before)[0] <= within_ms:
            for category in max(before)[1]:
                yield time_ms, 3, category


def _categories(order: Event) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.category for line in order.order_placed.lines))


# -- sessions ----------------------------------------------------------------------------------------------------------------


def sessions(steps: Iterable[Step], terms: Terms) -> list[Row]:
    """A session id's events, cut where nothing came for longer than the gap, by a clock that ticks in steps."""

    def ticks_ms(time_ms: int) -> int:
        return time_ms - time_ms % terms.session_step_ms

    in_order = sorted(steps, key=lambda step: (step.event.session_id, step.time_ms))
    rows = []
    for session_id, group in groupby(in_order, key=lambda step: step.event.session_id):
        part: list[Step] = []
        for step in group:
            if part and ticks_ms(step.time_ms) - ticks_ms(part[-1].time_ms) > terms.session_gap_ms:
                rows.append(_session(session_id, part))
                part = []
            part.append(step)
        rows.append(_session(session_id, part))
    return rows


# Signing in has no facts in the job; a user is known from what he does afterwards.
_WITH_USER = {"product_viewed", "product_added_to_cart", "product_removed_from_cart", "order_placed", "payment_processed", "payment_failed"}


def _session(session_id: str, steps: list[Step]) -> Row:
    kinds = [step.kind for step in steps]
    added = sum(step.event.product_added_to_cart.item.quantity for step in steps)
    removed = sum(step.event.product_removed_from_cart.quantity for step in steps)
    users = [(step.time_ms, step.event.user_id) for step in steps if step.kind in _WITH_USER and step.event.user_id]
    orders = kinds.count("order_placed")
    return {
        "session_id": session_id, "user_id": max(users)[1] if users else "",
        "session_start": steps[0].time_ms, "session_end": steps[-1].time_ms, "length_ms": steps[-1].time_ms - steps[0].time_ms,
        "events": len(steps), "views": kinds.count("product_viewed"), "carts": kinds.count("product_added_to_cart"), "orders": orders,
        "abandoned": added > removed and not orders,
    }  # fmt: skip
