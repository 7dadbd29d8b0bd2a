"""Holds the rows of an insight's topic against those that must be there, whatever the insight."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.checker.model import Findings, Output, Problem, WindowCount

Row = dict[str, Any]
"""One row: column -> int, float, str, bool or None."""
Identity = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A topic of JSON rows.

    `key`: the column that is the record's key. `identity`: the columns whose values together come once. `end`: the column that
    says when a row is due.
    """

    topic: str
    key: str
    identity: tuple[str, ...]
    end: str = "window_end"

    def identify(self, row: Row) -> Identity:
        return tuple(row[name] for name in self.identity)


def compare_rows(
    table: Table, expected: Iterable[Row], outputs: Iterable[Output], findings: Findings, until_ms: int | None = None, after_ms: int = 0
) -> WindowCount:
    """Each row must come once and be equal in every column.

    A row is due `after_ms` after its end. Those that are due after the newest one that came out, and after `until_ms`, are open.
    """
    due = {table.identify(row): row for row in expected}
    columns: Mapping[str, Any] = next(iter(due.values()), {})
    seen: set[Identity] = set()
    wrong = 0
    for output in outputs:
        row = _parse(output, table, columns)
        if isinstance(row, str):
            findings.add(Problem.ALTERED, table.topic, "{}: {}", output.place, row)
            continue
        if output.key != str(row[table.key]).encode():
            findings.add(Problem.WRONG_KEY, table.topic, "{}: key {!r}, {} {!r}", output.place, output.key, table.key, row[table.key])
        identity = table.identify(row)
        wanted = due.get(identity)
        if wanted is None:
            findings.add(Problem.UNEXPECTED, table.topic, "{}: nothing was to be here: {}", output.place, row)
            continue
        if identity in seen:
            findings.add(Problem.DOUBLED, table.topic, "{}: {} came before", output.place, identity)
            continue
        seen.add(identity)
        if differences := [f"{name} {row[name]} instead of {value}" for name, value in wanted.items() if not _equal(row[name], value)]:
            wrong += 1
            findings.add(Problem.WRONG_SUM, table.topic, "{}: {}: {}", output.place, identity, "; ".join(differences))

    def due_ms(row: Row) -> int:
        return int(row[table.end]) + after_ms

    newest_ms = max((due_ms(due[identity]) for identity in seen), default=None)
    closed_ms = max((ms for ms in (newest_ms, until_ms) if ms is not None), default=-1)
    missing = [row for identity, row in due.items() if identity not in seen]
    lost = [row for row in missing if due_ms(row) <= closed_ms]
    for row in lost:
        findings.add(Problem.LOST, table.topic, "{}", row)
    return WindowCount(len(seen) - wrong, wrong, len(lost), len(missing) - len(lost), newest_ms)


def _parse(output: Output, table: Table, columns: Mapping[str, Any]) -> Row | str:
    """The JSON object, or what is wrong with its form. Without any expected row only what identifies it must be there."""
    try:
        row = json.loads(output.value or b"")
    except ValueError as error:
        return f"no JSON: {error}"
    if not isinstance(row, dict):
        return "no JSON object"
    needed = columns.keys() or {table.key, *table.identity}
    if needed - row.keys() or (columns and row.keys() != needed):
        return f"columns {sorted(row)}, not {sorted(needed)}"
    if unhashable := [name for name in table.identity if isinstance(row[name], (list, dict))]:
        return f"{unhashable[0]} is {row[unhashable[0]]!r}"
    return row


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float):
        return type(found) in (int, float) and math.isclose(found, wanted, rel_tol=1e-9)
    return type(found) is type(wanted) and found == wanted
