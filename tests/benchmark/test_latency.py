"""Latency against load: which rates are run, and whether the job kept up with them."""

from __future__ import annotations

import math

from scripts.benchmark.latency import Latency, against_load, percentile


def test_each_share_of_the_greatest_rate_is_run_the_smallest_first() -> None:
    rates = []

    def at(rate: int) -> list[Latency]:
        rates.append(rate)
        return [Latency("at-least-once", order, rate * 30 // (2 if rate > 5_000 else 1), 10, 20, 30.4) for order in ("none", "session")]

    loads = list(against_load(at, 10_000, (0.75, 0.10, 0.50), seconds=30))
    assert rates == [1_000, 5_000, 7_500]
    assert [each.kept_up for each in loads] == [1, 1, 1, 1, 0.5, 0.5]
    assert loads[0].line() == "| 10% | 1,000 | 100.0% | at-least-once | none | 30000 | 10 | 20 | 30 |"


def test_percentiles() -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([7.0], 0.99) == 7
    assert math.isnan(percentile([], 0.5))
