"""Where the reader begins in each topic, and what it does when topics come and go; the Kafka client is a fake."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

from scripts.outputs import feed
from scripts.outputs.feed import BEGINNING, END, KafkaFeed, Start
from scripts.outputs.record import Offsets, Record


@dataclass
class Broker:
    """What the fake client finds: topic -> (first offset, end); one partition each. None: nobody answers."""

    topics: dict[str, tuple[int, int]] | None
    young: dict[str, int] = field(default_factory=dict)  # topic -> the first offset that is young enough
    committed: int = -1001
    assigned: dict[str, int] = field(default_factory=dict)
    messages: list[Any] = field(default_factory=list)
    asked_since_ms: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


class Client:
    broker: Broker

    def __init__(self, options: dict[str, Any]) -> None:
        assert options["isolation.level"] == "read_committed"
        assert options["enable.auto.commit"] is False
        self.broker.groups.append(options["group.id"])

    def list_topics(self, timeout: float) -> Any:
        if self.broker.topics is None:
            raise KafkaException("no answer")
        return SimpleNamespace(topics={name: SimpleNamespace(error=None, partitions={0: None}) for name in self.broker.topics})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float, cached: bool) -> tuple[int, int]:
        if self.broker.topics is None:
            raise KafkaException("no answer")
        return self.broker.topics[place.topic]

    def offsets_for_times(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        self.broker.asked_since_ms += [place.offset for place in places]
        return [TopicPartition(place.topic, place.partition, self.broker.young.get(place.topic, -1)) for place in places]

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(place.topic, place.partition, self.broker.committed) for place in places]

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        self.broker.assigned |= {place.topic: place.offset for place in places}

    def incremental_unassign(self, places: list[TopicPartition]) -> None:
        for place in places:
            del self.broker.assigned[place.topic]

    def consume(self, number: int, timeout: float) -> list[Any]:
        taken, self.broker.messages = self.broker.messages, []
        return taken

    def close(self) -> None:
        pass


class Run:
    """A feed on a fake broker, driven step by step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broker: Broker, starts: dict[str, Start]) -> None:
        monkeypatch.setattr(feed, "Consumer", type("Fake", (Client,), {"broker": broker}))
        self.records: list[Record] = []
        self.offsets: list[Offsets | None] = []
        self.feed = KafkaFeed("b:1", "p.", "shop", starts, self.records.extend, self.offsets.append)

    def ask(self) -> Offsets | None:
        self.feed._list_due_s = 0
        return self.feed._ask()


@pytest.mark.parametrize(
    ("start", "young", "begin"),
    [
        (BEGINNING, None, OFFSET_BEGINNING),
        (END, None, 1_000),
        (Start(1_800), 700, 700),
        (Start(1_800), None, 1_000),  # no record is so young
        (Start(1_800, least=50), None, 950),
        (Start(1_800, least=50), 700, 700),
        (Start(1_800, least=500), 700, 500),
        (Start(0.0, least=5_000), None, 10),  # not before the first that is there
    ],
)
def test_where_it_begins(monkeypatch: pytest.MonkeyPatch, start: Start, young: int | None, begin: int) -> None:
    broker = Broker({"p.events": (0, 100), "p.out": (10, 1_000)}, {} if young is None else {"p.out": young})
    run = Run(monkeypatch, broker, {"out": start})
    assert run.ask() == Offsets(0, 100)
    assert broker.assigned == {"p.out": begin}
    if start.back_s:
        assert broker.asked_since_ms == [pytest.approx((time.time() - start.back_s) * 1_000, abs=5_000)]


def test_a_topic_that_is_made_later_is_read_from_its_beginning_and_one_that_is_gone_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker({"p.events": (0, 100), "p.a": (0, 7)})
    run = Run(monkeypatch, broker, {"a": END, "b": END})
    assert run.ask() == Offsets(0, 100, ("b",))
    assert broker.topics is not None
    broker.topics |= {"p.b": (0, 5)}
    assert run.ask() == Offsets(0, 100)
    assert broker.assigned == {"p.a": 7, "p.b": OFFSET_BEGINNING}
    del broker.topics["p.a"]
    del broker.topics["p.events"]
    assert run.ask() == Offsets(0, 0, ("a", "events"))
    assert broker.assigned == {"p.b": OFFSET_BEGINNING}


def test_the_input_is_counted_by_its_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker({"p.events": (40, 100)})
    run = Run(monkeypatch, broker, {})
    assert run.ask() == Offsets(arrived=0, lag=60)  # nothing committed: the job has to read all of the topic
    assert broker.groups == ["shop", "millrace-view"]
    broker.topics = {"p.events": (40, 160)}
    assert run.ask() == Offsets(arrived=60, lag=120)
    broker.committed = 130
    assert run.ask() == Offsets(arrived=60, lag=30)


def test_records_come_without_the_prefix_and_silence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker({"p.events": (0, 0), "p.events.dead-letters": (0, 0)})
    run = Run(monkeypatch, broker, {"events.dead-letters": END})
    ended = threading.Event()
    broker.messages = [
        SimpleNamespace(error=lambda: None, topic=lambda: "p.events.dead-letters", value=lambda: b"v", key=lambda: None,
                        partition=lambda: 2, offset=lambda: 9, timestamp=lambda: (1, 5_000),
                        headers=lambda: [("reason", b"malformed"), ("odd", None)]),
        SimpleNamespace(error=lambda: SimpleNamespace(fatal=lambda: False)),
    ]  # fmt: skip

    def got(records: list[Record]) -> None:
        run.records.extend(records)
        broker.topics = None
        run.feed._list_due_s = 0

    def told(offsets: Offsets | None) -> None:
        run.offsets.append(offsets)
        if offsets is None:
            ended.set()

    monkeypatch.setattr(feed, "_ASK_EVERY_S", 0.0)
    run.feed._on_records, run.feed._on_offsets = got, told
    run.feed.run(ended)
    assert run.records == [Record("events.dead-letters", b"v", {"reason": b"malformed"}, 2, 9, b"", 5_000)]
    assert run.offsets == [Offsets(0, 0), None]


def test_a_fatal_error_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker({"p.events": (0, 0)})
    run = Run(monkeypatch, broker, {})
    broker.messages = [SimpleNamespace(error=lambda: SimpleNamespace(fatal=lambda: True))]
    with pytest.raises(KafkaException):
        run.feed.run(threading.Event())
