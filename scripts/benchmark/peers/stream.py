"""The input of all candidates, and the topics that they write."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from shop.v1.events_pb2 import Event

from jobs.settings import Topics
from scripts.benchmark.peers.expected import CLOSING, Expected, expectation
from scripts.benchmark.peers.tasks import PREFIX
from scripts.stack import Stack, StackError
from scripts.stack.paths import ROOT
from scripts.stack.processes import wait_until

PARTITIONS: Final = 4
_START: Final = "2026-11-01"
# Disorder stays under the smallest bound of any task (500 ms), so that no event is late for anybody and all results must be equal;
# copies and broken records are left out, since only some candidates have a place for them.
_CALM: Final = ("--disorder", "0.2", "--disorder-ms", "400", "--late", "0", "--duplicates", "0", "--malformed", "0", "--unknown", "0")
_EVENTS_PER_S: Final = 1_000
_SESSIONS: Final = 5_000
# Behind the last event, in each partition: first time goes on as in a stream (what orders lets go of one step after the other), then far
# beyond all windows, twice, since what some wait for is that windows close behind those that count.
_GOING_ON_MS: Final = range(100, 5_001, 100)
_CLOSING_MS: Final = (900_000, 1_800_000)
_CHANGED_S: Final = 60
_ANSWER_S: Final = 30


@dataclass(frozen=True)
class Stream:
    """An input topic that is filled, and what each task must make of it."""

    prefix: str
    expected: Expected

    @property
    def topics(self) -> Topics:
        return Topics(prefix=self.prefix)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (*self.topics.routed().values(), self.topics.sales)


def fill(stack: Stack, events: int, compact: bool, part: int = 1) -> Stream:
    """Fills an input topic: `events // part` events in the disorder of a real log, and records at the end that let event time go on, so
    that whoever waits for it lets go of all."""
    prefix, count = (PREFIX if part == 1 else f"{PREFIX.rstrip('.')}-{part}."), events // part
    stream_topics = Topics(prefix=prefix)
    _create(stack, stream_topics)
    command = [
        sys.executable, "-m", "scripts.shop.generate", "--bootstrap", stack.bootstrap, "--topic-prefix", prefix, "--rate", "max",
        "--events", str(count), "--no-ledger", "--seed", "1", "--start-time", _START, "--event-rate", str(_EVENTS_PER_S),
        "--sessions", str(_SESSIONS), *_CALM, *(["--compact"] if compact else []),
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    expected = expectation(stack.bootstrap, stream_topics.events)
    _close(stack.bootstrap, stream_topics.events, expected)
    return Stream(prefix, expected)


def _close(bootstrap: str, topic: str, expected: Expected) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for partition in range(PARTITIONS):
        for event in closing(expected, f"{CLOSING}{partition}"):
            key, time_ms = event.session_id.encode(), event.event_time_ms
            producer.produce(topic, event.SerializeToString(), key, partition=partition, timestamp=time_ms)
    if producer.flush(30):
        raise StackError(f"Kafka did not take the last records of {topic}")


def closing(expected: Expected, session: str) -> Iterator[Event]:
    """The last records of a partition: views while time goes on, and long after that orders, in each currency and of all categories
    that were sold in it."""
    # In whole tenths of a second, so that those are among them who look at one event in a few.
    last_ms = expected.last_ms - expected.last_ms % _GOING_ON_MS.step
    for behind_ms in _GOING_ON_MS:
        view = Event(event_id=f"{session}-{behind_ms}", session_id=session, event_time_ms=last_ms + behind_ms)
        view.product_viewed.product_id = "p"
        yield view
    categories: dict[str, set[str]] = {"USD": {"none"}}
    for category, currency, _ in expected.sales:
        categories.setdefault(currency, set()).add(category)
    for behind_ms in _CLOSING_MS:
        for currency, names in categories.items():
            event = Event(event_id=f"{session}-{behind_ms}-{currency}", session_id=session, event_time_ms=last_ms + behind_ms)
            order = event.order_placed
            order.order_id, order.total.currency = event.event_id, currency
            for name in sorted(names):
                line = order.lines.add(product_id="p", category=name, quantity=1)
                line.unit_price.currency = currency
            yield event


def clear(stack: Stack, stream: Stream, *more: str) -> None:
    """Makes the output topics anew, empty, and more topics of the stream."""
    names = {*stream.outputs, *more}
    admin = AdminClient({"bootstrap.servers": stack.bootstrap})
    present = set(admin.list_topics(timeout=30).topics) & names
    for future in admin.delete_topics([*present]).values() if present else ():
        future.result()
    wait_until(
        lambda: not set(admin.list_topics(timeout=30).topics) & names,
        stack.processes,
        "the deletion of old results",
        _CHANGED_S,
    )
    _create(stack, stream.topics)


def _create(stack: Stack, names: Topics) -> None:
    """Makes the topics of a job, and waits until clients see them: Kafka answers before."""
    stack.create_topics(names, PARTITIONS)
    admin = AdminClient({"bootstrap.servers": stack.bootstrap})
    wanted = {names.events, *names.routed().values(), *names.insights()}
    wait_until(lambda: wanted <= _ready(admin), stack.processes, "the creation of topics", _CHANGED_S)


def _ready(admin: AdminClient) -> set[str]:
    """Topics whose partitions all have a leader."""
    topics = admin.list_topics(timeout=30).topics.values()
    return {str(each.topic) for each in topics if each.partitions and all(place.leader >= 0 for place in each.partitions.values())}


class Progress:
    """How many records stand in topics: what is not committed yet counts too, and so do the marks of transactions."""

    def __init__(self, bootstrap: str, topics: tuple[str, ...]) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap})
        self._places = [TopicPartition(topic, partition) for topic in topics for partition in range(PARTITIONS)]

    def records(self) -> int:
        """Raises StackError if Kafka does not tell for 30 s. A topic that is new has no leader everybody knows of for a moment."""
        deadline = time.monotonic() + _ANSWER_S
        while True:
            futures = self._admin.list_offsets({place: OffsetSpec.latest() for place in self._places}, request_timeout=10)
            try:
                return sum(future.result().offset for future in futures.values())
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise StackError(f"the ends of the output topics: {error}") from error
                time.sleep(0.1)
