"""The facts that decode-and-route packs (udfs/facts.py), taken apart again in SQL."""

from __future__ import annotations

from collections.abc import Iterable

from pyflink.table import StreamTableEnvironment

from udfs.facts import FIELD_SEPARATOR, FIELDS, LINE_SEPARATOR

_NUMBERS = {"quantity", "amount_minor", "first"}


def field(name: str, line: str = "line") -> str:
    """SQL expression of one field of a line."""
    if name == "kind":  # one letter
        return f"SUBSTRING({line} FROM 1 FOR 1)"
    text = f"SPLIT_INDEX({line}, '{FIELD_SEPARATOR}', {FIELDS.index(name)})"
    return f"CAST({text} AS BIGINT)" if name in _NUMBERS else text


def create_view(tables: StreamTableEnvironment, name: str, source: str, kinds: str, columns: Iterable[str] = FIELDS) -> None:
    """Makes the view `name`: a row for each line of the given kinds (letters) of the view `source`.

    Columns: session_id, event_id, those of `columns`, event_time. Name only what is used: where several queries share a view,
    the planner computes all of it.
    """
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW {name} AS
        SELECT session_id, event_id, {_selected(columns, "line")}, event_time
        FROM {source} CROSS JOIN UNNEST(SPLIT(facts, '{LINE_SEPARATOR}')) AS lines(line)
        WHERE facts <> '' AND ({_of_kinds(kinds, "line")})""")


def create_lines(tables: StreamTableEnvironment, name: str, source: str, kind: str) -> None:
    """Makes the view `name` (session_id, event_id, line, event_time): the lines of those events of `source` that begin with `kind`."""
    # A Table and not an SQL view: the planner expands a view anew for each query, and then sees no common part in them.
    lines = tables.sql_query(f"""
        SELECT session_id, event_id, line, event_time
        FROM {source} CROSS JOIN UNNEST(SPLIT(facts, '{LINE_SEPARATOR}')) AS lines(line)
        WHERE facts LIKE '{kind}%'""")
    tables.create_temporary_view(name, lines)


def select(
    tables: StreamTableEnvironment, name: str, source: str, kinds: str, columns: Iterable[str], line: str = "line", unless: str = ""
) -> None:
    """As `create_view`, of a view that has one line in each row, in its column `line`; splitting facts of one line is saved.

    `unless`: a LIKE pattern of lines that are left out.
    """
    without = f" AND {line} NOT LIKE '{unless}'" if unless else ""
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW {name} AS
        SELECT session_id, event_id, {_selected(columns, line)}, event_time FROM {source} WHERE ({_of_kinds(kinds, line)}){without}""")


def _selected(columns: Iterable[str], line: str) -> str:
    return ", ".join(f"{field(each, line)} AS `{each}`" for each in columns)


def _of_kinds(kinds: str, line: str) -> str:
    return " OR ".join(f"{line} LIKE '{kind}%'" for kind in kinds)
