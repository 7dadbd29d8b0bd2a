"""Insight: sales. Windows in Java operators over the facts of orders and payments; funnel and sessions stand beside it.

All but the sums by category can be switched off one by one: who reads none of a part need not pay for it.
"""

from __future__ import annotations

from typing import Final

from pyflink.table import StatementSet, StreamTableEnvironment

from jobs import closed_sessions, facts, funnel
from jobs.settings import Settings
from jobs.sql import count_if, epoch_ms, interval
from jobs.tables import json_sink

TOP: Final = 10
"""Ranks of sales.top-products."""


def sinks(settings: Settings) -> list[str]:
    """DDL of the tables that this insight writes."""
    topics = settings.topics
    window = "`window_start` BIGINT, `window_end` BIGINT"
    by_category = json_sink(
        settings, "sales_by_category", topics.sales, key="category",
        columns=f"""`category` STRING, `currency` STRING, {window},
          `orders` BIGINT, `quantity` BIGINT, `amount_minor` BIGINT, `avg_minor_per_minute` DOUBLE, `avg_minor_per_order` DOUBLE""",
    )  # fmt: skip
    per_minute = json_sink(
        settings, "sales_per_minute", topics.sales_per_minute, key="currency",
        columns=f"""`currency` STRING, {window}, `orders` BIGINT, `amount_minor` BIGINT, `avg_minor_per_order` DOUBLE,
          `payments` BIGINT, `paid_minor` BIGINT, `failed_payments` BIGINT, `at_risk_orders` BIGINT, `at_risk_minor` BIGINT""",
    )  # fmt: skip
    top_products = json_sink(
        settings, "top_products", topics.top_products, key="currency",
        columns=f"""`currency` STRING, {window}, `rank` BIGINT, `product_id` STRING, `category` STRING,
          `quantity` BIGINT, `amount_minor` BIGINT""",
    )  # fmt: skip
    return [
        by_category,
        *([per_minute] if settings.totals else []),
        *([top_products] if settings.top_products else []),
        *(funnel.sinks(settings) if settings.funnel else []),
        *(closed_sessions.sinks(settings) if settings.closed_sessions else []),
    ]


def add(tables: StreamTableEnvironment, statements: StatementSet, settings: Settings) -> None:
    """Adds the windows to the job; reads the view `punctual` of jobs/pipeline.py."""
    facts.create_lines(tables, "order_lines", "punctual", kind="O")
    columns = ("category", "product_id", "currency", "quantity", "amount_minor", "first")
    facts.select(tables, "sold", "order_lines", kinds="O", columns=columns)
    # What becomes of an order's money: its total (T), its payments (P), and those that failed (F).
    money = ("kind", "category", "order_id", "currency", "amount_minor")
    facts.select(tables, "totals", "order_lines", kinds="T", columns=money)
    facts.select(tables, "payments", "punctual", kinds="PF", columns=money, line="facts")
    tables.execute_sql("CREATE TEMPORARY VIEW money AS SELECT * FROM totals UNION ALL SELECT * FROM payments")

    statements.add_insert_sql(_by_category(settings))
    if settings.totals:
        statements.add_insert_sql(_per_minute(settings))
    if settings.top_products:
        statements.add_insert_sql(_top_products(settings))
    if settings.funnel:
        funnel.add(tables, statements, settings)
    if settings.closed_sessions:
        closed_sessions.add(tables, statements, settings)


def _by_category(settings: Settings) -> str:
    return f"""
        INSERT INTO sales_by_category
        SELECT category, currency, {epoch_ms("window_start")}, {epoch_ms("window_end")},
               orders, quantity, amount_minor,
               amount_minor / {settings.window_ms / 60_000}E0, CAST(amount_minor AS DOUBLE) / orders
        FROM (
          SELECT category, currency, window_start, window_end,
                 SUM(`first`) AS orders, SUM(quantity) AS quantity, SUM(amount_minor) AS amount_minor
          FROM TABLE(HOP(TABLE sold, DESCRIPTOR(event_time), {interval(settings.slide_ms)}, {interval(settings.window_ms)}))
          GROUP BY category, currency, window_start, window_end)"""


def _per_minute(settings: Settings) -> str:
    """By order first: an order whose payment failed is at risk only if no other one of the same window went through."""
    return f"""
        INSERT INTO sales_per_minute
        SELECT currency, {epoch_ms("window_start")}, {epoch_ms("window_end")},
               SUM(orders), SUM(amount_minor), CAST(SUM(amount_minor) AS DOUBLE) / NULLIF(SUM(orders), 0),
               SUM(payments), SUM(paid_minor), SUM(failures),
               {count_if("failures > 0 AND payments = 0")},
               SUM(CASE WHEN failures > 0 AND payments = 0 THEN failed_minor ELSE 0 END)
        FROM (
          SELECT currency, order_id, window_start, window_end,
                 {count_if("kind = 'T'")} AS orders,
                 SUM(CASE WHEN kind = 'T' THEN amount_minor ELSE 0 END) AS amount_minor,
                 {count_if("kind = 'P'")} AS payments,
                 SUM(CASE WHEN kind = 'P' THEN amount_minor ELSE 0 END) AS paid_minor,
                 {count_if("kind = 'F'")} AS failures,
                 MAX(CASE WHEN kind = 'F' THEN amount_minor ELSE 0 END) AS failed_minor
          FROM TABLE(TUMBLE(TABLE money, DESCRIPTOR(event_time), {interval(settings.totals_ms)}))
          GROUP BY currency, order_id, window_start, window_end)
        GROUP BY currency, window_start, window_end"""


def _top_products(settings: Settings) -> str:
    return f"""
        INSERT INTO top_products
        SELECT currency, {epoch_ms("window_start")}, {epoch_ms("window_end")}, place, product_id, category, quantity, amount_minor
        FROM (
          SELECT *, ROW_NUMBER() OVER (
                   PARTITION BY window_start, window_end, currency ORDER BY amount_minor DESC, product_id, category) AS place
          FROM (
            SELECT currency, product_id, category, window_start, window_end, SUM(quantity) AS quantity, SUM(amount_minor) AS amount_minor
            FROM TABLE(HOP(TABLE sold, DESCRIPTOR(event_time), {interval(settings.top_slide_ms)}, {interval(settings.window_ms)}))
            GROUP BY currency, product_id, category, window_start, window_end))
        WHERE place <= {TOP}"""
