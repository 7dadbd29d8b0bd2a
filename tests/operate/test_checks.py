"""Each fault that doctor looks for is found, and a good pipeline has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jobs.settings import Settings
from scripts.operate import checks
from scripts.operate.checks import FAIL, WARN, Brokers, Check, Cluster, Machine, Topic

SETTINGS = Settings(topic_prefix="t.")
MACHINE = Machine((3, 11), "17.0.9", 16_000, 100_000, {"Kafka": (9092, True)})
CLUSTER = Cluster("2.3.0", 2, 2, 0, {
    "execution.checkpointing.dir": "s3://bucket/checkpoints", "python.execution-mode": "thread", "metrics.reporter.prom.port": "9250",
})  # fmt: skip
JOB = {"state": "RUNNING"}


def good_topics() -> dict[str, Topic]:
    plain = {"min.insync.replicas": "2", "cleanup.policy": "delete", "max.message.bytes": "2097152", "retention.ms": "-1"}
    names = {*SETTINGS.topics.own(), *SETTINGS.topics.routed().values()}
    found = {name: Topic(4, 3, 3, plain) for name in names}
    for name in (SETTINGS.topics.rules, SETTINGS.topics.replays):
        found[name] = Topic(1, 3, 3, plain | {"cleanup.policy": "compact"})
    return found | {"__transaction_state": Topic(50, 3, 3, plain)}


GOOD = Brokers(3, {
    "transaction.max.timeout.ms": "900000", "message.max.bytes": "1048588", "unclean.leader.election.enable": "false",
    "auto.create.topics.enable": "false",
}, {"transaction.version": 2}, good_topics())  # fmt: skip


def bad(found: list[Check]) -> list[tuple[str, str]]:
    return [(each.level, each.text) for each in found if each.level != checks.OK]


def all_checks(machine: Machine = MACHINE, brokers: Brokers = GOOD, cluster: Cluster = CLUSTER, job: Any = JOB) -> list[Check]:
    return [
        *checks.machine(machine, local=True), *checks.brokers(brokers, SETTINGS), *checks.topics(brokers, SETTINGS),
        *checks.flink(cluster, SETTINGS, job),
    ]  # fmt: skip


def test_a_good_pipeline_has_no_fault() -> None:
    assert bad(all_checks()) == []


def test_every_fault_says_what_to_do() -> None:
    worst = all_checks(Machine((3, 13), None, 100, 100), replace(GOOD, count=1, configs={"transaction.max.timeout.ms": "1"}, topics={}),
                       Cluster("1.20.0", 0, 0, 0, {}), None)  # fmt: skip
    assert len(bad(worst)) > 10
    assert all(each.advice for each in worst if each.level != checks.OK)


def config(name: str, value: str) -> Callable[[], Brokers]:
    return lambda: replace(GOOD, configs={**GOOD.configs, name: value})


def topic(name: str, **changes: Any) -> Callable[[], Brokers]:
    def changed() -> Brokers:
        full = name if name.startswith("__") else f"t.{name}"
        before = GOOD.topics[full]
        after = replace(before, **changes | {"configs": {**before.configs, **changes.get("configs", {})}})
        return replace(GOOD, topics={**GOOD.topics, full: after})

    return changed


@pytest.mark.parametrize(
    ("brokers", "level", "text"),
    [
        (config("transaction.max.timeout.ms", "60000"), FAIL, "transaction.max.timeout.ms is 60,000, 840,000 is needed"),
        (config("message.max.bytes", "1000"), WARN, "message.max.bytes is 1,000, 1,000,000 is needed"),
        (config("unclean.leader.election.enable", "true"), FAIL, "unclean.leader.election.enable is true"),
        (config("auto.create.topics.enable", "true"), WARN, "auto.create.topics.enable is true"),
        (lambda: replace(GOOD, features={"transaction.version": 1}), WARN, "transaction.version is 1, 2 is wanted"),
        (lambda: replace(GOOD, features={}), WARN, "transaction.version is not told, 2 is wanted"),
        (lambda: replace(GOOD, lacking="the brokers do not tell"), WARN, "the brokers do not tell"),
        (topic("__transaction_state", replication=1), WARN, "__transaction_state has replication 1"),
        (topic("events", replication=1, configs={"min.insync.replicas": "1"}), WARN, "t.events: replication 1, min.insync.replicas 1"),
        (topic("events", in_sync=1), FAIL, "t.events: 1 replicas in sync, min.insync.replicas is 2"),
        (topic("events", configs={"min.insync.replicas": "3"}), WARN, "t.events: min.insync.replicas 3 of 3 copies"),
        (topic("events", configs={"cleanup.policy": "compact"}), FAIL, "t.events is compacted"),
        (topic("rules", configs={"cleanup.policy": "delete"}), FAIL, "t.rules: cleanup.policy is delete"),
        (topic("rules", partitions=4), FAIL, "t.rules has 4 partitions"),
        (topic("events.replays", configs={"cleanup.policy": "delete"}), FAIL, "t.events.replays: cleanup.policy is delete"),
        (topic("rules.audit", configs={"retention.ms": "1000"}), WARN, "t.rules.audit: retention.ms is 1000"),
        (topic("orders", configs={"max.message.bytes": "1000"}), FAIL, "t.orders: max.message.bytes is 1000, 1,065,536 is needed"),
    ],
)  # fmt: skip
def test_faults_of_kafka(brokers: Callable[[], Brokers], level: str, text: str) -> None:
    assert bad(all_checks(brokers=brokers())) == [(level, text)]


def test_missing_topics_are_named() -> None:
    topics = {name: each for name, each in GOOD.topics.items() if name not in ("t.orders", "t.events.replays")}
    found = checks.topics(replace(GOOD, topics=topics), SETTINGS, made_later=frozenset({"t.events.replays"}))
    assert bad(list(found)) == [(FAIL, "missing: t.orders")]


def test_one_broker_is_told_once() -> None:
    """And not once more by each topic, which can't have three copies there."""
    topics = {name: replace(each, replication=1, in_sync=1, configs={**each.configs, "min.insync.replicas": "1"})
              for name, each in GOOD.topics.items()}  # fmt: skip
    assert bad(all_checks(brokers=replace(GOOD, count=1, topics=topics))) == [(WARN, "fewer than three brokers")]


