"""Writes records once: with each of them, in the same Kafka transaction, a note in the ledger of replays that it was written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from jobs.settings import Topics
from scripts.control.output import CommandError
from scripts.control.reading import existing_topics, scan
from scripts.control.transaction import TIMEOUT_S, transaction
from scripts.stack.topics import REPLAYS
from udfs.kafka_client import Brokers, of

_BATCH: Final = 500
"""Records of one transaction: a few seconds at most, so that it does not hold back readers of the destinations."""
_LARGEST: Final = 4 << 20
"""The broker decides; the client's own limit of a megabyte would refuse what fits there."""


@dataclass(frozen=True)
class Item:
    """A record to be written. `ledger_key`: tells it from all others, for ever. `note`: goes into the ledger with it."""

    ledger_key: str
    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    time_ms: int
    note: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """A record that must not be written, and why."""

    record: str
    why: str


@dataclass(frozen=True)
class Plan:
    """`already`: records that an earlier run has written."""

    items: tuple[Item, ...]
    refused: tuple[Refusal, ...]
    already: int


def read_ledger(bootstrap: Brokers | str, topics: Topics) -> frozenset[str]:
    """The keys of all records that have been replayed; raises CommandError."""
    if topics.replays not in existing_topics(bootstrap):
        return frozenset()
    return frozenset(record.key.decode(errors="replace") for record in scan(bootstrap, topics.replays))


def carry_out(bootstrap: Brokers | str, topics: Topics, who: str, make_plan: Callable[[Collection[str]], Plan]) -> Plan:
    """Plans by the ledger of now, and writes; returns the plan.

    Each transaction is whole or not at all, so after a crash the next run goes on where this one ended. All runs have one
    transactional id: who begins fences off whoever is at it, and only then reads the ledger.

    Raises:
        CommandError: Kafka refuses, or somebody else has begun meanwhile.
    """
    _make_ledger(bootstrap, topics)
    producer = Producer(
        of(bootstrap).librdkafka()
        | {
            "transactional.id": f"{topics.prefix}millrace-replay",
            "transaction.timeout.ms": 60_000,
            "partitioner": "murmur2_random",  # Kafka's own: a session keeps its partition
            "compression.type": "lz4",
            "message.max.bytes": _LARGEST,
            "log_level": 0,
        }
    )
    try:
        producer.init_transactions(TIMEOUT_S)
        plan = make_plan(read_ledger(bootstrap, topics))
        for items in _batches(plan.items):
            _write(producer, topics, who, items)
    except KafkaException as error:
        reason = error.args[0].str() if error.args and isinstance(error.args[0], KafkaError) else error
        raise CommandError(f"Kafka at {bootstrap}: {reason}; run it again to go on") from error
    return plan


def _batches(items: tuple[Item, ...]) -> Iterator[tuple[Item, ...]]:
    for begin in range(0, len(items), _BATCH):
        yield items[begin : begin + _BATCH]


def _write(producer: Producer, topics: Topics, who: str, items: Collection[Item]) -> None:
    """One transaction; raises KafkaException, and nothing of it is there then."""
    now_ms = time.time_ns() // 1_000_000
    with transaction(producer):
        for item in items:
            note = {"who": who, "time_ms": now_ms, "topic": item.topic} | item.note
            producer.produce(item.topic, item.value, item.key, headers=list(item.headers), timestamp=item.time_ms)
            producer.produce(topics.replays, json.dumps(note).encode(), item.ledger_key)


def _make_ledger(bootstrap: Brokers | str, topics: Topics) -> None:
    if topics.replays in existing_topics(bootstrap):
        return
    admin = KafkaAdminClient(**of(bootstrap).kafka_python())
    try:
        admin.create_topics([NewTopic(topics.replays, 1, -1, topic_configs=REPLAYS)])  # -1: as many copies as the brokers' default says
    except TopicAlreadyExistsError:
        return  # somebody else made it meanwhile
    finally:
        admin.close()
