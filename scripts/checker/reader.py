"""Reads whole topics as a careful consumer sees them: committed transactions only, from the beginning, without a group."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from udfs.kafka_client import Brokers, of  # how to log in is no opinion on what is right

_BATCH = 5_000
_PASSING = (
    KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
)  # fmt: skip
"""A partition's leader has just changed, or come up: what the client knows of it is older or newer than what the broker does."""
_Place = tuple[str, int]


class UnreadableError(RuntimeError):
    """Kafka does not answer, or a topic is not there."""


class TopicReader:
    """`read` returns what has come since the last call, up to the last stable offset of that moment, each partition in order."""

    def __init__(self, bootstrap: Brokers | str, topics: Iterable[str], timeout_s: float = 60) -> None:
        self._timeout_s = timeout_s
        self._admin = AdminClient(of(bootstrap).librdkafka())
        self._consumer = Consumer(
            of(bootstrap).librdkafka()
            | {
                "group.id": "millrace-checker",  # the client insists on one; nothing is committed
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": 131_072,
            }
        )
        try:
            present = self._admin.list_topics(timeout=timeout_s).topics
        except KafkaException as error:
            raise UnreadableError(f"Kafka at {bootstrap} does not answer: {error}") from error
        self.missing = sorted(set(topics) - present.keys())
        places = [(topic, partition) for topic in sorted(set(topics) & present.keys()) for partition in present[topic].partitions]
        # How far each partition was read, as the broker counts: transaction markers and aborted records included.
        self._ends: dict[_Place, int] = dict.fromkeys(places, 0)
        if places:
            self._consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in places])

    def read(self) -> list[Message]:
        """All that has come since the last call."""
        return list(self.stream())

    def stream(self) -> Iterator[Message]:
        """The same, one by one, for topics that are larger than memory. Read it to its end."""
        targets = self._stable_ends()
        unfinished = {place for place, end in targets.items() if self._ends[place] < end}
        deadline_s = time.monotonic() + self._timeout_s
        while unfinished:
            batch = self._consumer.consume(_BATCH, 0.2)
            if batch:
                deadline_s = time.monotonic() + self._timeout_s
            elif time.monotonic() > deadline_s:
                raise UnreadableError(f"nothing came in {self._timeout_s} s, but {sorted(unfinished)} are not at {targets}")
            for message in batch:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    place = (message.topic() or "", message.partition() or 0)
                    self._ends[place] = message.offset() or 0
                    if self._ends[place] >= targets[place]:
                        unfinished.discard(place)
                elif error.fatal() or not error.retriable():
                    raise UnreadableError(f"{message.topic()}[{message.partition()}]: {error}")

    def _stable_ends(self) -> dict[_Place, int]:
        if not self._ends:
            return {}
        request = {TopicPartition(topic, partition): OffsetSpec.latest() for topic, partition in self._ends}
        deadline_s = time.monotonic() + self._timeout_s
        while True:
            futures = self._admin.list_offsets(request, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=self._timeout_s)
            try:
                return {(place.topic, place.partition): future.result().offset for place, future in futures.items()}
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or time.monotonic() > deadline_s:
                    raise UnreadableError(f"the ends of the topics: {error}") from error
                time.sleep(0.1)

    def close(self) -> None:
        self._consumer.close()
