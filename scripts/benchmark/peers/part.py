"""The loop: every task, every run, every candidate; what came out is checked before a figure counts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.benchmark.peers import report, stream
from scripts.benchmark.peers.candidates import CANDIDATES, Candidate, Run, brokers
from scripts.benchmark.peers.expected import Check
from scripts.benchmark.peers.meter import Measured, stretch, watch
from scripts.benchmark.peers.tasks import TASKS, Task
from scripts.stack import Stack, StackError

_PATIENCE_S: Final = 60
_COMMITTED_S: Final = 30
WARM_UPS: Final = 3
"""Runs of each candidate on Flink before those that count: behind a single one, the next cost twice as much as the third."""


@dataclass(frozen=True)
class Plan:
    """What to run."""

    events: int
    compact: bool
    runs: int
    tasks: Sequence[str]
    candidates: Sequence[str]
    bound_ms: int
    warm_ups: int
    pictures: Path | None = None


def run(stack: Stack, plan: Plan) -> None:
    """Runs the plan, and prints a table for each task as it goes. The runs of a task go round: first one of each candidate, then the
    second of each, so that a machine that slows down slows all of them down."""
    chosen = [CANDIDATES[key] for key in plan.candidates]
    streams: dict[int, stream.Stream] = {}
    for size in sorted({each.part for each in chosen}):
        streams[size] = stream.fill(stack, plan.events, plan.compact, size)
        expected = streams[size].expected
        print(f"\nInput {streams[size].prefix}events: {expected.events:,} events, {expected.inversions:,} of them out of order", flush=True)
    for name in plan.tasks:
        rows = _task(stack, plan, TASKS[name], chosen, streams)
        print(f"\n{_title(plan, TASKS[name])}\n\n{report.table(rows)}\n\n{report.ratios(rows)}\n", flush=True)
        if plan.pictures is not None:
            plan.pictures.mkdir(parents=True, exist_ok=True)
            (plan.pictures / f"peers-{name.replace('+', '-')}.svg").write_text(report.picture(name, rows))


def _title(plan: Plan, task: Task) -> str:
    size = "64-byte" if plan.compact else "realistic"
    bound = f", bound {plan.bound_ms} ms" if task.ordered else ""
    return f"Task {task.name}{bound}: {plan.events:,} {size} events, median of {plan.runs} (least–greatest)"


def _task(
    stack: Stack, plan: Plan, task: Task, chosen: Sequence[Candidate], streams: dict[int, stream.Stream]
) -> list[report.Row]:  # fmt: skip
    runs: dict[str, list[Measured]] = {each.key: [] for each in chosen}
    reasons = {each.key: each.cannot[task.name] for each in chosen if task.name in each.cannot}
    for number in range(1 - plan.warm_ups, plan.runs + 1):
        counts = number > 0
        for each in chosen:
            if each.key in reasons or not (counts or each.backend):
                continue
            name = f"{each.key}-{task.name.replace('+', '-')}-{plan.warm_ups + number}"
            one = Run(stack, streams[each.part], task, name, plan.bound_ms, each.guarantee, each.backend)
            try:
                measured = _once(one, each)
            except StackError as error:
                reasons[each.key] = f"not measured: {error}"
                print(f"{task.name}, {each.name}: {error}", flush=True)
                continue
            if counts:
                runs[each.key].append(measured)
            print(
                f"{task.name}, {each.name}, run {number if counts else 'that warms up'}: {measured.events_per_s:,.0f} events/s, "
                f"{measured.engine_us:.1f} + {measured.broker_us:.1f} us", flush=True,
            )  # fmt: skip
    return [
        report.Row(
            each.name + (f" ({streams[each.part].expected.events:,} events)" if each.part > 1 else ""), each.guarantee,
            () if each.key in reasons else tuple(runs[each.key]), reasons.get(each.key, ""), each.beyond.get(task.name, ""), each.own,
        )
        for each in chosen
    ]  # fmt: skip


def _once(one: Run, candidate: Candidate) -> Measured:
    """Raises StackError if it fails, or if the result is not what it must be."""
    expected, task = one.stream.expected, one.task
    stream.clear(one.stack, one.stream)
    topics = one.stream.topics
    progress = stream.Progress(one.stack.bootstrap, tuple(topics.routed().values()) if task.routes else (topics.sales,))
    with candidate.start(one) as engine:
        samples = watch(progress.records, expected.outputs(task), engine, brokers(one.stack), _PATIENCE_S)
        _require_right(one)
    return stretch(samples, lambda outputs: expected.events_behind(task, outputs), expected.events)


def _require_right(one: Run) -> None:
    """Waits until what is committed is right: the last transaction may be on its way. Raises StackError with what stays wrong."""
    check = Check(one.stack.bootstrap, one.stream.prefix, one.stream.expected, one.task)
    try:
        deadline = time.monotonic() + _COMMITTED_S
        while faults := check.faults():
            if time.monotonic() > deadline:
                raise StackError("the result is wrong: " + "; ".join(faults))
            time.sleep(0.5)
    finally:
        check.close()
