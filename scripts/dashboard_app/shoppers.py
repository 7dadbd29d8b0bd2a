"""What shoppers do: the funnel from view to payment, and the sessions that have ended. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from scripts.dashboard_app.bounded import Now, PerMinute, Windows, shortened
from scripts.dashboard_app.sales import span_of
from scripts.outputs.record import Record

_MOST_CATEGORIES: Final = 100
SESSION_MINUTES: Final = 60


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many of each step. An order counts in each of its categories."""

    views: int
    carts: int
    orders: int
    paid: int


class Shoppers:
    """What the topics funnel.by-category and sessions.closed say."""

    def __init__(self) -> None:
        self.funnel: Windows[str, Funnel] = Windows(most_windows=120, most_rows=12_000)
        self._sessions = PerMinute(SESSION_MINUTES)
        self.newest_session_ms = 0

    def observe_funnel(self, record: Record, now: Now) -> None:
        """Raises Unreadable, as the other."""
        fields = record.json()
        row = Funnel(*(fields.integer(name) for name in ("views", "carts", "orders", "paid")))
        self.funnel.observe(span_of(fields, now), shortened(fields.text("category")), row, now.s)

    def observe_session(self, record: Record, now_ms: int) -> None:
        """By the record's timestamp, not the session's end: it is known to have ended only a gap later."""
        fields = record.json()
        amounts = {name: fields.integer(name) for name in ("length_ms", "events", "views", "carts", "orders")}
        amounts |= {"abandoned": int(fields.flag("abandoned")), "closed": 1,
                    "with_cart": int(amounts["carts"] > 0), "with_order": int(amounts["orders"] > 0)}  # fmt: skip
        for name, amount in amounts.items():
            self._sessions.add(record.time_ms, name, now_ms, amount)
        self.newest_session_ms = max(self.newest_session_ms, record.time_ms)

    def funnel_view(self, now_s: float) -> dict[str, Any] | None:
        """The newest window: categories by views, and their sum; None before the first."""
        newest = self.funnel.newest(now_s)
        if newest is None:
            return None
        span, rows = newest
        ranked = sorted(rows.items(), key=lambda item: (-item[1].views, -item[1].orders, item[0]))
        return {
            "window": span._asdict(),
            "total": asdict(_sum(rows)),
            "categories": [{"category": category} | asdict(row) for category, row in ranked[:_MOST_CATEGORIES]],
        }

    def conversion_course(self, now_s: float) -> list[float | None]:
        """Orders by view over all categories, window by window, oldest first; None where nobody viewed anything."""
        sums = [_sum(rows) for _, rows in self.funnel.whole(now_s)]
        return [each.orders / each.views if each.views else None for each in sums]

    def sessions_view(self, now_ms: int) -> dict[str, Any] | None:
        """Averages over the sessions that ended lately; None before the first."""
        sums = self._sessions.total(now_ms)
        closed = sums["closed"]
        if not closed:
            return None
        return {
            "closed": closed,
            "minutes": SESSION_MINUTES,
            "avg_length_ms": sums["length_ms"] / closed,
            "avg_events": sums["events"] / closed,
            "avg_views": sums["views"] / closed,
            "with_cart": sums["with_cart"],
            "with_order": sums["with_order"],
            "abandoned": sums["abandoned"],
            "abandoned_share": sums["abandoned"] / sums["with_cart"] if sums["with_cart"] else None,
            "order_share": sums["with_order"] / closed,
        }


def _sum(rows: dict[str, Funnel]) -> Funnel:
    return Funnel(*(sum(getattr(row, name) for row in rows.values()) for name in ("views", "carts", "orders", "paid")))
