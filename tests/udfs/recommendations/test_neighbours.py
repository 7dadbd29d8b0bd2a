"""One product: scores, news, and that its state is bounded."""

from __future__ import annotations

import random

import pytest

from udfs.recommendations.neighbours import PUBLISHED, Neighbours
from udfs.recommendations.popularity import Popularity
from udfs.recommendations.rows import MOST_NEIGHBOURS, ProductWindow

HALF_LIFE_MS = 10_000


def popular(time_ms: int = 0, **weights: float) -> Popularity:
    found = Popularity(HALF_LIFE_MS)
    found.add(list(weights.items()), time_ms)
    found.move_to(time_ms)
    return found


def product(weight: float = 100, time_ms: int = 0, bought: dict[str, float] | None = None, **viewed: float) -> Neighbours:
    found = Neighbours.new()
    found.add(ProductWindow("toys", weight, list(viewed.items()), list((bought or {}).items())), time_ms, HALF_LIFE_MS)
    return found


def scores(of: Neighbours, popularity: Popularity, time_ms: int = 0) -> dict[str, float]:
    return dict(of.scores(of.viewed, popularity, time_ms, HALF_LIFE_MS))


def news(of: Neighbours, popularity: Popularity, time_ms: int, half_life_ms: int = HALF_LIFE_MS) -> tuple[list[str], list[str]] | None:
    """The products in both lists, if they are news."""
    viewed, bought = of.lists(popularity, time_ms, half_life_ms, PUBLISHED)
    return ([name for name, _ in viewed], [name for name, _ in bought]) if of.is_news(viewed, bought) else None


def test_the_score_by_hand() -> None:
    """30 together of 100, damped by popularity 200 and by little support."""
    assert scores(product(a=30), popular(a=200)) == {"a": pytest.approx(30 / 100 / 200**0.35 * 30 / 32, rel=1e-5)}


def test_what_everybody_looks_at_is_not_everybodys_neighbour() -> None:
    found = product(everybodys=12, own=10).scores(product(everybodys=12, own=10).viewed, popular(everybodys=1_000, own=20), 0, HALF_LIFE_MS)
    assert [name for name, _ in found] == ["own", "everybodys"]


def test_one_chance_meeting_is_no_bond() -> None:
    found = scores(product(chance=1, bond=10), popular(chance=1, bond=10))
    assert found["bond"] > 4 * found["chance"]


def test_equal_ones_are_in_the_order_of_their_ids() -> None:
    assert list(scores(product(b=5, a=5, c=5), popular(a=9, b=9, c=9))) == ["a", "b", "c"]


def test_two_in_an_order_are_neighbours_of_weight_eight_and_bought_together() -> None:
    found = product(bought={"a": 2}, a=1)
    assert found.viewed.sums == {"a": 17}
    assert found.bought.sums == {"a": 2}


def test_half_of_everything_after_the_half_life() -> None:
    found = product(a=30)
    found.add(ProductWindow("toys", 10, [("a", 5)], []), HALF_LIFE_MS, HALF_LIFE_MS)
    assert found.weight == 60
    assert found.viewed.sums == {"a": 20}
    later = product(a=30)
    assert scores(later, popular(a=200), HALF_LIFE_MS) == {"a": pytest.approx(15 / 50 / 100**0.35 * 15 / 17, rel=1e-5)}


def test_of_many_the_best_are_what_all_sorted_by_score_begin_with() -> None:
    """Also where many are equal to six digits, and so in the order of their ids."""
    rng = random.Random(7)
    weights = {f"p{number:02}": rng.choice([3.0, 3.0000001, 5.0, rng.uniform(1, 9)]) for number in range(MOST_NEIGHBOURS)}
    found, known = product(100, 0, None, **weights), popular(0, **dict.fromkeys(weights, 10.0))
    everything = found.scores(found.viewed, known, 0, HALF_LIFE_MS)
    assert everything == sorted(everything, key=lambda entry: (-entry[1], entry[0]))
    assert len({score for _, score in everything}) < len(everything) == MOST_NEIGHBOURS
    for count in range(1, MOST_NEIGHBOURS + 1):
        assert found.scores(found.viewed, known, 0, HALF_LIFE_MS, count) == everything[:count]


def test_news_only_if_other_products_or_another_order() -> None:
    found, known = product(a=30, b=20), popular(a=50, b=50, c=50)
    assert news(found, known, 0) == (["a", "b"], [])
    found.add(ProductWindow("toys", 1, [("a", 1)], []), 1, HALF_LIFE_MS)
    assert news(found, known, 1) is None, "other scores, the same order"
    found.add(ProductWindow("toys", 1, [("b", 30)], []), 2, HALF_LIFE_MS)
    assert news(found, known, 2) == (["b", "a"], [])
    found.add(ProductWindow("toys", 1, [], [("a", 1)]), 3, HALF_LIFE_MS)
    assert news(found, known, 3) == (["b", "a"], ["a"])


def test_a_category_stays_until_another_is_told() -> None:
    found = product()
    found.add(ProductWindow(viewed=[("a", 1)]), 1, HALF_LIFE_MS)
    assert found.category == "toys"
    found.add(ProductWindow("games", 1), 2, HALF_LIFE_MS)
    assert found.category == "games"


def test_state_is_bounded_whatever_comes() -> None:
    """10,000 different neighbours over 200 windows, ids of 20 characters: never more than 50 of a kind, nor more than 5 KB."""
    found, rng = Neighbours.new(), random.Random(1)
    largest = 0
    for window in range(200):
        others = [(f"product-{rng.randrange(10_000):012}", float(rng.randrange(1, 9))) for _ in range(MOST_NEIGHBOURS)]
        found.add(ProductWindow("toys", 400, others, others[::2]), window * 60_000, 86_400_000)
        largest = max(largest, len(found.packed()))
        assert max(len(found.viewed.sums), len(found.bought.sums)) <= MOST_NEIGHBOURS
    viewed, bought = news(found, popular(), 200 * 60_000, 86_400_000) or ([], [])
    assert (len(viewed), len(bought)) == (PUBLISHED, PUBLISHED)
    assert 2_000 < largest < 5_000


def test_the_layout_in_savepoints() -> None:
    """State of a running job is in this form: a change needs a new version, and a way to read the old one."""
    found = product(bought={"b": 1}, a=1.5)
    found.used_ms = 7
    assert found.packed() == '[1,7,0,100.0,"toys","",[0,{"a":1.5,"b":8.0}],[0,{"b":1.0}]]'


def test_packed_and_back() -> None:
    before = product(bought={"über": 2}, a=1, b=2)
    assert news(before, popular(a=1), 0) == (["über", "b", "a"], ["über"])
    before.used_ms = 12
    after = Neighbours.unpacked(before.packed())
    assert (after.category, after.weight, after.as_of_ms, after.used_ms) == ("toys", 100, 0, 12)
    assert (after.viewed.sums, after.bought.sums) == (before.viewed.sums, {"über": 2})
    assert news(after, popular(a=1), 0) is None, "it knows what it has published"
