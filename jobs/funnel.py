"""Insight: the funnel. How many looked, put into the cart, ordered and paid, by category, in sliding windows."""

from __future__ import annotations

from pyflink.table import StatementSet, StreamTableEnvironment

from jobs import facts
from jobs.settings import Settings
from jobs.sql import SORTABLE_DIGITS, epoch_ms, interval, sortable
from jobs.tables import json_sink
from udfs.facts import CATEGORY_SEPARATOR, FIELD_SEPARATOR

_NO_CATEGORY = f"V{FIELD_SEPARATOR * 2}%"


def sinks(settings: Settings) -> list[str]:
    """DDL of the table that this insight writes."""
    return [
        json_sink(
            settings, "funnel_by_category", settings.topics.funnel, key="category",
            columns="""`category` STRING, `window_start` BIGINT, `window_end` BIGINT,
              `views` BIGINT, `carts` BIGINT, `orders` BIGINT, `paid` BIGINT""",
        ),
    ]  # fmt: skip


def add(tables: StreamTableEnvironment, statements: StatementSet, settings: Settings) -> None:
    """Adds the funnel to the job; reads `punctual` of jobs/pipeline.py, and `sold` and `money` of jobs/sales.py.

    All steps in one stream and one window operator: a join of windows would lose categories in which nobody paid.
    """
    facts.select(tables, "looks", "punctual", kinds="VC", columns=("kind", "category"), line="facts", unless=_NO_CATEGORY)
    _create_paid(tables, settings)
    tables.execute_sql("""
        CREATE TEMPORARY VIEW funnel_steps AS
        SELECT kind, category, CAST(1 AS BIGINT) AS orders, event_time FROM looks
        UNION ALL SELECT 'O', category, `first`, event_time FROM sold
        UNION ALL SELECT 'P', category, CAST(1 AS BIGINT), event_time FROM paid""")
    counts = ", ".join(f"SUM(CASE WHEN kind = '{kind}' THEN orders ELSE 0 END)" for kind in "VCOP")
    statements.add_insert_sql(f"""
        INSERT INTO funnel_by_category
        SELECT category, {epoch_ms("window_start")}, {epoch_ms("window_end")}, {counts}
        FROM TABLE(HOP(TABLE funnel_steps, DESCRIPTOR(event_time), {interval(settings.slide_ms)}, {interval(settings.window_ms)}))
        GROUP BY category, window_start, window_end""")


def _create_paid(tables: StreamTableEnvironment, settings: Settings) -> None:
    """Makes the view `paid`: a row for each category of an order, at the time of the order's first payment.

    Not an interval join: that holds the watermark back by its whole bound, so that the funnel would come an hour late. OVER
    sorts the total and the payments of each order id by event time, and each payment sees what came before it.
    """
    at = sortable(epoch_ms("event_time"))
    age_ms = f"{epoch_ms('event_time')} - CAST(SUBSTRING(last_order FROM 1 FOR {SORTABLE_DIGITS}) AS BIGINT)"
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW paid AS
        SELECT category, event_time
        FROM (
          SELECT kind, event_time, CONCAT({at}, event_id) AS payment,
                 MAX(CASE WHEN kind = 'T' THEN CONCAT({at}, category) END) OVER of_order AS last_order,
                 MIN(CASE WHEN kind = 'P' THEN CONCAT({at}, event_id) END) OVER of_order AS first_payment
          FROM money WHERE kind <> 'F'
          WINDOW of_order AS (PARTITION BY order_id ORDER BY event_time RANGE UNBOUNDED PRECEDING)
        ) CROSS JOIN UNNEST(SPLIT(SUBSTRING(last_order FROM {SORTABLE_DIGITS + 1}), '{CATEGORY_SEPARATOR}')) AS categories(category)
        WHERE kind = 'P' AND payment = first_payment
          AND {age_ms} <= {settings.payment_within_ms}""")
