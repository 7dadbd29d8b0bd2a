"""What the way into Python and back costs an event, by how it is crossed: one by one, vectorised (Arrow, pandas), in the job's batches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jobs.settings import Topics
from scripts.benchmark import throughput
from scripts.benchmark.attempt import attempt
from scripts.benchmark.peers import meter
from scripts.benchmark.peers.candidates import brokers, flink_processes
from scripts.benchmark.peers.stream import Progress
from scripts.stack import Stack

WAYS: Final = {
    "no Python at all": ("none", "process"),
    "one by one, process mode": ("rows", "process"),
    "one by one, thread mode": ("rows", "thread"),
    "vectorised (pandas), process mode": ("pandas", "process"),
    "in batches, process mode": ("batches", "process"),
    "in batches, thread mode": ("batches", "thread"),
}
"""What is shown -> arguments of crossing_job.py. PyFlink has no vectorised functions in thread mode."""
_JOB: Final = str(Path(__file__).with_name("crossing_job.py"))
_PATIENCE_S: Final = 90


def run(stack: Stack, events: int, compact: bool) -> None:
    """Prints the table. Of each way the second run counts: the first one's JVM still compiles. `stack` must have one TaskManager."""
    throughput.prefill(stack, events, compact)
    print("\nParse each event in Python, at-least-once, parallelism 1\n\n| way | events/s | CPU us/event |\n|---|---|---|", flush=True)
    for name, (way, mode) in WAYS.items():
        for number in (1, 2):
            found = attempt(stack, name, lambda: _measure(stack, f"crossing-{way}-{mode}-{number}", way, mode))  # noqa: B023
        cells = f"not measured: {found} |" if isinstance(found, str) else f"{found.events_per_s:,.0f} | {found.cpu_us:.1f}"
        print(f"| {name} | {cells} |", flush=True)


def _measure(stack: Stack, group: str, way: str, mode: str) -> meter.Measured:
    count, results = (Progress(stack.bootstrap, (topic,)) for topic in (Topics().events, Topics().routed()["orders"]))
    total, before = count.records(), results.records()
    output = stack.flink("run", "--detached", "-py", _JOB, stack.bootstrap, group, way, mode)
    job_id = output.split("JobID ")[-1].split()[0]
    try:
        samples = meter.watch(lambda: results.records() - before, total, flink_processes(stack), brokers(stack), _PATIENCE_S)
    finally:
        stack.cancel(job_id)
    return meter.stretch(samples, float, total)
