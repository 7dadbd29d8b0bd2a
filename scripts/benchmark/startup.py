"""From nothing to a running job, as `scripts/demo` does it: seconds, and CPU seconds of each process until then. No event is processed.

The first run on a machine writes the archives of classes (scripts/stack/class_data.py) that those behind it use, so it does not count.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from scripts.benchmark import cpu
from scripts.benchmark.spread import spread
from scripts.stack import Stack


@dataclass(frozen=True)
class Start:
    """One start. Seconds since its beginning until Kafka answered and had the topics, the job was submitted, and all of its tasks ran;
    `cpu_s`: process -> CPU seconds until then, `client` being `flink run`.
    """

    answered_s: float
    submitted_s: float
    running_s: float
    cpu_s: dict[str, float]


def run(workdir: Path, parallelism: int, flink_options: Mapping[str, str], job_options: Sequence[str], runs: int) -> None:
    """Starts a stack and the job `runs` times behind one that does not count, and prints a table: medians, least to greatest."""
    starts = [measure(workdir, parallelism, flink_options, job_options) for _ in range(runs + 1)][1:]
    print(f"\nStart-up, parallelism {parallelism}, {runs} runs\n\n| until | s |\n|---|---|")
    print(f"| Kafka has its topics | {spread([each.answered_s for each in starts], 1)} |")
    print(f"| the job is submitted | {spread([each.submitted_s for each in starts], 1)} |")
    print(f"| all of its tasks run | {spread([each.running_s for each in starts], 1)} |")
    print("\n| process | CPU s until then |\n|---|---|")
    for name in starts[0].cpu_s:
        print(f"| {name} | {spread([each.cpu_s[name] for each in starts], 1)} |")
    print(f"| all | {spread([sum(each.cpu_s.values()) for each in starts], 1)} |", flush=True)


def measure(workdir: Path, parallelism: int, flink_options: Mapping[str, str], job_options: Sequence[str]) -> Start:
    """One start, in a new folder."""
    shutil.rmtree(workdir, ignore_errors=True)
    stack = Stack(workdir, parallelism=parallelism, flink_options=dict(flink_options), short_lived=True)
    answered = ended_before = 0.0

    def kafka_answers() -> None:
        nonlocal answered, ended_before
        answered = time.monotonic()
        # The processes of the stack before count as ended once another has been started, and `flink run` has not ended yet.
        ended_before = _of_ended_children(os.getpid())

    began = time.monotonic()
    job_id = stack.up_with_job(*job_options, meanwhile=kafka_answers)
    try:
        submitted = time.monotonic()
        client_s = _of_ended_children(os.getpid()) - ended_before
        stack.cluster.wait_running(job_id, checkpoint=False)
        running = time.monotonic()
        cpu_s = {each.name: cpu.seconds([each]) + _of_ended_children(each.pid) for each in stack.processes} | {"client": client_s}
    finally:
        stack.down()
    return Start(answered - began, submitted - began, running - began, cpu_s)


def _of_ended_children(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.children_user + times.children_system)
