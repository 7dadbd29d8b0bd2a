"""Insight: sales. Sliding windows in Java operators over the facts of orders."""

from __future__ import annotations

from pyflink.table import StatementSet, StreamTableEnvironment

from jobs import facts
from jobs.settings import Settings
from jobs.sql import epoch_ms, interval
from jobs.tables import json_sink


def sinks(settings: Settings) -> list[str]:
    """DDL of the tables that this insight writes."""
    topics = settings.topics
    return [
        json_sink(
            settings, "sales_by_category", topics.sales, key="category",
            columns="""`category` STRING, `currency` STRING, `window_start` BIGINT, `window_end` BIGINT,
              `orders` BIGINT, `quantity` BIGINT, `amount_minor` BIGINT, `avg_minor_per_minute` DOUBLE, `avg_minor_per_order` DOUBLE""",
        ),
    ]  # fmt: skip


def add(tables: StreamTableEnvironment, statements: StatementSet, settings: Settings) -> None:
    """Adds the windows to the job; reads the view `punctual` of jobs/pipeline.py."""
    facts.create_view(tables, "sold", "punctual", kinds="O")
    statements.add_insert_sql(f"""
        INSERT INTO sales_by_category
        SELECT category, currency, {epoch_ms("window_start")}, {epoch_ms("window_end")},
               orders, quantity, amount_minor,
               amount_minor / {settings.window_ms / 60_000}E0, CAST(amount_minor AS DOUBLE) / orders
        FROM (
          SELECT category, currency, window_start, window_end,
                 SUM(`first`) AS orders, SUM(quantity) AS quantity, SUM(amount_minor) AS amount_minor
          FROM TABLE(HOP(TABLE sold, DESCRIPTOR(event_time), {interval(settings.slide_ms)}, {interval(settings.window_ms)}))
          GROUP BY category, currency, window_start, window_end)""")
