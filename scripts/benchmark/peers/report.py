"""Tables in Markdown, and a picture (SVG), of what was measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from scripts.benchmark import drawing
from scripts.benchmark.peers.meter import Measured
from scripts.benchmark.spread import spread

HEADER: Final = (
    "| candidate | guarantee | events/s | CPU us/event: own | Kafka | together | events per core-second | peak memory, MiB |\n"
    "|---|---|---|---|---|---|---|---|"
)
_ROW, _WIDTH, _NAME, _TOP = 26, 860, 230, 34
_COLOURS: Final = {"exactly-once": "#2f81f7", "at-least-once": "#7f8c9b"}


@dataclass(frozen=True)
class Row:
    """The runs of one candidate at one task; none: why not.

    Attributes:
        beyond: what it does that the task does not ask for, in words; empty: nothing.
        own: it is millrace, which the others are compared with.
    """

    candidate: str
    guarantee: str
    runs: tuple[Measured, ...] = ()
    reason: str = ""
    beyond: str = ""
    own: bool = False


def table(rows: Sequence[Row]) -> str:
    """A row for each candidate: medians, and of two or more runs the least and the greatest. Beneath it, by number, what a row does beyond
    the task, and why it has no figures."""
    notes: list[str] = []
    lines = [_line(row, notes) for row in rows]
    return "\n".join([HEADER, *lines, "", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]).rstrip()


def _line(row: Row, notes: list[str]) -> str:
    if not row.runs:
        return f"| {row.candidate} | {row.guarantee} | – [{_note(row.reason, notes)}] | | | | | |"
    values = (
        spread([run.events_per_s for run in row.runs], 0),
        spread([run.engine_us for run in row.runs], 1),
        spread([run.broker_us for run in row.runs], 1),
        spread([run.cpu_us for run in row.runs], 1),
        spread([run.events_per_core_s for run in row.runs], 0),
        spread([run.peak_memory_bytes / 2**20 for run in row.runs], 0),
    )
    mark = f" [{_note(f'Beyond the task: {row.beyond}.', notes)}]" if row.beyond else ""
    return f"| {row.candidate}{mark} | {row.guarantee} | {' | '.join(values)} |"


def _note(text: str, notes: list[str]) -> int:
    """The number of a note; the same words have the same number."""
    if text not in notes:
        notes.append(text)
    return notes.index(text) + 1


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


def ratios(rows: Sequence[Row]) -> str:
    """How many times the events of each other candidate millrace does, by state backend: a table; empty without two to compare."""
    measured = [row for row in rows if row.runs]
    own = [row for row in measured if row.own]
    others = [row for row in measured if not row.own]
    if not own or not others:
        return ""
    lines = [
        "Times the events of each that millrace does: per second of CPU time (per second of the clock)\n",
        "| | " + " | ".join(row.candidate for row in own) + " |",
        "|---" * (len(own) + 1) + "|",
    ]
    for other in others:
        cells = (f"{_median(row) / _median(other):.2f} ({_wall(row) / _wall(other):.2f})" for row in own)
        lines.append(f"| {other.candidate}, {other.guarantee} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _wall(row: Row) -> float:
    return statistics.median(run.events_per_s for run in row.runs)
