"""Latency against each setting that trades it for something: what a value of it brings in milliseconds, and what it costs in CPU time.

Open loop, at one rate for all (latency.py). One setting is moved at a time and everything else is at its default. The lateness bound
trades latency for completeness: so there, the generator runs once more behind the stretch that counts, with its usual disorder.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.settings import Guarantee
from scripts.benchmark import cpu, drawing, latency
from scripts.benchmark.attempt import attempt
from scripts.benchmark.latency import Latency, Stretch
from scripts.benchmark.peers.stream import Progress
from scripts.benchmark.traffic import generating
from scripts.stack import Stack, StackError
from scripts.stack.processes import wait_until

SECONDS: Final = 20
"""Whole numbers of each checkpoint interval below, else the longer ones would be seen by chance."""
_LATER_WARM_UP_S: Final = 12
_DISTURBED_S: Final = 20
_SETTLED_S: Final = 3
_DRAINED_S: Final = 60
# A transaction that is left open hides what comes behind it from the next point's reader: not for longer than that point's start takes.
_COMMON: Final = ("--parallelism=1", "--transaction-timeout-ms=30000")


@dataclass(frozen=True)
class Setting:
    """What is moved.

    Attributes:
        options: of the job, with `{}` for the value.
        guarantee: at-least-once where the wait for a checkpoint would hide what the setting does.
        late: measure how many events are late, too.
        cold: it runs other code than the settings before it, which the JVM has not compiled yet.
    """

    title: str
    options: tuple[str, ...]
    values: tuple[int, ...]
    default: int
    guarantee: str = Guarantee.AT_LEAST_ONCE
    late: bool = False
    cold: bool = False

    def of(self, value: int) -> tuple[str, ...]:
        """The job's options that give it this value."""
        return tuple(option.format(value) for option in self.options)


