"""Sales windows: what the sums must be, and whether the job's are these."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from scripts.checker.model import SALES, ExpectedEvent, Findings, Output, Problem, Terms, WindowCount


class WindowKey(NamedTuple):
    start_ms: int
    category: str
    currency: str


@dataclass(slots=True)
class Sums:
    orders: int = 0
    quantity: int = 0
    amount_minor: int = 0


def window_starts(time_ms: int, window_ms: int, slide_ms: int) -> range:
    """The starts of all windows [start, start + window_ms) that hold `time_ms`; starts are multiples of `slide_ms`."""
    last = time_ms - time_ms % slide_ms
    first = last - (window_ms - 1 - time_ms % slide_ms) // slide_ms * slide_ms
    return range(first, last + 1, slide_ms)


def expected_windows(orders: Iterable[ExpectedEvent], window_ms: int, slide_ms: int) -> dict[WindowKey, Sums]:
    """Every window that holds at least one of the orders; an order counts once in each of its categories."""
    windows: dict[WindowKey, Sums] = {}
    for order in orders:
        by_category: dict[tuple[str, str], Sums] = {}
        for sale in order.sales:
            part = by_category.setdefault((sale.category, sale.currency), Sums(orders=1))
            part.quantity += sale.quantity
            part.amount_minor += sale.amount_minor
        for start_ms in window_starts(order.time_ms, window_ms, slide_ms):
            for (category, currency), part in by_category.items():
                sums = windows.setdefault(WindowKey(start_ms, category, currency), Sums())
                sums.orders += part.orders
                sums.quantity += part.quantity
                sums.amount_minor += part.amount_minor
    return windows


_INTEGERS = ("window_start", "window_end", "orders", "quantity", "amount_minor")
_DOUBLES = ("avg_minor_per_minute", "avg_minor_per_order")


def _parse(output: Output) -> dict[str, Any] | str:
    """The JSON object, or what is wrong with its form."""
    try:
        row = json.loads(output.value or b"")
    except ValueError as error:
        return f"no JSON: {error}"
    if not isinstance(row, dict):
        return "no JSON object"
    for name in ("category", "currency"):
        if not isinstance(row.get(name), str):
            return f"{name} is no string: {row.get(name)!r}"
    for name in _INTEGERS:
        if type(row.get(name)) is not int:
            return f"{name} is no integer: {row.get(name)!r}"
    for name in _DOUBLES:
        if type(row.get(name)) not in (int, float):
            return f"{name} is no number: {row.get(name)!r}"
    return row


def _differences(row: dict[str, Any], sums: Sums, window_ms: int) -> list[str]:
    exact = {"orders": sums.orders, "quantity": sums.quantity, "amount_minor": sums.amount_minor}
    close = {
        "avg_minor_per_minute": sums.amount_minor / (window_ms / 60_000),
        "avg_minor_per_order": sums.amount_minor / sums.orders,
    }
    wrong = [f"{name} {row[name]} instead of {value}" for name, value in exact.items() if row[name] != value]
    wrong += [f"{name} {row[name]} instead of {value}" for name, value in close.items() if not math.isclose(row[name], value, rel_tol=1e-9)]
    return wrong


def compare_windows(on_time_orders: Iterable[ExpectedEvent], outputs: Iterable[Output], terms: Terms, findings: Findings) -> WindowCount:
    """Holds each window that came out against the oracle's; those that end after the newest one that came out are open."""
    expected = expected_windows(on_time_orders, terms.window_ms, terms.slide_ms)
    seen: set[WindowKey] = set()
    wrong = 0
    for output in outputs:
        row = _parse(output)
        if isinstance(row, str):
            findings.add(Problem.ALTERED, SALES, "{}: {}", output.place, row)
            continue
        key = WindowKey(row["window_start"], row["category"], row["currency"])
        if output.key != key.category.encode():
            findings.add(Problem.WRONG_KEY, SALES, "{}: key {}, category {}", output.place, output.key, key.category)
        sums = expected.get(key)
        if sums is None:
            findings.add(Problem.UNEXPECTED, SALES, "{}: no order is in {}: {}", output.place, key, output.value)
            continue
        if key in seen:
            findings.add(Problem.DOUBLED, SALES, "{}: {} came before", output.place, key)
            continue
        seen.add(key)
        differences = _differences(row, sums, terms.window_ms)
        if row["window_end"] != key.start_ms + terms.window_ms:
            differences.append(f"window_end {row['window_end']} instead of {key.start_ms + terms.window_ms}")
        if differences:
            wrong += 1
            findings.add(Problem.WRONG_SUM, SALES, "{}: {}: {}", output.place, key, "; ".join(differences))
    newest_ms = max((key.start_ms + terms.window_ms for key in seen), default=None)
    closed_ms = max((end_ms for end_ms in (newest_ms, terms.until_ms) if end_ms is not None), default=-1)
    still_open = lost = 0
    for key in expected.keys() - seen:
        if key.start_ms + terms.window_ms > closed_ms:
            still_open += 1
        else:
            lost += 1
            findings.add(Problem.LOST, SALES, "{} with {}", key, expected[key])
    return WindowCount(len(seen) - wrong, wrong, lost, still_open, newest_ms)
