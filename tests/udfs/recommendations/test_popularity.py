"""Popularity, asked as of a moment, however early the windows after it come.

    window ends (s)   10          20
    a                 4           +2      half-life 10 s: 4 at 10 s, 4 at 20 s
"""

from __future__ import annotations

from udfs.recommendations.popularity import CAPACITY, Popularity

HALF_LIFE_MS = 10_000


def of(popularity: Popularity, product: str, time_ms: int) -> float:
    known, most_of_others, left = popularity.known_at(time_ms)
    return known.get(product, most_of_others) * left


def test_what_has_not_ended_waits() -> None:
    popularity = Popularity(HALF_LIFE_MS)
    popularity.add([("a", 2.0)], 20_000)
    popularity.add([("a", 4.0), ("b", 1.0)], 10_000)
    assert of(popularity, "a", 10_000) == 0.0
    assert popularity.largest == ("a", "b"), "this one does not wait: it needs not be the same whatever comes first"
    popularity.move_to(10_000)
    assert (of(popularity, "a", 10_000), of(popularity, "b", 10_000)) == (4.0, 1.0)
    popularity.move_to(20_000)
    assert (of(popularity, "a", 20_000), of(popularity, "a", 30_000), popularity.largest) == (4.0, 2.0, ("a", "b"))


def test_an_unknown_one_is_at_most_as_popular_as_the_last_of_the_known() -> None:
    popularity = Popularity(HALF_LIFE_MS)
    popularity.add([(f"p{number}", 10.0 + number) for number in range(CAPACITY - 1)], 0)
    popularity.move_to(0)
    assert of(popularity, "x", 0) == 0.0, "while there is room, who is not known was never seen"
    popularity.add([("q", 5.0), ("r", 4.0)], 0)
    popularity.move_to(0)
    assert (of(popularity, "x", 0), of(popularity, "r", 0), len(popularity.largest)) == (5.0, 5.0, CAPACITY)


def test_packed_and_back_with_what_waits() -> None:
    before = Popularity(HALF_LIFE_MS)
    before.add([("a", 4.0)], 10_000)
    before.move_to(10_000)
    before.add([("a", 2.0), ("b", 9.0)], 20_000)
    before.add([("c", 1.0)], 30_000)
    after = Popularity.unpacked(before.packed(), HALF_LIFE_MS)
    for popularity in (before, after):
        assert (of(popularity, "a", 10_000), of(popularity, "b", 10_000), popularity.largest) == (4.0, 0.0, ("b", "a", "c"))
        popularity.move_to(20_000)
        assert (of(popularity, "a", 20_000), of(popularity, "b", 20_000)) == (4.0, 9.0)
        popularity.move_to(30_000)
        assert of(popularity, "c", 30_000) == 1.0
