"""What skew costs: one session with a fifth of the traffic, and one category with four fifths of the sales, against the even stream.

All events of a session go through one subtask of the operator that orders, whatever the parallelism: so the question is not whether it has
more to do, but whether the others wait for it, and whether anything stands still meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.settings import Topics
from scripts.benchmark import throughput
from scripts.benchmark.throughput import ORDERING, Throughput
from scripts.stack import Stack
from scripts.stack.paths import ROOT

STREAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "even": (),
    "one session with 20 % of the traffic": ("--hot-session", "0.2"),
    "one category with 80 % of the sales": ("--hot-category", "0.8"),
}
"""What is shown -> options of the generator."""


@dataclass
class Progress:
    """How far each subtask is, and how long it has stood still at most. Fed with counters and the time at which they were read."""

    counts: dict[str, int] = field(default_factory=dict)
    longest_s: float = 0.0
    _since_s: dict[str, float] = field(default_factory=dict)

    def see(self, now_s: float, counts: Mapping[str, int]) -> None:
        """`counts`: subtask -> records so far. A subtask that has had none yet does not count as standing still."""
        for subtask, count in counts.items():
            if count > self.counts.get(subtask, 0):
                self.counts[subtask], self._since_s[subtask] = count, now_s
            elif count:
                self.longest_s = max(self.longest_s, now_s - self._since_s[subtask])

    def busiest_share(self) -> float:
        """The share of all records that went through the subtask with most of them, 0 to 1."""
        return max(self.counts.values(), default=0) / max(1, sum(self.counts.values()))


@dataclass(frozen=True)
class Skewed:
    """One stream's run."""

    stream: str
    throughput: Throughput
    busiest_share: float
    longest_stand_s: float


def busiest(vertices: Iterable[Mapping[str, Any]]) -> str | None:
    """The id of the operator that orders every event: others order the few that an insight looks at. None before the first record."""
    ordering = [each for each in vertices if each["name"].startswith(ORDERING) and each["metrics"]["read-records"]]
    return max(ordering, key=lambda each: each["metrics"]["read-records"])["id"] if ordering else None


def lines(found: Iterable[Skewed]) -> list[str]:
    """Rows of a Markdown table; the first result is what the others are compared with."""
    rows, first = [], None
    for each in found:
        first = first or each.throughput
        rate, cpu = each.throughput.events_per_s, each.throughput.cpu_us_per_event
        rows.append(
            f"| {each.stream} | {rate:,.0f} | {rate / first.events_per_s:.2f} | {cpu:.1f} | {cpu / first.cpu_us_per_event:.2f} "
            f"| {each.busiest_share:.0%} | {each.longest_stand_s:.1f} |"
        )
    return rows


def run(stack: Stack, events: int, options: Iterable[str]) -> None:
    """Prints the table. Behind a run of the even stream that does not count, while the JVM still compiles."""
    print(f"\nSkew, {events:,} events each, parallelism 2, thread mode\n")
    print("| stream | events/s | of even | CPU us/event | of even | busiest subtask's share | longest stand of a subtask, s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    found = []
    for number, stream in enumerate(["even", *STREAMS]):
        result = _measure(stack, events, f"skew-{number}", stream, options)
        found += [result] if number else []
    print("\n".join(lines(found)), flush=True)


def _measure(stack: Stack, events: int, name: str, stream: str, options: Iterable[str]) -> Skewed:
    topics = Topics(prefix=f"{name}.")
    stack.create_topics(topics)
    command = [sys.executable, "-m", "scripts.shop.generate", "--bootstrap", stack.bootstrap, "--topic-prefix", topics.prefix,
               "--rate", "max", "--events", str(events), "--no-ledger", "--seed", "1",
               "--start-time", "2026-11-01", *STREAMS[stream]]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    progress = Progress()

    def watch(job_id: str) -> None:
        vertex = busiest(stack.rest(f"/jobs/{job_id}")["vertices"])
        if vertex is not None:
            subtasks = stack.rest(f"/jobs/{job_id}/vertices/{vertex}")["subtasks"]
            progress.see(time.monotonic(), {str(each["subtask"]): each["metrics"]["read-records"] for each in subtasks})

    result = throughput.measure(
        stack, events, name, "--topic-prefix", topics.prefix, "--parallelism", "2", "--python-mode", "thread", *options, watch=watch
    )  # fmt: skip
    return Skewed(stream, result, progress.busiest_share(), progress.longest_s)
