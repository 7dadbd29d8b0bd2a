"""Pieces of SQL text that the job writes in more than one place."""

from __future__ import annotations

from typing import Final

from udfs.fraud.sightings import SIGNAL_MARK
from udfs.rules.engine import FORM_SEPARATOR

SORTABLE_DIGITS: Final = 13


def interval(ms: int) -> str:
    """A length of time as an SQL literal. DAY TO SECOND, since Flink takes no more than two digits of bare seconds."""
    seconds, rest = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"INTERVAL '{day} {hour:02}:{minute:02}:{second:02}.{rest:03}' DAY TO SECOND(3)"


def epoch_ms(column: str) -> str:
    """A TIMESTAMP or TIMESTAMP_LTZ as BIGINT milliseconds since the epoch."""
    return f"(EXTRACT(EPOCH FROM {column}) * 1000 + EXTRACT(MILLISECOND FROM {column}))"


def sortable(ms: str) -> str:
    """BIGINT milliseconds as a text that sorts as they do: 13 digits, enough until the year 2286."""
    return f"LPAD(CAST({ms} AS STRING), {SORTABLE_DIGITS}, '0')"


def count_if(condition: str) -> str:
    """How many rows of a group meet a condition. The sum of plain 1s would be of 32 bits."""
    return f"SUM(CASE WHEN {condition} THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END)"


def headers(**values: str) -> str:
    """Kafka headers: name (underscores become dashes) -> SQL expression of a text."""
    entries = ", ".join(f"'{name.replace('_', '-')}', ENCODE({value}, 'UTF-8')" for name, value in values.items())
    return f"CAST(MAP[{entries}] AS MAP<STRING NOT NULL, BYTES NOT NULL>)"


def route(prefix: str) -> str:
    """Topic, key and value of a routed event, from the column `destination` that udfs/rules/engine.py makes:
    TOPIC, or TOPIC|KEY|VALUE in hexadecimal digits where these are not the session's id and the event's own bytes."""
    key, value = (f"NULLIF(SPLIT_INDEX(destination, '{FORM_SEPARATOR}', {index}), '')" for index in (1, 2))
    return (
        f"'{quoted(prefix)}' || SPLIT_INDEX(destination, '{FORM_SEPARATOR}', 0), "
        f"COALESCE(DECODE(UNHEX({key}), 'UTF-8'), session_id), COALESCE(UNHEX({value}), payload)"
    )


def topics_of(column: str) -> str:
    """The topics of a list of destinations, without keys, values and sightings."""
    return f"TRIM(BOTH ';' FROM REGEXP_REPLACE({column}, '[{FORM_SEPARATOR}][^;]*|;?{SIGNAL_MARK}[^;]*', ''))"


def quoted(text: str) -> str:
    """A text as the inside of an SQL string literal."""
    return text.replace("'", "''")
