"""When a signal fires, on timelines: what is seen, what fires, what is remembered."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.fraud.sightings import Sighting
from udfs.fraud.signals import MAX_EVIDENCE, MOST_COUNTRIES, MOST_THINGS, Firing, Memory, observe
from udfs.rules.signals import MOST_KEPT

MINUTE = 60_000
HOUR = 60 * MINUTE


def seen(kind: str, time_ms: float, number: int = 0, **fields: Any) -> Sighting:
    parts: dict[str, Any] = {"by": "user", "key": "u-1", "what": "orders", "window_ms": 10 * MINUTE, "user_id": "u-1"}
    parts |= {"order_id": f"o-{number}"} | fields
    return Sighting("r/m", "r", 3, kind, 50, f"e-{number}", "s-1", int(time_ms), **parts)


def play(sightings: list[Sighting]) -> tuple[list[Firing | None], list[Memory]]:
    """What fires at each sighting, and what is remembered after it; memory goes through JSON as in the job."""
    memory: Memory | None = None
    fired, memories = [], []
    for each in sightings:
        memory, firing = observe(memory, each)
        memory = json.loads(json.dumps(memory))
        fired.append(firing)
        memories.append(memory)
    return fired, memories


def marks(fired: list[Firing | None]) -> str:
    return " ".join("." if each is None else f"{each.value:g}" for each in fired)


# Times in minutes; the window is ten minutes and the limit two.
VELOCITY = {
    # time   0 1 2     10        what was exactly one window ago does not count any more
    "the third fires": ([0, 1, 2], ". . 3"),
    "the first has left": ([0, 1, 10], ". . ."),
    "just inside": ([0, 1, 9.999], ". . 3"),
    "again and again": ([0, 1, 2, 3, 11.5, 13], ". . 3 4 3 ."),
    # time   5 1 6               arrives late, counts for those after it
    "out of order": ([5, 1, 6], ". . 3"),
    "late, counted with what lies around it": ([0, 5, 6, 2], ". . 3 4"),
    "the newest first": ([6, 5, 1], ". . 3"),
    # 0 and 4 are in one window, 4 and 13 in another, and all three in none
    "no window holds all": ([13, 0, 4], ". . ."),
    "the fullest window counts": ([13, 12, 1, 4], ". . . 3"),
    "too late: what it would need is forgotten": ([0, 1, 20, 2], ". . . ."),
    "at the same moment": ([1, 1, 1], ". . 3"),
}


@pytest.mark.parametrize(("minutes", "expected"), VELOCITY.values(), ids=VELOCITY)
def test_velocity(minutes: list[float], expected: str) -> None:
    fired, _ = play([seen("velocity", at * MINUTE, number, over=2) for number, at in enumerate(minutes)])
    assert marks(fired) == expected


def test_what_a_firing_says() -> None:
    (*_, firing), _ = play([seen("velocity", number * MINUTE, number, over=2) for number in range(3)])
    assert firing == Firing(
        "r", 3, "velocity", "user", "u-1", 3, 2, 50, "3 orders by user u-1 within 10 min, more than 2", ("e-0", "e-1", "e-2"),
        "e-2", "s-1", "u-1", "o-2", 2 * MINUTE,
    )  # fmt: skip
    assert firing.subject == "u-1"


def test_the_subject_is_the_session_while_nobody_is_signed_in() -> None:
    firing = observe(None, seen("no-view", 0, user_id=""))[1]
    assert firing is not None
    assert firing.subject == "s-1"


def test_another_limit_or_window_finds_what_is_remembered() -> None:
    """A rule is changed while it runs."""
    before = [seen("velocity", number * MINUTE, number, over=20) for number in range(5)]
    assert marks(play([*before, seen("velocity", 5 * MINUTE, 5, over=3)])[0]) == ". . . . . 6"
    assert marks(play([*before, seen("velocity", 5 * MINUTE, 5, over=3, window_ms=4 * MINUTE)])[0]) == ". . . . . 4"


@settings(derandomize=True, database=None, deadline=None)
@given(
    st.sampled_from(["velocity", "accounts"]),
    st.lists(st.tuples(st.integers(0, 40 * MINUTE), st.integers(0, 200)), max_size=150),
)
def test_what_is_remembered_is_bounded_and_equals_a_plain_count(kind: str, events: list[tuple[int, int]]) -> None:
    sightings = [seen(kind, at, number, over=2, user_id=f"u-{user}") for number, (at, user) in enumerate(events)]
    fired, memories = play(sightings)
    for memory in memories:
        assert sum(map(len, memory.values())) <= MOST_KEPT
    in_order = sorted(events)
    plain, _ = play([seen(kind, at, number, over=2, user_id=f"u-{user}") for number, (at, user) in enumerate(in_order)])
    for number, firing in enumerate(plain):
        at = in_order[number][0]
        inside = [each for each in in_order[: number + 1] if at - 10 * MINUTE < each[0]]
        count = len(inside) if kind == "velocity" else len({user for _, user in inside})
        assert (firing is not None) == (count > 2)
        assert firing is None or firing.value == min(count, MOST_KEPT + 1)
        assert firing is None or len(firing.evidence) <= MAX_EVIDENCE
    assert all(firing is None or firing.evidence[-1] == firing.event_id for firing in fired)


@settings(derandomize=True, database=None, deadline=None)
@given(st.sampled_from(["velocity", "accounts"]), st.lists(st.integers(0, 10 * MINUTE - 1), min_size=6, max_size=MAX_EVIDENCE))
def test_a_burst_is_noticed_in_whatever_order_it_comes(kind: str, times: list[int]) -> None:
    """Each event of it fires, or is named by the first that does: after a restore, one partition is read behind another."""
    fired, _ = play([seen(kind, at, number, over=5, user_id=f"u-{number}") for number, at in enumerate(times)])
    assert marks(fired[:5]) == ". . . . ."
    assert fired[5] is not None
    assert set(fired[5].evidence) == {f"e-{number}" for number in range(6)}
    assert all(fired[5:])


# Who is seen, at which minute.
ACCOUNTS = {
    "the third user fires": (["a 0", "b 1", "c 2"], ". . 3"),
    "the same users again": (["a 0", "b 1", "a 2", "b 3"], ". . . ."),
    "each event while there are too many": (["a 0", "b 1", "c 2", "a 3"], ". . 3 3"),
    "one has left": (["a 0", "b 1", "c 10.5"], ". . ."),
    "one has come again": (["a 0", "b 1", "a 9", "c 10.5"], ". . . 3"),
    "out of order": (["b 5", "a 1", "c 6"], ". . 3"),
    "the newest first": (["c 6", "b 5", "a 1"], ". . 3"),
    "a late one does not make its user older": (["a 9", "a 1", "b 10", "c 12"], ". . . 3"),
    "a late one is one with its user's last": (["a 9", "b 8", "a 7"], ". . ."),
}


@pytest.mark.parametrize(("sightings", "expected"), ACCOUNTS.values(), ids=ACCOUNTS)
def test_accounts(sightings: list[str], expected: str) -> None:
    told = [
        seen("accounts", float(at) * MINUTE, number, over=2, by="device", key="d-1", user_id=user)
        for number, (user, at) in enumerate(each.split() for each in sightings)
    ]
    assert marks(play(told)[0]) == expected


def test_accounts_say_who_was_there() -> None:
    told = [seen("accounts", number * MINUTE, number, over=2, by="device", key="d-1", user_id=f"u-{number}") for number in range(3)]
    firing = play(told)[0][-1]
    assert firing is not None
    assert firing.text == "3 users on device d-1 within 10 min, more than 2"
    assert firing.evidence == ("e-0", "e-1", "e-2")


def amounts(values: Sequence[float], **fields: Any) -> list[Sighting]:
    parts = {"over": 3, "min_count": 4, "floor": 0.1, "currency": "USD"} | fields
    return [seen("deviation", number, number, amount_minor=value, **parts) for number, value in enumerate(values)]


DEVIATION = {
    "too few before": ([100, 110, 90, 100_000], {}, ". . . ."),
    "far above": ([100, 110, 90, 100, 200], {}, ". . . . 10"),
    "below is nothing": ([100, 110, 90, 100, 0], {}, ". . . . ."),
    "just at the limit": ([100, 100, 100, 100, 130], {}, ". . . . ."),  # the floor: 10 % of 100
    "just above": ([100, 100, 100, 100, 131], {}, ". . . . 3.1"),
    "a higher floor": ([100, 100, 100, 100, 200], {"floor": 0.5}, ". . . . ."),
    "of nothing": ([0, 0, 0, 0, 4], {"floor": 0}, ". . . . 4"),
    # the fifth counts as 130, so that the sixth is not usual yet: mean 106, deviation 13.4
    "a second one soon after": ([100, 100, 100, 100, 1000, 1000], {}, ". . . . 90 66.63"),
}


@pytest.mark.parametrize(("values", "fields", "expected"), DEVIATION.values(), ids=DEVIATION)
def test_deviation(values: list[float], fields: dict[str, Any], expected: str) -> None:
    assert marks(play(amounts(values, **fields))[0]) == expected


def test_who_spends_more_from_now_on_is_believed_after_a_while() -> None:
    fired, _ = play(amounts([100, 100, 100, 100] + [1_000] * 40))
    assert fired[4] is not None
    assert fired[-1] is None


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=60))
def test_mean_and_deviation_are_those_of_the_amounts(values: list[int]) -> None:
    """Welford's recurrence against the textbook."""
    memory = play(amounts(values, min_count=10_000))[1][-1]
    assert memory["count"] == len(values)
    assert memory["mean"] == pytest.approx(statistics.fmean(values), rel=1e-9)
    assert (memory["squares"] / (len(values) - 1)) ** 0.5 == pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-6)
    assert len(memory["last"]) <= MAX_EVIDENCE


