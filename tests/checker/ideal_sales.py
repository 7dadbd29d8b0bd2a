"""The rows of sales, funnel and sessions once more, as plainly as can be: for every window, a look at every event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from shop.v1.events_pb2 import Event

from scripts.checker.model import FUNNEL, PER_MINUTE, SESSIONS, TOP_PRODUCTS, ExpectedEvent, Output, Terms

# By window and slide: a fifth of the window, if the slide divides it.
_TOP_SLIDE_MS = {(60_000, 10_000): 10_000, (20_000, 10_000): 10_000, (4_000, 2_000): 2_000, (10_000, 1_000): 2_000}

Timed = tuple[int, str, Event]  # time in ms, type, event


def sales_outputs(on_time: list[ExpectedEvent], terms: Terms) -> list[Output]:
    """What a faultless job writes about the given events."""
    events = sorted(((each.time_ms, each.event_type, Event.FromString(each.value)) for each in on_time), key=lambda each: each[0])
    rows = {
        (PER_MINUTE, "currency"): list(_minutes(events, terms)),
        (TOP_PRODUCTS, "currency"): list(_top(events, terms)),
        (FUNNEL, "category"): list(_funnel(events, terms)),
        (SESSIONS, "session_id"): list(_sessions(events, terms)),
    }
    return [Output(topic, 0, 0, 0, row[key].encode(), json.dumps(row).encode()) for (topic, key), all_ in rows.items() for row in all_]


def _windows(events: list[Timed], size_ms: int, slide_ms: int) -> Iterator[tuple[dict[str, int], list[Timed]]]:
    if not events:
        return
    for start in range((events[0][0] - size_ms) // slide_ms * slide_ms, events[-1][0] + 1, slide_ms):
        inside = [each for each in events if start <= each[0] < start + size_ms]
        if inside:
            yield {"window_start": start, "window_end": start + size_ms}, inside


def _of(kind: str, events: list[Timed]) -> list[Any]:
    return [getattr(event, kind) for _, kind_, event in events if kind_ == kind]


def _minutes(events: list[Timed], terms: Terms) -> Iterator[dict[str, Any]]:
    for window, inside in _windows(events, terms.totals_ms, terms.totals_ms):
        for currency in ("USD", "EUR", "GBP"):
            totals = [order.total.amount_minor for order in _of("order_placed", inside) if order.total.currency == currency]
            paid = [each for each in _of("payment_processed", inside) if each.amount.currency == currency]
            failed = [each for each in _of("payment_failed", inside) if each.amount.currency == currency]
            unpaid = {each.order_id for each in failed} - {each.order_id for each in paid}
            if totals or paid or failed:
                yield {
                    "currency": currency, **window, "orders": len(totals), "amount_minor": sum(totals),
                    "avg_minor_per_order": sum(totals) / len(totals) if totals else None,
                    "payments": len(paid), "paid_minor": sum(each.amount.amount_minor for each in paid),
                    "failed_payments": len(failed), "at_risk_orders": len(unpaid),
                    "at_risk_minor": sum(max(each.amount.amount_minor for each in failed if each.order_id == one) for one in unpaid),
                }  # fmt: skip


def _top(events: list[Timed], terms: Terms) -> Iterator[dict[str, Any]]:
    for window, inside in _windows(events, terms.window_ms, _TOP_SLIDE_MS[terms.window_ms, terms.slide_ms]):
        for currency in ("USD", "EUR", "GBP"):
            lines = [line for order in _of("order_placed", inside) if order.total.currency == currency for line in order.lines]
            products = []
            for product_id, category in {(line.product_id, line.category) for line in lines}:
                own = [line for line in lines if (line.product_id, line.category) == (product_id, category)]
                amount = sum(line.quantity * line.unit_price.amount_minor for line in own)
                products.append((-amount, product_id, category, sum(line.quantity for line in own)))
            for rank, (negative, product_id, category, quantity) in enumerate(sorted(products)[:10], 1):
                yield {"currency": currency, **window, "rank": rank, "product_id": product_id, "category": category,
                       "quantity": quantity, "amount_minor": -negative}  # fmt: skip


def _funnel(events: list[Timed], terms: Terms) -> Iterator[dict[str, Any]]:
    payments = [(time, event) for time, kind, event in events if kind == "payment_processed"]
    orders = [(time, event.order_placed) for time, kind, event in events if kind == "order_placed"]
    paid: list[tuple[int, set[str]]] = []
    for time, event in payments:
        same = [other for other in payments if other[1].payment_processed.order_id == event.payment_processed.order_id]
        before = [each for each in orders if each[1].order_id == event.payment_processed.order_id and each[0] <= time]
        first = min(same, key=lambda other: (other[0], other[1].event_id))[1] is event
        if first and before and time - before[-1][0] <= terms.payment_within_ms:
            paid.append((time, {line.category for line in before[-1][1].lines}))
    for window, inside in _windows(events, terms.window_ms, terms.slide_ms):
        views = [each.category for each in _of("product_viewed", inside) if each.category]
        carts = [each.item.category for each in _of("product_added_to_cart", inside)]
        placed = [{line.category for line in each.lines} for each in _of("order_placed", inside)]
        here = [categories for time, categories in paid if window["window_start"] <= time < window["window_end"]]
        for category in set().union(views, carts, *placed, *here):
            yield {"category": category, **window, "views": views.count(category), "carts": carts.count(category),
                   "orders": sum(category in each for each in placed), "paid": sum(category in each for each in here)}  # fmt: skip


def _sessions(events: list[Timed], terms: Terms) -> Iterator[dict[str, Any]]:
    for session_id in {event.session_id for _, _, event in events}:
        own = [each for each in events if each[2].session_id == session_id]
        ticks = [each[0] // terms.session_step_ms for each in own]
        silent = terms.session_gap_ms / terms.session_step_ms
        starts = [i for i in range(len(own)) if i == 0 or ticks[i] - ticks[i - 1] > silent]
        for begin, end in zip(starts, [*starts[1:], len(own)], strict=True):
            part = own[begin:end]
            acting = ("product_viewed", "product_added_to_cart", "product_removed_from_cart", "order_placed", "payment_processed",
                      "payment_failed")  # fmt: skip
            users = ["", *(event.user_id for _, kind, event in part if event.user_id and kind in acting)]
            pieces = sum(each.item.quantity for each in _of("product_added_to_cart", part))
            pieces -= sum(each.quantity for each in _of("product_removed_from_cart", part))
            orders = len(_of("order_placed", part))
            yield {
                "session_id": session_id, "user_id": users[-1], "session_start": part[0][0], "session_end": part[-1][0],
                "length_ms": part[-1][0] - part[0][0], "events": len(part), "views": len(_of("product_viewed", part)),
                "carts": len(_of("product_added_to_cart", part)), "orders": orders, "abandoned": pieces > 0 and orders == 0,
            }  # fmt: skip
