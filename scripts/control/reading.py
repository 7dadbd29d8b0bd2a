"""Reads a topic up to its end as it is now. Commits nothing and joins no group, so nobody else's reading is disturbed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from scripts.control.output import CommandError
from scripts.outputs.headers import headers
from udfs.kafka_client import Brokers, of

_TIMEOUT_S: Final = 15.0
_BATCH: Final = 1_000
_AGAIN_S: Final = 0.1
_NO_LEADER: Final = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}
_NOBODY: Final = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT}


@dataclass(frozen=True)
class Record:
    """One Kafka record. An empty value and none are told apart: the latter deletes from a compacted topic."""

    partition: int
    offset: int
    time_ms: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    def header(self, name: str) -> str | None:
        """The text of the last header of this name."""
        return next((value.decode(errors="replace") for key, value in reversed(self.headers) if key == name), None)


def read_topic(bootstrap: Brokers | str, topic: str, last: int | None = None) -> list[Record]:
    """All records, those of one partition in its order; or the `last` of them by their timestamps, in the order of these.

    Raises:
        CommandError: no broker answers, or there is no such topic.
    """
    with _consumer(bootstrap, topic) as (consumer, partitions):
        starts = []
        ends = {}
        for partition in partitions:
            begin, ends[partition] = offsets(consumer, topic, partition)
            starts.append(TopicPartition(topic, partition, begin if last is None else max(begin, ends[partition] - last)))
        records = list(_up_to(consumer, topic, starts, ends))
    if last is None:
        return records
    records.sort(key=lambda record: record.time_ms)
    return records[max(0, len(records) - last) :]


def read_last(bootstrap: Brokers | str, topic: str, count: int) -> list[Record]:
    """The `count` youngest records by their timestamps, in the order of these; all if there are fewer. Raises CommandError as `read_topic`.

    `read_topic` may find fewer: in a topic that is written in transactions, marks take up offsets, too, and often the last ones.
    """
    with _consumer(bootstrap, topic) as (consumer, partitions):
        longest = max(end - begin for begin, end in (offsets(consumer, topic, partition) for partition in partitions))
    span = count
    while len(records := read_topic(bootstrap, topic, span)) < count and span < longest:
        span *= 10
    return records[-count:]


def scan(bootstrap: Brokers | str, topic: str, since_ms: int | None = None, *, follow: bool = False) -> Iterator[Record]:
    """Records one by one, those of one partition in its order: up to the end as it is now, or for ever.

    Args:
        since_ms: from the first record with this timestamp or a younger one on, in each partition; None: from the beginning.

    Raises:
        CommandError: no broker answers, or there is no such topic.
    """
    with _consumer(bootstrap, topic) as (consumer, partitions):
        ranges = {partition: offsets(consumer, topic, partition) for partition in partitions}
        begins = {partition: begin for partition, (begin, _) in ranges.items()}
        if since_ms is not None:
            asked = [TopicPartition(topic, partition, since_ms) for partition in partitions]
            found = consumer.offsets_for_times(asked, timeout=_TIMEOUT_S)
            # A negative one: no record is so young.
            begins = {each.partition: each.offset if each.offset >= 0 else ranges[each.partition][1] for each in found}
        starts = [TopicPartition(topic, partition, begin) for partition, begin in begins.items()]
        if not follow:
            yield from _up_to(consumer, topic, starts, {partition: end for partition, (_, end) in ranges.items()})
            return
        consumer.assign(starts)
        while True:
            message = consumer.poll(_TIMEOUT_S)
            if message is not None and message.error() is None:
                yield _record(message)


def read_places(bootstrap: Brokers | str, topic: str, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Record]:
    """The records at these partitions and offsets, as far as they are there. Raises CommandError as `scan`."""
    found: dict[tuple[int, int], Record] = {}
    with _consumer(bootstrap, topic) as (consumer, partitions):
        ranges = {partition: offsets(consumer, topic, partition) for partition in partitions}
        for partition, offset in sorted(places):
            begin, end = ranges.get(partition, (0, 0))
            if (partition, offset) in found or not begin <= offset < end:
                continue
            consumer.assign([TopicPartition(topic, partition, offset)])
            for message in _consume(consumer, topic):  # a batch: the next places are often in it
                place = (message.partition() or 0, message.offset() or 0)
                if message.error() is None and place in places:
                    found[place] = _record(message)
    return found


def existing_topics(bootstrap: Brokers | str) -> frozenset[str]:
    """The names of all topics. Raises CommandError if no broker answers."""
    consumer = Consumer(of(bootstrap).librdkafka() | {"group.id": "millrace-control", "log_level": 0})
    try:
        return frozenset(consumer.list_topics(timeout=_TIMEOUT_S).topics)
    except KafkaException as error:
        raise kafka_failure(bootstrap, error) from error
    finally:
        consumer.close()


def read_record(bootstrap: Brokers | str, topic: str, partition: int, offset: int) -> Record:
    """One record.

    Raises:
        CommandError: no broker answers, or there is no such record.
    """
    with _consumer(bootstrap, topic) as (consumer, partitions):
        if partition not in partitions:
            raise CommandError(f"{topic} has no partition {partition}, there are {', '.join(map(str, partitions))}", 1)
        begin, end = offsets(consumer, topic, partition)
        if not begin <= offset < end:
            raise CommandError(f"{topic}[{partition}] has no offset {offset}, there are {begin} to {end - 1}", 1)
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = _consume(consumer, topic)[0]
        if message.error() is not None or message.offset() != offset:
            raise CommandError(f"{topic}[{partition}] has no record at offset {offset}: compacted away, or a mark of a transaction", 1)
        return _record(message)


@contextmanager
def _consumer(bootstrap: Brokers | str, topic: str) -> Iterator[tuple[Consumer, list[int]]]:
    """A consumer, and the topic's partitions. No AdminClient: librdkafka's has ended the process here (scripts/demo_app/feed.py)."""
    consumer = Consumer(
        of(bootstrap).librdkafka()
        | {
            "group.id": "millrace-control",  # the client insists on one; nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 20,  # the broker tells the end of a topic only after it; a push reads four
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    try:
        found = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
        if found.error is not None:
            raise CommandError(f"there is no topic {topic} at {bootstrap} ({found.error.str()}); see --topic-prefix")
        yield consumer, sorted(found.partitions)
    except KafkaException as error:
        raise kafka_failure(bootstrap, error) from error
    finally:
        consumer.close()


def _up_to(consumer: Consumer, topic: str, starts: list[TopicPartition], ends: Mapping[int, int]) -> Iterator[Record]:
    """The records from `starts` up to the offsets `ends` of the partitions."""
    consumer.assign(starts)
    waiting = {start.partition for start in starts if start.offset < ends[start.partition]}
    while waiting:
        for message in _consume(consumer, topic):
            partition, offset = message.partition() or 0, message.offset() or 0
            if message.error() is None and offset < ends[partition]:
                yield _record(message)
            # The end of a partition is told apart from its last record: behind that one a transaction may have left marks.
            if message.error() is not None or offset >= ends[partition] - 1:
                waiting.discard(partition)


def offsets(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """The first offset and the one behind the last. Right after a topic was made, or a broker died, a partition may have no leader yet."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            found = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S, cached=False)
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_S)
            continue
        if found is None:
            raise CommandError(f"{topic}[{partition}]: no answer")
        return int(found[0]), int(found[1])


def _consume(consumer: Consumer, topic: str) -> list[Message]:
    """The next messages, at least one; the ends of partitions among them."""
    first = consumer.poll(_TIMEOUT_S)
    if first is None:
        raise CommandError(f"{topic}: no answer for {_TIMEOUT_S:.0f} s")
    messages = [first, *consumer.consume(_BATCH, 0)]  # with a timeout, consume() waits for a whole batch
    for message in messages:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
    return messages


def _record(message: Message) -> Record:
    key = message.key()
    return Record(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        time_ms=message.timestamp()[1],
        key=key.encode() if isinstance(key, str) else key or b"",
        value=message.value(),
        headers=tuple((name, value or b"") for name, value in headers(message)),
    )


def kafka_failure(bootstrap: Brokers | str, error: KafkaException) -> CommandError:
    """What a command says of an error of Kafka's client."""
    first = error.args[0] if error.args else error
    if not isinstance(first, KafkaError):
        return CommandError(f"Kafka at {bootstrap}: {first}")
    hint = ". Is a broker running there? See --bootstrap" if first.code() in _NOBODY else ""
    return CommandError(f"Kafka at {bootstrap}: {first.str()}{hint}")
