"""What each panel of the page needs, and what it says while it lacks it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jobs.settings import Topics

_TOPICS: Final = Topics()


@dataclass(frozen=True, slots=True)
class Panel:
    """
    Attributes:
        topic: where its data come from, without the prefix.
        sink: the job's table that writes it; None: the job always writes it, or something else does.
        switch: the job's option that switches it off.
        waiting: what it says as long as nothing has come.
        stale_ms: data older than this are marked; None: they do not grow old.
    """

    topic: str
    sink: str | None
    switch: str
    waiting: str
    stale_ms: int | None = None


PANELS: Final[Mapping[str, Panel]] = {
    "categories": Panel(
        _TOPICS.sales, "sales_by_category", "--no-sales",
        "No sales window yet: the first closes about 10 s after the first order.", 60_000,
    ),
    "minutes": Panel(
        _TOPICS.sales_per_minute, "sales_per_minute", "--no-sales or --no-totals",
        "No minute yet: the first closes a few seconds after the end of the minute of the first order.", 180_000,
    ),
    "top": Panel(
        _TOPICS.top_products, "top_products", "--no-sales or --no-top-products",
        "No ranking yet: the first closes about 10 s after the first order.", 90_000,
    ),
    "funnel": Panel(
        _TOPICS.funnel, "funnel_by_category", "--no-sales or --no-funnel",
        "No funnel yet: its first window closes about 10 s after the first view.", 90_000,
    ),
    "sessions": Panel(
        _TOPICS.sessions, "closed_sessions", "--no-sales or --no-closed-sessions",
        "No session has ended yet: one ends after 30 minutes without an event (the job's --session-gap-ms).",
    ),
    "alerts": Panel(_TOPICS.fraud_alerts, "fraud_alerts", "--no-fraud", "No alert so far: nothing has looked like fraud."),
    "trends": Panel(
        _TOPICS.trending, "trending_by_category", "--no-recommendations", "No trend yet: the first comes with the first views and orders.",
    ),
    "users": Panel(
        _TOPICS.user_recommendations, "recommendations_by_product", "--no-recommendations",
        "No recommendations yet: they come once sessions have views in common.",
    ),
    "rules": Panel(
        _TOPICS.rule_status, None, "",
        "No rule has been heard of yet: the job tells of them with its first event, and with its next checkpoint.",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sources:
    """What is known of where the data come from. `sinks` is None while Flink does not say what the job writes."""

    bootstrap: str
    prefix: str
    kafka_answers: bool | None
    missing: frozenset[str]
    sinks: frozenset[str] | None
    job_runs: bool | None


@dataclass(frozen=True, slots=True)
class PanelState:
    """`note` is what is missing and why, if anything is; `stale`: what is shown is older than it should be."""

    note: str = ""
    stale: bool = False
    as_of_ms: int | None = None
    off: bool = False


def panel_state(panel: Panel, sources: Sources, has_data: bool, as_of_ms: int | None, now_ms: int) -> PanelState:
    """What to say over or instead of a panel's data."""
    stale = panel.stale_ms is not None and as_of_ms is not None and now_ms - as_of_ms > panel.stale_ms
    off = panel.sink is not None and sources.sinks is not None and panel.sink not in sources.sinks
    reason = _reason(panel, sources, off)
    if has_data:
        return PanelState(reason if stale or off or panel.topic in sources.missing else "", stale or off, as_of_ms, off)
    return PanelState(reason or panel.waiting, False, None, off)


def _reason(panel: Panel, sources: Sources, off: bool) -> str:
    """Why nothing (more) comes, as far as it is known."""
    if sources.kafka_answers is None:
        return f"Waiting for the first answer of Kafka at {sources.bootstrap}."
    if sources.kafka_answers is False:
        return f"Kafka at {sources.bootstrap} does not answer."
    if panel.topic in sources.missing:
        return f"The topic {sources.prefix}{panel.topic} does not exist."
    if off:
        return f"Switched off in the job that runs ({panel.switch})."
    if sources.job_runs is False:
        return "No job runs that would write this."
    return ""