def test_an_amount_in_words() -> None:
    firing = play(amounts([10_000] * 4 + [500_000]))[0][-1]
    assert firing is not None
    assert firing.text == "5,000.00 USD is 490.0 deviations above the mean of 100.00 USD of 4 amounts before by user u-1, more than 3"
    assert firing.evidence == ("e-0", "e-1", "e-2", "e-3", "e-4")


# Where somebody is, at which hour. Germany to Brazil are 9,100 km, to the Netherlands 276 km.
TRAVEL = {
    "too fast": (["DE 0", "BR 5"], {}, ". 1827"),
    "by plane": (["DE 0", "BR 12"], {}, ". ."),
    "stays": (["DE 0", "DE 1"], {}, ". ."),
    "a neighbour": (["DE 0", "NL 0.1"], {}, ". 2763"),
    "a neighbour, near enough": (["DE 0", "NL 0.1"], {"min_km": 500}, ". ."),
    "there and back": (["DE 0", "BR 1", "DE 2"], {}, ". 9134 9134"),
    "still there": (["DE 0", "BR 1", "BR 2", "BR 12"], {}, ". 9134 4567 ."),
    "it arrives the other way round": (["BR 5", "DE 0"], {}, ". 1827"),
    "nobody knows where": (["DE 0", "ZZ 1", "DE 2"], {}, ". . ."),
    "too long ago to be looked at": (["DE 0", "BR 3"], {"window_ms": 2 * HOUR}, ". ."),
    "at the same moment": (["DE 0", "BR 0"], {}, ". 3.28812e+07"),
    "the fastest way counts": (["DE 0", "JP 9", "BR 10"], {"over": 1_100}, ". . 16840"),
}


