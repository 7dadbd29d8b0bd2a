"""Events per second through the whole job, from a prefilled topic; start-up and end are left out.

The rate is taken from Flink's own counters between 10 % and 95 % of the topic: records that have come to the operator
that orders the sessions, behind decode, rules and de-duplication, and that holds everything back if a sink does. CPU time
is that of all processes (Kafka, JobManager, TaskManagers and their Python workers) over the same stretch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from scripts.benchmark import cpu
from scripts.stack import Stack, StackError

_FROM, _TO = 0.10, 0.95
_LONGEST_S = 1_200
ORDERING = "OverAggregate"
"""What the names of the operators that order begin with."""


@dataclass(frozen=True)
class Throughput:
    """One run. `cpu_us_by_thread`: process and thread -> microseconds of CPU time per event, the costliest first."""

    events_per_s: float
    cpu_us_per_event: float
    cpu_us_by_thread: dict[str, float]


@dataclass(frozen=True)
class _Sample:
    time_s: float
    cpu_s: float
    thread_s: dict[str, float]
    events: int


def measure(stack: Stack, events: int, group_id: str, *options: str, watch: Callable[[str], None] = lambda job_id: None) -> Throughput:
    """Runs the job over the prefilled topic of `events` records once, and calls `watch` with its id twice a second meanwhile."""
    job_id = stack.submit("--group-id", group_id, "--no-heartbeat", *options)
    samples: list[_Sample] = []
    deadline = time.monotonic() + _LONGEST_S
    try:
        while not samples or samples[-1].events < _TO * events:
            if time.monotonic() > deadline:
                reached = samples[-1].events if samples else 0
                raise StackError(f"only {reached} of {events} events after {_LONGEST_S} s (job {stack.job_state(job_id)})")
            samples.append(_Sample(time.monotonic(), cpu.total_s(stack), cpu.by_thread_s(stack), ordered_events(stack, job_id)))
            watch(job_id)
            time.sleep(0.5)
    finally:
        stack.cancel(job_id)
    inside = [sample for sample in samples if sample.events >= _FROM * events]
    first, last = inside[0], inside[-1]
    count = last.events - first.events
    threads = {name: seconds - first.thread_s.get(name, 0) for name, seconds in last.thread_s.items()}
    return Throughput(
        events_per_s=count / (last.time_s - first.time_s),
        cpu_us_per_event=(last.cpu_s - first.cpu_s) / count * 1e6,
        cpu_us_by_thread={name: threads[name] / count * 1e6 for name in sorted(threads, key=lambda name: -threads[name])},
    )


def ordered_events(stack: Stack, job_id: str) -> int:
    """Records that have reached the operator that orders sessions: of those that order, the one that sees every event."""
    ordering = [each["id"] for each in stack.rest(f"/jobs/{job_id}")["vertices"] if each["name"].startswith(ORDERING)]
    found = [stack.rest(f"/jobs/{job_id}/vertices/{vertex}/subtasks/metrics?get=numRecordsIn&agg=sum") for vertex in ordering]
    return max((int(metrics[0]["sum"]) for metrics in found if metrics), default=0)
