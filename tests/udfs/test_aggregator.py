"""The stage of rules that aggregate, on fakes of Flink's state and timers: what goes on, what is kept, and that it goes."""

from __future__ import annotations

from typing import Any

import pytest

from udfs.aggregator import Aggregator, observation_key
from udfs.rules.aggregates import BUCKETS, Observation

MINUTE = 60_000


class Value:
    """State of one value."""

    def __init__(self) -> None:
        self.kept: int | None = None

    def value(self) -> int | None:
        return self.kept

    def update(self, value: int) -> None:
        self.kept = value

    def clear(self) -> None:
        self.kept = None


class Buckets(dict[int, float]):
    """State of a map; as Flink's type DOUBLE does, it takes nothing but floats."""

    def put(self, key: int, value: float) -> None:
        assert isinstance(value, float)
        self[key] = value

    def remove(self, key: int) -> None:
        del self[key]


class Key:
    """State, timers and clock of one key, and the context that the stage is called with."""

    def __init__(self) -> None:
        self.stage, self.now_ms = Aggregator(), 10 * MINUTE
        self.values: dict[str, Value] = {}
        self.buckets = Buckets()
        self.timers: set[int] = set()  # Flink, too, keeps one timer for each time
        self.stage.open(self)  # type: ignore[arg-type]

    # what the stage asks of the runtime and of its context
    def get_map_state(self, _descriptor: Any) -> Buckets:
        return self.buckets

    def get_state(self, descriptor: Any) -> Value:
        return self.values.setdefault(descriptor.name, Value())

    def timer_service(self) -> Key:
        return self

    def current_processing_time(self) -> int:
        return self.now_ms

    def register_processing_time_timer(self, at_ms: int) -> None:
        self.timers.add(at_ms)

    def is_empty(self) -> bool:
        return not self.buckets and all(each.kept is None for each in self.values.values()) and not self.timers

    # what happens to it
    def send(self, time_ms: int, amount: float = 1, topics: tuple[str, ...] = ("orders", "payments")) -> list[Any]:
        told = Observation("a-rule/key", time_ms, amount, MINUTE, ">", 2, topics)
        return list(self.stage.process_element((told.encoded(), "s-1", f"e-{time_ms}", b"bytes", time_ms), self))  # type: ignore[arg-type]

    def wait_until(self, now_ms: int) -> None:
        """The clock goes on, and timers fire."""
        while self.timers and min(self.timers) <= now_ms:
            self.now_ms = min(self.timers)
            self.timers.remove(self.now_ms)
            assert list(self.stage.on_timer(self.now_ms, self)) == []  # type: ignore[arg-type]
        self.now_ms = now_ms


@pytest.fixture
def key() -> Key:
    return Key()


def test_an_event_goes_on_once_the_condition_holds(key: Key) -> None:
    assert [key.send(second * 1_000) for second in range(2)] == [[], []]
    assert key.send(2_000) == [("orders;payments", "s-1", "e-2000", b"bytes", 2_000)]
    assert key.send(3_000, topics=()) == [], "it goes there with another rule"
    assert key.send(200_000) == [], "the others have left the window"
    assert key.buckets == {200: 1.0}


def test_an_input_is_keyed_by_rule_and_key() -> None:
    assert observation_key((Observation("a-rule/key", 1, 1, MINUTE, ">", 2, ()).encoded(),)) == "a-rule/key"  # type: ignore[arg-type]


def test_state_is_bounded_whatever_comes(key: Key) -> None:
    for number in range(5_000):
        key.send(number * 617 % 1_000_000)
        assert len(key.buckets) <= BUCKETS
    assert len(key.timers) == 1, "one for all events of a window of the clock"


@pytest.mark.parametrize("after_ms", [0, 1, MINUTE - 1], ids=["at once", "a ms into the window", "at its end"])
def test_state_goes_one_to_two_windows_after_the_last_event(key: Key, after_ms: int) -> None:
    key.wait_until(key.now_ms + after_ms)
    key.send(1_000)
    key.wait_until(key.now_ms + MINUTE - 1)
    assert key.buckets == {1: 1.0}, "still in the window"
    key.wait_until(key.now_ms + MINUTE + 1)
    assert key.is_empty()
    assert key.send(2_000) == [], "it begins anew"
    assert key.buckets == {2: 1.0}


def test_an_event_in_the_first_millisecond_of_the_next_window(key: Key) -> None:
    """The timer of the window before frees the state, and that of this one finds none: a failure here would come back at each restart."""
    key.send(1_000)
    key.wait_until(11 * MINUTE)
    key.send(2_000)
    assert key.timers == {12 * MINUTE, 13 * MINUTE}
    key.wait_until(13 * MINUTE)
    assert key.is_empty()


def test_a_host_whose_clock_is_behind_takes_the_key_over(key: Key) -> None:
    key.send(1_000)
    key.now_ms -= 3 * MINUTE
    key.send(2_000)
    key.wait_until(13 * MINUTE)
    assert key.is_empty()
