"""Fraud alerts: score, reasons and evidence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from scripts.dashboard_app.bounded import Newest, PerMinute, shortened
from scripts.outputs.record import Fields, Record, Unreadable

OPEN_MINUTES: Final = 15
"""Nobody closes an alert: for so long it counts as open."""
_KEPT: Final = 200
_SHOWN: Final = 25
_MOST_REASONS: Final = 20  # the job's own limit
_MOST_EVIDENCE: Final = 20


@dataclass(frozen=True, slots=True)
class Reason:
    rule_id: str
    version: int
    signal: str
    by: str
    key: str
    value: str
    limit: str
    score: float
    text: str
    evidence: tuple[str, ...]
    evidence_count: int


@dataclass(frozen=True, slots=True)
class Alert:
    """`time_ms`: of the event; `detected_ms`: when the job found it."""

    alert_id: str
    subject: str
    event_id: str
    session_id: str
    user_id: str
    order_id: str
    time_ms: int
    detected_ms: int
    score: float
    reasons: tuple[Reason, ...]


def decode_alert(record: Record) -> Alert:
    """Raises Unreadable."""
    fields = record.json()
    score = fields.number("score")
    if not 0 <= score <= 100:
        raise Unreadable(record, f"score is {score}, must be 0 to 100")
    alert_id, subject, event_id = (shortened(fields.text(name)) for name in ("alert_id", "subject", "event_id"))
    session_id, user_id, order_id = (_optional(fields, name) for name in ("session_id", "user_id", "order_id"))
    reasons = tuple(_reason(each) for each in fields.objects("reasons", _MOST_REASONS))
    return Alert(alert_id, subject, event_id, session_id, user_id, order_id,
                 fields.integer("time_ms"), fields.integer("detected_ms"), score, reasons)  # fmt: skip


def _reason(fields: Fields) -> Reason:
    evidence = tuple(shortened(each, 80) for each in fields.texts("evidence", _MOST_EVIDENCE))
    return Reason(
        rule_id=shortened(fields.text("rule_id"), 100),
        version=fields.integer("version"),
        signal=_optional(fields, "signal"),
        by=_optional(fields, "by"),
        key=_optional(fields, "key"),
        value=_plain(fields, "value"),
        limit=_plain(fields, "limit"),
        score=fields.number("score"),
        text=shortened(fields.text("text"), 300),
        evidence=evidence,
        evidence_count=len(fields.document["evidence"]),
    )


def _optional(fields: Fields, name: str) -> str:
    return "" if fields.document.get(name) is None else shortened(fields.text(name))


def _plain(fields: Fields, name: str) -> str:
    """A number or a text, depending on the signal."""
    value = fields.document.get(name)
    if isinstance(value, str):
        return shortened(value, 60)
    return "" if value is None else f"{fields.number(name):,.10g}"


class Alerts:
    """What the topic fraud.alerts says."""

    def __init__(self) -> None:
        self._alerts: Newest[str, Alert] = Newest(_KEPT)
        self._counts = PerMinute(OPEN_MINUTES + 1)

    def observe(self, record: Record, now_ms: int) -> None:
        """Raises Unreadable. An alert that comes again (at-least-once) counts once."""
        alert = decode_alert(record)
        if alert.alert_id not in self._alerts:
            for rule_id in {reason.rule_id for reason in alert.reasons}:
                self._counts.add(alert.time_ms, f"rule:{rule_id}", now_ms)
            self._counts.add(alert.time_ms, "alerts", now_ms)
        self._alerts.put(alert.alert_id, alert)

    def view(self, now_ms: int) -> dict[str, Any]:
        """The newest ones, and how many are open."""
        newest = sorted(self._alerts.values(), key=lambda alert: (-alert.time_ms, alert.alert_id))
        counts = self._counts.total(now_ms, OPEN_MINUTES)
        recent = [alert.score for alert in newest if alert.time_ms > now_ms - OPEN_MINUTES * 60_000]
        by_rule = {name.removeprefix("rule:"): number for name, number in counts.most_common() if name.startswith("rule:")}
        return {
            "open": counts["alerts"],
            "open_minutes": OPEN_MINUTES,
            "highest": max(recent, default=None),
            "by_rule": by_rule,
            "newest": newest[:_SHOWN],
        }
