"""The DDL of the Kafka tables, read back as options."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Any

import pytest

from jobs.main import insight_sinks
from jobs.settings import Guarantee, Settings
from jobs.tables import sinks, sources

SALES_SINKS = {"sales_by_category", "sales_per_minute", "top_products", "funnel_by_category", "closed_sessions"}
OTHER_INSIGHTS = {"fraud_alerts", "recommendations_by_product", "recommendations_by_user", "trending_by_category"}
EXACTLY_ONCE_SINKS = {"ordered_routes", "instant_routes", "late_events", "dead_letters", "rule_status", *SALES_SINKS, *OTHER_INSIGHTS}
BYTE_SINKS = ("ordered_routes", "instant_routes", "late_events", "dead_letters")
PREFIX = "sink.transactional-id-prefix"
TIMEOUT = "properties.transaction.timeout.ms"
_TEXT = r"'((?:[^']|'')*)'"


def ddl(settings: Settings) -> dict[str, str]:
    """Table -> its DDL."""
    statements = [*sources(settings), *sinks(settings), *insight_sinks(settings)]
    names = [re.match(r"CREATE TEMPORARY TABLE (\w+) \(", statement) for statement in statements]
    assert all(names)
    return {name[1]: statement for name, statement in zip(names, statements, strict=True) if name}


def options(**settings: Any) -> dict[str, dict[str, str]]:
    """Table -> the options of its connector, unquoted. The whole WITH clause must be readable as such."""
    tables = {}
    for name, statement in ddl(Settings(**settings)).items():
        clause = statement[statement.rindex(" WITH (") + len(" WITH (") :]
        assert re.fullmatch(rf"{_TEXT} = {_TEXT}(, {_TEXT} = {_TEXT})*\)", clause), clause
        pairs = re.findall(rf"{_TEXT} = {_TEXT}", clause)
        assert len(dict(pairs)) == len(pairs), "no option twice"
        tables[name] = {key.replace("''", "'"): value.replace("''", "'") for key, value in pairs}
    return tables


def kafka(**settings: Any) -> dict[str, dict[str, str]]:
    return {name: each for name, each in options(**settings).items() if each["connector"] == "kafka"}


def test_the_tables() -> None:
    assert set(options()) == {"events", "rules", "heartbeat", "clock", *EXACTLY_ONCE_SINKS}
    assert set(kafka()) == {"events", "rules", "heartbeat", *EXACTLY_ONCE_SINKS}


@pytest.mark.parametrize(
    ("part", "table"),
    [
        ("totals", "sales_per_minute"),
        ("top_products", "top_products"),
        ("funnel", "funnel_by_category"),
        ("closed_sessions", "closed_sessions"),
    ],
)
def test_a_part_of_sales_that_is_switched_off(part: str, table: str) -> None:
    off: dict[str, Any] = {part: False}
    everything, less = Settings(), Settings(**off)
    assert set(ddl(everything)) - set(ddl(less)) == {table}
    assert set(everything.insight_topics) - set(less.insight_topics) == {kafka()[table]["topic"]}
    assert set(ddl(Settings(sales=False))) == set(ddl(everything)) - SALES_SINKS


def test_all_insights_write_all_topics_of_insights() -> None:
    assert Settings(topic_prefix="t.").insight_topics == Settings(topic_prefix="t.").topics.insights()


@pytest.mark.parametrize("value", ["it's", "''", "a', 'scan.startup.mode' = 'x", "' --", "b;c", '"'])
def test_values_are_quoted(value: str) -> None:
    tables = kafka(bootstrap=value, topic_prefix=value, group_id=value, kafka_property=(f"client.rack={value}",))
    for table in tables.values():
        assert table["properties.bootstrap.servers"] == value
        assert table["properties.client.rack"] == value
    assert tables["rules"]["topic"] == f"{value}rules"
    assert tables["events"]["properties.group.id"] == value
    assert tables["events"]["scan.startup.mode"] == "earliest-offset"
    assert tables["ordered_routes"][PREFIX] == f"{value}{value}-ordered_routes"


def test_client_properties_reach_every_table() -> None:
    for name, table in kafka(bootstrap="a:1,b:2", kafka_property=("security.protocol=SSL", "ssl.cipher.suites=x=y")).items():
        assert table["properties.bootstrap.servers"] == "a:1,b:2", name
        assert (table["properties.security.protocol"], table["properties.ssl.cipher.suites"]) == ("SSL", "x=y"), name


def test_the_user_has_the_last_word_on_client_properties() -> None:
    tables = kafka(kafka_property=("linger.ms=50", "auto.offset.reset=none"))
    assert tables["ordered_routes"]["properties.linger.ms"] == "50"
    assert tables["events"]["properties.auto.offset.reset"] == "none"


def test_rules_of_an_aborted_transaction_are_not_read() -> None:
    assert kafka()["rules"]["properties.isolation.level"] == "read_committed"


def test_exactly_once() -> None:
    tables = options(guarantee=Guarantee.EXACTLY_ONCE, transaction_timeout_ms=123_456)
    assert {name for name, table in tables.items() if PREFIX in table} == EXACTLY_ONCE_SINKS
    for name in EXACTLY_ONCE_SINKS:
        assert (tables[name]["sink.delivery-guarantee"], tables[name][TIMEOUT]) == ("exactly-once", "123456")


def test_at_least_once_has_no_transactions() -> None:
    tables = options(guarantee=Guarantee.AT_LEAST_ONCE)
    assert {name for name, table in tables.items() if PREFIX in table or TIMEOUT in table} == set()
    assert {tables[name]["sink.delivery-guarantee"] for name in EXACTLY_ONCE_SINKS} == {"at-least-once"}


def test_transactional_ids_never_meet() -> None:
    """Flink looks up what to abort by prefix: so no sink's prefix may begin with another's, in this job or another."""
    jobs: list[dict[str, str]] = [{}, {"group_id": "other"}, {"topic_prefix": "test."}, {"topic_prefix": "test.", "group_id": "other"}]
    prefixes = [table[PREFIX] for job in jobs for table in options(**job).values() if PREFIX in table]
    assert len(prefixes) == len(jobs) * len(EXACTLY_ONCE_SINKS)
    assert [(one, two) for one, two in permutations(prefixes, 2) if two.startswith(one)] == []


def test_transactional_ids_stay_the_same() -> None:
    """A job that starts anew must find the transactions that its predecessor left open."""
    changed = options(parallelism=7, lateness_ms=1, checkpoint_interval_ms=5)
    assert {name: table.get(PREFIX) for name, table in changed.items()} == {name: table.get(PREFIX) for name, table in options().items()}


def test_what_comes_in() -> None:
    tables = options(topic_prefix="t.", group_id="g", start="latest-offset", idle_ms=1_234, max_drift_ms=5_678)
    events, rules = tables["events"], tables["rules"]
    assert events["topic"] == "t.events;t.events.heartbeat"
    assert events["scan.startup.mode"] == "latest-offset"
    assert events["scan.watermark.idle-timeout"] == "1234ms"
    assert events["scan.watermark.alignment.max-drift"] == "5678ms"
    assert rules["topic"] == "t.rules"
    assert rules["scan.startup.mode"] == "earliest-offset", "all rules, wherever the events start"
    assert (events["properties.group.id"], rules["properties.group.id"]) == ("g", "g-rules")


def test_the_watermark_waits_for_the_lateness() -> None:
    assert "AS `record_time` - INTERVAL '0 00:01:30.500' DAY TO SECOND(3)" in ddl(Settings(lateness_ms=90_500))["events"]


@pytest.mark.parametrize("bounded", [True, False])
def test_bounded(bounded: bool) -> None:
    tables = options(bounded=bounded)
    assert {name for name, table in tables.items() if table.get("scan.bounded.mode") == "latest-offset"} == (
        {"events", "rules"} if bounded else set()
    )


def test_without_heartbeat() -> None:
    tables = options(heartbeat=False)
    assert tables["events"]["topic"] == "events"
    assert set(tables) == {"events", "rules", *EXACTLY_ONCE_SINKS}
    assert options(heartbeat=True)["heartbeat"]["topic"] == "events.heartbeat"


@pytest.mark.parametrize("destinations", [("only",), ("orders", "fraud")])
def test_byte_sinks_may_write_wherever_a_record_can_go(destinations: tuple[str, ...]) -> None:
    tables = options(topic_prefix="t.", destinations=destinations)
    expected = [*(f"t.{destination}" for destination in destinations), "t.events.late", "t.events.dead-letters"]
    assert [tables[name]["topic"].split(";") for name in BYTE_SINKS] == [expected] * len(BYTE_SINKS)


def test_with_a_pattern_byte_sinks_may_write_wherever_a_rule_can_send() -> None:
    tables = options(topic_prefix="it's+", destinations=("orders", "campaign.*"))
    for name in BYTE_SINKS:
        assert "topic" not in tables[name]
        allowed = re.compile(tables[name]["topic-pattern"])
        assert all(map(allowed.fullmatch, ("it's+orders", "it's+campaign.x", "it's+events.late", "it's+events.dead-letters")))
        assert not any(map(allowed.fullmatch, ("orders", "it's+orders2", "it's+campaign", "it'ss+orders", "it's+payments")))


def test_json_sinks() -> None:
    tables = options(topic_prefix="t.")
    assert (tables["sales_by_category"]["topic"], tables["sales_by_category"]["key.fields"]) == ("t.sales.by-category", "category")
    assert (tables["rule_status"]["topic"], tables["rule_status"]["key.fields"]) == ("t.rules.status", "rule_id")