@pytest.mark.parametrize(
    ("cluster", "job", "level", "text"),
    [
        (replace(CLUSTER, version="2.1.0"), JOB, FAIL, "Flink 2.1.0"),
        (CLUSTER, None, FAIL, "2 TaskManagers, 2 slots, 0 free"),
        (replace(CLUSTER, slots=4), JOB, WARN, "2 TaskManagers, 4 slots, 0 free"),
        (CLUSTER, {"state": "RESTARTING"}, FAIL, "the job is RESTARTING"),
        (replace(CLUSTER, configuration={"metrics.reporter.p.port": "1"}), JOB, FAIL, "execution.checkpointing.dir is not set"),
        (replace(CLUSTER, configuration={"metrics.reporter.p.port": "1", "execution.checkpointing.dir": "file:///c"}), JOB, WARN,
         "checkpoints go to file:///c"),
        (replace(CLUSTER, configuration={"execution.checkpointing.dir": "s3://c"}), JOB, WARN, "no metrics reporter"),
    ],
)  # fmt: skip
def test_faults_of_flink(cluster: Cluster, job: Any, level: str, text: str) -> None:
    assert (level, text) in bad(all_checks(cluster=cluster, job=job))


def test_memory_matters_only_where_the_stack_is_to_run() -> None:
    small = replace(MACHINE, memory_mb=100)
    assert [level for level, _ in bad(list(checks.machine(small, local=True)))] == [WARN]
    assert bad(list(checks.machine(small, local=False))) == []
