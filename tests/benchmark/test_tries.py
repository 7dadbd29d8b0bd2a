"""Variations against their base: who runs when, who is compared with whom, and what is told."""

from __future__ import annotations

import pytest

from jobs import command_line
from jobs.settings import Settings
from scripts.benchmark.throughput import Throughput
from scripts.benchmark.tries import BASE, HEADER, Result, compare, groups, turns
from scripts.benchmark.variations import VARIATIONS


def run(events_per_s: float, cpu_us: float = 10.0) -> Throughput:
    return Throughput(events_per_s, cpu_us, {})


@pytest.mark.parametrize("name", VARIATIONS)
def test_a_variation_is_another_job_or_another_cluster_than_its_base(name: str) -> None:
    variation = VARIATIONS[name]
    base, tried = (
        command_line.parse(Settings, words, prog="job", description="")
        for words in (variation.base, (*variation.base, *variation.options))
    )  # fmt: skip
    assert (base != tried) != bool(variation.cluster)
    assert "kept" in variation.verdict


def test_what_needs_a_taskmanager_of_its_own_or_another_base_is_apart() -> None:
    assert groups(["copies", "zgc", "bundle-10", "zstd", "c1-only", "bundle-5ms"]) == [
        ["copies", "zstd"], ["zgc"], ["bundle-10", "bundle-5ms"], ["c1-only"],
    ]  # fmt: skip


def test_each_run_has_one_of_the_base_beside_it() -> None:
    assert turns(["a", "b", "c"], 0) == [BASE, "a", "b", BASE, "c"]
    assert turns(["a", "b", "c"], 1) == ["c", BASE, "b", "a", BASE]
    assert turns(["a", "b"], 0) == [BASE, "a", "b", BASE]
    assert turns(["a"], 0) == [BASE, "a"]
    assert turns(["a"], 1) == ["a", BASE]
    for count in range(1, 9):
        order = turns([str(each) for each in range(count)], 0)
        assert all(BASE in order[max(0, at - 1) : at + 2] for at in range(len(order)))


def test_the_neighbour_is_what_a_run_is_compared_with() -> None:
    """A machine that slows down with each run: base 100, a 99, b 98, base 97, c 96."""
    rates = iter(range(100, 0, -1))
    found = compare(["a", "b", "c"], 2, lambda name: run(next(rates)))
    assert [(base.events_per_s, tried.events_per_s) for base, tried in found["a"].pairs] == [(100, 99), (91, 92)]
    assert [(base.events_per_s, tried.events_per_s) for base, tried in found["b"].pairs] == [(97, 98), (94, 93)]
    assert [(base.events_per_s, tried.events_per_s) for base, tried in found["c"].pairs] == [(97, 96), (94, 95)]


def test_what_could_not_be_measured_does_not_count() -> None:
    found = compare(["a", "b"], 1, lambda name: "no slot" if name == "a" else run(1))
    assert (found["a"].pairs, found["a"].reason) == ((), "no slot")
    assert len(found["b"].pairs) == 1
    assert compare(["a"], 1, lambda name: "gone" if name == BASE else run(1))["a"].reason == "the base: gone"


def test_a_row() -> None:
    pairs = ((run(10_000, 40), run(11_000, 36)), (run(10_000, 40), run(9_000, 48)), (run(10_000, 40), run(10_000, 40)))
    zstd = VARIATIONS["zstd"]
    assert Result(pairs).line("zstd", zstd) == f"| zstd | {zstd.changes} | 1.00 (0.90–1.20) | 1.00 (0.90–1.10) | {zstd.verdict} |"
    assert Result(pairs[:1]).line("zstd", zstd).split(" | ")[2:4] == ["0.90", "1.10"]
    failed = Result(reason="no slot").line("zstd", zstd)
    assert "not measured: no slot" in failed
    assert failed.count("|") == HEADER.splitlines()[0].count("|")
