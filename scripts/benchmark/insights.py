"""What the insights cost: the whole job against the one that only routes, in pairs of runs right after each other.

The machine's speed swings by a third within minutes. The two runs of a pair see nearly the same of it, and every second pair is
in the other order, so that what falls or rises steadily cancels: the ratio is the median of the pairs' ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from scripts.benchmark import throughput
from scripts.benchmark.throughput import Throughput
from scripts.stack import Stack

ROUTING_ONLY: Final = ("--no-sales", "--no-fraud", "--no-recommendations")


@dataclass(frozen=True)
class Comparison:
    """Runs of the whole job, and of the one that only routes; those of one index are a pair."""

    whole: tuple[Throughput, ...]
    routing: tuple[Throughput, ...]

    def ratios(self) -> list[float]:
        """events/s of the whole job / events/s of routing only, pair by pair."""
        return [whole.events_per_s / routing.events_per_s for whole, routing in zip(self.whole, self.routing, strict=True)]

    def lines(self, state_backend: str) -> list[str]:
        """Rows of a Markdown table: state backend, job, events/s, CPU us/event, ratio of the events/s (least to greatest)."""
        ratios = self.ratios()
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        return [_line(state_backend, "routing only", self.routing, ""), _line(state_backend, "whole", self.whole, ratio)]

    def costs(self) -> dict[str, float]:
        """Thread -> CPU us/event that the insights add to it (median of the pairs), the costliest first."""
        pairs = [(whole.cpu_us_by_thread, routing.cpu_us_by_thread) for whole, routing in zip(self.whole, self.routing, strict=True)]
        names = {name for pair in pairs for threads in pair for name in threads}
        added = {name: statistics.median(whole.get(name, 0) - routing.get(name, 0) for whole, routing in pairs) for name in names}
        return dict(sorted(added.items(), key=lambda item: -item[1]))


def compare(measure: Callable[[str, Sequence[str]], Throughput], pairs: int) -> Comparison:
    """Runs both jobs `pairs` times, by `measure(name of the run, options)`, behind one run of the whole that does not count: while the
    JVM still compiles, it costs a third more."""
    measure("warm-up", ())
    runs: dict[str, list[Throughput]] = {"whole": [], "routing": []}
    for pair in range(pairs):
        for job in ("whole", "routing") if pair % 2 == 0 else ("routing", "whole"):
            runs[job].append(measure(f"{job}-{pair}", ROUTING_ONLY if job == "routing" else ()))
    return Comparison(tuple(runs["whole"]), tuple(runs["routing"]))


def run(stack: Stack, events: int, state_backend: str, pairs: int, options: Sequence[str]) -> Comparison:
    """Compares over the prefilled topic of `events` records, parallelism 1, thread mode."""
    common = ("--parallelism", "1", "--python-mode", "thread", "--state-backend", state_backend, *options)
    return compare(
        lambda name, more: throughput.measure(stack, events, f"insights-{state_backend}-{name}", *common, *more), pairs
    )  # fmt: skip


def _line(state_backend: str, job: str, runs: Sequence[Throughput], ratio: str) -> str:
    rate = statistics.median(run.events_per_s for run in runs)
    cpu = statistics.median(run.cpu_us_per_event for run in runs)
    return f"| {state_backend} | {job} | {rate:,.0f} | {cpu:.1f} | {ratio} |"
