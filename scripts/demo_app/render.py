"""The state as a picture of at most 100 by 35 characters. Pure: the same state and time give the same picture.

Every text is put into rich.text.Text, never into a plain string, which rich would search for markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from itertools import zip_longest
from typing import Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from scripts.demo_app.report import by_count, job_words, notes
from scripts.demo_app.state import DEAD_LETTERS, EVENTS, LATE, OUTPUTS, ViewState
from scripts.demo_app.text import clock, count, money, rate, safe

_TOP = 5
_MOST_RULES = 6
_MOST_REASONS = 8
_JOB_STYLES = {"RUNNING": "bold green", "FAILED": "bold red", "FAILING": "bold red", "RESTARTING": "bold yellow"}
_TOPIC_STYLES = {EVENTS: "bold", LATE: "yellow", DEAD_LETTERS: "red"}


Places = list[tuple[str, str]]
"""What else there is to look at: name and address."""


def places(rest_url: str, dashboard_url: str = "") -> Places:
    return [*([("Dashboard", dashboard_url)] if dashboard_url else []), ("Flink web UI", rest_url)]


def picture(state: ViewState, where: Places, now_s: float, now_ms: int, zone: tzinfo | None = None) -> RenderableType:
    """
    Args:
        now_s: the clock of the rates.
        now_ms: wall clock, for the age of the checkpoint.
        zone: of the times shown; the local one by default.
    """
    beside = _grid(3, 2)
    beside.add_row(_topics(state, now_s), Padding(_dead_letters(state), (0, 0, 0, 4)))
    below = _grid(1, 1)
    below.add_row(_sales(state, zone), Padding(_rules(state), (0, 0, 0, 4)))
    return Group(*_head(state, where, now_ms), Text(), beside, Text(), _alerts(state, zone), Text(), below)


def _head(state: ViewState, where: Places, now_ms: int) -> Iterable[Text]:
    job_state = state.job.state if state.job and state.flink_answers else ""
    shown = [part for name, url in where for part in ((f"{name} ", "dim"), (f"{safe(url, 70)}  ", "bold cyan"))]
    yield _line(*shown, (" Ctrl-C ends the demo", "dim"))
    yield _line((job_words(state, now_ms), _JOB_STYLES.get(job_state, "bold yellow")))
    for note in notes(state):
        yield _line((note, "bold red"))


def _topics(state: ViewState, now_s: float) -> Table:
    table = _table(("topic", "left"), ("messages", "right"), ("per second", "right"), ("lag", "right"))
    for topic in (EVENTS, *OUTPUTS):
        lag = count(state.offsets.lag if state.offsets else None) if topic == EVENTS else ""
        cells = (topic, count(state.counts[topic]), rate(state.rates[topic].per_second(now_s)), lag)
        style = _TOPIC_STYLES.get(topic, "") if state.counts[topic] else ""
        table.add_row(*(Text(cell, style) for cell in cells))
    return table


def _dead_letters(state: ViewState) -> Table:
    table = _table(("dead letters by reason", "left"), ("", "right"))
    reasons = by_count(state.dead_letters)
    for reason, number in reasons[:_MOST_REASONS]:
        table.add_row(Text(safe(reason, 30)), Text(count(number)))
    if len(reasons) > _MOST_REASONS:
        table.add_row(Text(f"{len(reasons) - _MOST_REASONS} more reasons", "dim"), Text(count(sum(n for _, n in reasons[_MOST_REASONS:]))))
    if not reasons:
        table.add_row(Text("none", "dim"), Text())
    return table


def _alerts(state: ViewState, zone: tzinfo | None) -> Table:
    table = _table(("last alerts", "left"), ("", "left"), ("who", "left"), widest=1)
    # Always five lines: a picture that grows pushes what is below it.
    alerts = [*reversed(state.signals), *reversed(state.alerts)][:_TOP]
    for alert, _ in zip_longest(alerts, range(_TOP)):
        if alert is None:
            table.add_row(Text(), Text(), Text())
        else:
            table.add_row(Text(clock(alert.time_ms, zone)), Text(safe(alert.what, 100)), Text(safe(alert.session, 24)))
    return table


def _sales(state: ViewState, zone: tzinfo | None) -> Table:
    windows = state.sales.top(_TOP)
    span = f"{clock(windows[0].start_ms, zone)} to {clock(windows[0].end_ms, zone)}" if windows else "no window yet"
    table = _table((f"sales, {span}", "left"), ("per minute", "right"))
    for window, _ in zip_longest(windows, range(_TOP)):
        if window is None:
            table.add_row(Text(), Text())
        else:
            table.add_row(Text(safe(window.category, 30)), Text(money(window.per_minute, window.currency)))
    return table


def _rules(state: ViewState) -> Group:
    table = _table(("rules in force", "left"), ("version", "right"), ("subtasks", "right"))
    rules = state.rules.rules()
    for rule in rules[:_MOST_RULES]:
        style = "" if rule.subtasks == rule.parallelism else "yellow"
        cells = (safe(rule.rule_id, 30), f"v{rule.version}", f"{rule.subtasks} of {rule.parallelism}")
        table.add_row(*(Text(cell, style) for cell in cells))
    if len(rules) > _MOST_RULES:
        table.add_row(Text(f"{len(rules) - _MOST_RULES} more", "dim"), Text(), Text())
    refused = state.rules.refused
    if refused is None:
        return Group(table)
    return Group(table, _line((f"{refused.status}: {safe(refused.rule_id, 30)} v{refused.version}: {safe(refused.reason)}", "yellow")))


def _line(*parts: tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _grid(left: int, right: int) -> Table:
    """Two columns whose widths are as left to right whatever they hold, so that numbers that grow move nothing."""
    grid = Table.grid(expand=True)
    grid.add_column(ratio=left)
    grid.add_column(ratio=right)
    return grid


def _table(*columns: tuple[str, Literal["left", "right"]], widest: int = 0) -> Table:
    """`widest` is the column that takes the room that is left."""
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    for index, (title, side) in enumerate(columns):
        table.add_column(Text(title), justify=side, no_wrap=True, overflow="ellipsis", ratio=1 if index == widest else None)
    return table
