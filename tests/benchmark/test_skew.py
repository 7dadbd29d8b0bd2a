"""What counts as standing still, and the table."""

from __future__ import annotations

from scripts.benchmark.skew import Progress, Skewed, busiest, lines
from scripts.benchmark.throughput import Throughput


def test_the_longest_stand_of_any_subtask() -> None:
    """a moves all the time; b stands from 1 to 4, then from 5 on; c has not begun."""
    progress = Progress()
    for second, counts in enumerate([(1, 0, 0), (2, 5, 0), (3, 5, 0), (4, 5, 0), (5, 6, 0), (6, 7, 0), (7, 7, 0)]):
        progress.see(float(second), dict(zip("abc", counts, strict=True)))
    assert progress.longest_s == 2.0
    assert progress.busiest_share() == 0.5


def test_nothing_seen() -> None:
    assert Progress().busiest_share() == 0
    assert Progress().longest_s == 0


def test_the_operator_that_sees_every_event() -> None:
    def vertex(name: str, records: int) -> dict[str, object]:
        return {"id": f"{name}-{records}", "name": name, "metrics": {"read-records": records}}

    assert busiest([vertex("Source", 99), vertex("OverAggregate[1]", 5), vertex("OverAggregate[2]", 60)]) == "OverAggregate[2]-60"
    assert busiest([vertex("Source", 99), vertex("OverAggregate[1]", 0)]) is None


def test_each_stream_is_compared_with_the_first() -> None:
    runs = [Skewed("even", Throughput(10_000, 100, {}), 0.51, 0.5), Skewed("hot", Throughput(8_000, 110, {}), 0.6, 2.0)]
    assert lines(runs) == [
        "| even | 10,000 | 1.00 | 100.0 | 1.00 | 51% | 0.5 |",
        "| hot | 8,000 | 0.80 | 110.0 | 1.10 | 60% | 2.0 |",
    ]
