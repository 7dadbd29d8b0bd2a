"""The report of a run: a table for people, report.json for programs, report.md for documents, a picture of each cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.chaos.picture import draw
from scripts.chaos.result import Result

_COLUMNS = ("fault", "acts", "events", "late", "restarts", "healthy after", "most memory", "outcome")


def write(folder: Path, seed: int, results: Sequence[Result]) -> None:
    """report.json, report.md, and CELL.svg for each cell that ran."""
    folder.mkdir(parents=True, exist_ok=True)
    report = {"seed": seed, "ok": all(each.ok for each in results), "cells": [each.to_json() for each in results]}
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    (folder / "report.md").write_text(markdown(results))
    for each in results:
        if each.timeline is not None:
            (folder / f"{each.cell}.svg").write_text(draw(each))


def markdown(results: Sequence[Result]) -> str:
    """The table for docs/reliability.md."""
    names = _COLUMNS
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(row(each))} |" for each in results]
    lines += [f"\n{each.cell}: {line}" for each in results for line in problems(each)]
    return "\n".join(lines) + "\n"


def show(results: Sequence[Result], console: Console) -> None:
    """A row for each cell, and below what failed."""
    table = Table(box=None, header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("fault", "outcome", "most memory") else "right")
    for each in results:
        colour = "yellow" if each.skipped else "green" if each.ok else "red"
        table.add_row(*map(escape, row(each)[:-1]), f"[{colour}]{escape(row(each)[-1])}[/{colour}]")
    console.print(table)
    for each in results:
        for line in problems(each):
            console.print(f"{each.cell}: {escape(line)}", soft_wrap=True)


def row(result: Result) -> list[str]:
    """The cell in the words of the table."""
    if result.skipped or not result.verified:
        return [result.cell, *[""] * 6, result.outcome]
    memory = ", ".join(f"{kind} {held_mb:,} MB" for kind, held_mb in result.largest_mb.items())
    events, late = (int(result.verified.get(name, 0)) for name in ("events", "late"))
    return [result.cell, str(len(result.acts)), f"{events:,}", f"{late:,}", str(result.restarts), healing(result), memory, result.outcome]


def healing(result: Result) -> str:
    """Seconds from the end of a fault until the job was healthy: one figure, or median and most."""
    times = [act.healthy_s for act in result.acts if act.healthy_s is not None]
    if not times:
        return "-"
    if len(times) == 1:
        return f"{times[0]:.0f} s"
    return f"{median(times):.0f} s, at most {max(times):.0f} s"


def problems(result: Result) -> list[str]:
    """What failed, or why it was skipped, a line each."""
    if result.skipped:
        return [f"skipped: {result.skipped}"]
    failed = [f"{check.name}: {check.detail}" for check in result.checks if not check.ok]
    return [*([result.failure] if result.failure else []), *failed]
