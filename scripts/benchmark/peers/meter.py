"""One run, measured from outside: progress by what stands in the output topics, CPU time and memory by the kernel.

The same for all, whatever they are made of: no candidate is asked how fast it is. Start-up and end are left out: the stretch from
10 % to 95 % of the output counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.benchmark import cpu
from scripts.stack import StackError
from scripts.stack.processes import Running, alive, last_line

FROM: Final = 0.10
TO: Final = 0.95
_EVERY_S: Final = 0.25


@dataclass(frozen=True)
class Sample:
    """What was seen at a moment: CPU seconds since the processes began, and bytes."""

    time_s: float
    outputs: int
    engine_s: float
    broker_s: float
    memory_bytes: int


@dataclass(frozen=True)
class Measured:
    """One run. Microseconds of CPU time per event: of the candidate's own processes, and of Kafka for it."""

    events_per_s: float
    engine_us: float
    broker_us: float
    peak_memory_bytes: int

    @property
    def cpu_us(self) -> float:
        return self.engine_us + self.broker_us

    @property
    def events_per_core_s(self) -> float:
        """Events for each second of CPU time, Kafka's included."""
        return 1e6 / self.cpu_us


def watch(
    records: Callable[[], int], outputs: int, engine: Sequence[Running], broker: Sequence[Running], patience_s: float
) -> list[Sample]:  # fmt: skip
    """Samples until the output topics hold `outputs` records.

    Raises:
        StackError: a process ended, or nothing new came for `patience_s`.
    """
    samples: list[Sample] = []
    moved_s = time.monotonic()
    while not samples or samples[-1].outputs < outputs:
        require_alive(engine)
        time_s, count = time.monotonic(), records()
        if not samples or count > samples[-1].outputs:
            moved_s = time_s
        elif time_s > moved_s + patience_s:
            raise StackError(f"only {count:,} of {outputs:,} results, and no more for {patience_s:.0f} s")
        samples.append(Sample(time_s, count, cpu.seconds(engine), cpu.seconds(broker), cpu.memory_bytes(engine)))
        time.sleep(_EVERY_S)
    return samples


def require_alive(engine: Sequence[Running]) -> None:
    """Raises StackError, with the last words of its log, if a process has ended."""
    for process in engine:
        if not alive(process):
            raise StackError(f"{process.name} ended: {last_line(Path(process.log))}")


def stretch(samples: Sequence[Sample], events_behind: Callable[[int], float], events: int) -> Measured:
    """What the samples between 10 % and 95 % of the events say.

    Raises:
        StackError: it went too fast for that.
    """
    inside = [(sample, behind) for sample in samples if FROM * events <= (behind := events_behind(sample.outputs)) <= TO * events]
    if len(inside) < 2 or inside[0][1] == inside[-1][1]:
        raise StackError("too few events: the run was over before it could be measured; take more (--events)")
    (first, began), (last, ended) = inside[0], inside[-1]
    count = ended - began
    return Measured(
        events_per_s=count / (last.time_s - first.time_s),
        engine_us=(last.engine_s - first.engine_s) / count * 1e6,
        broker_us=(last.broker_s - first.broker_s) / count * 1e6,
        peak_memory_bytes=max(sample.memory_bytes for sample in samples),
    )