_PROCESS: Final = "--python-mode=process"
SETTINGS: Final[dict[str, Setting]] = {
    "lateness": Setting("Lateness bound, ms", ("--lateness-ms={}",), (0, 250, 500, 1_000, 2_000), 2_000, late=True),
    "checkpoint": Setting(
        "Checkpoint interval, ms", ("--checkpoint-interval-ms={}",), (500, 1_000, 2_000, 5_000, 10_000), 2_000, Guarantee.EXACTLY_ONCE
    ),
    "buffer": Setting("Network buffer timeout, ms", ("--buffer-timeout-ms={}",), (0, 1, 5, 20, 100), 5),
    "linger": Setting("Producers' linger.ms", ("--kafka-property=linger.ms={}",), (0, 5, 20, 100), 5),
    "watermark": Setting("Watermark interval, ms", ("--watermark-interval-ms={}",), (10, 50, 200), 50),
    "bundle-time": Setting(
        "Python bundle time, ms (process mode)", (_PROCESS, "--flink-property=python.fn-execution.bundle.time={}"), (1, 5, 20, 100), 20,
        cold=True,
    ),
    # An element is a batch of events (jobs/PackEvents.java).
    "bundle-size": Setting(
        "Python bundle size, batches (process mode)", (_PROCESS, "--flink-property=python.fn-execution.bundle.size={}"), (1, 10, 10_000),
        10_000,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One value of a setting.

    Attributes:
        latencies: at once, and in session order.
        cpu_us: of all processes, for each event.
        kept_up: events that came out at once / those that were due: 1 if the job keeps up.
        late: share of the events, 0 to 1; NaN if it was not measured.
        reason: why there are no figures.
    """

    value: int
    latencies: tuple[Latency, ...] = ()
    cpu_us: float = math.nan
    kept_up: float = math.nan
    late: float = math.nan
    reason: str = ""


def run(
    stack: Stack, rate: int, seconds: int, names: Sequence[str], pictures: Path | None, options: Iterable[str] = ()
) -> None:  # fmt: skip
    """Prints a table for each setting. `pictures`: a folder for a picture of each."""
    stack.create_topics(latency.TOPICS)
    print(f"\nLatency in ms and CPU time at {rate:,} events/s, all else at its default, parallelism 1, {seconds} s a point", flush=True)
    warm = False
    for name in names:
        setting = SETTINGS[name]
        points: list[Point] = []
        print(f"\n{setting.title}, {setting.guarantee}\n\n{header(setting)}", flush=True)
        for value in setting.values:
            warm_up_s = latency.WARM_UP_S if not warm or (setting.cold and not points) else _LATER_WARM_UP_S
            job_options = (*_COMMON, *setting.of(value), *options)
            found = attempt(
                stack, f"{name} {value}", lambda: _point(stack, rate, seconds, setting, value, name, warm_up_s, job_options)  # noqa: B023
            )  # fmt: skip
            points.append(Point(value, reason=found) if isinstance(found, str) else found)
            warm = warm or not points[-1].reason
            print(line(setting, points[-1]), flush=True)
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            (pictures / f"curve-{name}.svg").write_text(picture(setting, points, rate))


def _point(
    stack: Stack, rate: int, seconds: int, setting: Setting, value: int, name: str, warm_up_s: int, options: Sequence[str]
) -> Point:  # fmt: skip
    marks: list[tuple[float, float]] = []
    with latency.running(stack, setting.guarantee, f"curve-{name}-{value}", options):
        found = latency.at_rate(
            stack, rate, Stretch(seconds, warm_up_s), setting.guarantee, mark=lambda: marks.append((time.monotonic(), cpu.total_s(stack)))
        )  # fmt: skip
        late = _late_share(stack, rate) if setting.late else math.nan
    (began_s, began_cpu_s), (ended_s, ended_cpu_s) = marks
    due = rate * (ended_s - began_s)
    return Point(value, tuple(found), (ended_cpu_s - began_cpu_s) / due * 1e6, found[0].events / due, late)


def _late_share(stack: Stack, rate: int) -> float:
    """The share of the events that are late, while the generator disturbs them as it usually does: what it still held back at its end
    counts as well."""
    late, all_events = (Progress(stack.bootstrap, (topic,)) for topic in (latency.TOPICS.late, latency.UNORDERED))
    before = late.records(), all_events.records()
    with generating(stack.bootstrap, latency.TOPICS.prefix, rate, _DISTURBED_S):
        pass  # its end waits for the generator's
    last, since_s = all_events.records(), time.monotonic()

    def settled() -> bool:
        nonlocal last, since_s
        if (now := all_events.records()) != last:
            last, since_s = now, time.monotonic()
        return time.monotonic() > since_s + _SETTLED_S

    wait_until(settled, stack.processes, "the end of the disturbed events", _DRAINED_S)
    if last == before[1]:
        raise StackError("none of the disturbed events came out")
    return (late.records() - before[0]) / (last - before[1])


# -- tables and pictures: pure -----------------------------------------------------------------------------------------------------


def header(setting: Setting) -> str:
    """Of the Markdown table."""
    names = [setting.title, "at once: p50", "p95", "p99", "session order: p50", "p95", "p99", "CPU us/event", "kept up"]
    names += ["late, usual disorder"] * setting.late
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def line(setting: Setting, point: Point) -> str:
    """A row of the Markdown table; the default's value is bold."""
    cells = [f"**{point.value:,}**" if point.value == setting.default else f"{point.value:,}"]
    if point.reason:
        return f"| {cells[0]} | not measured: {point.reason} |{' |' * (7 + setting.late)}"
    cells += [f"{value:,.0f}" for each in point.latencies for value in (each.p50, each.p95, each.p99)]
    cells += [f"{point.cpu_us:.0f}", f"{point.kept_up:.1%}"]
    cells += [f"{point.late:.2%}"] * setting.late
    return f"| {' | '.join(cells)} |"


def picture(setting: Setting, points: Sequence[Point], rate: int) -> str:
    """Latency at once and in session order, and what it costs, side by side over the setting's values."""
    panels = []
    for index, title in enumerate(("Latency at once, ms", "Latency in session order, ms")):
        found = [point.latencies[index] if point.latencies else None for point in points]
        lines = {name: [getattr(each, name) if each else math.nan for each in found] for name in ("p50", "p95", "p99")}
        panels.append(drawing.Panel(title, lines))
    panels.append(drawing.Panel("CPU time, us/event", {"CPU": [point.cpu_us for point in points]}))
    if setting.late:
        panels.append(drawing.Panel("Late events, % (usual disorder)", {"late": [point.late * 100 for point in points]}))
    places = [f"{point.value:,}" for point in points]
    heading = f"{setting.title}: {setting.guarantee}, {rate:,} events/s"
    return drawing.curves(heading, places, panels, f"{setting.title} (steps not to scale); default {setting.default:,}")
