"""Tables in Markdown, and a picture (SVG), of what was measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from scripts.benchmark import drawing
from scripts.benchmark.peers.meter import Measured

HEADER: Final = (
    "| candidate | guarantee | events/s | CPU us/event: own | Kafka | together | events per core-second | peak memory, MiB |\n"
    "|---|---|---|---|---|---|---|---|"
)
_ROW, _WIDTH, _NAME, _TOP = 26, 860, 230, 34
_COLOURS: Final = {"exactly-once": "#2f81f7", "at-least-once": "#7f8c9b"}


@dataclass(frozen=True)
class Row:
    """The runs of one candidate at one task; none: why not."""

    candidate: str
    guarantee: str
    runs: tuple[Measured, ...] = ()
    reason: str = ""


def line(row: Row) -> str:
    """One row of the table: medians, and of two or more runs the least and the greatest."""
    if not row.runs:
        return f"| {row.candidate} | {row.guarantee} | {row.reason} | | | | | |"
    values = (
        _spread([run.events_per_s for run in row.runs], 0),
        _spread([run.engine_us for run in row.runs], 1),
        _spread([run.broker_us for run in row.runs], 1),
        _spread([run.cpu_us for run in row.runs], 1),
        _spread([run.events_per_core_s for run in row.runs], 0),
        _spread([run.peak_memory_bytes / 2**20 for run in row.runs], 0),
    )
    return f"| {row.candidate} | {row.guarantee} | {' | '.join(values)} |"


def _spread(values: Sequence[float], digits: int) -> str:
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def picture(title: str, rows: Sequence[Row]) -> str:
    """Bars: events per core-second of each candidate that was measured, with a line from the least run to the greatest."""
    measured = sorted((row for row in rows if row.runs), key=lambda row: -_median(row))
    top = max((run.events_per_core_s for row in measured for run in row.runs), default=1.0)
    scale = (_WIDTH - _NAME - 90) / top
    height = _TOP + _ROW * len(measured) + 24
    parts = []
    for index, row in enumerate(measured):
        y = _TOP + _ROW * index
        end = round(_NAME + _median(row) * scale, 1)
        ends = [round(_NAME + value * scale, 1) for value in _range(row)]
        parts += [
            drawing.text(_NAME - 8, y + 14, row.candidate, "end"),
            f'<rect x="{_NAME}" y="{y + 2}" width="{round(end - _NAME, 1)}" height="16" '
            f'fill="{_COLOURS.get(row.guarantee, drawing.TEXT)}"><title>{escape(row.guarantee)}</title></rect>',
            f'<path d="M{ends[0]} {y + 10}H{ends[1]}" stroke="{drawing.TEXT}" stroke-width="2"/>',
            drawing.text(max(end, ends[1]) + 6, y + 14, f"{_median(row):,.0f}"),
        ]
    parts += drawing.legend(_NAME, height - 18, _COLOURS, 130)
    return drawing.document(_WIDTH, height, title, f"{title}: events per second of CPU time, Kafka included", parts)


def _median(row: Row) -> float:
    return statistics.median(run.events_per_core_s for run in row.runs)


def _range(row: Row) -> tuple[float, float]:
    values = [run.events_per_core_s for run in row.runs]
    return min(values), max(values)


def ratios(rows: Sequence[Row]) -> list[str]:
    """Each candidate's events per core-second against the first measured one's, in words."""
    measured = [row for row in rows if row.runs]
    if len(measured) < 2:
        return []
    first = measured[0]
    return [
        f"- {first.candidate} does {_median(first) / _median(row):.2f} times the events of {row.candidate} per second of CPU time, and "
        f"{_wall(first) / _wall(row):.2f} times per second."
        for row in measured[1:]
    ]  # fmt: skip


def _wall(row: Row) -> float:
    return statistics.median(run.events_per_s for run in row.runs)
