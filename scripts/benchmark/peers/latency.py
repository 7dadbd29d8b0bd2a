"""Latency beside others: from the moment an event was due to be sent until a consumer holds it, at a fixed rate, the same for all.

Open loop, as in scripts/benchmark/latency.py. The time is that of the event itself, which all candidates pass on unchanged; with
exactly-once the consumer reads what is committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from confluent_kafka import Message
from shop.v1.events_pb2 import Event

from jobs.settings import Guarantee
from scripts.benchmark import cpu
from scripts.benchmark.latency import Stretch, arriving, during, percentile
from scripts.benchmark.peers import stream
from scripts.benchmark.peers.candidates import CANDIDATES, Candidate, Run, brokers
from scripts.benchmark.peers.expected import Expected
from scripts.benchmark.peers.meter import require_alive
from scripts.benchmark.peers.programs.common import ordered
from scripts.benchmark.peers.tasks import TASKS, Task
from scripts.benchmark.traffic import UNDISTURBED, generating
from scripts.stack import Stack, StackError
from scripts.stack.processes import Running

HEADER: Final = (
    "| candidate | guarantee | events/s | p50, ms | p95 | p99 | CPU us/event, Kafka's too | came out |\n|---|---|---|---|---|---|---|---|"
)
_STREAM: Final = stream.Stream("peers-latency.", Expected())


@dataclass(frozen=True)
class Plan:
    """What to run: each task by each candidate at each rate, in events per second."""

    tasks: Sequence[str]
    candidates: Sequence[str]
    rates: Sequence[int]
    stretch: Stretch
    bound_ms: int


@dataclass(frozen=True)
class Reached:
    """One candidate at one rate.

    Attributes:
        latencies_ms: of what came within the stretch that counts.
        cpu_us: of CPU time per event, of the candidate's own processes and of Kafka.
        due: records that should have come in that stretch.
    """

    rate: int
    latencies_ms: list[float]
    cpu_us: float
    due: int

    def line(self, name: str, guarantee: str) -> str:
        """A row of the Markdown table."""
        percentiles = " | ".join(f"{percentile(self.latencies_ms, share):,.0f}" for share in (0.50, 0.95, 0.99))
        return f"| {name} | {guarantee} | {self.rate:,} | {percentiles} | {self.cpu_us:.0f} | {len(self.latencies_ms) / self.due:.1%} |"


def run(stack: Stack, plan: Plan) -> None:
    """Prints a table for each task, as it comes."""
    for task in (TASKS[name] for name in plan.tasks):
        order = f", in order of the session (bound {plan.bound_ms} ms)" if task.ordered else ""
        print(
            f"\nLatency, task {task.name}{order}: {plan.stretch.seconds} s behind {plan.stretch.warm_up_s} s of warm-up\n\n{HEADER}",
            flush=True,
        )
        for each in variants(plan.candidates):
            if task.name in each.cannot:
                continue
            try:
                for reached in _one(stack, plan, task, each):
                    print(reached.line(each.name, each.guarantee), flush=True)
            except StackError as error:
                print(f"| {each.name} | {each.guarantee} | not measured: {error} | | | | | |", flush=True)


def variants(keys: Sequence[str]) -> Iterator[Candidate]:
    """The candidates; those on Flink with both guarantees."""
    for each in (CANDIDATES[key] for key in keys):
        yield each
        if each.backend:
            yield replace(each, guarantee=Guarantee.AT_LEAST_ONCE.value)


def _one(stack: Stack, plan: Plan, task: Task, candidate: Candidate) -> Iterator[Reached]:
    """At one rate after the other, the smallest first, without a new start. Raises StackError."""
    stream.clear(stack, _STREAM, _STREAM.topics.events)
    name = f"{candidate.key}-{candidate.guarantee}-{task.name.replace('+', '-')}"
    one = Run(stack, _STREAM, task, name, plan.bound_ms, candidate.guarantee, candidate.backend)
    with candidate.start(one) as engine:
        for rate in sorted(plan.rates):
            yield _at_rate(one, engine, rate, plan.stretch)


def event_time_ms(message: Message) -> int:
    """When an event was due, by itself: not every candidate need keep the record's timestamp."""
    return Event.FromString(message.value() or b"").event_time_ms


def _at_rate(one: Run, engine: Sequence[Running], rate: int, stretch: Stretch) -> Reached:
    topics = [one.stream.prefix + name for name in one.stream.topics.routed() if ordered(name)]
    processes = [*engine, *brokers(one.stack)]
    bootstrap = one.stack.bootstrap
    inputs = stream.Progress(bootstrap, (one.stream.topics.events,))
    with (
        arriving(bootstrap, one.guarantee, topics, event_time_ms) as poll,
        generating(bootstrap, one.stream.prefix, rate, stretch.warm_up_s + stretch.seconds, *UNDISTURBED),
    ):
        for _ in during(stretch.warm_up_s, poll):
            pass
        began_s, sent = cpu.seconds(processes), inputs.records()
        found = [latency_ms for _, latency_ms in during(stretch.seconds, poll)]
        spent_s, sent = cpu.seconds(processes) - began_s, inputs.records() - sent
    require_alive(engine)
    return Reached(rate, found, spent_s / sent * 1e6, sent)
