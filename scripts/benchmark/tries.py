"""Each variation of variations.py against its base, by turns: base, one, another, base, …, so that each run has one of the base beside it.

The machine's speed swings by a third within minutes: what counts is the ratio to the neighbour, and how far it goes from round to round.
Variations of the TaskManager's JVM run on a stack of their own beside the base's, so that both JVMs are warm and nothing is restarted
between two runs; whichever of them has no job idles.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Final

from scripts.benchmark import throughput
from scripts.benchmark.attempt import attempt
from scripts.benchmark.insights import ROUTING_ONLY
from scripts.benchmark.spread import spread
from scripts.benchmark.throughput import Throughput
from scripts.benchmark.variations import VARIATIONS, Variation
from scripts.stack import Stack

BASE: Final = "base"
HEADER: Final = "| try | what it changes | CPU us/event, of base | events/s, of base | kept |\n|---|---|---|---|---|"
_COMMON: Final = ("--parallelism=1", "--python-mode=thread", *ROUTING_ONLY)
_WARM_UP_RUNS: Final = 4
"""Of some ten seconds each: behind two, a run still cost half as much again as the next one."""
Measure = Callable[[str], Throughput | str]
"""Name of a variation, or BASE -> its figures, or why there are none."""


@dataclass(frozen=True)
class Result:
    """Pairs of (base, variation); without any, the reason."""

    pairs: tuple[tuple[Throughput, Throughput], ...] = ()
    reason: str = ""

    def line(self, name: str, variation: Variation) -> str:
        """A row of the Markdown table: medians of the ratios, least to greatest."""
        if self.pairs:
            cpu = spread([tried.cpu_us_per_event / base.cpu_us_per_event for base, tried in self.pairs], 2)
            rate = spread([tried.events_per_s / base.events_per_s for base, tried in self.pairs], 2)
        else:
            cpu, rate = f"not measured: {self.reason}", ""
        return f"| {name} | {variation.changes} | {cpu} | {rate} | {variation.verdict} |"


def groups(names: Iterable[str]) -> list[list[str]]:
    """Those that share a base and a TaskManager, in the order in which they stand; one that needs its own TaskManager is alone."""
    found: dict[tuple[object, ...], list[str]] = {}
    for name in names:
        variation = VARIATIONS[name]
        found.setdefault((variation.base, name if variation.cluster else ""), []).append(name)
    return list(found.values())


def turns(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: base, a, b, base, c, d, base. Every second round goes the other way, so that what falls or rises steadily
    cancels."""
    order = [each for first in range(0, len(names), 2) for each in (BASE, *names[first : first + 2])]
    order += [BASE] * (len(names) % 2 == 0)
    return order if number % 2 == 0 else order[::-1]


def compare(names: Sequence[str], rounds: int, measure: Measure) -> Mapping[str, Result]:
    """Runs the rounds. A pair of which one could not be measured does not count."""
    pairs: dict[str, list[tuple[Throughput, Throughput]]] = {name: [] for name in names}
    reasons: dict[str, str] = {}
    for number in range(rounds):
        order = [(name, measure(name)) for name in turns(names, number)]
        for at, (name, found) in enumerate(order):
            if name == BASE:
                continue
            base = next(each for other, each in (*order[max(0, at - 1) : at], *order[at + 1 : at + 2]) if other == BASE)
            if isinstance(found, str) or isinstance(base, str):
                reasons[name] = found if isinstance(found, str) else f"the base: {base}"
            else:
                pairs[name].append((base, found))
    return {name: Result(tuple(pairs[name]), reasons.get(name, "")) for name in names}


def run(stack: Stack, events: int, compact: bool, names: Sequence[str], rounds: int, options: Sequence[str] = ()) -> None:
    """Prints the table, as it comes. `stack` must have one TaskManager."""
    print(f"\nTries: routing only, {events:,} events, parallelism 1, RocksDB, thread mode, median of {rounds} rounds (least–greatest)\n")
    print(HEADER, flush=True)
    numbers = count()
    warm: set[object] = set()

    def measure_on(where: Stack, name: str, job_options: Sequence[str]) -> Throughput | str:
        group_id = f"try-{next(numbers)}-{name}"
        found = attempt(where, name, lambda: throughput.measure(where, events, group_id, *_COMMON, *job_options, *options))
        if isinstance(found, Throughput):
            print(f"{name}: {found.events_per_s:,.0f} events/s, {found.cpu_us_per_event:.1f} us/event", file=sys.stderr, flush=True)
        return found

    def warm_up(where: Stack, base: tuple[str, ...]) -> None:
        if (where.workdir, base) not in warm:
            warm.add((where.workdir, base))
            throughput.prefill(where, events, compact)
            for _ in range(_WARM_UP_RUNS):
                measure_on(where, "warm-up", base)

    for group in groups(names):
        for name, result in _group(stack, group, rounds, measure_on, warm_up).items():
            print(result.line(name, VARIATIONS[name]), flush=True)


def _group(
    stack: Stack,
    group: Sequence[str],
    rounds: int,
    measure_on: Callable[[Stack, str, Sequence[str]], Throughput | str],
    warm_up: Callable[[Stack, tuple[str, ...]], None],
) -> Mapping[str, Result]:
    first = VARIATIONS[group[0]]
    warm_up(stack, first.base)
    with ExitStack() as opened:
        own = stack
        if first.cluster:
            other = Stack(stack.workdir / group[0], parallelism=1, flink_options={**stack.flink_options, **first.cluster})
            started = attempt(stack, group[0], lambda: opened.enter_context(other))
            if isinstance(started, str):
                return {group[0]: Result(reason=started)}
            own = started
            own.create_topics()
            warm_up(own, first.base)

        def measure(name: str) -> Throughput | str:
            if name == BASE:
                return measure_on(stack, BASE, first.base)
            return measure_on(own, name, (*first.base, *VARIATIONS[name].options))

        return compare(group, rounds, measure)
