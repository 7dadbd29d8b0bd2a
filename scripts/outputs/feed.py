"""Reads the job's outputs for a view that begins in the middle of them, and asks how far the input is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from jobs.settings import Topics
from scripts.outputs.headers import headers
from scripts.outputs.record import Offsets, Record
from udfs.kafka_client import Brokers, of

_EVENTS: Final = Topics().events
_DEAD_LETTERS: Final = Topics().dead_letters
_BATCH: Final = 2_000
_POLL_S: Final = 0.2
_ASK_EVERY_S: Final = 1.0
_LIST_EVERY_S: Final = 5.0
_TIMEOUT_S: Final = 2.0
_Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin in a topic that is there when the view begins. One that is made later is read from its beginning.

    Args:
        back_s: so far back by the records' timestamps; None: from the beginning; 0: at the end.
        least: so many of the last records of each partition in any case, however old they are.
    """

    back_s: float | None
    least: int = 0


BEGINNING: Final = Start(None)
END: Final = Start(0.0)


class KafkaFeed:
    """One thread's work. A broker that goes away is waited for: the client resumes where it was when it comes back."""

    def __init__(
        self,
        bootstrap: Brokers | str,
        prefix: str,
        group_id: str,
        starts: Mapping[str, Start],
        on_records: Callable[[list[Record]], None],
        on_offsets: Callable[[Offsets | None], None],
    ) -> None:
        """
        Args:
            prefix: of all topic names.
            group_id: the job's.
            starts: the topics to read, without the prefix. The input is not read, but counted by its offsets.
            on_records: gets what came, in batches.
            on_offsets: gets where the input stands about once a second, None when Kafka does not answer.
        """
        self._prefix, self._starts, self._on_records, self._on_offsets = prefix, starts, on_records, on_offsets
        # librdkafka writes to stderr by itself, right through the picture.
        client = of(bootstrap).librdkafka() | {
            "log_level": 0,
            "reconnect.backoff.max.ms": 1_000,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
        # A second consumer, which joins no group, and no AdminClient: asked for offsets just after the broker's start, that one
        # has ended the process with a segmentation fault (librdkafka's thread, confluent-kafka 2.x).
        self._group = Consumer(client | {"group.id": group_id})
        self._consumer = Consumer(
            client
            | {
                "group.id": "millrace-view",  # the client insists on one; nothing is committed
                "auto.offset.reset": "earliest",  # a topic that was made anew while we watched
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 32_768,
            }
        )
        self._begun = False
        self._wanted = {prefix + topic for topic in (_EVENTS, *starts)}
        self._found: dict[str, list[_Place]] = {}  # topics (with prefix) that exist, and their partitions
        self._list_due_s = 0.0
        self._input_begin: dict[_Place, int] = {}

    def run(self, ended: threading.Event) -> None:
        """Until `ended`. Raises KafkaException only for what no waiting cures."""
        due_s = time.monotonic()
        try:
            while not ended.is_set():
                if time.monotonic() >= due_s:
                    self._on_offsets(self._ask())
                    due_s = time.monotonic() + _ASK_EVERY_S
                if self._begun:
                    self._read()
                else:
                    ended.wait(_POLL_S)
        finally:
            self._consumer.close()
            self._group.close()

    def _read(self) -> None:
        records = []
        for message in self._consumer.consume(_BATCH, _POLL_S):
            error = message.error()
            if error is None:
                records.append(self._record(message))
            elif error.fatal():
                raise KafkaException(error)
        if records:
            self._on_records(records)

    def _record(self, message: Message) -> Record:
        topic = (message.topic() or "").removeprefix(self._prefix)
        told = {name: value for name, value in headers(message) if value is not None} if topic == _DEAD_LETTERS else {}
        return Record(
            topic, message.value() or b"", told, message.partition() or 0, message.offset() or 0,
            message.key() or b"", message.timestamp()[1],
        )  # fmt: skip

    def _ask(self) -> Offsets | None:
        try:
            if time.monotonic() >= self._list_due_s or self._wanted - self._found.keys():
                self._discover()
                self._list_due_s = time.monotonic() + _LIST_EVERY_S
            return self._input(tuple(sorted(topic.removeprefix(self._prefix) for topic in self._wanted - self._found.keys())))
        except KafkaException:
            return None

    def _discover(self) -> None:
        """Begins to read the topics that exist, and forgets those that are gone."""
        listed = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
        present = {topic for topic in self._wanted if topic in listed and listed[topic].error is None}
        for topic in self._found.keys() - present:
            gone = self._found.pop(topic)
            if topic != self._prefix + _EVENTS:
                self._consumer.incremental_unassign([TopicPartition(*place) for place in gone])
            self._input_begin = {place: begin for place, begin in self._input_begin.items() if place not in gone}
        new = {topic: [(topic, partition) for partition in listed[topic].partitions] for topic in present - self._found.keys()}
        begins: dict[_Place, int] = {}
        for topic, places in new.items():
            start = self._starts.get(topic.removeprefix(self._prefix), END) if not self._begun else BEGINNING
            begins |= self._begin(places, start)
        self._input_begin |= {place: max(0, begin) for place, begin in begins.items() if place[0] == self._prefix + _EVENTS}
        outputs = [TopicPartition(*place, begin) for place, begin in begins.items() if place[0] != self._prefix + _EVENTS]
        if outputs:
            self._consumer.incremental_assign(outputs)
        self._found |= new
        self._begun = True

    def _begin(self, places: list[_Place], start: Start) -> dict[_Place, int]:
        """The offsets to begin with. Explicit ones: OFFSET_END would mean the end at whatever time the first fetch succeeds."""
        if start.back_s is None:
            return dict.fromkeys(places, OFFSET_BEGINNING)
        ranges = {place: self._range(place) for place in places}
        begins = {place: end for place, (_, end) in ranges.items()}
        if start.back_s:
            since_ms = int((time.time() - start.back_s) * 1000)
            found = self._consumer.offsets_for_times([TopicPartition(*place, since_ms) for place in places], timeout=_TIMEOUT_S)
            # A negative one: no record is so young.
            begins |= {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
        return {place: min(begin, max(ranges[place][0], ranges[place][1] - start.least)) for place, begin in begins.items()}

    def _input(self, missing: tuple[str, ...]) -> Offsets:
        if not self._input_begin:
            return Offsets(0, 0, missing)
        ranges = {place: self._range(place) for place in self._input_begin}
        arrived = sum(end - self._input_begin[place] for place, (_, end) in ranges.items())
        # Flink commits a partition's offset when it has read something there.
        committed = self._committed()
        lag = sum(max(0, end - committed.get(place, begin)) for place, (begin, end) in ranges.items())
        return Offsets(arrived, lag, missing)

    def _committed(self) -> dict[_Place, int]:
        partitions = self._group.committed([TopicPartition(*place) for place in self._input_begin], timeout=_TIMEOUT_S)
        return {(each.topic, each.partition): each.offset for each in partitions if each.offset >= 0}

    def _range(self, place: _Place) -> tuple[int, int]:
        """The first offset of a partition, and the one that its next record will have."""
        found = self._group.get_watermark_offsets(TopicPartition(*place), timeout=_TIMEOUT_S, cached=False)
        if found is None:
            raise KafkaException(f"{place[0]}[{place[1]}]: no answer")
        return int(found[0]), int(found[1])
