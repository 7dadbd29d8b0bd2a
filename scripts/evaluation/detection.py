"""Fraud detection as the job does it (jobs/fraud.py), over a list of records, in one process and without Flink."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Any

from shop.v1.events_pb2 import Event

from jobs.settings import Settings
from scripts.shop.simulator import Record
from udfs.fraud.alerts import combine
from udfs.fraud.sightings import SIGNAL_MARK, Sighting, decoded, split
from udfs.fraud.signals import Firing, Memory, observe
from udfs.rules.engine import DESTINATION_SEPARATOR, RuleSet
from udfs.rules.language import Rule
from udfs.validation import InvalidEvent, decode


class Detection:
    """`alerts` takes records in the order of the log. As in the job: duplicates dropped, signals decided at once, in order of arrival,
    except orders without a view, which wait until the watermark has passed them; late events count for nothing there."""

    def __init__(self, rules: Iterable[Rule], settings: Settings) -> None:
        self._settings = settings
        self._rule_set = RuleSet(rules)
        self._seen: set[str] = set()
        self._memories: dict[tuple[str, str], Memory] = {}
        self._subjects: dict[str, Memory] = {}
        self._newest_ms = 0
        self._waiting: list[tuple[int, int, str, bool, list[str]]] = []  # time, number, session, whether a view, bundles
        self._counted: dict[str, list[int]] = {}  # session -> events and views so far
        self.orders: dict[str, str] = {}
        """Event id -> order id of each order_placed so far."""

    def alerts(self, records: Iterable[Record]) -> Iterator[dict[str, Any]]:
        """The alerts, as they come."""
        for number, record in enumerate(records):
            try:
                event, kind = decode(
                    record.value or b"", record.timestamp_ms, self._settings.max_clock_gap_ms, self._settings.max_event_bytes
                )
            except InvalidEvent:
                continue
            if event.event_id in self._seen:
                continue
            self._seen.add(event.event_id)
            yield from self._event(number, event, kind)
        self._newest_ms = 1 << 62
        yield from self._ordered()

    def _event(self, number: int, event: Event, kind: str) -> Iterator[dict[str, Any]]:
        if kind == "order_placed":
            self.orders[event.event_id] = event.order_placed.order_id
        route = self._rule_set.route(event, kind)
        for key, seen in _sightings(_bundles(route.unordered)):
            yield from self._sighting(key, seen)
        if event.event_time_ms > self._newest_ms - self._settings.lateness_ms:
            waiting = (event.event_time_ms, number, event.session_id, kind == "product_viewed", _bundles(route.ordered))
            heappush(self._waiting, waiting)
        if event.event_time_ms > self._newest_ms:
            self._newest_ms = event.event_time_ms
            yield from self._ordered()

    def _ordered(self) -> Iterator[dict[str, Any]]:
        waiting = self._waiting
        while waiting and waiting[0][0] <= self._newest_ms - self._settings.lateness_ms:
            _, _, session_id, is_view, bundles = heappop(waiting)
            counted = self._counted.setdefault(session_id, [0, 0])
            counted[0] += 1
            counted[1] += is_view
            for key, seen in _sightings(bundles) if counted[1] == 0 else ():
                if not seen.among_first or counted[0] <= seen.among_first:
                    yield from self._sighting(key, seen)

    def _sighting(self, key: str, seen: Sighting) -> Iterator[dict[str, Any]]:
        memory, firing = observe(self._memories.get((key, seen.part)), seen)
        if seen.window_ms:
            self._memories[key, seen.part] = memory
        if firing is not None:
            yield from self._firing(firing)

    def _firing(self, firing: Firing) -> Iterator[dict[str, Any]]:
        window_ms, min_score = self._settings.fraud_window_ms, self._settings.fraud_min_score
        self._subjects[firing.subject], alert = combine(self._subjects.get(firing.subject), firing, window_ms, min_score, firing.time_ms)
        if alert is not None:
            yield json.loads(alert)


def _bundles(tokens: str) -> list[str]:
    return [token for token in tokens.split(DESTINATION_SEPARATOR) if token.startswith(SIGNAL_MARK)]


def _sightings(bundles: Iterable[str]) -> Iterator[tuple[str, Sighting]]:
    """Each with its key."""
    for key, bundle in map(split, bundles):
        for seen in decoded(bundle):
            yield key, seen
