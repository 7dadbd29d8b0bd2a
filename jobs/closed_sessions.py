"""Insight: sessions that have ended, with their length, depth and whether they left a cart behind."""

from __future__ import annotations

from pyflink.table import StatementSet, StreamTableEnvironment

from jobs import facts
from jobs.settings import Settings
from jobs.sql import SORTABLE_DIGITS, count_if, epoch_ms, interval, sortable
from jobs.tables import json_sink
from udfs.facts import LINE_SEPARATOR


def sinks(settings: Settings) -> list[str]:
    """DDL of the table that this insight writes."""
    return [
        json_sink(
            settings, "closed_sessions", settings.topics.sessions, key="session_id",
            columns="""`session_id` STRING, `user_id` STRING, `session_start` BIGINT, `session_end` BIGINT, `length_ms` BIGINT,
              `events` BIGINT, `views` BIGINT, `carts` BIGINT, `orders` BIGINT, `abandoned` BOOLEAN""",
        ),
    ]  # fmt: skip


def add(tables: StreamTableEnvironment, statements: StatementSet, settings: Settings) -> None:
    """Adds the session windows to the job; reads `punctual` of jobs/pipeline.py.

    Every event counts, also one without facts. The state of a session is one row of sums, however long it lasts.
    """
    user = facts.field("user_id", f"SPLIT_INDEX(facts, '{LINE_SEPARATOR}', 0)")
    quantity = facts.field("quantity", "facts")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW session_steps AS
        SELECT session_id, kind, event_time,
               CASE WHEN facts <> '' THEN {user} ELSE '' END AS user_id,
               CASE WHEN kind = 'C' THEN {quantity} WHEN kind = 'R' THEN -{quantity} ELSE CAST(0 AS BIGINT) END AS pieces
        FROM (SELECT session_id, facts, SUBSTRING(facts FROM 1 FOR 1) AS kind, event_time FROM punctual)""")
    names = {"V": "views", "C": "carts", "O": "orders"}
    counts = ", ".join(f"""{count_if(f"kind = '{kind}'")} AS `{name}`""" for kind, name in names.items())
    last_user = f"MAX(CASE WHEN user_id <> '' THEN CONCAT({sortable(epoch_ms('event_time'))}, user_id) ELSE '' END)"
    first_ms, last_ms = epoch_ms("window_start"), f"({epoch_ms('window_end')} - {settings.session_gap_ms})"
    statements.add_insert_sql(f"""
        INSERT INTO closed_sessions
        SELECT session_id, SUBSTRING(last_user FROM {SORTABLE_DIGITS + 1}), {first_ms}, {last_ms}, {last_ms} - {first_ms},
               events, `views`, `carts`, `orders`, pieces > 0 AND `orders` = 0
        FROM (
          SELECT session_id, window_start, window_end, COUNT(*) AS events, {counts}, SUM(pieces) AS pieces, {last_user} AS last_user
          FROM TABLE(SESSION(TABLE session_steps PARTITION BY session_id, DESCRIPTOR(event_time), {interval(settings.session_gap_ms)}))
          GROUP BY session_id, window_start, window_end)""")
