"""The whole data flow on one page: Kafka in, decoded, de-duplicated, ordered per session, routed, summed; Kafka out.

Decisions are made in Python (udfs/), once per event; what keeps state per event (duplicates, order, windows) are Java
operators behind SQL. `build` takes any tables of the right columns, so that a test runs the same graph on collections.
"""

from __future__ import annotations

from typing import Final

from pyflink.common import Types
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import Schema, StatementSet, StreamTableEnvironment

from jobs import crossing, event_time, fraud, recommendations, sales
from jobs.settings import Settings
from jobs.sharing import share
from jobs.sql import epoch_ms, headers, route, topics_of
from udfs.aggregator import AGGREGATED_FIELDS, AGGREGATED_TYPE, Aggregator, observation_key
from udfs.fraud.sightings import SIGNAL_MARK
from udfs.router import BATCH_TYPE, EventRouter, RouterSettings, dead_letter_tag, rule_status_tag, rules_state
from udfs.rules.engine import AGGREGATE_MARK
from udfs.ticker import TICK_TYPE, Ticker
from udfs.topic_maker import RULE_TYPE, TopicMaker

URGENT_SINKS: Final = ("instant_routes", "ordered_routes", "late_events", "dead_letters", "rule_status", "fraud_alerts", "heartbeat")
"""Sinks that someone waits for by the millisecond; the others are windows."""


