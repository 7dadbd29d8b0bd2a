"""The state in lines of plain text: for pipes and logs, and for the end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

from scripts.demo_app.state import DEAD_LETTERS, EVENTS, FRAUD, FRAUD_ALERTS, LATE, ROUTED, SALES, Totals, ViewState
from scripts.demo_app.text import clock, count, rate, safe


def line(state: ViewState, now_s: float, now_ms: int, zone: tzinfo | None = None) -> str:
    """What matters of the state, in one line."""
    lag = state.offsets.lag if state.offsets else None
    per_second = rate(state.rates[EVENTS].per_second(now_s))
    parts = [
        f"{clock(now_ms, zone)} {job_words(state, now_ms)}",
        f"events {count(state.counts[EVENTS])} ({per_second}/s, lag {count(lag)})",
        *(f"{topic} {count(state.counts[topic])}" for topic in ROUTED if topic != FRAUD),
        f"fraud alerts {count(state.counts[FRAUD_ALERTS])}",
        f"alerts {count(state.counts[FRAUD])}",
        f"late {count(state.counts[LATE])}",
        f"dead letters {count(state.counts[DEAD_LETTERS])}",
        f"windows {count(state.counts[SALES])}",
        *notes(state),
    ]
    return " | ".join(parts)


def job_words(state: ViewState, now_ms: int) -> str:
    """State of the job and its last checkpoint."""
    if state.job is None:
        return "Flink: no answer" if state.flink_answers is False else "asking Flink"
    checkpoint, restarts = state.job.checkpoint, state.job.restarts
    words = [safe(state.job.state, 20)]
    if checkpoint is None:
        words.append("no checkpoint yet")
    else:
        age_s = max(0, now_ms - checkpoint.completed_ms) / 1000
        words.append(f"checkpoint {count(checkpoint.number)} ({age_s:.1f} s ago, took {count(checkpoint.duration_ms)} ms)")
    words.append(f"restarts {count(restarts)}")
    return ", ".join(words)


def notes(state: ViewState) -> list[str]:
    """What is not as it should be."""
    result = []
    if state.kafka_answers is False:
        result.append("Kafka: no answer")
    if state.flink_answers is False and state.job is not None:
        result.append("Flink: no answer")
    if state.offsets and state.offsets.missing:
        result.append("no such topic: " + safe(", ".join(state.offsets.missing)))
    if state.unreadable:
        result.append(f"unreadable records: {count(state.unreadable)}, last {safe(state.last_unreadable)}")
    return result


def by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Most frequent first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def summary(totals: Totals, sent: int | None) -> str:
    """The demo's closing words.

    Args:
        totals: what `watch` returned.
        sent: how many events the generator says it has sent; None if it did not say.
    """
    routed = sum(totals.topics.get(topic, 0) for topic in ROUTED)
    rows = [
        ("sent", count(sent) if sent is not None else f"{count(totals.topics.get(EVENTS, 0))} (counted in Kafka)"),
        ("routed", _split(routed, [(topic, totals.topics.get(topic, 0)) for topic in ROUTED])),
        ("late", count(totals.late)),
        ("dead letters", _split(totals.topics.get(DEAD_LETTERS, 0), by_count(totals.dead_letters))),
        ("alerts", f"{count(totals.topics.get(FRAUD_ALERTS, 0))} of fraud signals, {count(totals.alerts)} by rules to {FRAUD}"),
        ("sales windows", count(totals.windows)),
    ]
    if totals.unreadable:
        rows.append(("unreadable", count(totals.unreadable)))
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {text}" for name, text in rows]
    return "\n".join(["What came out while you watched (the last seconds' events were still on their way):", *lines])


def _split(total: int, parts: list[tuple[str, int]]) -> str:
    return f"{count(total)} ({', '.join(f'{safe(name)} {count(number)}' for name, number in parts)})" if total else "0"
