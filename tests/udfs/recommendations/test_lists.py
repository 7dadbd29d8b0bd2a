"""The texts from Java's windows, and the two lists that are not of a product: of a session, and of a category."""

from __future__ import annotations

import pytest

from udfs.recommendations.answers import next_items
from udfs.recommendations.rows import MOST_NEIGHBOURS, ProductWindow, Visit, product_window, visit, weights
from udfs.recommendations.trending import CAPACITY, Trend


def text(*lines: str) -> str:
    return "\x1e".join(line.replace("|", "\x1f") for line in lines)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ("Vtoys Vtoys Ctoys Otoys", ProductWindow("toys", 13.0)),
        ("vp-1 Vtoys cp-2 vp-1 cp-1 bp-2", ProductWindow("toys", 1.0, [("p-1", 5.0), ("p-2", 3.0)], [("p-2", 1.0)])),
        ("Vtoys V Cgames Cbooks", ProductWindow("toys", 8.0)),
        ("vp-1", ProductWindow("", 0.0, [("p-1", 1.0)])),
        ("V", ProductWindow("", 1.0)),
        ("vb va vc", ProductWindow("", 0.0, [("a", 1.0), ("b", 1.0), ("c", 1.0)])),
    ],
    ids=["itself", "all-kinds", "categories", "without-itself", "no-category", "equal"],
)
def test_a_product_and_window(elements: str, expected: ProductWindow) -> None:
    found = product_window(elements.replace(" ", "\x1d"))
    assert (found.category, found.weight) == (expected.category, expected.weight)
    assert (sorted(found.viewed), sorted(found.bought)) == (expected.viewed, expected.bought)


def test_a_window_tells_of_the_strongest_neighbours() -> None:
    elements = [f"v{number:03}" for number in range(200)] + ["v150"] * 2 + [f"b{number:03}" for number in range(60)]
    found = product_window("\x1d".join(elements))
    assert (len(found.viewed), found.viewed[0], found.viewed[1]) == (MOST_NEIGHBOURS, ("150", 3.0), ("000", 1.0))
    assert len(found.bought) == MOST_NEIGHBOURS


def test_weights_and_visits() -> None:
    assert weights(text("p-1|3", "p-2|11")) == [("p-1", 3.0), ("p-2", 11.0)]
    assert visit(text("s-1|u-1|p-3|p-2")) == Visit("s-1", "u-1", ("p-3", "p-2"))
    assert visit(text("s-1||p-3")) == Visit("s-1", "", ("p-3",))


NEIGHBOURS = [("a", 0.5), ("b", 0.4), ("c", 0.3)]
POPULAR = ("b", "x", "y", "a", "z")


@pytest.mark.parametrize(
    ("neighbours", "recent", "expected"),
    [
        (NEIGHBOURS, [], [("a", 0.5), ("b", 0.4), ("c", 0.3), ("x", 0.0), ("y", 0.0), ("z", 0.0)]),
        (NEIGHBOURS, ["b", "y"], [("a", 0.5), ("c", 0.3), ("x", 0.0), ("z", 0.0)]),
        ([], ["x"], [("b", 0.0), ("y", 0.0), ("a", 0.0), ("z", 0.0)]),
        ([(f"n{number:02}", 1.0 - number / 100) for number in range(30)], ["n00"],
         [(f"n{number:02}", 1.0 - number / 100) for number in range(1, 11)]),
    ],
    ids=["topped-up", "not-what-was-seen", "unknown-product", "ten"],
)  # fmt: skip
def test_next_items(neighbours: list[tuple[str, float]], recent: list[str], expected: list[tuple[str, float]]) -> None:
    assert next_items(neighbours, POPULAR, recent) == expected


def test_a_trend_is_told_when_its_order_changes() -> None:
    trend = Trend.new()
    assert trend.add([("a", 4.0), ("b", 3.0)], 0, 10_000) == [("a", 4.0), ("b", 3.0)]
    assert trend.add([("a", 1.0)], 0, 10_000) is None
    assert trend.add([("b", 2.0)], 10_000, 10_000) == [("b", 3.5), ("a", 2.5)]
    trend.used_ms = 3
    after = Trend.unpacked(trend.packed())
    assert (after.used_ms, after.sums.sums) == (3, trend.sums.sums)
    assert after.add([("b", 1.0)], 10_000, 10_000) is None


def test_a_trend_is_bounded() -> None:
    trend = Trend.new()
    for window in range(100):
        trend.add([(f"product-{window}-{number}", 1.0 + number) for number in range(CAPACITY)], window * 60_000, 1_800_000)
        assert len(trend.sums.sums) <= CAPACITY
        assert len(trend.packed()) < 2_000