def build(env: StreamExecutionEnvironment, tables: StreamTableEnvironment, router: RouterSettings, settings: Settings) -> StatementSet:
    """Connects the source tables `events` and `rules` with the sink tables (see jobs/tables.py for their columns)."""
    topics = settings.topics
    statements = tables.create_statement_set()

    # -- 1. Decode, validate, evaluate the rules: the one crossing between the JVM and Python, in batches ---------------------------
    events = crossing.packed(tables, f"""
        SELECT `value`, `partition`, `offset`, GREATEST({epoch_ms("record_time")}, 0) FROM events WHERE `topic` <> '{topics.heartbeat}'""")
    rules = tables.to_data_stream(tables.sql_query("SELECT rule_id, rule, CAST(NULL AS STRING) AS refusal FROM rules"))
    if router.topics is not None:
        # Never chained, else the job at parallelism 1 would be another graph than at 2, and could not be restored from its savepoint.
        maker = rules.map(TopicMaker(router), RULE_TYPE).set_parallelism(1).disable_chaining()
        rules = maker.name("make-topics").uid("make-topics")
    routed = (
        events.connect(event_time.without(rules).broadcast(rules_state()))
        .process(EventRouter(router), BATCH_TYPE)
        .name("decode-and-route")
        .uid("decode-and-route")
    )
    dead_letters = crossing.side_output(routed, dead_letter_tag())
    rule_status = crossing.side_output(routed, rule_status_tag())

    # Event time is the record's timestamp, as for the watermark that the source made per Kafka partition: no client with a
    # wrong clock moves time for all.
    schema = (
        Schema.new_builder()
        .column_by_expression("event_time", "TO_TIMESTAMP_LTZ(f2, 3)")
        .column_by_expression("arrival", "PROCTIME()")
        .watermark("event_time", "SOURCE_WATERMARK()")
        .build()
    )
    tables.create_temporary_view("decoded_raw", tables.from_data_stream(crossing.unpacked(routed), schema))
    # Not so named from the start: the uid of Deduplicate is of the names that it sees, and its state is in savepoints of 0.1.0.
    columns = ", ".join(f"f{index} AS {name}" for index, name in enumerate(crossing.ROUTED))
    tables.execute_sql(f"CREATE TEMPORARY VIEW decoded AS SELECT {columns}, event_time, arrival FROM decoded_raw")

    # -- 2. Drop duplicates: the first of each event_id passes, for as long as the state remembers it -------------------
    copies = "SELECT *, ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY arrival) AS copy FROM decoded"
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW first_copies AS
        SELECT session_id, event_id, ordered, unordered, facts, payload, event_time
        FROM {f"({copies}) WHERE copy = 1" if settings.deduplication else "decoded"}""")
    # Also: what was late before a restore is late after it.
    share(tables, "first_copies", "distinct_events", _EVENT_COLUMNS, keep_event_time=True)

    # -- 3. Destinations with order "none": at once, late or not; some of them only once a rule has counted enough ---------
    tables.execute_sql("""
        CREATE TEMPORARY VIEW instant AS
        SELECT destination, session_id, event_id, payload, event_time
        FROM distinct_events CROSS JOIN UNNEST(SPLIT(unordered, ';')) AS destinations(destination)
        WHERE unordered <> ''""")
    observations = tables.to_data_stream(
        tables.sql_query(f"""
            SELECT SUBSTRING(destination FROM 2), session_id, event_id, payload, {epoch_ms("event_time")}
            FROM instant WHERE destination LIKE '{AGGREGATE_MARK}%'""")
    )
    aggregated = (
        observations.key_by(observation_key, key_type=Types.STRING())
        .process(Aggregator(), AGGREGATED_TYPE)
        .name("aggregate-by-rule")
        .uid("aggregate-by-rule")
    )
    arrived = Schema.new_builder().column_by_expression("arrival", "PROCTIME()").build()
    tables.create_temporary_view("aggregated", tables.from_data_stream(aggregated, arrived).alias(*AGGREGATED_FIELDS, "arrival"))
    # Each rule decides for itself: of several that send an event to one topic, the first does.
    tables.execute_sql("""
        CREATE TEMPORARY VIEW aggregated_once AS
        SELECT destination, session_id, event_id, payload, record_time_ms FROM (
          SELECT *, ROW_NUMBER() OVER (PARTITION BY event_id, destination ORDER BY arrival) AS copy
          FROM aggregated CROSS JOIN UNNEST(SPLIT(topics, ';')) AS destinations(destination)
        ) WHERE copy = 1""")
    statements.add_insert_sql(f"""
        INSERT INTO instant_routes
        SELECT {route(topics.prefix)}, {headers(event_id="event_id")}, event_time
        FROM instant WHERE {_IS_TOPIC}
        UNION ALL
        SELECT {route(topics.prefix)}, {headers(event_id="event_id")}, TO_TIMESTAMP_LTZ(record_time_ms, 3)
        FROM aggregated_once""")

    # -- 4, 5. Late events leave, the others wait for their turn in the session --------------------------------------------
    if settings.order or settings.sales:
        _split_off_late(tables, statements, settings)
    if settings.order:
        _order(tables, statements, settings)

    # -- 6. Insights: each a module of its own, each can be switched off -----------------------------------------------------
    if settings.sales:
        sales.add(tables, statements, settings)
    if settings.fraud:
        fraud.add(tables, statements, settings)
    if settings.recommendations:
        recommendations.add(tables, statements, settings)

    # -- 7. Dead letters, rule status, heartbeat --------------------------------------------------------------------------
    tables.create_temporary_view("invalid", tables.from_data_stream(dead_letters))
    origin = headers(
        reason="reason", detail="detail", topic=f"'{topics.events}'", partition="CAST(origin_partition AS STRING)",
        offset="CAST(origin_offset AS STRING)", timestamp="CAST(record_time_ms AS STRING)",
    )  # fmt: skip
    statements.add_insert_sql(f"""
        INSERT INTO dead_letters
        SELECT '{topics.dead_letters}', CAST(NULL AS STRING), payload, {origin}, TO_TIMESTAMP_LTZ(record_time_ms, 3) FROM invalid""")
    tables.create_temporary_view("rule_updates", tables.from_data_stream(rule_status))
    statements.add_insert_sql("INSERT INTO rule_status SELECT * FROM rule_updates")
    if settings.heartbeat:
        clock = tables.to_data_stream(tables.sql_query("SELECT `second` FROM clock"))
        ticks = clock.key_by(lambda _: "", key_type=Types.STRING()).process(Ticker(), TICK_TYPE).name("heartbeat").uid("heartbeat")
        tables.create_temporary_view("ticks", tables.from_data_stream(ticks))
        statements.add_insert_sql("INSERT INTO heartbeat SELECT f0, CURRENT_TIMESTAMP FROM ticks")
    return statements


def _split_off_late(tables: StreamTableEnvironment, statements: StatementSet, settings: Settings) -> None:
    """4. Late events leave here, so that nothing behind drops them silently."""
    statements.add_insert_sql(f"""
        INSERT INTO late_events
        SELECT '{settings.topics.late}', session_id, payload,
               {headers(event_id="event_id", late_by_ms="CAST(" + _LATE_BY_MS + " AS STRING)", missed=topics_of("ordered"))}, event_time
        FROM distinct_events WHERE event_time <= CURRENT_WATERMARK(event_time)""")
    tables.execute_sql("""
        CREATE TEMPORARY VIEW punctual AS
        SELECT session_id, event_id, ordered, facts, payload, event_time
        FROM distinct_events
        WHERE CURRENT_WATERMARK(event_time) IS NULL OR event_time > CURRENT_WATERMARK(event_time)""")


def _order(tables: StreamTableEnvironment, statements: StatementSet, settings: Settings) -> None:
    """5. Orders and numbers the events of each session, then routes them. (jobs/session_order.py puts a faster operator behind OVER.)"""
    more = recommendations.session_columns(tables, "so_far") if settings.recommendations else {}
    columns = "".join(f", {expression} AS {name}" for name, expression in more.items())
    # COALESCE changes no value: it is the column that savepoints of 0.1.0 have in the operator's state.
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW numbered AS
        SELECT session_id, event_id, ordered, payload, COUNT(*) OVER so_far AS session_seq,
               COUNT(CASE WHEN facts LIKE 'V%' THEN 1 END) OVER so_far AS viewed,
               COALESCE(event_time, CURRENT_TIMESTAMP) AS event_time{columns}
        FROM (SELECT *, {recommendations.PRODUCT_OF_EVENT} AS product FROM punctual)
        WINDOW so_far AS (PARTITION BY session_id ORDER BY event_time ROWS UNBOUNDED PRECEDING)""")
    share(tables, "numbered", "sessions", _SESSION_COLUMNS | dict.fromkeys(more, "STRING"))
    statements.add_insert_sql(f"""
        INSERT INTO ordered_routes
        SELECT {route(settings.topics.prefix)},
               {headers(event_id="event_id", session_seq="CAST(session_seq AS STRING)")}, event_time
        FROM sessions CROSS JOIN UNNEST(SPLIT(ordered, ';')) AS destinations(destination)
        WHERE ordered <> '' AND {_IS_TOPIC}""")


_EVENT_COLUMNS = dict.fromkeys(("session_id", "event_id", "ordered", "unordered", "facts"), "STRING") | {"payload": "BYTES"}
_SESSION_COLUMNS = dict.fromkeys(("session_id", "event_id", "ordered"), "STRING") | {
    "payload": "BYTES", "session_seq": "BIGINT", "viewed": "BIGINT",
}  # fmt: skip
_IS_TOPIC = f"destination NOT LIKE '{AGGREGATE_MARK}%' AND destination NOT LIKE '{SIGNAL_MARK}%'"
_LATE_BY_MS = "CAST(TIMESTAMPDIFF(SECOND, event_time, CURRENT_WATERMARK(event_time)) AS BIGINT) * 1000"

