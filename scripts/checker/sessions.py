"""Order within sessions: each destination's log, and the numbers that the job gave."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from scripts.checker.model import ExpectedEvent, Findings, Output, Problem


@dataclass(slots=True)
class _Last:
    """The session's last event in a destination."""

    partition: int
    time_ms: int
    number: int
    place: str


def check_order(topic: str, routed: Iterable[tuple[Output, ExpectedEvent, int]], findings: Findings) -> None:
    """`routed`: outputs of one topic in log order, with their events and session numbers.

    Within a session times must not fall, numbers must rise, and all of it must be in one partition (else a reader has no order).
    """
    last: dict[str, _Last] = {}
    for output, event, number in routed:
        before = last.get(event.session_id)
        if before is not None:
            if output.partition != before.partition:
                text = "{} {}: its session was in another partition before, {}"
                findings.add(Problem.UNORDERED, topic, text, output.place, event, before.place)
            elif event.time_ms < before.time_ms:
                text = "{} {}: after one that is {} ms younger, at {}"
                findings.add(Problem.UNORDERED, topic, text, output.place, event, before.time_ms - event.time_ms, before.place)
            elif number <= before.number:
                text = "{} {}: session-seq {} after {} at {}"
                findings.add(Problem.UNORDERED, topic, text, output.place, event, number, before.number, before.place)
        last[event.session_id] = _Last(output.partition, event.time_ms, number, output.place)


def check_numbers(on_time: Iterable[ExpectedEvent], numbers: dict[str, dict[str, int]], findings: Findings) -> None:
    """Session numbers against the rank of each event among ALL on-time events of its session, routed or not.

    `numbers`: by event id, by topic. An event's number must be its rank by event time; events of the same millisecond may
    stand in any order among themselves. With that and no number twice, a session of n events has exactly the numbers 1 to n.
    """
    times_of: dict[str, list[int]] = {}
    events: dict[str, ExpectedEvent] = {}
    for event in on_time:
        times_of.setdefault(event.session_id, []).append(event.time_ms)
        events[event.event_id] = event
    for times in times_of.values():
        times.sort()
    taken: dict[tuple[str, int], str] = {}
    for event_id, by_topic in numbers.items():
        numbered = events.get(event_id)
        if numbered is None:  # late: reported elsewhere
            continue
        times = times_of[numbered.session_id]
        low, high = bisect_left(times, numbered.time_ms) + 1, bisect_right(times, numbered.time_ms)
        for topic, number in by_topic.items():
            if not low <= number <= high:
                wanted = str(low) if low == high else f"{low} to {high}"
                findings.add(
                    Problem.WRONG_SEQUENCE, topic, "{}: session-seq {}, its rank is {} of {}", numbered, number, wanted, len(times)
                )
            elif taken.setdefault((numbered.session_id, number), event_id) != event_id:
                other = taken[numbered.session_id, number]
                findings.add(Problem.WRONG_SEQUENCE, topic, "{}: session-seq {}, which {} has as well", numbered, number, other)
