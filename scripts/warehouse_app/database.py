"""The PostgreSQL side: rows and the offsets of the records that they came from, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import sql

from scripts.warehouse_app.tables import Table, Unfit

log = logging.getLogger(__name__)

SCHEMA: Final = Path(__file__).with_name("schema.sql")
_LOCK: Final = 0x6D696C6C72616365  # "millrace": PostgreSQL's advisory locks have numbers for names
_MISSING_TABLES: Final = "SELECT bool_or(to_regclass(name) IS NULL) FROM unnest(%s::text[]) AS names(name)"

# For the server's end of the connection: it frees the lock of a process whose host is gone after half a minute, not after hours.
_KEEPALIVE: Final = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4"

# SQLSTATE classes of errors that lie in a row, and not in the database or the way to it: data exception, integrity constraint
# violation, program limit exceeded (a key that is too long for its index).
_OF_A_ROW: Final = ("22", "23", "54")

Place = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True)
class Record:
    """A record of a topic, as it came."""

    topic: str
    partition: int
    offset: int
    value: bytes | None


@dataclass(frozen=True)
class Written:
    """What became of a batch."""

    rows: int
    rejected: int


class Database:
    """A connection that has the right to write. Every method raises psycopg.Error when the database fails."""

    def __init__(self, conninfo: str, tables: Sequence[Table]) -> None:
        self._tables = {table.topic: table for table in tables}
        self._upserts = {table.topic: _upsert(table.name, [column.name for column in table.columns], table.key) for table in tables}
        self._connection = psycopg.connect(conninfo, autocommit=True)
        try:
            self._connection.execute(_KEEPALIVE)
            self._make_missing_tables()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def try_lock(self) -> bool:
        """Whether this connection is now the one that writes. It stays so for as long as it lives; a second process waits."""
        return bool(self._one("SELECT pg_try_advisory_lock(%s)", _LOCK))

    def offsets(self) -> dict[Place, int]:
        """Where to read on."""
        rows = self._connection.execute("SELECT topic, topic_partition, next_offset FROM warehouse_offsets").fetchall()
        return {(topic, partition): offset for topic, partition, offset in rows}

    def write(self, records: Sequence[Record]) -> Written:
        """Writes the records and their offsets: all of it, or nothing."""
        try:
            return self._write(records)
        except psycopg.Error as error:
            if not _lies_in_a_row(error):
                raise
        return self._write(records, one_by_one=True)

    def _write(self, records: Sequence[Record], one_by_one: bool = False) -> Written:
        rejected: list[tuple[Record, str]] = []
        rows: dict[str, list[tuple[Record, tuple[Any, ...]]]] = {}
        for record in records:
            try:
                row = self._tables[record.topic].row(record.value)
            except Unfit as unfit:
                rejected.append((record, str(unfit)))
            else:
                rows.setdefault(record.topic, []).append((record, row))
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for topic, of_topic in rows.items():
                if one_by_one:
                    rejected += [refused for record, row in of_topic if (refused := self._try(cursor, topic, record, row))]
                else:
                    cursor.executemany(self._upserts[topic], [row for _, row in of_topic])
            cursor.executemany(
                _REJECT, [(each.topic, each.partition, each.offset, each.value, reason) for each, reason in rejected]
            )  # fmt: skip
            ends = {(each.topic, each.partition): each.offset + 1 for each in records}
            cursor.executemany(_ADVANCE, [(topic, partition, offset) for (topic, partition), offset in ends.items()])
        if rejected:
            last, reason = rejected[-1]
            place = f"{last.topic} partition {last.partition} offset {last.offset}"
            log.warning("%d records rejected (see rejected_records), the last, %s: %s", len(rejected), place, reason)
        return Written(len(records) - len(rejected), len(rejected))

    def _try(self, cursor: psycopg.Cursor[Any], topic: str, record: Record, row: tuple[Any, ...]) -> tuple[Record, str] | None:
        """Writes one row; returns the record and the reason if PostgreSQL refuses it."""
        try:
            with self._connection.transaction():
                cursor.execute(self._upserts[topic], row)
        except psycopg.Error as error:
            if not _lies_in_a_row(error):
                raise
            return record, str(error).splitlines()[0]
        return None

    def _make_missing_tables(self) -> None:
        names = [*(table.name for table in self._tables.values()), "rejected_records", "warehouse_offsets"]
        if self._one(_MISSING_TABLES, names):
            log.info("making the tables (%s)", SCHEMA.name)
            with self._connection.transaction():
                self._connection.execute(SCHEMA.read_bytes())

    def _one(self, query: str, *parameters: Any) -> Any:
        row = self._connection.execute(query.encode(), parameters).fetchone()
        assert row is not None
        return row[0]


def _upsert(table: str, columns: Sequence[str], key: Sequence[str]) -> sql.Composed:
    identifiers = [sql.Identifier(name) for name in columns]
    changes = [sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in columns if name not in key]
    return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
        sql.Identifier(table), sql.SQL(", ").join(identifiers), sql.SQL(", ").join([sql.Placeholder()] * len(identifiers)),
        sql.SQL(", ").join(map(sql.Identifier, key)), sql.SQL(", ").join(changes),
    )  # fmt: skip


_REJECT: Final = _upsert(
    "rejected_records", ("topic", "topic_partition", "topic_offset", "value", "reason"), ("topic", "topic_partition", "topic_offset")
)
_ADVANCE: Final = _upsert("warehouse_offsets", ("topic", "topic_partition", "next_offset"), ("topic", "topic_partition"))


def _lies_in_a_row(error: psycopg.Error) -> bool:
    # Without SQLSTATE: psycopg itself could not adapt a value, such as a text with a zero character.
    return isinstance(error, psycopg.DataError) if error.sqlstate is None else error.sqlstate[:2] in _OF_A_ROW
