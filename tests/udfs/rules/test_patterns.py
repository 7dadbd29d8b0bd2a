"""Patterns that are matched together find what each finds alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.rules.patterns import PatternSet, compiled

LARGE = "(a{1,500}b{1,500}){1,2}"
PATTERNS = ("^sale$", "sale", "s.*e", "[0-9]+", "", "^$", "ä+", "(?i)SALE", LARGE)


@settings(derandomize=True, database=None, deadline=None, max_examples=settings().max_examples * 2)
@given(st.lists(st.sampled_from(PATTERNS), max_size=12), st.sampled_from(["", "sale", "a sale 7", "SALE", "ä", "ab", "\x00\n"]))
def test_together_as_alone(patterns: list[str], text: str) -> None:
    together = PatternSet()
    numbers = [together.add(pattern) for pattern in patterns]
    assert together.search(text) == {number for number, pattern in zip(numbers, patterns, strict=True) if compiled(pattern).search(text)}


def test_a_large_pattern_is_one_that_is_searched_alone() -> None:
    assert compiled(LARGE).programsize > 2_000


def test_more_patterns_than_one_set_takes() -> None:
    together = PatternSet()
    numbers = {text: together.add(f"^({'x' * 900}|offer {text})$") for text in map(str, range(150))}
    assert together.search("offer 7") == {numbers["7"]}
    assert together.search("offer 149") == {numbers["149"]}
    assert together.search("offer 150") == frozenset()


def test_a_pattern_may_come_later() -> None:
    together = PatternSet()
    first = together.add("a")
    assert together.search("ab") == {first}
    second = together.add("b")
    assert together.search("ab") == {first, second}


def test_patterns_that_come_one_by_one_stay_in_few_sets() -> None:
    """A search between each two of them, as with rules that are pushed while events come: nothing is compiled again and again."""
    together = PatternSet()
    compilations = 0
    of = together._set_of

    def counted(numbers: list[int]) -> object:
        nonlocal compilations
        compilations += len(numbers)
        return of(numbers)

    together._set_of = counted  # type: ignore[method-assign]
    for number in range(500):
        assert together.add(f"^offer {number}$") == number
        assert together.search(f"offer {number}") == {number}
        assert together.search(f"offer {number // 2}") == {number // 2}
    assert len(together._sets) <= 10
    assert compilations < 500 * 10
