"""Insight: fraud. Signals by key, then alerts by subject; both in Python, on the few events that a rule with a signal looks at."""

from __future__ import annotations

from pyflink.common import Types
from pyflink.table import StatementSet, StreamTableEnvironment

from jobs.keyed import keyed_rows
from jobs.settings import Settings
from jobs.tables import raw_sink
from udfs.fraud.sightings import KEY_DIGITS, SIGNAL_MARK
from udfs.fraud_stages import ALERT_FIELDS, ALERT_TYPE, FIRED_TYPE, AlertMaker, SignalDetector


def sinks(settings: Settings) -> list[str]:
    """DDL of the tables that this insight writes."""
    return [raw_sink(settings, "fraud_alerts", settings.topics.fraud_alerts, key="subject", value="alert")]


def add(tables: StreamTableEnvironment, statements: StatementSet, settings: Settings) -> None:
    """Adds the stages to the job; reads the views `instant` and `sessions` of jobs/pipeline.py."""
    start = 1 + len(SIGNAL_MARK)
    bundles = f"""
        SELECT SUBSTRING(destination FROM {start} FOR {KEY_DIGITS}) AS shared_key,
               SUBSTRING(destination FROM {start + KEY_DIGITS}) AS bundle, session_seq
        FROM (SELECT destination, CAST(0 AS BIGINT) AS session_seq FROM instant
              UNION ALL
              SELECT destination, COALESCE(session_seq, CAST(0 AS BIGINT))
              FROM sessions CROSS JOIN UNNEST(SPLIT(ordered, ';')) AS destinations(destination)
              WHERE viewed = 0 AND ordered LIKE '%{SIGNAL_MARK}%')
        WHERE destination LIKE '{SIGNAL_MARK}%'"""
    fired = (
        keyed_rows(tables, bundles, "shared_key", {"bundle": Types.STRING(), "session_seq": Types.LONG()})
        .process(SignalDetector(), FIRED_TYPE)
        .name("detect-signals")
        .uid("detect-signals")
    )
    alerts = (
        fired.key_by(lambda firing: firing[0], key_type=Types.STRING())
        .process(AlertMaker(settings.fraud_window_ms, settings.fraud_min_score), ALERT_TYPE)
        .name("make-alerts")
        .uid("make-alerts")
    )
    tables.create_temporary_view("alerts", tables.from_data_stream(alerts).alias(*ALERT_FIELDS))
    statements.add_insert_sql("INSERT INTO fraud_alerts SELECT subject, alert FROM alerts")
