"""Everything that the dashboard knows, and the sections that a page gets. No Kafka, no Flink, no web server, no clock of its own.

A section is what changes together: a page is sent only the sections that have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from iso4217 import Currency

from jobs.settings import Topics
from scripts.dashboard_app.alerts import Alerts
from scripts.dashboard_app.banners import banners
from scripts.dashboard_app.bounded import MINUTE_MS, Now
from scripts.dashboard_app.flink import JobView
from scripts.dashboard_app.health import Health
from scripts.dashboard_app.panels import PANELS, PanelState, Sources, panel_state
from scripts.dashboard_app.recommendations import Recommendations
from scripts.dashboard_app.rules import Rules
from scripts.dashboard_app.sales import Sales
from scripts.dashboard_app.shoppers import Shoppers
from scripts.outputs.feed import BEGINNING, Start
from scripts.outputs.record import Offsets, Record, Unreadable

HISTORY_MS: Final = 30 * 60_000
"""How far back the page looks."""
_TOPICS: Final = Topics()
# A minute more than is shown: where reading begins, a window may be there in part only.
_RECENT: Final = Start((HISTORY_MS + 60_000) / 1000, least=200)
_COUNTED: Final = Start(HISTORY_MS / 1000)

STARTS: Final[Mapping[str, Start]] = {
    _TOPICS.sales: _RECENT,
    _TOPICS.sales_per_minute: _RECENT,
    _TOPICS.top_products: _RECENT,
    _TOPICS.funnel: _RECENT,
    _TOPICS.fraud_alerts: Start(24 * 3_600.0, least=50),
    _TOPICS.sessions: Start(3_600.0),
    _TOPICS.late: _COUNTED,
    _TOPICS.dead_letters: _COUNTED,
    _TOPICS.product_recommendations: BEGINNING,
    _TOPICS.user_recommendations: BEGINNING,
    _TOPICS.trending: BEGINNING,
    _TOPICS.rules: BEGINNING,
    # It has the counters of every rule every few seconds, for a week.
    _TOPICS.rule_status: Start(3_600.0, least=20_000),
}
"""The topics that are read, and from where."""


@dataclass(frozen=True, slots=True)
class About:
    """Where the dashboard looks; shown on the page."""

    bootstrap: str
    flink_url: str
    topic_prefix: str = ""


class DashboardState:
    """Not safe for threads: shared.py locks."""

    def __init__(self, about: About, now: Now, baseline: Mapping[str, str] | None = None) -> None:
        """`baseline`: the rules that the job starts with, rule id -> JSON."""
        self._about = about
        self._begun = now
        self.sales = Sales(HISTORY_MS)
        self.shoppers = Shoppers()
        self.alerts = Alerts()
        self.recommendations = Recommendations()
        self.rules = Rules(baseline)
        self.health = Health(now)
        sales, shoppers, recommendations = self.sales, self.shoppers, self.recommendations
        self._observers: dict[str, Callable[[Record, Now], None]] = {
            _TOPICS.sales: sales.observe_category,
            _TOPICS.sales_per_minute: sales.observe_minute,
            _TOPICS.top_products: sales.observe_top,
            _TOPICS.funnel: shoppers.observe_funnel,
            _TOPICS.sessions: lambda record, now: shoppers.observe_session(record, now.ms),
            _TOPICS.fraud_alerts: lambda record, now: self.alerts.observe(record, now.ms),
            _TOPICS.user_recommendations: lambda record, _: recommendations.users.observe(record),
            _TOPICS.product_recommendations: lambda record, _: recommendations.products.observe(record),
            _TOPICS.trending: lambda record, _: recommendations.observe_trend(record),
            _TOPICS.rules: lambda record, _: self.rules.observe_rule(record),
            _TOPICS.rule_status: lambda record, _: self.rules.observe_status(record),
            _TOPICS.late: lambda _, __: self.health.observe_late(),
            _TOPICS.dead_letters: lambda record, _: self.health.observe_dead_letter(record),
        }

    # -- what comes in ---------------------------------------------------------------------------------------------------

    def observe(self, record: Record, now: Now) -> None:
        """Takes one record. One that can't be read is counted and said; it never ends the view."""
        observer = self._observers.get(record.topic)
        if observer is None:
            return
        try:
            observer(record, now)
        except Unreadable as error:
            self.health.observe_unreadable(str(error))

    def kafka_said(self, offsets: Offsets, now: Now) -> None:
        self.health.kafka_said(offsets, now)

    def kafka_silent(self, now: Now) -> None:
        self.health.kafka.note(False, now)

    def flink_said(self, job: JobView | None, now: Now) -> None:
        """None: Flink answers, and has no such job."""
        self.health.flink_said(job, now)

    def flink_silent(self, now: Now) -> None:
        self.health.flink.note(False, now)

    # -- what goes out ---------------------------------------------------------------------------------------------------

    def sections(self, now: Now) -> dict[str, Any]:
        """All that a page shows, as JSON-able values. To be called about once a second: rates are sampled here."""
        self.health.tick(now)
        data: dict[str, Any] = {
            "categories": self.sales.categories_view(now.s, now.ms),
            "minutes": self.sales.minutes_view(now.s),
            "top": self.sales.top_view(now.s),
            "funnel": self.shoppers.funnel_view(now.s),
            "sessions": self.shoppers.sessions_view(now.ms),
            "alerts": self.alerts.view(now.ms),
            "trends": self.recommendations.trends_view(),
            "users": self.recommendations.counts_view(),
            "rules": self.rules.view(now.ms),
        }
        panels = self._panels(data, now)
        currencies = self.sales.currencies(now.s)
        return data | {
            "status": self._status(now),
            "panels": panels,
            "currencies": [{"code": code, "digits": _digits(code)} for code in currencies],
            "health": self.health.view(now, self._begun.ms - HISTORY_MS),
            "kpis": self._kpis(data, now),
        }

    def _status(self, now: Now) -> dict[str, Any]:
        job = self.health.job if self.health.flink.answers else None
        flink_url = self._about.flink_url
        return {
            "now_ms": now.ms,
            "bootstrap": self._about.bootstrap,
            "topic_prefix": self._about.topic_prefix,
            "flink_url": flink_url,
            "job": job and {"id": job.job_id, "state": job.state, "started_ms": job.started_ms,
                            "url": f"{flink_url}/#/job/running/{job.job_id}/overview"},
            "kafka_answers": self.health.kafka.answers,
            "flink_answers": self.health.flink.answers,
            "as_of_ms": self.health.kafka.last_ms,
            "banners": banners(self.health, self._about.bootstrap, flink_url, self._about.topic_prefix, now),
        }  # fmt: skip

    def _panels(self, data: Mapping[str, Any], now: Now) -> dict[str, PanelState]:
        health = self.health
        sources = Sources(
            bootstrap=self._about.bootstrap,
            prefix=self._about.topic_prefix,
            kafka_answers=health.kafka.answers,
            missing=frozenset(health.offsets.missing) if health.offsets else frozenset(),
            sinks=health.job.sinks if health.flink.answers and health.job and health.job.sinks else None,
            job_runs=None if not health.flink.answers else health.job is not None and health.job.state == "RUNNING",
        )
        ends = {name: data[name]["window"]["end_ms"] for name in ("categories", "top", "funnel") if data[name]}
        if data["minutes"]:
            ends["minutes"] = data["minutes"]["end_ms"]
        present = {
            **{name: data[name] is not None for name in ("categories", "minutes", "top", "funnel", "sessions")},
            "alerts": bool(data["alerts"]["newest"]),
            "trends": bool(data["trends"]),
            "users": bool(data["users"]["users"]),
            "rules": bool(data["rules"]["count"]),
        }
        return {name: panel_state(panel, sources, present[name], ends.get(name), now.ms) for name, panel in PANELS.items()}

    def _kpis(self, data: Mapping[str, Any], now: Now) -> dict[str, Any]:
        """The row at the top: the figures that somebody looks at first."""
        minutes = data["minutes"]
        lists = list(minutes["currencies"].values()) if minutes else []
        orders = [sum(each.orders for each in together) for together in zip(*lists, strict=True)]
        funnel = data["funnel"]
        total = funnel["total"] if funnel else None
        return {
            "revenue": self.sales.revenue(now.s),
            "orders": {"per_minute": orders[-1] * MINUTE_MS / max(1, minutes["length_ms"]) if orders else None, "course": orders,
                       "minute_ms": lists[0][-1].start_ms if orders else None},
            "conversion": {"share": total["orders"] / total["views"] if total and total["views"] else None,
                           "course": self.shoppers.conversion_course(now.s)[-60:]},
            "alerts": {"open": data["alerts"]["open"], "highest": data["alerts"]["highest"]},
            "events": {"per_s": self.health.events_per_s(now)},
            "watermark_lag_ms": self.health.watermark_lag_ms(now),
        }  # fmt: skip


def _digits(code: str) -> int:
    """How many digits the minor unit of a currency has by ISO 4217; two for what is no currency."""
    try:
        exponent = Currency(code).exponent
    except ValueError:
        return 2
    return 2 if exponent is None else int(exponent)
