"""Revenue: sliding windows by category, minutes, and the products that sell best. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Any, Final

from scripts.dashboard_app.bounded import Now, Span, Windows, shortened
from scripts.outputs.record import Fields, Record, Unreadable

_MOST_CURRENCIES: Final = 12
_MINUTES_SHOWN: Final = 30
_RANKS: Final = 10
_FUTURE_MS: Final = 2 * 3_600_000


@dataclass(frozen=True, slots=True)
class CategorySales:
    """A category in one window. Amounts in minor units."""

    orders: int
    quantity: int
    amount_minor: int
    minor_per_minute: float


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute (or what the job's --totals-ms says) in one currency. Amounts in minor units; `at_risk_*`: orders with a failed
    payment and no successful one."""

    start_ms: int
    orders: int
    amount_minor: int
    payments: int
    paid_minor: int
    failed_payments: int
    at_risk_orders: int
    at_risk_minor: int


@dataclass(frozen=True, slots=True)
class TopProduct:
    rank: int
    product_id: str
    category: str
    quantity: int
    amount_minor: int


def span_of(fields: Fields, now: Now) -> Span:
    """The window of a record; raises Unreadable.

    One that ends long after now would be the newest for ever. Clocks of producers may be an hour wrong (the job's --max-clock-gap-ms).
    """
    span = Span(fields.integer("window_end"), fields.integer("window_start"))
    if span.end_ms > now.ms + _FUTURE_MS:
        raise Unreadable(fields.record, f"the window ends at {span.end_ms}, which is more than two hours from now")
    return span


class Sales:
    """What the topics sales.* say."""

    def __init__(self, history_ms: int) -> None:
        self._history_ms = history_ms
        self.by_category: Windows[tuple[str, str], CategorySales] = Windows(most_windows=400, most_rows=40_000)
        self.minutes: Windows[str, Minute] = Windows(most_windows=60, most_rows=1_200)
        self.top: Windows[tuple[str, int], TopProduct] = Windows(most_windows=5, most_rows=1_000)

    def observe_category(self, record: Record, now: Now) -> None:
        """Raises Unreadable, as the others."""
        fields = record.json()
        row = CategorySales(
            fields.integer("orders"), fields.integer("quantity"), fields.integer("amount_minor"), fields.number("avg_minor_per_minute")
        )
        key = shortened(fields.text("currency"), 12), shortened(fields.text("category"))
        self.by_category.observe(span_of(fields, now), key, row, now.s)

    def observe_minute(self, record: Record, now: Now) -> None:
        fields = record.json()
        span = span_of(fields, now)
        names = ("orders", "amount_minor", "payments", "paid_minor", "failed_payments", "at_risk_orders", "at_risk_minor")
        row = Minute(span.start_ms, *(fields.integer(name) for name in names))
        self.minutes.observe(span, shortened(fields.text("currency"), 12), row, now.s)

    def observe_top(self, record: Record, now: Now) -> None:
        fields = record.json()
        row = TopProduct(
            fields.integer("rank"), shortened(fields.text("product_id")), shortened(fields.text("category")),
            fields.integer("quantity"), fields.integer("amount_minor"),
        )  # fmt: skip
        if 1 <= row.rank <= _RANKS:
            self.top.observe(span_of(fields, now), (shortened(fields.text("currency"), 12), row.rank), row, now.s)

    def currencies(self, now_s: float) -> list[str]:
        """Those with most orders first."""
        orders: Counter[str] = Counter()
        newest = self.by_category.newest(now_s)
        for (currency, _), row in newest[1].items() if newest else ():
            orders[currency] += row.orders
        for _, rows in self.minutes.whole(now_s):
            orders.update(dict.fromkeys(rows, 0))
        return sorted(orders, key=lambda currency: (-orders[currency], currency))[:_MOST_CURRENCIES]

    def categories_view(self, now_s: float, now_ms: int) -> dict[str, Any] | None:
        """The newest window and the course of the last ones, by currency; None before the first."""
        whole = [each for each in self.by_category.whole(now_s) if each[0].end_ms > now_ms - self._history_ms] or [
            *filter(None, (self.by_category.newest(now_s),))
        ]
        if not whole:
            return None
        span, newest = whole[-1]
        currencies: dict[str, Any] = {}
        for currency in self.currencies(now_s):
            now: list[dict[str, Any]] = [
                {"category": category, "orders": row.orders, "quantity": row.quantity, "amount_minor": row.amount_minor,
                 "minor_per_minute": row.minor_per_minute} for (of, category), row in newest.items() if of == currency
            ]  # fmt: skip
            now.sort(key=lambda row: (-row["minor_per_minute"], row["category"]))
            categories = {category for _, rows in whole for of, category in rows if of == currency}
            course = {category: [_rounded(rows.get((currency, category))) for _, rows in whole] for category in sorted(categories)}
            currencies[currency] = {"now": now, "course": course}
        return {"window": span._asdict(), "ends_ms": [each.end_ms for each, _ in whole], "currencies": currencies}

    def minutes_view(self, now_s: float) -> dict[str, Any] | None:
        """The last minutes by currency, oldest first; None before the first."""
        whole = self.minutes.whole(now_s)[-_MINUTES_SHOWN:]
        if not whole:
            return None
        currencies: defaultdict[str, list[Minute]] = defaultdict(list)
        for currency in self.currencies(now_s):
            for span, rows in whole:
                # Every currency has every minute: one in which nothing was sold is a zero, not a gap.
                currencies[currency].append(rows.get(currency) or replace(_NOTHING, start_ms=span.start_ms))
        newest = whole[-1][0]
        return {"end_ms": newest.end_ms, "length_ms": newest.end_ms - newest.start_ms, "currencies": currencies}

    def top_view(self, now_s: float) -> dict[str, Any] | None:
        """The products of the newest window, by currency and rank; None before the first."""
        newest = self.top.newest(now_s)
        if newest is None:
            return None
        span, rows = newest
        currencies: defaultdict[str, list[TopProduct]] = defaultdict(list)
        for (currency, _), row in sorted(rows.items()):
            currencies[currency].append(row)
        return {"window": span._asdict(), "currencies": dict(list(currencies.items())[:_MOST_CURRENCIES])}

    def revenue(self, now_s: float) -> dict[str, Any]:
        """Revenue a minute by currency in the newest window, how it has changed since the window before it, and its course.

        "Before it" is the window that ends where the newest one starts: those between share events with it.
        """
        totals = [(span, _by_currency(rows)) for span, rows in self.by_category.whole(now_s)]
        if not totals:
            return {}
        span, newest = totals[-1]
        before = next((sums for each, sums in totals if each.end_ms == span.start_ms), None)
        return {
            currency: {
                "minor_per_minute": newest.get(currency, 0),
                "change": None if before is None or not before.get(currency) else newest.get(currency, 0) / before[currency] - 1,
                "course": [round(sums.get(currency, 0)) for _, sums in totals[-60:]],
            }
            for currency in self.currencies(now_s)
        }


def _rounded(row: CategorySales | None) -> int:
    """Whole minor units are enough for a line, and a third of the bytes."""
    return round(row.minor_per_minute) if row else 0


def _by_currency(rows: dict[tuple[str, str], CategorySales]) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for (currency, _), row in rows.items():
        sums[currency] += row.minor_per_minute
    return sums


_NOTHING: Final = Minute(0, 0, 0, 0, 0, 0, 0, 0)
