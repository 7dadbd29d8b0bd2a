"""Events per second through the whole job, from a prefilled topic; start-up and end are left out.

The rate is taken from Flink's own counters between 10 % and 95 % of the topic: records that have come to the operator
that orders the sessions, behind decode, rules and de-duplication, and that holds everything back if a sink does. CPU time
is that of all processes (Kafka, JobManager, TaskManagers and their Python workers) over the same stretch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from scripts.stack import Stack, StackError

_FROM, _TO = 0.10, 0.95


@dataclass(frozen=True)
class Throughput:
    """One run."""

    parallelism: int
    python_mode: str
    events_per_s: float
    cpu_us_per_event: float


def measure(stack: Stack, events: int, parallelism: int, python_mode: str, group_id: str, *options: str) -> Throughput:
    """Runs the job over the prefilled topic of `events` records once."""
    job_id = stack.submit(
        "--group-id", group_id, "--parallelism", str(parallelism), "--python-mode", python_mode, "--no-heartbeat", *options
    )  # fmt: skip
    samples: list[tuple[float, float, int]] = []
    deadline = time.monotonic() + 600
    try:
        while not samples or samples[-1][2] < _TO * events:
            if time.monotonic() > deadline:
                raise StackError(f"only {samples[-1][2] if samples else 0} of {events} events after 600 s (job {stack.job_state(job_id)})")
            samples.append((time.monotonic(), _cpu_seconds(stack), ordered_events(stack, job_id)))
            time.sleep(0.5)
    finally:
        stack.cancel(job_id)
    inside = [sample for sample in samples if sample[2] >= _FROM * events]
    (start, cpu_start, first), (end, cpu_end, last) = inside[0], inside[-1]
    count = last - first
    return Throughput(parallelism, python_mode, count / (end - start), (cpu_end - cpu_start) / count * 1e6)


def ordered_events(stack: Stack, job_id: str) -> int:
    """Records that have reached the operator that orders sessions."""
    vertices = stack.rest(f"/jobs/{job_id}")["vertices"]
    vertex = next(each["id"] for each in vertices if each["name"].startswith("OverAggregate"))
    metrics = stack.rest(f"/jobs/{job_id}/vertices/{vertex}/subtasks/metrics?get=numRecordsIn&agg=sum")
    return int(metrics[0]["sum"]) if metrics else 0


def _cpu_seconds(stack: Stack) -> float:
    total = 0.0
    for running in stack.processes:
        try:
            parent = psutil.Process(running.pid)
            for process in (parent, *parent.children(recursive=True)):
                times = process.cpu_times()
                total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total
