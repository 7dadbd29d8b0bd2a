"""The Kafka tables of the job, as SQL DDL made from the settings. No logic: what flows between them is in pipeline.py."""

from __future__ import annotations

from collections.abc import Mapping

from jobs.settings import Guarantee, Settings
from jobs.sql import interval, quoted
from udfs.rules.destinations import regex

_FAR_FUTURE_MS = 4_102_444_800_000  # 2100-01-01. Nobody sees it (jobs/event_time.py); a source without a watermark is never idle


def sources(settings: Settings) -> list[str]:
    """DDL of the tables that the job reads: `events` and `rules`."""
    topics = settings.topics
    names = [topics.events, topics.heartbeat] if settings.heartbeat else [topics.events]
    events_options = {
        "topic": ";".join(names),
        "properties.group.id": settings.group_id,
        "properties.auto.offset.reset": "earliest",
        "scan.startup.mode": settings.start,
        "format": "raw",
        "scan.watermark.idle-timeout": f"{settings.idle_ms}ms",
        "scan.watermark.alignment.group": "events",
        "scan.watermark.alignment.max-drift": f"{settings.max_drift_ms}ms",
        "scan.watermark.alignment.update-interval": "1s",
    } | ({"scan.bounded.mode": "latest-offset"} if settings.bounded else {})
    rules_options = {
        "topic": topics.rules,
        "properties.group.id": settings.group_id + "-rules",
        "scan.startup.mode": "earliest-offset",
        # scripts/millrace writes a change and its audit in one transaction; of two at once, one is aborted.
        "properties.isolation.level": "read_committed",
        "key.format": "raw",
        "key.fields": "rule_id",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
        "scan.watermark.idle-timeout": "1s",
    } | ({"scan.bounded.mode": "latest-offset"} if settings.bounded else {})
    return [
        f"""CREATE TEMPORARY TABLE events (
              `value` BYTES,
              `topic` STRING METADATA VIRTUAL,
              `partition` INT METADATA VIRTUAL,
              `offset` BIGINT METADATA VIRTUAL,
              `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
              WATERMARK FOR `record_time` AS `record_time` - {interval(settings.lateness_ms)}
            ) {_kafka(settings, events_options)}""",
        f"""CREATE TEMPORARY TABLE rules (
              `rule_id` STRING,
              `rule` STRING,
              `far_future` AS TO_TIMESTAMP_LTZ({_FAR_FUTURE_MS}, 3),
              WATERMARK FOR `far_future` AS `far_future`
            ) {_kafka(settings, rules_options)}""",
    ]


def sinks(settings: Settings) -> list[str]:
    """DDL of the tables that the job writes. Each has its own stable transactional-id prefix."""
    topics = settings.topics
    tables = [
        *(_byte_sink(settings, name) for name in ("ordered_routes", "instant_routes", "late_events", "dead_letters")),
        json_sink(
            settings, "rule_status", topics.rule_status, key="rule_id",
            columns="""`rule_id` STRING, `version` INT, `status` STRING, `reason` STRING,
              `subtask` INT, `parallelism` INT, `time_ms` BIGINT,
              `evaluated` BIGINT, `matched` BIGINT, `shadow_matched` BIGINT, `errors` BIGINT, `time_us` BIGINT, `digest` STRING""",
        ),
    ]  # fmt: skip
    if settings.heartbeat:
        tables.append(
            f"""CREATE TEMPORARY TABLE heartbeat (
                  `value` STRING, `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'
                ) {_kafka(settings, {"topic": topics.heartbeat, "format": "raw"})}"""
        )
        tables.append("""CREATE TEMPORARY TABLE clock (`second` BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1')""")
    return tables


def _byte_sink(settings: Settings, name: str) -> str:
    """A sink for original bytes, with key, headers and timestamp; the column `topic` says where each goes.

    Flink has this column only for a list of two or more topics, or a pattern: hence one list for all of these sinks.
    """
    topics = settings.topics
    names = (*(topics.prefix + destination for destination in topics.destinations), topics.late, topics.dead_letters)
    options = {
        **({"topic-pattern": "|".join(map(regex, names))} if topics.allowed().has_patterns else {"topic": ";".join(names)}),
        "key.format": "raw",
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
    }
    return f"""CREATE TEMPORARY TABLE {name} (
              `topic` STRING NOT NULL METADATA,
              `key` STRING,
              `value` BYTES,
              `headers` MAP<STRING NOT NULL, BYTES NOT NULL> METADATA,
              `record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'
            ) {_kafka(settings, options | _delivery(settings, name))}"""


def json_sink(settings: Settings, name: str, topic: str, *, key: str, columns: str) -> str:
    """DDL of a sink of JSON objects of `columns`, keyed by one of them."""
    options = {"topic": topic, "key.format": "raw", "key.fields": key, "value.format": "json"}
    return f"CREATE TEMPORARY TABLE {name} ({columns}) {_kafka(settings, options | _delivery(settings, name))}"


def raw_sink(settings: Settings, name: str, topic: str, *, key: str, value: str) -> str:
    """DDL of a sink of texts as they are, with another text as key; no text deletes the key from a compacted topic."""
    options = {"topic": topic, "key.format": "raw", "key.fields": key, "value.format": "raw", "value.fields-include": "EXCEPT_KEY"}
    return f"CREATE TEMPORARY TABLE {name} (`{key}` STRING, `{value}` STRING) {_kafka(settings, options | _delivery(settings, name))}"


def _delivery(settings: Settings, name: str) -> dict[str, str]:
    options = {
        "sink.delivery-guarantee": str(settings.guarantee),
        "properties.linger.ms": "5",
        "properties.batch.size": "131072",
        "properties.compression.type": "lz4",
        # An event at the broker's usual limit must still go out with the headers that a dead letter adds.
        "properties.max.request.size": "2097152",
    }
    if settings.guarantee is Guarantee.EXACTLY_ONCE:
        options |= {
            "sink.transactional-id-prefix": f"{settings.topic_prefix}{settings.group_id}-{name}",
            "properties.transaction.timeout.ms": str(settings.transaction_timeout_ms),
        }
    return options


def _kafka(settings: Settings, options: Mapping[str, str]) -> str:
    client = {f"properties.{key}": value for key, value in settings.client_properties.items()}
    entries = {"connector": "kafka", "properties.bootstrap.servers": settings.bootstrap} | dict(options) | client
    return "WITH (" + ", ".join(f"'{quoted(key)}' = '{quoted(value)}'" for key, value in entries.items()) + ")"
