"""Events per second through the whole job, from a prefilled topic; start-up and end are left out.

The rate is taken from Flink's own counters between 10 % and 95 % of the topic: records that have come to the operator
that orders the sessions, behind decode, rules and de-duplication, and that holds everything back if a sink does. CPU time
is that of all processes (Kafka, JobManager, TaskManagers and their Python workers) over the same stretch.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scripts.benchmark import cpu
from scripts.stack import Stack, StackError
from scripts.stack.paths import ROOT

_FROM, _TO = 0.10, 0.95
_LONGEST_S = 1_200
_PATIENCE_S = 240
ORDERING = "OverAggregate"
"""What the names of the operators that order begin with."""


@dataclass(frozen=True)
class Throughput:
    """One run. `cpu_us_by_thread`: process and thread -> microseconds of CPU time per event, the costliest first."""

    events_per_s: float
    cpu_us_per_event: float
    cpu_us_by_thread: dict[str, float]


@dataclass(frozen=True)
class Sample:
    """What was seen at a moment: seconds of CPU time since the processes began, and events that have come to the operator that orders."""

    time_s: float
    cpu_s: float
    thread_s: dict[str, float]
    events: int


def prefill(stack: Stack, events: int, compact: bool) -> None:
    """Fills the events topic of a stack, once for all that read it."""
    done = stack.workdir / "prefilled"
    if done.exists():
        return
    command = [sys.executable, "-m", "scripts.shop.generate", "--bootstrap", stack.bootstrap, "--rate", "max",
               "--events", str(events), "--no-ledger", "--seed", "1",
               "--start-time", "2026-11-01", *(["--compact"] if compact else [])]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    done.touch()


def measure(stack: Stack, events: int, group_id: str, *options: str, watch: Callable[[str], None] = lambda job_id: None) -> Throughput:
    """Runs the job over the prefilled topic of `events` records once, and calls `watch` with its id twice a second meanwhile.

    Raises:
        StackError: it stands still for four minutes, or takes more than twenty.
    """
    job_id = stack.submit("--group-id", group_id, "--no-heartbeat", *options)
    samples: list[Sample] = []
    begin_s = moved_s = time.monotonic()
    try:
        while not samples or samples[-1].events < _TO * events:
            now_s, reached = time.monotonic(), samples[-1].events if samples else 0
            if now_s > min(begin_s + _LONGEST_S, moved_s + _PATIENCE_S):
                failure = stack.cluster.failure(job_id)
                raise StackError(f"only {reached} of {events} events after {now_s - begin_s:.0f} s ({stack.job_state(job_id)}) {failure}")
            samples.append(Sample(now_s, cpu.total_s(stack), cpu.by_thread_s(stack), ordered_events(stack, job_id)))
            moved_s = now_s if samples[-1].events > reached else moved_s
            watch(job_id)
            time.sleep(0.5)
    finally:
        stack.cancel(job_id)
    return stretch(samples, events)


def stretch(samples: Sequence[Sample], events: int) -> Throughput:
    """What the samples between 10 % and 95 % of the events say.

    Flink tells its counters now and then only, so a sample counts if its counter has just moved: else the last of them would stand for a
    time in which nobody knows what was done. What lies behind the last of them may be time in which there was nothing left to do.

    Raises:
        StackError: there are not two of them.
    """
    moved = [after for before, after in pairwise(samples) if after.events > before.events]
    inside = [sample for sample in moved if _FROM * events <= sample.events <= _TO * events]
    if len(inside) < 2:
        raise StackError("too few events: the run was over before it could be measured; take more (--events)")
    first, last = inside[0], inside[-1]
    count = last.events - first.events
    return Throughput(
        events_per_s=count / (last.time_s - first.time_s),
        cpu_us_per_event=(last.cpu_s - first.cpu_s) / count * 1e6,
        cpu_us_by_thread=cpu.between(first.thread_s, last.thread_s, count),
    )


def ordered_events(stack: Stack, job_id: str) -> int:
    """Records that have reached the operator that orders sessions: of those that order, the one that sees every event."""
    ordering = [each["id"] for each in stack.rest(f"/jobs/{job_id}")["vertices"] if each["name"].startswith(ORDERING)]
    found = [stack.rest(f"/jobs/{job_id}/vertices/{vertex}/subtasks/metrics?get=numRecordsIn&agg=sum") for vertex in ordering]
    return max((int(metrics[0]["sum"]) for metrics in found if metrics), default=0)
