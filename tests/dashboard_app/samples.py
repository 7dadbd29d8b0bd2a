"""Records as the job writes them, and what Flink answers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from jobs.settings import Topics
from scripts.dashboard_app.bounded import Now
from scripts.dashboard_app.flink import JobView, Task
from scripts.dashboard_app.panels import PANELS
from scripts.dashboard_app.state import About, DashboardState
from scripts.outputs.flink import Checkpoint
from scripts.outputs.record import Offsets, Record

TOPICS = Topics()
NOON_MS = 1_750_000_000_000 // 86_400_000 * 86_400_000 + 43_200_000
MINUTE_MS = 60_000
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
ABOUT = About("127.0.0.1:9092", "http://127.0.0.1:8081")
ALL_SINKS = frozenset(panel.sink for panel in PANELS.values() if panel.sink)


def record(topic: str, document: Any, key: str = "", time_ms: int = NOON_MS) -> Record:
    return Record(topic, json.dumps(document).encode(), key=key.encode(), time_ms=time_ms)


def window(
    category: str, amount_minor: int, *, end_ms: int = NOON_MS, currency: str = "USD", orders: int = 1, size_ms: int = 300_000
) -> Record:
    document = {
        "category": category, "currency": currency, "window_start": end_ms - size_ms, "window_end": end_ms, "orders": orders,
        "quantity": orders, "amount_minor": amount_minor, "avg_minor_per_minute": amount_minor / (size_ms / 60_000),
        "avg_minor_per_order": amount_minor / orders if orders else 0,
    }  # fmt: skip
    return record(TOPICS.sales, document, category)


def minute(
    start_ms: int, orders: int, amount_minor: int, *, currency: str = "USD", at_risk_orders: int = 0, at_risk_minor: int = 0
) -> Record:
    document = {
        "currency": currency, "window_start": start_ms, "window_end": start_ms + MINUTE_MS, "orders": orders, "amount_minor": amount_minor,
        "avg_minor_per_order": amount_minor / max(orders, 1), "payments": orders, "paid_minor": amount_minor,
        "failed_payments": at_risk_orders, "at_risk_orders": at_risk_orders, "at_risk_minor": at_risk_minor,
    }  # fmt: skip
    return record(TOPICS.sales_per_minute, document, currency)


def top(rank: int, product_id: str, amount_minor: int, *, category: str = "toys", currency: str = "USD", end_ms: int = NOON_MS) -> Record:
    document = {
        "currency": currency, "window_start": end_ms - 300_000, "window_end": end_ms, "rank": rank, "product_id": product_id,
        "category": category, "quantity": 3, "amount_minor": amount_minor,
    }  # fmt: skip
    return record(TOPICS.top_products, document, currency)


def funnel(category: str, views: int, carts: int, orders: int, paid: int, end_ms: int = NOON_MS) -> Record:
    document = {"category": category, "window_start": end_ms - 300_000, "window_end": end_ms,
                "views": views, "carts": carts, "orders": orders, "paid": paid}  # fmt: skip
    return record(TOPICS.funnel, document, category)


def session(name: str, *, length_ms: int = 90_000, views: int = 5, carts: int = 1, orders: int = 0, time_ms: int = NOON_MS) -> Record:
    document = {
        "session_id": name, "user_id": "u-1", "session_start": time_ms - length_ms, "session_end": time_ms, "length_ms": length_ms,
        "events": views + carts + orders, "views": views, "carts": carts, "orders": orders, "abandoned": carts > 0 and orders == 0,
    }  # fmt: skip
    return record(TOPICS.sessions, document, name, time_ms)


def alert(alert_id: str, score: float = 80, *, time_ms: int = NOON_MS, subject: str = "u-1", rule_id: str = "order-velocity",
          text: str = "6 orders in 60 s, allowed are 3", reasons: int = 1) -> Record:  # fmt: skip
    reason = {
        "rule_id": rule_id, "version": 2, "signal": "order_velocity", "by": "user", "key": subject, "value": 6, "limit": 3,
        "score": score, "text": text, "evidence": [f"e-{alert_id}-{index}" for index in range(4)],
    }  # fmt: skip
    document = {
        "alert_id": alert_id, "subject": subject, "event_id": f"e-{alert_id}", "session_id": "s-1", "user_id": subject, "order_id": "o-1",
        "time_ms": time_ms, "detected_ms": time_ms + 180, "score": score, "reasons": [reason] * reasons,
    }  # fmt: skip
    return record(TOPICS.fraud_alerts, document, subject, time_ms)


def items(*products: str) -> list[dict[str, Any]]:
    return [{"product_id": product, "score": round(1 / (rank + 1), 3)} for rank, product in enumerate(products)]


def for_user(user: str, *products: str, time_ms: int = NOON_MS) -> Record:
    document = {"user_id": user, "session_id": "s-1", "time_ms": time_ms, "items": items(*products)}
    return record(TOPICS.user_recommendations, document, user, time_ms)


def for_product(product: str, viewed: tuple[str, ...] = (), bought: tuple[str, ...] = ()) -> Record:
    document = {"product_id": product, "category": "toys", "time_ms": NOON_MS, "also_viewed": items(*viewed), "also_bought": items(*bought)}
    return record(TOPICS.product_recommendations, document, product)


def trend(category: str, *products: str, time_ms: int = NOON_MS) -> Record:
    return record(TOPICS.trending, {"category": category, "time_ms": time_ms, "items": items(*products)}, category, time_ms)


def status(rule_id: str, version: int = 1, status: str = "accepted", *, subtask: int = 0, parallelism: int = 1, reason: str = "",
           time_ms: int = NOON_MS, **counters: int) -> Record:  # fmt: skip
    document = {"rule_id": rule_id, "version": version, "status": status, "reason": reason, "subtask": subtask, "parallelism": parallelism,
                "time_ms": time_ms, "evaluated": 0, "matched": 0, "shadow_matched": 0, "errors": 0, "time_us": 0} | counters  # fmt: skip
    return record(TOPICS.rule_status, document, rule_id, time_ms)


def rule(rule_id: str, version: int = 1, **keys: Any) -> Record:
    return record(TOPICS.rules, {"id": rule_id, "version": version} | keys, rule_id)


def dead_letter(reason: str) -> Record:
    return Record(TOPICS.dead_letters, b"anything", {"reason": reason.encode()}, time_ms=NOON_MS)


def job(**changes: Any) -> JobView:
    tasks = (
        Task("KafkaSource-events", None, 0.12, 0.0),
        Task("decode-and-route", None, 0.56, 0.02),
        Task("OverAggregate", NOON_MS - 2_300, 0.31, 0.0),
    )
    usual = JobView(
        "5f2c9a70d1e84b33a6f0c1d2e3f40516", "RUNNING", NOON_MS - 3_600_000, Checkpoint(412, NOON_MS - 1_200, 184), 0, 0, ALL_SINKS, tasks
    )
    return replace(usual, **changes)


def seen(
    *records: Record, offsets: Offsets | None = Offsets(100, 7), at: Now = Now(0, NOON_MS), job_view: JobView | None = None
) -> DashboardState:
    """A state that has got the records at `at`, and these answers; ask it at `later`."""
    state = DashboardState(ABOUT, at)
    for each in records:
        state.observe(each, at)
    if offsets is not None:
        state.kafka_said(offsets, at)
    state.flink_said(job_view or job(), at)
    return state


LATER = Now(2.0, NOON_MS + 2_000)
"""A moment after `seen`'s: windows are whole by then."""
