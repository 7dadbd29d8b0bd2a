"""The newest sales windows, and which categories lead in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from scripts.outputs.record import Record


@dataclass(frozen=True, slots=True)
class SalesWindow:
    """One result of the job. Times in ms since the epoch, `[start, end)`; `per_minute` in minor units of the currency."""

    category: str
    currency: str
    start_ms: int
    end_ms: int
    orders: int
    per_minute: float


def decode_window(record: Record) -> SalesWindow:
    """Raises Unreadable."""
    fields = record.json()
    return SalesWindow(
        category=fields.text("category"),
        currency=fields.text("currency"),
        start_ms=fields.integer("window_start"),
        end_ms=fields.integer("window_end"),
        orders=fields.integer("orders"),
        per_minute=fields.number("avg_minor_per_minute"),
    )


class NewestWindows:
    """Only the windows with the latest end: older ones say less, and a category that sells no more has none."""

    def __init__(self) -> None:
        self._end_ms = -1
        self._windows: dict[tuple[str, str], SalesWindow] = {}

    def observe(self, window: SalesWindow) -> None:
        if window.end_ms > self._end_ms:
            self._end_ms = window.end_ms
            self._windows.clear()
        if window.end_ms == self._end_ms:
            self._windows[window.category, window.currency] = window

    def top(self, number: int) -> list[SalesWindow]:
        """The categories with the highest average, in the currency with most orders: amounts of two currencies do not compare."""
        orders: Counter[str] = Counter()
        for window in self._windows.values():
            orders[window.currency] += window.orders
        if not orders:
            return []
        currency = min(orders, key=lambda each: (-orders[each], each))
        windows = [window for window in self._windows.values() if window.currency == currency]
        return sorted(windows, key=lambda window: (-window.per_minute, window.category))[:number]
