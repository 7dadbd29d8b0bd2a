"""The facts that decode-and-route packs (udfs/facts.py), taken apart again in SQL."""

from __future__ import annotations

from pyflink.table import StreamTableEnvironment

from udfs.facts import FIELD_SEPARATOR, FIELDS, LINE_SEPARATOR

_NUMBERS = {"quantity", "amount_minor", "first"}


def field(name: str, line: str = "line") -> str:
    """SQL expression of one field of a line."""
    text = f"SPLIT_INDEX({line}, '{FIELD_SEPARATOR}', {FIELDS.index(name)})"
    return f"CAST({text} AS BIGINT)" if name in _NUMBERS else text


def create_view(tables: StreamTableEnvironment, name: str, source: str, kinds: str) -> None:
    """Makes the view `name`: a row for each line of the given kinds (letters) of the view `source`.

    Columns: session_id, event_id, those of FIELDS, event_time. What a query does not use of them is not computed.
    """
    columns = ", ".join(f"{field(each)} AS `{each}`" for each in FIELDS)
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW {name} AS
        SELECT session_id, event_id, {columns}, event_time
        FROM {source} CROSS JOIN UNNEST(SPLIT(facts, '{LINE_SEPARATOR}')) AS lines(line)
        WHERE facts <> '' AND POSITION(SUBSTRING(line FROM 1 FOR 1) IN '{kinds}') > 0""")
