"""End-to-end latency at a fixed rate: from the moment an event was due to be sent until a consumer holds it.

Open loop: the generator stamps each event with the time at which its schedule wants it sent, and does not wait for
anything, so that a stall shows in all events behind it (no coordinated omission).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from jobs.settings import Guarantee, Topics
from scripts.benchmark.traffic import UNDISTURBED, generating
from scripts.stack import Stack, StackError

RULES = Path(__file__).with_name("rules")
TOPICS = Topics(prefix="latency.")
ORDERED, UNORDERED = (TOPICS.prefix + name for name in ("session-activity", "fraud-detection"))
OUTPUTS: Final = {UNORDERED: "none", ORDERED: "session"}
"""Topic -> the order in which events come there."""
WITH_INPUT: Final = {TOPICS.events: "input", **OUTPUTS}
"""The same, and the input, before the job: what generator, Kafka and reader take by themselves."""
WARM_UP_S: Final = 40
"""A new JVM compiles most of what it runs for about so long; what runs with a checkpoint only, longer."""

_ANSWER_S: Final = 30


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds."""

    guarantee: str
    order: str
    events: int
    p50: float
    p95: float
    p99: float

    def line(self) -> str:
        """Cells of a Markdown table: guarantee, order, events, percentiles."""
        return f"| {self.guarantee} | {self.order} | {self.events} | {self.p50:.0f} | {self.p95:.0f} | {self.p99:.0f} |"


@dataclass(frozen=True)
class Load:
    """Latency at a share of the greatest rate. `kept_up`: share of the events that came out in time, 1 if the job keeps up."""

    share: float
    rate: int
    kept_up: float
    latency: Latency

    def line(self) -> str:
        """Cells of a Markdown table: load, rate, share that kept up, and those of the latency."""
        return f"| {self.share:.0%} | {self.rate:,} | {self.kept_up:.1%} {self.latency.line()}"


@dataclass(frozen=True)
class Stretch:
    """What counts at one rate: `seconds`, behind `warm_up_s`."""

    seconds: int
    warm_up_s: int = WARM_UP_S


def against_load(
    measure_at: Callable[[int], list[Latency]], maximum: float, shares: Sequence[float], seconds: int
) -> Iterator[Load]:  # fmt: skip
    """Latency at each share of the greatest rate, the smallest first; `measure_at(rate)` runs one, for `seconds`."""
    for share in sorted(shares):
        rate = round(maximum * share)
        for each in measure_at(rate):
            yield Load(share, rate, each.events / (rate * seconds), each)


def measure(
    stack: Stack, rate: int, stretch: Stretch, guarantee: str, group_id: str, *options: str, topics: Mapping[str, str] = OUTPUTS,
    mark: Callable[[], None] = lambda: None,
) -> list[Latency]:  # fmt: skip
    """Runs the job and the generator once. `topics`, `mark`: as for `at_rate`."""
    with running(stack, guarantee, group_id, options):
        return at_rate(stack, rate, stretch, guarantee, topics, mark)


@contextmanager
def running(stack: Stack, guarantee: str, group_id: str, options: Iterable[str]) -> Iterator[str]:
    """The job with rules/latency.yaml, which sends every event both in session order and at once, runs while the block does, which is given
    its id; it ends without transactions that are left open."""
    how = ("--group-id", group_id, "--guarantee", guarantee, "--rules", str(RULES), "--start", "latest-offset")
    job_id = stack.submit("--topic-prefix", TOPICS.prefix, *how, *options)
    try:
        stack.wait_running(job_id)
        yield job_id
        if guarantee == Guarantee.EXACTLY_ONCE:
            with suppress(StackError):  # a cancelled job leaves transactions open; what was measured is measured
                stack.stop_with_savepoint(job_id)
    finally:
        stack.cancel(job_id)


def at_rate(
    stack: Stack, rate: int, stretch: Stretch, guarantee: str, topics: Mapping[str, str] = OUTPUTS,
    mark: Callable[[], None] = lambda: None,
) -> list[Latency]:  # fmt: skip
    """Latency of a job that is `running`, in each of the topics (-> the order in which events come there). `mark` is called where the
    stretch begins that counts, and where it ends."""
    found: dict[str, list[float]] = {topic: [] for topic in topics}
    with (
        generating(stack.bootstrap, TOPICS.prefix, rate, stretch.warm_up_s + stretch.seconds, *UNDISTURBED),
        arriving(stack.bootstrap, guarantee, topics) as poll,
    ):
        for _ in during(stretch.warm_up_s, poll):
            pass
        mark()
        for topic, latency_ms in during(stretch.seconds, poll):
            found[topic].append(latency_ms)
        mark()
    return [
        Latency(guarantee, order, len(found[topic]), *(percentile(found[topic], share) for share in (0.50, 0.95, 0.99)))
        for topic, order in topics.items()
    ]


def record_time_ms(message: Message) -> int:
    """When a record was due, by its timestamp, which the job passes on."""
    return message.timestamp()[1]


@contextmanager
def arriving(
    bootstrap: str, guarantee: str, topics: Iterable[str] = OUTPUTS, due_ms: Callable[[Message], int] = record_time_ms
) -> Iterator[Callable[[], list[tuple[str, float]]]]:  # fmt: skip
    """What comes out from now on: each call waits for some ms at most, and returns topic and latency in ms of what came."""
    isolation = "read_committed" if guarantee == Guarantee.EXACTLY_ONCE else "read_uncommitted"
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "isolation.level": isolation,
                         "enable.auto.commit": False, "fetch.wait.max.ms": 5, "fetch.min.bytes": 1})  # fmt: skip

    def poll() -> list[tuple[str, float]]:
        messages = consumer.consume(500, timeout=0.01)
        now_ms = time.time() * 1000
        return [(message.topic() or "", now_ms - due_ms(message)) for message in messages if message.error() is None]

    try:
        consumer.assign([place for topic in topics for place in at_end(consumer, topic)])
        yield poll
    finally:
        consumer.close()


def during(seconds: float, poll: Callable[[], list[tuple[str, float]]]) -> Iterator[tuple[str, float]]:
    """Topic and latency in ms of each record that comes meanwhile."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        yield from poll()


def at_end(consumer: Consumer, topic: str) -> list[TopicPartition]:
    """The end of each partition. Raises StackError if Kafka does not tell: a topic that is new has no leader everybody knows of for a
    moment."""
    deadline_s = time.monotonic() + _ANSWER_S
    while True:
        try:
            partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
            ends = {each: consumer.get_watermark_offsets(TopicPartition(topic, each), timeout=30)[1] for each in partitions}
            return [TopicPartition(topic, partition, end) for partition, end in ends.items()]
        except KafkaException as error:
            if time.monotonic() > deadline_s:
                raise StackError(f"the ends of {topic}: {error}") from error
            time.sleep(0.1)


def percentile(values: list[float], share: float) -> float:
    """The value that a share of the others do not exceed; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
