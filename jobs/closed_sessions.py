"""Insight: sessions that have ended, with their length, depth and whether they left a cart behind."""

from __future__ import annotations

from pyflink.table import StatementSet, StreamTableEnvironment

from jobs import facts
from jobs.settings import Settings
from jobs.sql import SORTABLE_DIGITS, count_if, epoch_ms, interval, sortable
from jobs.tables import json_sink
from udfs.facts import FIELD_SEPARATOR, LINE_SEPARATOR


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

    A session window of exact times is extended by each event: two writes for the window, two for its timer. So the windows see
    time in steps (`window_time` of a tumbling window, which keeps no state), and within a step only the sums are written.
    """
    # An empty user ends the text with a separator; an order's user ends its first line too.
    first_line = f"CASE WHEN facts LIKE 'O%' THEN SPLIT_INDEX(facts, '{LINE_SEPARATOR}', 0) ELSE facts END"
    user = f"CONCAT({sortable(epoch_ms('event_time'))}, {facts.field('user_id', first_line)})"
    quantity = facts.field("quantity", "facts")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW telling_steps AS
        SELECT session_id, SUBSTRING(facts FROM 1 FOR 1) AS kind, event_time,
               CASE WHEN facts LIKE '%{FIELD_SEPARATOR}' THEN '' ELSE {user} END AS user_at,
               CASE WHEN facts LIKE 'C%' THEN {quantity} WHEN facts LIKE 'R%' THEN -{quantity} ELSE CAST(0 AS BIGINT) END AS pieces
        FROM punctual WHERE facts <> ''""")
    tables.execute_sql("""
        CREATE TEMPORARY VIEW silent_steps AS
        SELECT session_id, '' AS kind, event_time, '' AS user_at, CAST(0 AS BIGINT) AS pieces
        FROM punctual WHERE facts = ''""")
    # Two branches, also because Flink 2.3 can't plan SESSION directly over TUMBLE: a NullPointerException of
    # PullUpWindowTableFunctionIntoWindowAggregateRule.
    stepped = " UNION ALL ".join(
        f"""SELECT session_id, kind, event_time, user_at, pieces, window_time AS step
            FROM TABLE(TUMBLE(TABLE {name}, DESCRIPTOR(event_time), {interval(settings.session_step_ms)}))"""
        for name in ("telling_steps", "silent_steps")
    )
    tables.execute_sql(f"CREATE TEMPORARY VIEW session_steps AS {stepped}")
    names = {"V": "views", "C": "carts", "O": "orders"}
    counts = ", ".join(f"""{count_if(f"kind = '{kind}'")} AS `{name}`""" for kind, name in names.items())
    first_ms, last_ms = epoch_ms("first_time"), epoch_ms("last_time")
    statements.add_insert_sql(f"""
        INSERT INTO closed_sessions
        SELECT session_id, SUBSTRING(last_user FROM {SORTABLE_DIGITS + 1}), {first_ms}, {last_ms}, {last_ms} - {first_ms},
               events, `views`, `carts`, `orders`, pieces > 0 AND `orders` = 0
        FROM (
          SELECT session_id, window_start, window_end, MIN(event_time) AS first_time, MAX(event_time) AS last_time,
                 COUNT(*) AS events, {counts}, SUM(pieces) AS pieces, MAX(user_at) AS last_user
          FROM TABLE(SESSION(TABLE session_steps PARTITION BY session_id, DESCRIPTOR(step), {interval(settings.session_gap_ms)}))
          GROUP BY session_id, window_start, window_end)""")
