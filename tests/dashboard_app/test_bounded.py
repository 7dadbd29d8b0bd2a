"""Containers that stay small whatever is put into them."""

from __future__ import annotations

import pytest

from scripts.dashboard_app.bounded import MINUTE_MS, Newest, PerMinute, Span, Windows

NOON = 43_200_000


def test_the_entry_that_was_not_written_for_longest_goes_first() -> None:
    newest: Newest[str, int] = Newest(2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        newest.put(key, value)
    assert list(newest) == ["c", "a"]
    assert list(newest.values()) == [4, 3]
    newest.drop("a")
    newest.drop("a")
    assert (newest.get("a"), newest.get("c"), len(newest)) == (None, 4, 1)


# s:        0         0.5       0.75     1.2    1.25   1.95
# rows:     a         b                  c
# whole:    -         -         -        -      -      a b c
def test_a_window_is_whole_when_no_row_has_come_for_a_moment() -> None:
    windows: Windows[str, int] = Windows(10, 100)
    window = Span(20, 10)
    windows.observe(window, "a", 1, 0.0)
    windows.observe(window, "b", 2, 0.5)
    assert windows.newest(0.75) is None
    windows.observe(window, "c", 3, 1.2)
    assert windows.newest(1.25) is None
    assert windows.newest(1.95) == (window, {"a": 1, "b": 2, "c": 3})
    windows.observe(window, "c", 4, 2.0)  # it comes again, after a restart at-least-once
    assert windows.newest(2.0) == (window, {"a": 1, "b": 2, "c": 4})


def test_while_the_newest_window_comes_the_one_before_is_shown() -> None:
    windows: Windows[str, int] = Windows(10, 100)
    windows.observe(Span(20, 10), "a", 1, 0.0)
    windows.observe(Span(30, 20), "a", 2, 5.0)
    assert windows.newest(5.1) == (Span(20, 10), {"a": 1})
    assert windows.newest(6.0) == (Span(30, 20), {"a": 2})
    assert [span.end_ms for span, _ in windows.whole(6.0)] == [20, 30]


def test_a_window_that_is_written_without_end_is_shown_nevertheless() -> None:
    windows: Windows[str, int] = Windows(10, 100)
    for tenth in range(31):
        windows.observe(Span(20, 10), "a", tenth, tenth / 10)
    assert windows.newest(3.0) == (Span(20, 10), {"a": 30})


def test_old_windows_go_first_and_come_not_back() -> None:
    windows: Windows[str, int] = Windows(2, 100)
    for end in (20, 30, 40, 20):
        windows.observe(Span(end, end - 10), "a", end, 0.0)
    assert [span.end_ms for span, _ in windows.whole(9)] == [30, 40]


def test_rows_are_bounded_over_all_windows_and_in_one() -> None:
    windows: Windows[str, int] = Windows(100, 10)
    for end in (20, 30, 40):
        for key in "abcd":
            windows.observe(Span(end, end - 10), key, end, 0.0)
    assert [len(rows) for _, rows in windows.whole(9)] == [4, 4]
    for number in range(1_000):
        windows.observe(Span(50, 40), f"k-{number}", number, 0.0)
    assert [(span.end_ms, len(rows)) for span, rows in windows.whole(9)] == [(50, 10)]
    assert windows.refused == 990
    windows.observe(Span(50, 40), "k-0", 7, 0.0)  # a row that is there already needs no room
    assert windows.whole(9)[0][1]["k-0"] == 7


@pytest.mark.parametrize(
    ("time_ms", "counted"),
    [
        (NOON, 1),
        (NOON - 2 * MINUTE_MS, 1),
        (NOON - 3 * MINUTE_MS, 0),
        (NOON + MINUTE_MS, 1),
        (NOON + 2 * MINUTE_MS, 0),
        (2**53, 0),
        (-1, 0),
    ],
)
def test_only_the_last_minutes_count(time_ms: int, counted: int) -> None:
    counts = PerMinute(3)
    counts.add(time_ms, "x", NOON)
    assert counts.total(NOON)["x"] == counted


def test_minutes_pass_and_names_are_bounded() -> None:
    counts = PerMinute(3)
    for number in range(200):
        counts.add(NOON, f"name-{number}", NOON, 2)
    total = counts.total(NOON)
    assert (len(total), total.total(), total["other"]) == (51, 400, 300)
    counts.add(NOON + 2 * MINUTE_MS, "later", NOON + 2 * MINUTE_MS)
    assert counts.total(NOON + 2 * MINUTE_MS, minutes=1) == {"later": 1}
    counts.add(NOON + 3 * MINUTE_MS, "later", NOON + 3 * MINUTE_MS)
    assert counts.total(NOON + 3 * MINUTE_MS) == {"later": 2}