@pytest.mark.parametrize(("sightings", "fields", "expected"), TRAVEL.values(), ids=TRAVEL)
def test_travel(sightings: list[str], fields: dict[str, Any], expected: str) -> None:
    parts = {"over": 1_000, "window_ms": 24 * HOUR} | fields
    told = [
        seen("travel", float(at) * HOUR, number, country=country, **parts)
        for number, (country, at) in enumerate(each.split() for each in sightings)
    ]
    fired, memories = play(told)
    assert marks(fired) == expected
    assert all(len(memory.get("places", ())) <= MOST_COUNTRIES for memory in memories)


def test_travel_in_words() -> None:
    told = [seen("travel", at, number, country=country, over=1_000, window_ms=24 * HOUR) for number, (at, country) in
            enumerate([(0, "DE"), (30 * MINUTE, "BR")])]  # fmt: skip
    firing = play(told)[0][-1]
    assert firing is not None
    assert firing.text == "user u-1 in BR, 9,134 km from DE where it was 30 min before: 18,267 km/h, more than 1000"
    assert firing.evidence == ("e-0", "e-1")


def test_only_some_countries_are_remembered() -> None:
    told = [seen("travel", number * HOUR, number, country=country, over=10**6, window_ms=24 * HOUR)
            for number, country in enumerate(["DE", "FR", "BR", "US", "JP", "IN"])]  # fmt: skip
    assert set(play(told)[1][-1]["places"]) == {"BR", "US", "JP", "IN"}


# Which device is seen. Two events must have been before.
UNFAMILIAR = {
    "a new one": ("a a b", ". . 2"),
    "too soon": ("a b", ". ."),
    "is familiar from then on": ("a a b b a", ". . 2 . ."),
    "each new one": ("a a b c", ". . 2 3"),
    "the first of all": ("a", "."),
}


@pytest.mark.parametrize(("devices", "expected"), UNFAMILIAR.values(), ids=UNFAMILIAR)
def test_unfamiliar(devices: str, expected: str) -> None:
    told = [seen("unfamiliar", number, number, of="device", thing=device, min_count=2) for number, device in enumerate(devices.split())]
    assert marks(play(told)[0]) == expected


def test_unfamiliar_in_words() -> None:
    told = [seen("unfamiliar", number, number, of="device", thing=device, min_count=2) for number, device in enumerate("abac")]
    firing = play(told)[0][-1]
    assert firing is not None
    assert (firing.text, firing.limit) == ("user u-1 with device c, which was in none of 3 events before", 2)
    assert firing.evidence == ("e-2", "e-3"), "the last event before, and this one"


def test_only_the_last_things_are_familiar() -> None:
    told = [seen("unfamiliar", number, number, of="device", thing=f"d-{number}", min_count=100) for number in range(20)]
    assert sorted(play(told)[1][-1]["things"]) == sorted(f"d-{number}" for number in range(20 - MOST_THINGS, 20))


def test_a_key_that_is_seen_all_the_time_is_bounded() -> None:
    fired, memories = play([seen("velocity", number, number, over=2) for number in range(2 * MOST_KEPT)])
    assert len(memories[-1]["events"]) == MOST_KEPT
    assert fired[-1] is not None
    assert fired[-1].value == MOST_KEPT + 1
    assert len(fired[-1].evidence) == MAX_EVIDENCE


def test_no_view_fires_for_whatever_comes() -> None:
    memory, firing = observe(None, seen("no-view", 5, by="session", key="s-1"))
    assert memory == {}
    assert firing is not None
    assert (firing.evidence, firing.text) == (("e-0",), "an order in session s-1, which had not looked at a product")
