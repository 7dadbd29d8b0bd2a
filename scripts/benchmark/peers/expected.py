"""What must come out, made from the input by the plainest program; and whether a candidate's topics hold just that.

Results are compared as multisets by count and by the sum of a hash of key and value, which does not depend on the order of records;
the order of each session is looked at record by record; windows are compared as a table.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, NamedTuple

from confluent_kafka import Message
from shop.v1.events_pb2 import Event

from scripts.benchmark.peers.programs.common import destinations, ordered, sold
from scripts.benchmark.peers.tasks import DESTINATIONS, SLIDE_MS, WINDOW_MS, Task
from scripts.checker.reader import TopicReader

CLOSING: Final = "closing-"
_CLOSING: Final = CLOSING.encode()
_SHOWN: Final = 3

Window = tuple[str, str, int]
"""Category, currency, start in milliseconds."""


class Sum(NamedTuple):
    """Pieces and amount in minor units."""

    quantity: int
    amount_minor: int


@dataclass
class Records:
    """A multiset of records: their number, and the sum of their hashes modulo 2^64."""

    count: int = 0
    digest: int = 0

    def add(self, key: bytes, value: bytes) -> None:
        self.count += 1
        self.digest = (self.digest + int.from_bytes(blake2b(key + b"\0" + value, digest_size=8).digest())) % 2**64


@dataclass
class Expected:
    """What an input leads to.

    Attributes:
        events: their number.
        last_ms: the greatest event time.
        routed: destination -> its records.
        sales: window -> its sum.
        inversions: how often an event of a session stands behind a later one of the same destination: what order has to mend.
        arrivals: event times by SLIDE_MS, counted: start -> events.
    """

    events: int = 0
    last_ms: int = 0
    routed: dict[str, Records] = field(default_factory=lambda: {name: Records() for name in DESTINATIONS})
    sales: dict[Window, Sum] = field(default_factory=dict)
    inversions: int = 0
    arrivals: Counter[int] = field(default_factory=Counter)

    def outputs(self, task: Task) -> int:
        """How many records the topics must hold by which progress is measured."""
        return sum(each.count for each in self.routed.values()) if task.routes else len(self.sales)

    def events_behind(self, task: Task, outputs: int) -> float:
        """How many events have been processed when there are so many outputs."""
        if task.routes:
            return min(1.0, outputs / max(1, self.outputs(task))) * self.events
        rows, events = self._steps()
        at = bisect_right(rows, outputs) - 1
        return events[at] if at >= 0 else 0.0

    def _steps(self) -> tuple[list[int], list[float]]:
        """Rows that are out once a window has closed, and the events that were before its end."""
        by_end = Counter(start + WINDOW_MS for _, _, start in self.sales)
        rows, events, steps = 0, 0, ([0], [0.0])
        counted = dict(self.arrivals)
        for end in sorted(by_end):
            rows += by_end[end]
            for start in [each for each in counted if each < end]:
                events += counted.pop(start)
            steps[0].append(rows)
            steps[1].append(float(events))
        return steps


def windows_of(time_ms: int) -> range:
    """Starts of the sliding windows that hold a time."""
    last = time_ms - time_ms % SLIDE_MS
    return range(last - WINDOW_MS + SLIDE_MS, last + 1, SLIDE_MS)


def expect(records: Iterable[tuple[bytes, bytes]]) -> Expected:
    """What (key, value) records in the order of the log lead to."""
    expected = Expected()
    sales: dict[Window, list[int]] = {}
    newest: dict[tuple[bytes, str], int] = {}
    for key, value in records:
        event = Event.FromString(value)
        time_ms = event.event_time_ms
        expected.events += 1
        expected.last_ms = max(expected.last_ms, time_ms)
        expected.arrivals[time_ms - time_ms % SLIDE_MS] += 1
        for destination in destinations(event):
            expected.routed[destination].add(key, value)
            if ordered(destination):
                place = (key, destination)
                if newest.get(place, 0) > time_ms:
                    expected.inversions += 1
                newest[place] = max(newest.get(place, 0), time_ms)
        for category, currency, quantity, amount in sold(event):
            for start in windows_of(time_ms):
                total = sales.setdefault((category, currency, start), [0, 0])
                total[0] += quantity
                total[1] += amount
    expected.sales = {window: Sum(*total) for window, total in sales.items()}
    return expected


def expectation(bootstrap: str, topic: str) -> Expected:
    """What a topic leads to."""
    reader = TopicReader(bootstrap, [topic])
    try:
        return expect((message.key() or b"", message.value() or b"") for message in reader.stream())
    finally:
        reader.close()


class Check:
    """Reads a candidate's topics to their committed ends, as often as it is asked."""

    def __init__(self, bootstrap: str, prefix: str, expected: Expected, task: Task) -> None:
        names = [prefix + name for name in DESTINATIONS] * task.routes + [prefix + "sales.by-category"] * task.sales
        self._reader = TopicReader(bootstrap, names)
        self._prefix, self._expected = prefix, expected
        self.found = Found(task)

    def faults(self) -> list[str]:
        """What is wrong up to now, in words; none: all of it is there and right."""
        for message in self._reader.stream():
            self.found.add(self._prefix, message)
        return self.found.faults(self._expected)

    def close(self) -> None:
        self._reader.close()


class Found:
    """What stands in a candidate's topics."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._routed = {name: Records() for name in DESTINATIONS}
        self._sales: dict[Window, Sum] = {}
        self._unlike: list[Window] = []
        self._newest: dict[tuple[bytes, str], tuple[int, int]] = {}
        self._inversions = self._scattered = 0

    def add(self, prefix: str, message: Message) -> None:
        name = (message.topic() or "").removeprefix(prefix)
        key, value = message.key() or b"", message.value() or b""
        if name not in self._routed:
            self.add_window(value)
        elif not key.startswith(_CLOSING):
            self.add_event(name, message.partition() or 0, key, value)

    def add_event(self, destination: str, partition: int, key: bytes, value: bytes) -> None:
        self._routed[destination].add(key, value)
        if self._task.ordered and ordered(destination):
            time_ms = Event.FromString(value).event_time_ms
            newest_ms, place = self._newest.get((key, destination), (0, partition))
            self._inversions += newest_ms > time_ms
            self._scattered += place != partition
            self._newest[key, destination] = (max(newest_ms, time_ms), partition)

    def add_window(self, value: bytes) -> None:
        row = json.loads(value)
        window = (row["category"], row["currency"], row["window_start"])
        total = Sum(row["quantity"], row["amount_minor"])
        if self._sales.setdefault(window, total) != total:
            self._unlike.append(window)

    def faults(self, expected: Expected) -> list[str]:
        found = []
        if self._task.routes:
            for name, records in self._routed.items():
                if records != expected.routed[name]:
                    found.append(f"{name} has {records.count:,} records and should have {expected.routed[name].count:,}, or not these")
            if self._inversions or self._scattered:
                found.append(f"{self._inversions:,} events behind later ones of their session, {self._scattered:,} in another partition")
        if self._task.sales:
            # What the closing records have sold is in windows of its own, behind all others.
            sales = {window: total for window, total in self._sales.items() if window[2] <= expected.last_ms}
            for what, windows in (
                ("missing", [each for each in expected.sales if each not in sales]),
                ("too many", [each for each in sales if each not in expected.sales]),
                ("wrong", [each for each in sales if each in expected.sales and sales[each] != expected.sales[each]]),
                ("told twice, and differently", self._unlike),
            ):
                if windows:
                    found.append(f"{len(windows):,} of {len(expected.sales):,} windows {what}, such as {windows[:_SHOWN]}")
        return found
