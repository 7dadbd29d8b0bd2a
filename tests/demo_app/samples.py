"""Records as the job writes them."""

from __future__ import annotations

import json
from datetime import UTC
from io import StringIO

from rich.console import Console
from shop.v1.events_pb2 import Event, Money, OrderPlaced, PaymentFailed

from scripts.demo_app.render import picture, places
from scripts.demo_app.state import DEAD_LETTERS, FRAUD, FRAUD_ALERTS, RULE_STATUS, SALES, ViewState
from scripts.outputs.record import Record

NOON_MS = 1_750_000_000_000 // 86_400_000 * 86_400_000 + 43_200_000
HOSTILE = "[bold red]x[/] \x1b[2J\x1b]0;owned\x07 a\u202eb\nc\r\u2028d[/nonsense]"


def order(amount_minor: int, currency: str = "USD", session: str = "s-1", time_ms: int = NOON_MS) -> Record:
    total = Money(amount_minor=amount_minor, currency=currency)
    return alert(Event(event_id="e", session_id=session, event_time_ms=time_ms, order_placed=OrderPlaced(order_id="o", total=total)))


def failure(reason: str, session: str = "s-1") -> Record:
    failed = PaymentFailed(order_id="o", amount=Money(amount_minor=1_999, currency="EUR"), reason=reason)
    return alert(Event(event_id="e", session_id=session, event_time_ms=NOON_MS, payment_failed=failed))


def alert(event: Event) -> Record:
    return Record(FRAUD, event.SerializeToString())


def signal(text: str, score: float = 82.0, subject: str = "u-1", reasons: int = 1) -> Record:
    document = {"subject": subject, "time_ms": NOON_MS, "score": score, "reasons": [{"text": text}] * reasons}
    return Record(FRAUD_ALERTS, json.dumps(document).encode())


def dead_letter(reason: bytes) -> Record:
    return Record(DEAD_LETTERS, b"anything", {"reason": reason})


def window(category: str, per_minute: float, currency: str = "USD", end_ms: int = NOON_MS, orders: int = 1) -> Record:
    document = {
        "category": category, "currency": currency, "window_start": end_ms - 300_000, "window_end": end_ms, "orders": orders,
        "quantity": 1, "amount_minor": 1, "avg_minor_per_minute": per_minute, "avg_minor_per_order": 1.0,
    }  # fmt: skip
    return Record(SALES, json.dumps(document).encode())


def status(rule_id: str, version: int, status: str = "accepted", subtask: int = 0, parallelism: int = 2, reason: str = "") -> Record:
    document = {
        "rule_id": rule_id, "version": version, "status": status, "reason": reason,
        "subtask": subtask, "parallelism": parallelism, "time_ms": NOON_MS,
    }  # fmt: skip
    return Record(RULE_STATUS, json.dumps(document).encode())


def seen(*records: Record) -> ViewState:
    state = ViewState()
    for record in records:
        state.observe(record)
    return state


def drawn(state: ViewState, width: int = 100, now_s: float = 0, now_ms: int = NOON_MS, terminal: bool = False) -> str:
    """The picture as a terminal gets it: with its control sequences if `terminal`, else bare."""
    picked_up = StringIO()
    console = Console(file=picked_up, width=width, height=35, force_terminal=terminal, color_system="truecolor" if terminal else None)
    console.print(picture(state, places("http://127.0.0.1:8081", "http://127.0.0.1:8080"), now_s, now_ms, UTC))
    return picked_up.getvalue()
