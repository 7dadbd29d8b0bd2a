"""Reads the job's outputs from where they end when the view begins, and asks how far the input is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from scripts.demo_app.record import Record
from scripts.demo_app.state import DEAD_LETTERS, EVENTS, OUTPUTS, RULE_STATUS, Offsets

_GROUP: Final = "millrace"  # the job's --group-id
_BATCH: Final = 2_000
_POLL_S: Final = 0.2
_ASK_EVERY_S: Final = 1.0
_TIMEOUT_S: Final = 2.0
_Place = tuple[str, int]


class KafkaFeed:
    """One thread's work. A broker that goes away is waited for: the client resumes where it was when it comes back."""

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        on_records: Callable[[list[Record]], None],
        on_offsets: Callable[[Offsets | None], None],
    ) -> None:
        """
        Args:
            on_records: gets what came, in batches.
            on_offsets: gets where the input stands about once a second, None when Kafka does not answer.
        """
        self._prefix, self._on_records, self._on_offsets = prefix, on_records, on_offsets
        # librdkafka writes to stderr by itself, right through the picture.
        client: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap,
            "log_level": 0,
            "reconnect.backoff.max.ms": 1_000,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
        # A second consumer, which joins no group, and no AdminClient: asked for offsets just after the broker's start, that one
        # has ended the process with a segmentation fault (librdkafka's thread, confluent-kafka 2.x).
        self._group = Consumer(client | {"group.id": _GROUP})
        self._consumer = Consumer(
            client
            | {
                "group.id": "millrace-demo",  # the client insists on one; nothing is committed
                "auto.offset.reset": "earliest",  # a topic that was made anew while we watched
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 32_768,
            }
        )
        self._begun = False
        self._found: set[str] = set()  # topics (with prefix) that exist
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
        pairs = message.headers() if topic == DEAD_LETTERS else None
        headers = {name: value for name, value in pairs or () if isinstance(value, bytes)}
        return Record(topic, message.value() or b"", headers, message.partition() or 0, message.offset() or 0)

    def _ask(self) -> Offsets | None:
        try:
            wanted = {self._prefix + topic for topic in (EVENTS, *OUTPUTS)}
            if wanted - self._found:
                self._discover(wanted - self._found)
            return self._input(tuple(sorted(wanted - self._found)))
        except KafkaException:
            return None

    def _discover(self, wanted: set[str]) -> None:
        """Begins to read the topics that exist; one that is made later is read from its beginning."""
        present = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
        topics = {topic for topic in wanted if topic in present and present[topic].error is None}
        places = [(topic, partition) for topic in topics for partition in present[topic].partitions]
        starts = dict.fromkeys(places, OFFSET_BEGINNING)
        if not self._begun:
            # Explicit offsets: OFFSET_END would mean the end at whatever time the first fetch succeeds.
            new = [place for place in places if place[0] != self._prefix + RULE_STATUS]
            starts |= {place: self._range(place)[1] for place in new}
        events = self._prefix + EVENTS
        self._input_begin |= {place: max(0, start) for place, start in starts.items() if place[0] == events}
        outputs = [TopicPartition(*place, start) for place, start in starts.items() if place[0] != events]
        if outputs:
            self._consumer.incremental_assign(outputs)
        self._found |= topics
        self._begun = True

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
