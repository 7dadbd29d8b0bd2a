"""Pieces of SQL text."""

from __future__ import annotations

import pytest

from jobs.sql import epoch_ms, headers, interval, quoted


@pytest.mark.parametrize(
    ("ms", "literal"),
    [
        (0, "0 00:00:00.000"),
        (1, "0 00:00:00.001"),
        (999, "0 00:00:00.999"),
        (1_000, "0 00:00:01.000"),
        (59_999, "0 00:00:59.999"),
        (60_000, "0 00:01:00.000"),
        (100_000, "0 00:01:40.000"),  # bare seconds of three digits are what Flink refuses
        (3_600_000, "0 01:00:00.000"),
        (86_399_999, "0 23:59:59.999"),
        (86_400_000, "1 00:00:00.000"),
        (99 * 86_400_000, "99 00:00:00.000"),
    ],
)
def test_interval(ms: int, literal: str) -> None:
    assert interval(ms) == f"INTERVAL '{literal}' DAY TO SECOND(3)"


def test_epoch_ms() -> None:
    assert epoch_ms("window_start") == "(EXTRACT(EPOCH FROM window_start) * 1000 + EXTRACT(MILLISECOND FROM window_start))"


def test_headers() -> None:
    entries = "'event-id', ENCODE(event_id, 'UTF-8'), 'session-seq', ENCODE(CAST(n AS STRING), 'UTF-8')"
    expected = f"CAST(MAP[{entries}] AS MAP<STRING NOT NULL, BYTES NOT NULL>)"
    assert headers(event_id="event_id", session_seq="CAST(n AS STRING)") == expected


@pytest.mark.parametrize(("text", "expected"), [("", ""), ("plain", "plain"), ("it's", "it''s"), ("''", "''''"), ('"', '"')])
def test_quoted(text: str, expected: str) -> None:
    assert quoted(text) == expected
