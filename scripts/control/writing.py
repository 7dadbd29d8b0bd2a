"""Writes changes of rules with their audit, in one Kafka transaction."""

from __future__ import annotations

import getpass
import json
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer

from jobs.settings import Topics
from scripts.control.log import Entry, State
from scripts.control.output import CommandError
from scripts.control.plans import Change, Plan, Planned
from scripts.control.reading import kafka_failure
from scripts.control.transaction import TIMEOUT_S, transaction
from udfs.kafka_client import Brokers, of

_ATTEMPTS: Final = 5
_FENCED: Final = (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED)


@dataclass(frozen=True)
class Author:
    """Who changes rules, and why."""

    who: str
    reason: str


@dataclass(frozen=True)
class Written:
    """What was planned and is now on the topic, since when, and the state before."""

    planned: Planned
    before: State
    time_ms: int


def who() -> str:
    """user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def carry_out(bootstrap: Brokers | str, topic_prefix: str, plan: Plan, author: Author, read: Callable[[], State]) -> Written:
    """Plans on the state of now, and writes all changes in one transaction, or none.

    All changes have one transactional id. Who begins fences off whoever is at it: of two at once only one can commit, and the
    other one reads and plans again, and finds the first one's version in force.

    Args:
        read: reads the state; called after everybody else has been fenced off, so that it can't grow old unnoticed.

    Raises:
        CommandError: the plan is refused, or Kafka refuses.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0.1, 0.5) * attempt)  # two must not fence each other off for ever
        else:
            state = read()
            if not (planned := plan(state)).changes:
                return Written(planned, state, _now_ms())  # without disturbing anybody
        try:
            return _transaction(bootstrap, Topics(prefix=topic_prefix), plan, author, read)
        except KafkaException as error:
            first = error.args[0]
            if not isinstance(first, KafkaError) or first.code() not in _FENCED:
                raise kafka_failure(bootstrap, error) from error
    raise CommandError(f"others changed rules at the same time, {_ATTEMPTS} times: nothing of this was written, try again", 1)


def _transaction(bootstrap: Brokers | str, topics: Topics, plan: Plan, author: Author, read: Callable[[], State]) -> Written:
    producer = Producer(
        of(bootstrap).librdkafka()
        | {
            "transactional.id": f"{topics.prefix}millrace-rules-control",
            "transaction.timeout.ms": 30_000,
            "linger.ms": 0,
            "partitioner": "murmur2_random",  # Kafka's own, should the topic have more than one partition
            "log_level": 0,
        }
    )
    producer.init_transactions(TIMEOUT_S)
    state = read()
    planned = plan(state)
    now_ms = _now_ms()
    if not planned.changes:
        return Written(planned, state, now_ms)
    with transaction(producer):
        for change in planned.changes:
            key = change.rule_id.encode()
            producer.produce(topics.rules, change.text.encode() if change.text is not None else None, key)
            producer.produce(topics.rule_audit, _entry(change, author, now_ms).encoded(), key)
    return Written(planned, state, now_ms)


def _entry(change: Change, author: Author, time_ms: int) -> Entry:
    rule = json.loads(change.text) if change.text is not None else None
    return Entry(author.who, time_ms, change.action, change.rule_id, change.version, change.previous_version, author.reason, rule)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
