"""Two readers of all that came out: one that reads from before the fault on, and one that comes when all is over.

Both see committed records only. What the first has seen may never change: in each partition the second must find the same records,
in the same order, at the same offsets. So a record that a broker shows and later loses is found, as is one that comes in between.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from jobs.settings import Topics

Place = tuple[str, int]
_BATCH: Final = 5_000
_TIMEOUT_S: Final = 60.0


class Seen(NamedTuple):
    """A record as a reader saw it: where it stands, and a checksum of all that is in it."""

    offset: int
    checksum: int


Log = Mapping[Place, list[Seen]]


@dataclass
class Flow:
    """What was seen when, by second of this machine's clock (s since the epoch).

    Attributes:
        came_in: records of the input topic.
        came_out: committed records of the destinations.
        newest_ms: the largest timestamp of a record of the destinations so far.
    """

    came_in: Counter[int] = field(default_factory=Counter)
    came_out: Counter[int] = field(default_factory=Counter)
    newest_ms: dict[int, int] = field(default_factory=dict)


def output_topics(topics: Topics) -> frozenset[str]:
    """All that the job writes for others."""
    inputs = {topics.events, topics.heartbeat, topics.rules, topics.rule_audit}
    return (topics.own() | frozenset(topics.routed().values())) - inputs


def checksum(message: Message) -> int:
    """Of key, value, headers and timestamp."""
    parts = [repr((message.timestamp()[1], message.headers())).encode(), message.key() or b"", b"\0", message.value() or b""]
    return zlib.crc32(b"".join(parts))


def differences(first: Log, later: Log, examples: int = 5) -> list[str]:
    """Where the two readers did not see the same, in words; the first may have read on since the later one ended."""
    found = []
    for place in sorted(later.keys() | first.keys()):
        earlier, now = first.get(place, []), later.get(place, [])
        name = f"{place[0]}[{place[1]}]"
        if len(earlier) < len(now):
            found.append(f"{name}: the reader during the fault saw {len(earlier):,} records, the later one {len(now):,}")
        for index, (was, found_later) in enumerate(zip(earlier, now, strict=False)):
            if was != found_later:
                found.append(f"{name}: record {index:,} was at offset {was.offset}, and is another one, at offset {found_later.offset}")
                break
    return found[:examples]


class SteadyReader(threading.Thread):
    """Reads the input and all outputs from the beginning on, until `stop`. Errors of brokers that are away are waited out."""

    def __init__(self, bootstrap: str, topics: Topics) -> None:
        super().__init__(name="steady-reader", daemon=True)
        self._topics = topics
        self._routed = frozenset(topics.routed().values())
        self._consumer = _consumer(bootstrap)
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self.log: dict[Place, list[Seen]] = {place: [] for place in _places(self._consumer, [topics.events, *output_topics(topics)])}
        self._consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in self.log])
        self.flow = Flow()
        self.rule_answers: list[dict[str, Any]] = []

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                self._take(self._consumer.consume(_BATCH, 0.1))
        except BaseException as error:  # told by `stop`: a thread has nobody to raise it to
            self._failure = error
        finally:
            self._consumer.close()

    def _take(self, messages: Iterable[Message]) -> None:
        second = int(time.time())
        for message in messages:
            error = message.error()
            if error is not None:
                if error.fatal():
                    raise RuntimeError(f"the reader during the fault: {error}")
                continue
            topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
            self.log[topic, partition].append(Seen(offset, checksum(message)))
            if topic == self._topics.events:
                self.flow.came_in[second] += 1
            elif topic in self._routed:
                self.flow.came_out[second] += 1
                self.flow.newest_ms[second] = max(self.flow.newest_ms.get(second, 0), message.timestamp()[1])
            elif topic == self._topics.rule_status:
                self.rule_answers.append(json.loads(message.value() or b"{}"))

    def came_out(self) -> int:
        """How many records of the destinations were seen so far."""
        return self.flow.came_out.total()

    def wait_for(self, later: Log, seconds: float = 60) -> None:
        """Waits until as much was read as the later reader has, or time is up."""
        deadline = time.monotonic() + seconds
        while any(len(self.log[place]) < len(seen) for place, seen in later.items()) and time.monotonic() < deadline and self.is_alive():
            time.sleep(0.2)

    def stop(self) -> None:
        """Ends it; raises what has ended it before."""
        self._ended.set()
        self.join(timeout=_TIMEOUT_S)
        if self._failure is not None:
            raise self._failure


def read_later(bootstrap: str, topics: Topics) -> dict[Place, list[Seen]]:
    """Reads all of it once, up to the ends of this moment.

    Raises:
        RuntimeError: nothing came for a minute.
    """
    consumer = _consumer(bootstrap)
    try:
        log: dict[Place, list[Seen]] = {place: [] for place in _places(consumer, [topics.events, *output_topics(topics)])}
        consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in log])
        unfinished = set(log)
        deadline = time.monotonic() + _TIMEOUT_S
        while unfinished:
            messages = consumer.consume(_BATCH, 0.2)
            if messages:
                deadline = time.monotonic() + _TIMEOUT_S
            elif time.monotonic() > deadline:
                raise RuntimeError(f"nothing came for {_TIMEOUT_S:.0f} s, but the later reader is not at the ends of {sorted(unfinished)}")
            for message in messages:
                place = (message.topic() or "", message.partition() or 0)
                error = message.error()
                if error is None:
                    log[place].append(Seen(message.offset() or 0, checksum(message)))
                elif error.code() == KafkaError._PARTITION_EOF:
                    unfinished.discard(place)
        return log
    finally:
        consumer.close()


def _consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "millrace-chaos",  # the client insists on one; nothing is committed
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "reconnect.backoff.ms": 200,
            "reconnect.backoff.max.ms": 1_000,
            "topic.metadata.refresh.interval.ms": 5_000,
            "log_level": 0,
        }
    )


def _places(consumer: Consumer, topics: Iterable[str]) -> list[Place]:
    known = consumer.list_topics(timeout=_TIMEOUT_S).topics
    return [(topic, partition) for topic in sorted(topics) for partition in sorted(known[topic].partitions)]
