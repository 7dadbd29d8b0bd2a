"""Sums that fade: half-life 10 s, at most 3 items.

    time (s)   0     10      20     30
    a          8                    +1      -> 1 + 1 = 2 at 30 s
    b                4              -> 1 at 30 s
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.recommendations.decay import FadingSums

HALF_LIFE_MS, CAPACITY = 10_000, 3
ITEMS = st.sampled_from("abcdefgh")
BATCH = st.lists(st.tuples(ITEMS, st.floats(0.1, 100)), max_size=6)
TIMES_MS = st.integers(0, 100_000)


def filled(*batches: tuple[int, dict[str, float]], capacity: int = CAPACITY) -> FadingSums:
    sums = FadingSums()
    for time_s, weights in batches:
        sums.add(weights.items(), time_s * 1_000, HALF_LIFE_MS, capacity)
    return sums


@pytest.mark.parametrize(
    ("batches", "as_of_s", "expected"),
    [
        ([(0, {"a": 8})], 0, {"a": 8}),
        ([(0, {"a": 8}), (10, {"b": 4})], 10, {"a": 4, "b": 4}),
        ([(0, {"a": 8}), (10, {"b": 4}), (30, {"a": 1})], 30, {"a": 2, "b": 1}),
        ([(10, {"b": 4}), (0, {"a": 8})], 10, {"a": 4, "b": 4}),
        ([(0, {"a": 8}), (1_000, {"b": 1})], 1_000, {"b": 1}),
        ([(0, {"a": 1, "b": 2, "c": 3, "d": 4})], 0, {"b": 2, "c": 3, "d": 4}),
        ([(0, {"d": 1, "c": 1, "b": 1, "a": 1})], 0, {"a": 1, "b": 1, "c": 1}),
        ([(0, {"a": 1, "b": 2, "c": 3}), (0, {"a": 0.5, "d": 1.7})], 0, {"b": 2, "c": 3, "d": 1.7}),
    ],
    ids=["new", "half", "thrice", "from-before", "faded-away", "too-many", "equal-ones-by-item", "newcomer-ousts-the-smallest"],
)
def test_sums(batches: list[tuple[int, dict[str, float]]], as_of_s: int, expected: dict[str, float]) -> None:
    sums = filled(*batches)
    assert sums.as_of_ms == as_of_s * 1_000
    assert sums.sums == pytest.approx(expected)


def test_largest_first_and_equal_ones_by_item() -> None:
    assert filled((0, {"b": 1, "c": 2, "a": 1})).largest(2) == [("c", 2), ("a", 1)]


@given(st.lists(st.tuples(TIMES_MS, BATCH), max_size=8))
def test_the_order_of_arrival_does_not_matter(batches: list[tuple[int, list[tuple[str, float]]]]) -> None:
    newest_ms = max((time_ms for time_ms, _ in batches), default=0)
    ways = []
    for order in (batches, batches[::-1], sorted(batches, key=lambda batch: batch[0])):
        sums = FadingSums()
        for time_ms, weights in order:
            sums.add(weights, time_ms, HALF_LIFE_MS, capacity=8)
        sums.move_to(newest_ms, HALF_LIFE_MS)
        ways.append(sums.sums)
    plain: dict[str, float] = {}
    for time_ms, weights in batches:
        for item, weight in weights:
            plain[item] = plain.get(item, 0.0) + weight * math.pow(0.5, (newest_ms - time_ms) / HALF_LIFE_MS)
    for way in ways:
        assert way == pytest.approx(plain, rel=1e-9, abs=1e-8)


@given(st.lists(st.tuples(TIMES_MS, BATCH), max_size=8), st.integers(1, 4))
def test_never_more_than_the_capacity(batches: list[tuple[int, list[tuple[str, float]]]], capacity: int) -> None:
    sums = FadingSums()
    for time_ms, weights in batches:
        sums.add(weights, time_ms, HALF_LIFE_MS, capacity)
        assert len(sums.sums) <= capacity
