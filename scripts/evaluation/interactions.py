"""What visitors did with products, from the simulated shop or from a session log in CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from shop.v1.events_pb2 import Event

from scripts.shop.simulator import UNDISTURBED, Settings, Shop

START_MS: Final = 1_790_000_000_000
COLUMNS: Final = ("session_id", "user_id", "item", "category", "event", "time")
KINDS: Final = {"view": "V", "cart": "C", "order": "O"}
_MAY_BE_EMPTY: Final = ("user_id", "category")
_VISITORS_PER_RATE: Final = 1.5  # as the generator has it
_BATCH: Final = 10_000


class LogError(ValueError):
    """A session log that can't be used; says where and why."""


class Interaction(NamedTuple):
    """One event of a session. `kind` is V, C or O, or empty if it is about no product; `items` are products with their categories."""

    session_id: str
    kind: str
    items: tuple[tuple[str, str], ...]
    time_ms: int


def simulated(seed: int, events: int, rate: float) -> list[Interaction]:
    """`events` of the simulated shop, `rate` a second of event time, in the order of time."""
    return [event for batch in simulated_batches(seed, events, rate) for event in batch]


def simulated_batches(seed: int, events: int, rate: float) -> Iterator[list[Interaction]]:
    """The same, without holding all of them."""
    shop = Shop(Settings(seed=seed, start_ms=START_MS, sessions=max(20, round(rate * _VISITORS_PER_RATE)), disturbances=UNDISTURBED))
    for begin in range(0, events, _BATCH):
        times_ms = (START_MS + int(number * 1_000 / rate) for number in range(begin, min(begin + _BATCH, events)))
        yield [of_event(Event.FromString(record.value or b"")) for record in shop.records(times_ms)]


def of_event(event: Event) -> Interaction:
    kind = ""
    items: tuple[tuple[str, str], ...] = ()
    match event.WhichOneof("payload"):
        case "product_viewed":
            kind, items = "V", ((event.product_viewed.product_id, event.product_viewed.category),)
        case "product_added_to_cart":
            item = event.product_added_to_cart.item
            kind, items = "C", ((item.product_id, item.category),)
        case "order_placed":
            kind, items = "O", tuple((line.product_id, line.category) for line in event.order_placed.lines)
    return Interaction(event.session_id, kind, items, event.event_time_ms)


def from_csv(path: Path) -> list[Interaction]:
    """A session log with the columns COLUMNS in any order, in the order of time; lines of one order have one session and time.

    Raises:
        LogError: names the file, the line and the column, and what is allowed there.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = sorted(_rows(file, path), key=lambda row: row.time_ms)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LogError(f"{path}: {error}") from error
    if not rows:
        raise LogError(f"{path} has no line after its head")
    return list(_with_whole_orders(rows))


def _rows(file: Iterable[str], path: Path) -> Iterator[Interaction]:
    reader = csv.DictReader(file, strict=True)
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise LogError(f"{path}, line 1: no column {', '.join(missing)}; needed are {', '.join(COLUMNS)}")
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        if None in row or None in row.values():
            raise LogError(f"{where}: {len(row.get(None, ())) or 'fewer'} fields {'too many' if None in row else 'than the head has'}")
        for column in COLUMNS:
            if not row[column] and column not in _MAY_BE_EMPTY:
                raise LogError(f"{where}, column {column}: must not be empty")
        if row["event"] not in KINDS:
            raise LogError(f"{where}, column event: {row['event']!r} is none of {', '.join(KINDS)}")
        item = (row["item"], row["category"])
        yield Interaction(row["session_id"], KINDS[row["event"]], (item,), _time_ms(row["time"], f"{where}, column time"))


def _time_ms(text: str, where: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise LogError(f"{where}: {text!r} is neither milliseconds since the epoch nor an ISO time") from None
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _with_whole_orders(rows: Iterable[Interaction]) -> Iterator[Interaction]:
    for time_ms, at_once in groupby(rows, key=lambda row: row.time_ms):
        orders: dict[str, list[tuple[str, str]]] = {}
        for row in at_once:
            if row.kind == "O":
                orders.setdefault(row.session_id, []).extend(row.items)
            else:
                yield row
        for session_id, items in orders.items():
            yield Interaction(session_id, "O", tuple(items), time_ms)
