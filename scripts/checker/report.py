"""A report in words, for a person at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.checker.model import DEAD_LETTERS, LATE, SALES, Problem, Report


def print_report(report: Report, console: Console) -> None:
    table = Table(title=f"{report.events:,} events and {report.copies:,} copies of them came in", title_justify="left")
    for heading in ("topic", "expected", "seen", "problems"):
        table.add_column(heading, justify="right" if heading in ("expected", "seen") else "left")
    for topic, count in sorted(report.topics.items()):
        # Late events and the sums of windows have no number that is known beforehand.
        expected = "" if topic == LATE else f"{count.expected:,}"
        table.add_row(topic, expected, f"{count.seen:,}", _problems(report, topic))
    windowed = {SALES: report.windows, **report.insights}
    for topic, windows in windowed.items():
        seen = windows.equal + windows.wrong
        table.add_row(topic, f"{seen + windows.lost:,}", f"{seen:,}", _problems(report, topic))
    others = {topic for _, topic in report.findings.counts} - report.topics.keys() - windowed.keys()
    for topic in sorted(others):
        table.add_row(topic, "", "", _problems(report, topic))
    console.print(table)
    reasons = ", ".join(f"{reason or '(none)'} {number:,}" for reason, number in report.dead_letters.items())
    console.print(f"{DEAD_LETTERS}: {reasons or 'none'}", soft_wrap=True)
    for topic, windows in windowed.items():
        console.print(f"{topic}: {windows.equal:,} equal, {windows.wrong:,} wrong, {windows.lost:,} lost, {windows.open:,} still open")
    console.print(f"late: {report.late:,}, of them {report.late_unexplained:,} not overtaken in their own partition (it was idle?)")
    for note in report.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)
    for (problem, topic), number in sorted(report.findings.counts.items()):
        tolerated = " (tolerated)" if problem in report.tolerated else ""
        console.print(f"\n[bold]{problem} in {topic}: {number:,}{tolerated}[/bold]")
        for example in report.findings.examples[problem, topic]:
            console.print(f"  {escape(example)}", soft_wrap=True)
    console.print("\n[green]ok[/green]" if report.ok else "\n[red]differences[/red]")


def _problems(report: Report, topic: str) -> str:
    parts = [f"{report.findings.count(problem, topic):,} {problem}" for problem in Problem if report.findings.count(problem, topic)]
    return ", ".join(parts) or "[green]none[/green]"
