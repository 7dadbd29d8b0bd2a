"""Sends a `Shop`'s records to Kafka at a set rate, or as fast as it goes, and keeps the ledger.

confluent-kafka and not kafka-python, because it sends 23 times as many records a second here, each with a delivery report,
idempotence and acks=all, 200-byte values, one process: 238,000/s against 10,300/s (broker and producer on the same two cores).
Measured with `python -m scripts.shop.compare_clients --bootstrap HOST:PORT --topic SCRATCH`.
Its `produce_batch` cannot set timestamps (2.16.1), so records go one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from scripts.shop.faults import MAX_RECORD_BYTES, Fault
from scripts.shop.labels import LabelWriter
from scripts.shop.ledger import UNACKNOWLEDGED, Entry, LedgerWriter
from scripts.shop.simulator import Record, Shop
from udfs.kafka_client import Brokers, LibrdkafkaOptions, of

_TICK_S = 0.005
# Bounds how much event time one call covers, so that after a stall the backlog is still sent in small steps.
_MAX_BATCH = 1_000


def producer_config(bootstrap: Brokers | str) -> LibrdkafkaOptions:
    """Idempotent, so that a retry of ours never is the duplicate or the disorder that the job is tested for.

    murmur2_random puts a key into the partition into which Java's clients put it.
    """
    return of(bootstrap).librdkafka() | {
        "client.id": "millrace-generator",
        "log_level": 3,  # errors only: a new broker's "coordinator load in progress" is none
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "linger.ms": 5,
        "batch.size": 262_144,
        "queue.buffering.max.messages": 200_000,
        "message.timeout.ms": 300_000,
        # While Kafka is away: a few lines a second in the log, not twenty.
        "reconnect.backoff.ms": 500,
        "reconnect.backoff.max.ms": 1_000,
        "message.max.bytes": MAX_RECORD_BYTES,
    }


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. None: without end, or as fast as it goes (`rate_per_s`), or by the wall clock (`event_rate_per_s`).

    `start_ms` and `event_rate_per_s` make a simulated clock: event i happens at start_ms + i * 1000 / event_rate_per_s.
    `clock_offset_ms` is how wrong the wall clock of this producer is: its records carry that time, and so do its events.
    """

    topic: str
    rate_per_s: float | None
    events: int | None = None
    for_s: float | None = None
    start_ms: int = 0
    event_rate_per_s: float | None = None
    clock_offset_ms: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`sent` records were handed to the client, `acked` confirmed by Kafka, `failed` given up."""

    sent: int
    acked: int
    failed: int
    seconds: float
    first_event_ms: int | None
    last_event_ms: int | None


class Traffic:
    """One run: paces the shop's events, sends them, writes what Kafka has confirmed."""

    def __init__(
        self, producer: Producer, plan: Plan, shop: Shop, ledger: LedgerWriter | None, stopped: Callable[[], bool],
        labels: LabelWriter | None = None,
    ) -> None:  # fmt: skip
        self._producer, self._plan, self._shop, self._ledger, self._stopped = producer, plan, shop, ledger, stopped
        self._labels = labels
        self._sent = self._acked = self._failed = self._events = 0
        self._first_ms: int | None = None
        self._clock_ms = plan.start_ms  # event time up to which events were made
        # One callable for each kind of record: only the few odd ones carry more than the message itself.
        self._reports = {(fault, copy): partial(self._delivered, fault, copy) for fault in Fault for copy in (False, True)}

    def run(self) -> Outcome:
        """Sends until the plan is done or `stopped()`; what is held back then is sent at once, and everything flushed."""
        started_s = time.monotonic()
        if self._plan.event_rate_per_s is None:
            self._clock_ms = self._wall_clock_ms()
        while not self._done(time.monotonic() - started_s):
            due = self._events_due(time.monotonic() - started_s)
            count = min(due, _MAX_BATCH)
            self._send(self._make(count, due))
            self._producer.poll(0)
            self._flush_ledger()
            if count == 0 or (self._plan.rate_per_s is not None and count < _MAX_BATCH):
                self._producer.poll(_TICK_S)
        self._send(self._shop.drain())
        while len(self._producer) and self._producer.flush(1.0):
            self._flush_ledger()
        self._flush_ledger()
        last_ms = self._clock_ms if self._events else None
        return Outcome(self._sent, self._acked, self._failed, time.monotonic() - started_s, self._first_ms, last_ms)

    def _done(self, elapsed_s: float) -> bool:
        plan = self._plan
        return (
            self._stopped()
            or (plan.events is not None and self._events >= plan.events)
            or (plan.for_s is not None and elapsed_s >= plan.for_s)
        )

    def _events_due(self, elapsed_s: float) -> int:
        plan = self._plan
        due = _MAX_BATCH if plan.rate_per_s is None else int(plan.rate_per_s * elapsed_s) - self._events
        left = due if plan.events is None else plan.events - self._events
        return max(0, min(due, left))

    def _wall_clock_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._plan.clock_offset_ms

    def _make(self, count: int, due: int) -> list[Record]:
        """`count` events after those made before, of `due` that should be; live ones are spread over the time since then, each at the
        moment at which it was due: a stall of ours must show in what is made after it."""
        first, begin_ms = self._events, self._clock_ms
        self._events += count
        if self._plan.event_rate_per_s is not None:
            start_ms, event_rate = self._plan.start_ms, self._plan.event_rate_per_s
            times_ms: Sequence[int] = [start_ms + int(i * 1000 / event_rate) for i in range(first, first + count)]
            now_ms = times_ms[-1] if times_ms else begin_ms
        else:
            now_ms = max(begin_ms, self._wall_clock_ms())  # the wall clock may be set back
            if due > count:
                now_ms = begin_ms + (now_ms - begin_ms) * count // due
            times_ms = [begin_ms + (now_ms - begin_ms) * i // count for i in range(1, count + 1)]
        if count:
            self._clock_ms = now_ms
            self._first_ms = times_ms[0] if self._first_ms is None else self._first_ms
        return self._shop.records(times_ms) + self._shop.due(now_ms)

    def _send(self, records: list[Record]) -> None:
        topic, produce, reports, plain = self._plan.topic, self._producer.produce, self._reports, self._reports[Fault.NONE, False]
        for record in records:
            timestamp_ms, key, value, fault, copy = record
            report = reports[fault, copy] if fault or copy else plain
            while True:
                try:
                    produce(topic, value, key, timestamp=timestamp_ms, on_delivery=partial(report, timestamp_ms))
                    break
                except BufferError:  # the client's queue is full: wait for Kafka
                    self._producer.poll(0.05)
                    self._flush_ledger()
        self._sent += len(records)

    def _delivered(self, fault: Fault, copy: bool, timestamp_ms: int, error: KafkaError | None, message: Message) -> None:
        # Not the message's timestamp: for a batch whose first acknowledgement was lost, the broker answers "a duplicate" with the time
        # of its last record, and the client tells that of all of them. What is in the log is what was sent.
        partition, offset = message.partition(), message.offset()
        if error is None:
            self._acked += 1
        else:
            self._failed += 1
        if error is not None or partition is None or offset is None:
            partition = offset = UNACKNOWLEDGED
        if self._ledger is not None:
            self._ledger.add(Entry(partition, offset, timestamp_ms, message.key(), message.value(), fault, copy))

    def _flush_ledger(self) -> None:
        if self._ledger is not None:
            self._ledger.flush()
        if self._shop.labels:
            labels, self._shop.labels = self._shop.labels, []
            if self._labels is not None:
                self._labels.write(labels)


def connect(bootstrap: Brokers | str, topic: str, wait_s: float = 30) -> Producer:
    """A producer for a topic that exists; raises KafkaException when it does not, or Kafka does not answer in time."""
    producer = Producer(producer_config(bootstrap))
    metadata = producer.list_topics(topic, timeout=wait_s).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    return producer
