"""A long run at one rate: whether memory, latency, state and the time of checkpoints stay what they are.

Open loop, as in latency.py. Everything is looked at by stretches of equal length; the last third of them is compared with the first.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.settings import Guarantee
from scripts.benchmark import cpu, latency
from scripts.benchmark.traffic import PUNCTUAL, generating
from scripts.stack import Stack

SECONDS: Final = 1_800
STRETCHES: Final = 12
_SAMPLE_S: Final = 5.0
_WARM_UP_S: Final = 120
_MIB: Final = 2**20
_HEAP: Final = "Status.JVM.Memory.Heap.Used"


@dataclass
class Samples:
    """What was seen in one stretch. `cpu_s`: time, and CPU seconds of all processes until then; `checkpoints`: number -> duration in ms and
    size of the state in bytes."""

    at_once_ms: list[float] = field(default_factory=list)
    ordered_ms: list[float] = field(default_factory=list)
    cpu_s: list[tuple[float, float]] = field(default_factory=list)
    memory_bytes: list[int] = field(default_factory=list)
    heap_bytes: list[int] = field(default_factory=list)
    checkpoints: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stretch:
    """One line of the table. `heap_mib`: the least that was in use, so what is left behind a collection. NaN, and 0 MiB, where nothing was
    seen."""

    events: int
    at_once_p50_ms: float
    at_once_p99_ms: float
    ordered_p50_ms: float
    ordered_p99_ms: float
    cores: float
    memory_mib: float
    heap_mib: float
    checkpoint_ms: float
    checkpoint_most_ms: float
    state_mib: float

    @classmethod
    def of(cls, samples: Samples) -> Stretch:
        durations = [float(duration) for duration, _ in samples.checkpoints.values()]
        sizes = [size / _MIB for _, size in samples.checkpoints.values()]
        return cls(
            events=len(samples.at_once_ms),
            at_once_p50_ms=latency.percentile(samples.at_once_ms, 0.50),
            at_once_p99_ms=latency.percentile(samples.at_once_ms, 0.99),
            ordered_p50_ms=latency.percentile(samples.ordered_ms, 0.50),
            ordered_p99_ms=latency.percentile(samples.ordered_ms, 0.99),
            cores=_slope(samples.cpu_s),
            memory_mib=max(samples.memory_bytes, default=0) / _MIB,
            heap_mib=min(samples.heap_bytes, default=0) / _MIB,
            checkpoint_ms=latency.percentile(durations, 0.5),
            checkpoint_most_ms=max(durations, default=float("nan")),
            state_mib=latency.percentile(sizes, 0.5),
        )


COLUMNS: Final = {
    "at_once_p50_ms": "at once: p50, ms", "at_once_p99_ms": "p99", "ordered_p50_ms": "session order: p50, ms", "ordered_p99_ms": "p99",
    "cores": "cores used", "memory_mib": "TaskManager and Python, MiB", "heap_mib": "heap at its least, MiB",
    "checkpoint_ms": "checkpoint p50, ms", "checkpoint_most_ms": "longest", "state_mib": "state, MiB",
}  # fmt: skip
"""Of the table: field of a stretch -> its heading."""
_DIGITS: Final = {"cores": 2}


def run(stack: Stack, rate: int, seconds: int, options: Sequence[str]) -> None:
    """Prints a line for each stretch as it ends, then how the last third is to the first."""
    stack.create_topics(latency.TOPICS)
    length_s = seconds / STRETCHES
    print(f"\nSoak: {rate:,} events/s for {seconds / 60:.0f} minutes, exactly-once, all insights, in stretches of {length_s:.0f} s\n")
    print(f"| until, min | kept up | {' | '.join(COLUMNS.values())} |\n|{'---|' * (len(COLUMNS) + 2)}", flush=True)
    stretches: list[Stretch] = []
    with latency.running(stack, Guarantee.EXACTLY_ONCE, "soak", options) as job_id:
        with generating(stack.bootstrap, latency.TOPICS.prefix, rate, _WARM_UP_S + seconds + 30, *PUNCTUAL):
            for number, samples in enumerate(_stretches(stack, job_id, length_s)):
                stretches.append(Stretch.of(samples))
                print(line(stretches[-1], (number + 1) * length_s / 60, rate * length_s), flush=True)
        restarts = stack.cluster.restarts(job_id)
    print(f"\n{verdict(stretches)}\nrestarts: {restarts}", flush=True)


def line(stretch: Stretch, until_min: float, due: float) -> str:
    """A row of the Markdown table. `due`: events that the generator had to send in the stretch."""
    cells = [
        f"{until_min:.1f}",
        f"{stretch.events / due:.1%}",
        *(f"{getattr(stretch, name):,.{_DIGITS.get(name, 0)}f}" for name in COLUMNS),
    ]
    return f"| {' | '.join(cells)} |"


def verdict(stretches: Sequence[Stretch]) -> str:
    """Medians of the last third of the stretches over those of the first: 1.00 is flat."""
    third = max(1, len(stretches) // 3)
    ratios = []
    for name, heading in COLUMNS.items():
        first, last = (statistics.median(getattr(each, name) for each in part) for part in (stretches[:third], stretches[-third:]))
        ratios.append(f"{heading.removesuffix(', ms').removesuffix(', MiB')} {last / first:.2f}" if first else f"{heading} -")
    return "Last third of the first: " + ", ".join(ratios)


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """How much the second grows by the first, from the first point to the last; NaN of fewer than two."""
    if len(points) < 2:
        return float("nan")
    (began, before), (ended, after) = points[0], points[-1]
    return (after - before) / (ended - began)


def _stretches(stack: Stack, job_id: str, length_s: float) -> Iterator[Samples]:
    with latency.arriving(stack.bootstrap, Guarantee.EXACTLY_ONCE) as poll:
        warm_s = time.monotonic() + _WARM_UP_S
        while time.monotonic() < warm_s:
            poll()
        for _ in range(STRETCHES):
            samples, end_s = Samples(), time.monotonic() + length_s
            with _watching(stack, job_id, samples):
                while time.monotonic() < end_s:
                    for topic, latency_ms in poll():
                        (samples.ordered_ms if topic == latency.ORDERED else samples.at_once_ms).append(latency_ms)
            yield samples


@contextmanager
def _watching(stack: Stack, job_id: str, samples: Samples) -> Iterator[None]:
    """Asks Flink and the kernel now and then, in a thread: events that wait meanwhile would look late."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_SAMPLE_S):
            with suppress(OSError):  # Flink does not answer in time: the next look will do
                _look(stack, job_id, samples)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _look(stack: Stack, job_id: str, samples: Samples) -> None:
    samples.cpu_s.append((time.monotonic(), cpu.total_s(stack)))
    samples.memory_bytes.append(cpu.memory_bytes([each for each in stack.processes if each.name.startswith("taskmanager")]))
    heaps: list[Any] = [
        stack.rest(f"/taskmanagers/{each['id']}/metrics?get={_HEAP}") for each in stack.rest("/taskmanagers")["taskmanagers"]
    ]
    if all(heaps):
        samples.heap_bytes.append(sum(int(found[0]["value"]) for found in heaps))
    for each in stack.rest(f"/jobs/{job_id}/checkpoints")["history"]:
        if each["status"] == "COMPLETED":
            samples.checkpoints[each["id"]] = each["end_to_end_duration"], each["state_size"]
