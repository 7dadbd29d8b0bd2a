"""The Kafka side: the committed records of some topics, from given offsets, in batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from scripts.warehouse_app.database import Place, Record
from udfs.kafka_client import LibrdkafkaOptions

log = logging.getLogger(__name__)

_REFRESH_S: Final = 30.0
"""So often new partitions (and topics that were missing) are looked for."""
_POLL_S: Final = 0.1


class Records:
    """Reads every partition of the topics. Methods raise KafkaException for what does not pass by itself."""

    def __init__(self, properties: LibrdkafkaOptions, topics: Sequence[str], offsets: Mapping[Place, int]) -> None:
        self._topics = topics
        self._offsets = offsets
        self._assigned: set[Place] = set()
        self._refresh_due_s = 0.0
        # Offsets that the broker no longer has (topics made anew) count as the beginning: rows are replaced, none is lost.
        self._consumer = Consumer(properties | {"enable.auto.commit": False, "isolation.level": "read_committed",
                                                "auto.offset.reset": "earliest"})  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._consumer.close()

    def batch(self, most: int, wait_s: float) -> list[Record]:
        """The next records, at most `most` of them, each partition in order; fewer, or none, if no more come within `wait_s`."""
        if time.monotonic() >= self._refresh_due_s:
            self._assign_new_partitions()
        records: list[Record] = []
        deadline_s = time.monotonic() + wait_s
        while len(records) < most and (left_s := deadline_s - time.monotonic()) > 0:
            for message in self._consumer.consume(most - len(records), min(left_s, _POLL_S)):
                error = message.error()
                if error is None:
                    records.append(Record(str(message.topic()), int(message.partition() or 0), int(message.offset() or 0), message.value()))
                elif error.fatal() or not error.retriable():
                    raise KafkaException(error)
        return records

    def commit(self, records: Sequence[Record]) -> None:
        """Tells Kafka how far the group is, for its tools that show the lag."""
        ends = {(each.topic, each.partition): each.offset + 1 for each in records}
        self._consumer.commit(
            offsets=[TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()], asynchronous=True
        )  # fmt: skip

    def _assign_new_partitions(self) -> None:
        self._refresh_due_s = time.monotonic() + _REFRESH_S
        present = self._consumer.list_topics(timeout=10).topics
        missing = sorted(set(self._topics) - present.keys())
        if missing and not self._assigned:
            log.warning("not there, and read as soon as they are: %s", ", ".join(missing))
        places = {(topic, partition) for topic in self._topics if topic in present for partition in present[topic].partitions}
        added = places - self._assigned
        if added:
            self._consumer.incremental_assign(
                [TopicPartition(topic, partition, self._offsets.get((topic, partition), OFFSET_BEGINNING)) for topic, partition in added]
            )
            self._assigned |= added
