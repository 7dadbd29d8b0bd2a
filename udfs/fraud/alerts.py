"""From signals of one subject to alerts: all that fired within some minutes, as one score."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import orjson

from udfs.fraud.signals import Firing, Memory

MOST_REASONS: Final = 20
"""Rules of which one subject's last firing is remembered."""


def noisy_or(scores: Iterable[float]) -> float:
    """100 * (1 - (1 - s1/100) * (1 - s2/100) * ...): the probability, in percent, that at least one of the causes holds of which each
    holds with its own probability, independently (the noisy-or gate of J. Pearl, Probabilistic Reasoning in Intelligent Systems, 1988,
    section 4.3.2). Two weak signals make a stronger one; no number of them makes more than 100."""
    unsuspicious = 1.0
    for score in scores:
        unsuspicious *= 1 - score / 100
    return 100 * (1 - unsuspicious)


def combine(memory: Memory | None, firing: Firing, window_ms: int, min_score: float, now_ms: int) -> tuple[Memory, str | None]:
    """One alert for each firing, with all reasons so far.

    Args:
        memory: what the last call for this subject gave, or None. Not changed.
        firing: what fired just now.
        window_ms: firings of other rules that are so far away, in event time, belong to it.
        min_score: alerts below are not made.
        now_ms: the clock, for `detected_ms`.

    Returns:
        What to remember (the last firing of each rule), and the alert as JSON text.
    """
    fired: dict[str, dict[str, Any]] = dict((memory or {}).get("fired", {}))
    others = [
        each
        for rule_id, each in fired.items()
        if rule_id != firing.rule_id and abs(each["time_ms"] - firing.time_ms) < window_ms
    ]  # fmt: skip
    others.sort(key=lambda each: (-each["score"], each["rule_id"]))
    if firing.rule_id not in fired or fired[firing.rule_id]["time_ms"] <= firing.time_ms:
        fired[firing.rule_id] = firing.as_json()
    newest = max(each["time_ms"] for each in fired.values())
    by_time = sorted(fired.items(), key=lambda each: (each[1]["time_ms"], each[0]))
    kept = dict([(rule_id, each) for rule_id, each in by_time if each["time_ms"] > newest - window_ms][-MOST_REASONS:])
    reasons = [firing.as_json(), *others]
    score = round(noisy_or(each["score"] for each in reasons), 1)
    alert = None if score < min_score else _alert(firing, reasons, score, now_ms)
    return {"fired": kept}, alert


_REASON: Final = ("rule_id", "version", "signal", "by", "key", "value", "limit", "score", "text", "evidence")


def _alert(firing: Firing, reasons: list[dict[str, Any]], score: float, now_ms: int) -> str:
    alert = {
        # The same event makes the same alert: a replay can be told from a new one.
        "alert_id": hashlib.sha256(f"{firing.rule_id}/{firing.event_id}/{firing.subject}".encode()).hexdigest()[:32],
        "subject": firing.subject,
        "event_id": firing.event_id,
        "session_id": firing.session_id,
        "user_id": firing.user_id,
        "order_id": firing.order_id,
        "time_ms": firing.time_ms,
        "detected_ms": now_ms,
        "score": score,
        "reasons": [{name: each[name] for name in _REASON} for each in reasons],
    }
    return orjson.dumps(alert).decode()
