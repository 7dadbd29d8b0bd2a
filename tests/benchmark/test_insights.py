"""The comparison of the whole job with routing only: pairs, their order, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.benchmark.insights import ROUTING_ONLY, Comparison, compare
from scripts.benchmark.throughput import Throughput


def run(events_per_s: float, cpu_us: float = 10.0, **threads: float) -> Throughput:
    return Throughput(events_per_s, cpu_us, threads)


def test_every_second_pair_is_in_the_other_order() -> None:
    order: list[tuple[str, Sequence[str]]] = []

    def measure(name: str, options: Sequence[str]) -> Throughput:
        order.append((name, options))
        return run(len(order) - 1)

    compared = compare(measure, 3)
    assert order == [
        ("warm-up", ()),
        ("whole-0", ()), ("routing-0", ROUTING_ONLY),
        ("routing-1", ROUTING_ONLY), ("whole-1", ()),
        ("whole-2", ()), ("routing-2", ROUTING_ONLY),
    ]  # fmt: skip
    assert [each.events_per_s for each in compared.whole] == [1, 4, 5]
    assert [each.events_per_s for each in compared.routing] == [2, 3, 6]


def test_a_machine_that_slows_down_changes_the_rates_and_not_the_ratio() -> None:
    compared = Comparison((run(8_000, 12), run(4_000, 14), run(800, 16)), (run(10_000, 10), run(5_000, 10), run(1_000, 11)))
    assert compared.ratios() == [0.8, 0.8, 0.8]
    assert compared.lines("rocksdb") == [
        "| rocksdb | routing only | 5,000 | 10.0 |  |",
        "| rocksdb | whole | 4,000 | 14.0 | 0.80 (0.80–0.80) |",
    ]


def test_the_spread_is_shown() -> None:
    compared = Comparison((run(9), run(7), run(8)), (run(10), run(10), run(10)))
    assert compared.lines("hashmap")[1].endswith("| 0.80 (0.70–0.90) |")


def test_threads_of_the_insights_alone_cost_all_of_their_time() -> None:
    whole = run(1, decode=6.0, windows=3.0), run(1, decode=8.0, windows=5.0)
    compared = Comparison(whole, (run(1, decode=5.0, gc=1.0), run(1, decode=5.0)))
    assert compared.costs() == {"windows": 4.0, "decode": 2.0, "gc": -0.5}
    assert list(compared.costs()) == ["windows", "decode", "gc"]
