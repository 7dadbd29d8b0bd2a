"""Pieces of SQL text that the job writes in more than one place."""

from __future__ import annotations


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


def headers(**values: str) -> str:
    """Kafka headers: name (underscores become dashes) -> SQL expression of a text."""
    entries = ", ".join(f"'{name.replace('_', '-')}', ENCODE({value}, 'UTF-8')" for name, value in values.items())
    return f"CAST(MAP[{entries}] AS MAP<STRING NOT NULL, BYTES NOT NULL>)"


def quoted(text: str) -> str:
    """A text as the inside of an SQL string literal."""
    return text.replace("'", "''")
