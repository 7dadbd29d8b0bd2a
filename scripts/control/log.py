"""What the topics tell about rules: which are in force, who changed them when, and what the job's subtasks say."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from jobs.settings import Topics
from scripts.control.in_force import RuleTexts, read_baseline, read_in_force
from scripts.control.output import CommandError
from scripts.control.reading import Record, kafka_failure, offsets, read_topic
from udfs.kafka_client import Brokers, of
from udfs.rules.rulebook import ACCEPTED

log = logging.getLogger(__name__)
_Form = TypeVar("_Form")

COUNTED: Final = "counted"
COUNTERS: Final = ("evaluated", "matched", "shadow_matched", "errors", "time_us")
_STATUSES_READ: Final = 50_000
"""So many of the last records of rules.status are searched for counters: the topic is kept for ever and grows."""
_TIMEOUT_S: Final = 15.0


@dataclass(frozen=True)
class Entry:
    """One change of one rule, a record of rules.audit.

    Attributes:
        version: the version that came with the change; of a deletion, the one that was deleted.
        previous_version: in force before; 0: none was.
        rule: the whole rule; None after a deletion.
    """

    who: str
    time_ms: int
    action: str
    rule_id: str
    version: int
    previous_version: int
    reason: str
    rule: dict[str, Any] | None

    def encoded(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Status:
    """What one subtask said on rules.status. The counters are 0 unless `status` is counted.

    `digest`: of the record that this answers; none if it answers no record.
    """

    rule_id: str
    version: int
    status: str
    reason: str
    subtask: int
    parallelism: int
    time_ms: int
    evaluated: int = 0
    matched: int = 0
    shadow_matched: int = 0
    errors: int = 0
    time_us: int = 0
    digest: str = ""


@dataclass(frozen=True)
class State:
    """All that a change of the rules is judged by."""

    in_force: RuleTexts
    baseline: Mapping[str, str]
    audit: tuple[Entry, ...]

    def version(self, rule_id: str) -> int:
        """The version in force, or that was deleted: the job takes only a higher one. 0: there was none."""
        if rule_id in self.in_force:
            return self.in_force[rule_id][0].version
        last = next((entry for entry in reversed(self.audit) if entry.rule_id == rule_id), None)
        return last.version if last is not None else 0

    def next_version(self, rule_id: str) -> int:
        """One that no version of the rule had, not even one that was refused."""
        known = (max(entry.version, entry.previous_version) for entry in self.audit if entry.rule_id == rule_id)
        return max(self.version(rule_id), *known, 0) + 1

    def texts(self, rule_id: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """The versions of a rule that are known, newest first, each with the rule."""
        if rule_id in self.in_force:
            rule, text = self.in_force[rule_id]
            yield rule.version, json.loads(text)
        for entry in reversed(self.audit):
            if entry.rule_id == rule_id and entry.rule is not None:
                yield entry.version, entry.rule
        if rule_id in self.baseline:
            raw = json.loads(self.baseline[rule_id])
            yield raw["version"], raw


def read_state(bootstrap: Brokers | str, topic_prefix: str, baseline_folder: Path, destinations: Collection[str]) -> State:
    """Reads the rules in force and their history; raises CommandError."""
    # The history first: of a change that commits in between, a rule without history is known for what it is, while a history
    # without its rule would tell of a deletion.
    audit = tuple(read_audit(bootstrap, topic_prefix))
    in_force = read_in_force(bootstrap, topic_prefix, baseline_folder, destinations)
    return State(in_force, read_baseline(baseline_folder, destinations), audit)


def read_audit(bootstrap: Brokers | str, topic_prefix: str) -> list[Entry]:
    """All changes that were written down, oldest first; raises CommandError."""
    topic = Topics(prefix=topic_prefix).rule_audit
    return list(_decoded(read_topic(bootstrap, topic), Entry, topic))


def read_counters(bootstrap: Brokers | str, topic_prefix: str, in_force: RuleTexts) -> dict[str, dict[str, int]]:
    """Rule id -> counter -> its newest values summed over the subtasks, if the job has reported any lately."""
    topic = Topics(prefix=topic_prefix).rule_status
    versions = {rule_id: rule.version for rule_id, (rule, _) in in_force.items()}
    return sum_counters(_decoded(read_topic(bootstrap, topic, _STATUSES_READ), Status, topic), versions)


def sum_counters(statuses: Iterable[Status], versions: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Sums the newest counters of the versions in force. Each subtask counts from when the version came into force there."""
    newest: dict[str, dict[int, Status]] = {}
    for each in statuses:
        starts_anew = each.status == ACCEPTED and each.reason != "already in force"
        if (each.status == COUNTED or starts_anew) and each.version == versions.get(each.rule_id):
            of_rule = newest.setdefault(each.rule_id, {})
            of_rule[each.subtask] = each
            for gone in [subtask for subtask in of_rule if subtask >= each.parallelism]:  # the job was scaled down
                del of_rule[gone]
    return {rule_id: {name: sum(getattr(each, name) for each in found.values()) for name in COUNTERS} for rule_id, found in newest.items()}


def _decoded(records: Iterable[Record], form: type[_Form], topic: str) -> Iterator[_Form]:
    """The records that have this form. Others must not block every change to come: the topics are kept for ever."""
    for record in records:
        try:
            yield form(**json.loads(record.value or b""))
        except (ValueError, TypeError) as error:
            log.warning(
                "%s[%d] offset %d is left out, it is not what this program writes: %s", topic, record.partition, record.offset, error
            )


@contextmanager
def following(bootstrap: Brokers | str, topic_prefix: str) -> Iterator[Consumer]:
    """A consumer of the statuses from now on; raises CommandError.

    It reads uncommitted: an exactly-once job commits its outputs with its checkpoints, seconds after the rule is in force.
    Should the job fail in between, it goes back to the last checkpoint, and reads and answers the change again.
    """
    topic = Topics(prefix=topic_prefix).rule_status
    consumer = Consumer(
        of(bootstrap).librdkafka()
        | {
            "group.id": "millrace-control",  # the client insists on one; nothing is committed
            "enable.auto.commit": False,
            "isolation.level": "read_uncommitted",
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )
    try:
        found = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
        if found.error is not None:
            raise CommandError(f"there is no topic {topic} at {bootstrap} ({found.error.str()}); see --topic-prefix")
        ends = []
        for partition in found.partitions:
            _, end = offsets(consumer, topic, partition)
            ends.append(TopicPartition(topic, partition, end))
        consumer.assign(ends)
        yield consumer
    except KafkaException as error:
        raise kafka_failure(bootstrap, error) from error
    finally:
        consumer.close()
