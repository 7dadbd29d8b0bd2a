"""What becomes of a record: a row of a table, or a rejected record with the reason. Pure: no Kafka, no database.

The tables are made by schema.sql; the topics and their JSON are those of the job (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from psycopg.types.json import Jsonb

from jobs.settings import Topics

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INT64: Final = range(-(2**63), 2**63)


class Unfit(ValueError):
    """Why a record is no row of its table."""


@dataclass(frozen=True)
class Column:
    """A column: `read` makes its value from that of the JSON field `source`, or raises Unfit; optional ones may be NULL."""

    name: str
    read: Callable[[Any], Any]
    optional: bool = False
    source: str = ""

    @property
    def field(self) -> str:
        return self.source or self.name


@dataclass(frozen=True)
class Table:
    """A table, and the topic (without prefix) whose records become its rows. A row replaces that of the same key."""

    name: str
    topic: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def row(self, value: bytes | None) -> tuple[Any, ...]:
        """The values of all columns.

        Raises:
            Unfit: the record is not a row of this table.
        """
        try:
            record = orjson.loads(value or b"")
        except orjson.JSONDecodeError:
            raise Unfit("not JSON") from None
        if not isinstance(record, dict):
            raise Unfit("not a JSON object")
        return tuple(self._value(column, record.get(column.field)) for column in self.columns)

    @staticmethod
    def _value(column: Column, found: Any) -> Any:
        if found is None:
            if column.optional:
                return None
            raise Unfit(f"{column.field} is missing")
        try:
            return column.read(found)
        except Unfit as unfit:
            raise Unfit(f"{column.field} {unfit}") from None


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit("is not a text")
    return value


def integer(value: Any) -> int:
    # bool is an int in Python.
    if not isinstance(value, int) or isinstance(value, bool) or value not in _INT64:
        raise Unfit("is not a whole number of 64 bits")
    return value


def number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Unfit("is not a number")
    return float(value)


def time(value: Any) -> datetime:
    """Milliseconds since the epoch -> time, to the millisecond: by whole numbers, since a float of seconds rounds."""
    try:
        return _EPOCH + timedelta(milliseconds=integer(value))
    except OverflowError:
        raise Unfit("is no time in ms since the epoch") from None


def array(value: Any) -> Jsonb:
    if not isinstance(value, list):
        raise Unfit("is not a list")
    return Jsonb(value, dumps=orjson.dumps)


_WINDOW: Final = (Column("window_start", time), Column("window_end", time))


def _integers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, integer) for name in names)


def tables(topics: Topics) -> tuple[Table, ...]:
    """All tables, with the names of their topics."""
    return (
        Table(
            "sales_by_category", topics.sales, ("category", "currency", "window_start"),
            (Column("category", text), Column("currency", text), *_WINDOW, *_integers("orders", "quantity", "amount_minor"),
             Column("avg_minor_per_minute", number), Column("avg_minor_per_order", number)),
        ),
        Table(
            "sales_per_minute", topics.sales_per_minute, ("currency", "window_start"),
            (Column("currency", text), *_WINDOW, *_integers("orders", "amount_minor"),
             Column("avg_minor_per_order", number, optional=True),  # a minute without orders has none
             *_integers("payments", "paid_minor", "failed_payments", "at_risk_orders", "at_risk_minor")),
        ),
        Table(
            "funnel_by_category", topics.funnel, ("category", "window_start"),
            (Column("category", text), *_WINDOW, *_integers("views", "carts", "orders", "paid")),
        ),
        Table(
            "fraud_alerts", topics.fraud_alerts, ("alert_id",),
            (Column("alert_id", text), Column("subject", text), Column("event_id", text),
             *(Column(name, text, optional=True) for name in ("session_id", "user_id", "order_id")),
             Column("happened_at", time, source="time_ms"), Column("detected_at", time, source="detected_ms"),
             Column("score", number), Column("reasons", array)),
        ),
    )  # fmt: skip
