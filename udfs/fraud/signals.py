"""When a fraud signal fires: state machines over the sightings of one rule and key, in the order in which they arrive.

`observe` takes what is remembered and one Sighting, and gives what is to be remembered and what fired; `observe_all` does it for all
sightings that share a key. What is remembered is plain JSON, small and bounded whatever comes; udfs/fraud_stages.py keeps it in Flink's
keyed state. Times are event times in milliseconds. A sighting that comes late never changes what has fired; for velocity and accounts it
counts together with what lies around it, so that however many came within one window are noticed in whatever order they came (a job
that is restored reads one partition behind another for a while).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from udfs.fraud.places import distance_km, is_known
from udfs.fraud.sightings import Sighting
from udfs.fraud.words import length, money
from udfs.rules.signals import MOST_KEPT

MAX_EVIDENCE: Final = 10
"""Most event ids that one reason names: the last ones."""
MOST_COUNTRIES: Final = 4
"""Countries of one key of which the last sighting is remembered."""
MOST_THINGS: Final = 16
"""Devices, or whatever `of` says, that are remembered as familiar."""
_SHORTEST_MS: Final = 1_000
"""Two countries within a second count as one second apart: a speed must be a number."""

Memory = dict[str, Any]
Parts = dict[str, tuple[int, Memory]]


@dataclass(frozen=True, slots=True)
class Firing:
    """A signal that fired. `value` went over `limit`; `evidence`: ids of the events that made it, the last one being the event itself."""

    rule_id: str
    version: int
    signal: str
    by: str
    key: str
    value: float
    limit: float
    score: int
    text: str
    evidence: tuple[str, ...]
    event_id: str
    session_id: str
    user_id: str
    order_id: str
    time_ms: int

    @property
    def subject(self) -> str:
        """Whom it is about: the user, or the session while nobody is signed in."""
        return self.user_id or self.session_id

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def observe(memory: Memory | None, seen: Sighting) -> tuple[Memory, Firing | None]:
    """
    Args:
        memory: what the last call for this rule and key gave; None for the first sighting. Not changed.
        seen: the sighting.

    Returns:
        What to remember, and what fired.
    """
    return _MACHINES[seen.kind](memory or {}, seen)


def observe_all(parts: Parts | None, sightings: Iterable[Sighting], now_ms: int) -> tuple[Parts, list[Firing]]:
    """The sightings of one event that share a key.

    Args:
        parts: what the last call for this key gave, or None. Not changed.
        now_ms: the clock: parts that have been silent for their window by then are forgotten.

    Returns:
        What to remember, by Sighting.part: when it may be forgotten, and the memory; and what fired.
    """
    kept = {part: each for part, each in (parts or {}).items() if each[0] > now_ms}
    firings = []
    for seen in sightings:
        before = kept.get(seen.part)
        memory, firing = observe(None if before is None else before[1], seen)
        if seen.window_ms:
            kept[seen.part] = (now_ms + seen.window_ms, memory)
        if firing is not None:
            firings.append(firing)
    return kept, firings


def _velocity(memory: Memory, seen: Sighting) -> tuple[Memory, Firing | None]:
    """Events within a sliding window, each by its time: exact, unlike the sums of rules that aggregate."""
    events: list[list[Any]] = sorted([*memory.get("events", ()), [seen.time_ms, seen.event_id]], key=lambda each: each[0])
    inside = _fullest_window(events, seen)
    newest = events[-1][0]
    kept = [event for event in events if event[0] > newest - seen.window_ms][-MOST_KEPT:]
    firing = None
    if len(inside) > seen.over:
        text = f"{len(inside)} {seen.what} by {seen.by} {seen.key} within {length(seen.window_ms)}, more than {seen.over:g}"
        evidence = [event[1] for event in inside if event[1] != seen.event_id]
        firing = _fired(seen, len(inside), text, evidence)
    return {"events": kept}, firing


def _accounts(memory: Memory, seen: Sighting) -> tuple[Memory, Firing | None]:
    """Different users within a sliding window; of each the last sighting is remembered."""
    users: dict[str, list[Any]] = dict(memory.get("users", {}))
    if seen.user_id not in users or users[seen.user_id][0] <= seen.time_ms:
        users[seen.user_id] = [seen.time_ms, seen.event_id]
    here = users | {seen.user_id: [seen.time_ms, seen.event_id]}
    inside = _fullest_window(sorted(here.values(), key=lambda last: last[0]), seen)
    by_time = sorted(users.items(), key=lambda each: (each[1][0], each[0]))
    newest = by_time[-1][1][0]
    kept = dict([(user, last) for user, last in by_time if last[0] > newest - seen.window_ms][-MOST_KEPT:])
    firing = None
    if len(inside) > seen.over:
        text = f"{len(inside)} users on {seen.by} {seen.key} within {length(seen.window_ms)}, more than {seen.over:g}"
        firing = _fired(seen, len(inside), text, [event_id for _, event_id in inside if event_id != seen.event_id])
    return {"users": kept}, firing


def _fullest_window(events: list[list[Any]], seen: Sighting) -> list[list[Any]]:
    """Of all windows that hold the sighting, what is in the one that holds most; of several, in the first.

    Args:
        events: time and id, by time; the sighting is one of them.
    """
    # One end, but for a sighting that comes late.
    ends = dict.fromkeys(event[0] for event in events if seen.time_ms <= event[0] < seen.time_ms + seen.window_ms)
    return max(([event for event in events if end - seen.window_ms < event[0] <= end] for end in ends), key=len)


def _deviation(memory: Memory, seen: Sighting) -> tuple[Memory, Firing | None]:
    """How far an amount is above the mean of those before it, in standard deviations.

    Mean and variance are kept by Welford's recurrence (B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and
    Products", Technometrics 4(3), 1962; D. E. Knuth, The Art of Computer Programming vol. 2, 4.2.2): stable in one pass, three numbers.
    An amount that fires is taken for the largest one that would not have (winsorized): one fraud does not make the next one look
    usual, yet who really spends more from now on is believed after a while.
    """
    count, mean, squares = memory.get("count", 0), memory.get("mean", 0.0), memory.get("squares", 0.0)
    last: list[str] = memory.get("last", [])
    amount = float(seen.amount_minor)
    firing = None
    if count >= seen.min_count:
        deviation = max(math.sqrt(squares / (count - 1)), seen.floor * mean, 1.0)
        distance = (amount - mean) / deviation
        if distance > seen.over:
            usual = f"the mean of {money(round(mean), seen.currency)} of {count} amounts before by {seen.by} {seen.key}"
            text = f"{money(seen.amount_minor, seen.currency)} is {distance:.1f} deviations above {usual}, more than {seen.over:g}"
            firing = _fired(seen, round(distance, 2), text, last)
            amount = mean + seen.over * deviation
    count += 1
    change = amount - mean
    mean += change / count
    squares += change * (amount - mean)
    return {"count": count, "mean": mean, "squares": squares, "last": [*last, seen.event_id][1 - MAX_EVIDENCE :]}, firing


def _travel(memory: Memory, seen: Sighting) -> tuple[Memory, Firing | None]:
    """The speed at which one must have travelled from the countries of the last sightings, or to them."""
    places: dict[str, list[Any]] = dict(memory.get("places", {}))
    if not is_known(seen.country):
        return memory, None
    found: tuple[float, float, str, list[Any]] | None = None
    for country, last in places.items():
        away_ms = abs(seen.time_ms - last[0])
        kilometres = distance_km(country, seen.country) or 0.0
        if kilometres > 0 and kilometres >= seen.min_km and away_ms < seen.window_ms:
            speed = kilometres / max(away_ms, _SHORTEST_MS) * 3_600_000
            if found is None or speed > found[0]:
                found = (speed, kilometres, country, last)
    if seen.country not in places or places[seen.country][0] <= seen.time_ms:
        places[seen.country] = [seen.time_ms, seen.event_id]
    newest = max(last[0] for last in places.values())
    by_time = sorted(places.items(), key=lambda each: (each[1][0], each[0]))
    kept = dict([(country, last) for country, last in by_time if last[0] > newest - seen.window_ms][-MOST_COUNTRIES:])
    firing = None
    if found is not None and found[0] > seen.over:
        speed, kilometres, country, last = found
        when = f"{length(abs(seen.time_ms - last[0]))} {'before' if last[0] <= seen.time_ms else 'after'}"
        text = (
            f"{seen.by} {seen.key} in {seen.country}, {kilometres:,.0f} km from {country} where it was {when}: "
            f"{speed:,.0f} km/h, more than {seen.over:g}"
        )
        firing = _fired(seen, round(speed), text, [last[1]])
    return {"places": kept}, firing


def _unfamiliar(memory: Memory, seen: Sighting) -> tuple[Memory, Firing | None]:
    """Something that was not there before. It is familiar from then on: a second event from it is no news."""
    count, things = memory.get("count", 0), dict(memory.get("things", {}))
    firing = None
    if count >= seen.min_count and seen.thing not in things:
        text = f"{seen.by} {seen.key} with {seen.of} {seen.thing}, which was in none of {count} events before"
        last = max(things.values(), key=lambda each: each[0])
        firing = _fired(seen, count, text, [last[1]])
    if seen.thing not in things or things[seen.thing][0] <= seen.time_ms:
        things[seen.thing] = [seen.time_ms, seen.event_id]
    by_time = sorted(things.items(), key=lambda each: (each[1][0], each[0]))
    return {"count": count + 1, "things": dict(by_time[-MOST_THINGS:])}, firing


def _no_view(_memory: Memory, seen: Sighting) -> tuple[Memory, Firing | None]:
    """The stage that counts views (Java, in order of the session) sends only orders without one."""
    return {}, _fired(seen, 0, f"an order in session {seen.key}, which had not looked at a product", [])


def _fired(seen: Sighting, value: float, text: str, before: list[str]) -> Firing:
    evidence = (*before[1 - MAX_EVIDENCE :], seen.event_id)
    return Firing(
        seen.rule_id, seen.version, seen.kind, seen.by, seen.key, value, seen.over or seen.min_count, seen.score, text, evidence,
        seen.event_id, seen.session_id, seen.user_id, seen.order_id, seen.time_ms,
    )  # fmt: skip


_MACHINES: Final[dict[str, Callable[[Memory, Sighting], tuple[Memory, Firing | None]]]] = {
    "velocity": _velocity, "accounts": _accounts, "deviation": _deviation, "travel": _travel,
    "unfamiliar": _unfamiliar, "no-view": _no_view,
}  # fmt: skip
