"""Which samples of a run count."""

from __future__ import annotations

import pytest

from scripts.benchmark.throughput import Sample, stretch
from scripts.stack import StackError


def samples(*counts: int) -> list[Sample]:
    """One each half second; the processes use a whole core, 0.3 of it in one thread."""
    return [Sample(at * 0.5, at * 0.5, {"a": at * 0.15}, count) for at, count in enumerate(counts)]


def test_the_stretch_begins_and_ends_where_the_counter_moves() -> None:
    """320 events are told after 2.5 s, and 920 after 5.5 s.

    Of the first 10 % and what is behind 95 % nothing counts: the topic may have been empty for a second there.
    """
    found = stretch(samples(0, 0, 20, 20, 20, 320, 320, 320, 620, 620, 620, 920, 920, 920, 990), 1_000)
    assert found.events_per_s == pytest.approx(600 / 3)
    assert found.cpu_us_per_event == pytest.approx(3 / 600 * 1e6)
    assert found.cpu_us_by_thread == {"a": pytest.approx(0.9 / 600 * 1e6)}


def test_too_fast() -> None:
    with pytest.raises(StackError, match="too few events"):
        stretch(samples(0, 0, 500, 500, 1_000), 1_000)
