"""Pacing and bookkeeping, with a client that only pretends to be Kafka."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from shop.v1.events_pb2 import Event

from scripts.shop.ledger import LedgerWriter, read_ledger
from scripts.shop.producer import Outcome, Plan, Traffic
from scripts.shop.simulator import UNDISTURBED, Disturbances, Settings, Shop

START_MS = 1_790_000_000_000
WILD = Disturbances(late=0.02, duplicates=0.02, malformed=0.02)


class FakeMessage:
    def __init__(self, offset: int, key: bytes, value: bytes | None, timestamp_ms: int) -> None:
        self._parts = (offset, key, value, timestamp_ms)

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._parts[0]

    def key(self) -> bytes:
        return self._parts[1]

    def value(self) -> bytes | None:
        return self._parts[2]

    def timestamp(self) -> tuple[int, int]:
        """As after a lost acknowledgement: that of the batch's last record, as if the broker had set it."""
        return 2, self._parts[3] + 7


class FakeProducer:
    """Confirms on poll; its queue holds `room` records; every `failing`th record fails. Polling takes its timeout."""

    def __init__(self, clock: list[float], room: int = 10_000, failing: int = 0) -> None:
        self.clock, self.room, self.failing = clock, room, failing
        self.queue: list[tuple[Callable[..., None], FakeMessage]] = []
        self.sent: list[tuple[float, int]] = []  # when, timestamp

    def produce(self, topic: str, value: bytes | None, key: bytes, timestamp: int, on_delivery: Callable[..., None]) -> None:
        if len(self.queue) >= self.room:
            raise BufferError
        self.queue.append((on_delivery, FakeMessage(len(self.sent), key, value, timestamp)))
        self.sent.append((self.clock[0], timestamp))

    def poll(self, timeout_s: float) -> int:
        self.clock[0] += timeout_s
        queue, self.queue = self.queue, []
        for report, message in queue:
            failed = self.failing and message.offset() % self.failing == 0
            report("timed out" if failed else None, message)
        return len(queue)

    def flush(self, timeout_s: float) -> int:
        self.poll(0)
        return 0

    def __len__(self) -> int:
        return len(self.queue)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time_ns", lambda: START_MS * 1_000_000 + int((now[0] - 100) * 1e9))
    return now


def go(
    fake: FakeProducer, plan: Plan, ledger: LedgerWriter | None = None, stopped: Callable[[], bool] = lambda: False, **settings: Any
) -> Outcome:
    shop = Shop(Settings(seed=1, start_ms=START_MS, sessions=50, **{"disturbances": WILD} | settings))
    return Traffic(fake, plan, shop, ledger, stopped).run()  # type: ignore[arg-type]


def test_a_set_rate_is_kept_and_smooth(clock: list[float]) -> None:
    fake = FakeProducer(clock)
    go(fake, Plan("events", rate_per_s=2_000, for_s=10), disturbances=UNDISTURBED)
    assert 19_900 <= len(fake.sent) <= 20_000
    per_tick: dict[float, int] = {}
    for when, timestamp_ms in fake.sent:
        per_tick[when] = per_tick.get(when, 0) + 1
        assert -1 <= (when - 100) * 1000 - (timestamp_ms - START_MS) <= 11  # event time is now
    assert max(per_tick.values()) <= 20


@pytest.mark.parametrize("offset_ms", [3_600_000, -3_600_000])
def test_a_wrong_clock_is_in_the_records_and_in_the_events(clock: list[float], offset_ms: int, tmp_path: Path) -> None:
    fake = FakeProducer(clock)
    with LedgerWriter(tmp_path / "ledger", {}) as ledger:
        go(fake, Plan("events", rate_per_s=100, for_s=5, clock_offset_ms=offset_ms), ledger, disturbances=UNDISTURBED)
    assert len(fake.sent) >= 490
    assert all(abs((when - 100) * 1000 - (timestamp_ms - offset_ms - START_MS)) <= 20 for when, timestamp_ms in fake.sent)
    entries = read_ledger(tmp_path / "ledger").entries
    assert all(Event.FromString(entry.value or b"").event_time_ms == entry.timestamp_ms for entry in entries)


def test_held_back_events_come_when_they_are_due(clock: list[float]) -> None:
    fake = FakeProducer(clock)
    go(fake, Plan("events", rate_per_s=100, for_s=60))
    ages_ms = [(when - 100) * 1000 - (timestamp_ms - START_MS) for when, timestamp_ms in fake.sent]
    assert sum(age_ms > 5_000 for age_ms in ages_ms) > 50


def test_a_simulated_clock_is_independent_of_the_rate(clock: list[float]) -> None:
    runs = []
    for rate_per_s in (None, 1_000.0):
        fake = FakeProducer(clock)
        go(fake, Plan("events", rate_per_s, events=3_000, start_ms=START_MS, event_rate_per_s=50))
        runs.append([timestamp_ms for _, timestamp_ms in fake.sent])
    assert runs[0] == runs[1]
    assert max(runs[0]) == START_MS + 2_999 * 20


def test_after_a_stall_the_backlog_keeps_its_event_times(clock: list[float]) -> None:
    """Kafka away for 5 s: what happened in the shop meanwhile is sent afterwards, with the times at which it happened."""
    fake = FakeProducer(clock)
    stall = [True]

    def stopped() -> bool:
        if stall[0] and clock[0] > 102:
            stall[0] = False
            clock[0] += 5
        return False

    go(fake, Plan("events", rate_per_s=1_000, for_s=10), stopped=stopped, disturbances=UNDISTURBED)
    assert 9_900 <= len(fake.sent) <= 10_000
    timestamps = [timestamp_ms for _, timestamp_ms in fake.sent]
    assert timestamps == sorted(timestamps)
    assert max(b - a for a, b in pairwise(timestamps)) <= 12
    # Not only the first of them: no moment has more events than the rate says.
    assert max(Counter(timestamp_ms // 100 for timestamp_ms in timestamps).values()) <= 120


def test_a_full_queue_waits(clock: list[float]) -> None:
    fake = FakeProducer(clock, room=10)
    outcome = go(fake, Plan("events", None, events=500, start_ms=START_MS, event_rate_per_s=100))
    assert outcome.sent == outcome.acked == len(fake.sent) >= 500


def test_the_ledger_holds_what_was_confirmed_and_marks_the_rest(clock: list[float], tmp_path: Path) -> None:
    fake = FakeProducer(clock, failing=100)
    with LedgerWriter(tmp_path / "a.ledger", {}) as writer:
        outcome = go(fake, Plan("events", None, events=2_000, start_ms=START_MS, event_rate_per_s=100), writer)
    ledger = read_ledger(tmp_path / "a.ledger")
    assert len(ledger.entries) == outcome.sent
    assert sum(entry.partition < 0 for entry in ledger.entries) == outcome.failed == outcome.sent - outcome.acked > 10
    assert not ledger.complete
    assert [entry.timestamp_ms for entry in ledger.entries] == [timestamp_ms for _, timestamp_ms in fake.sent]
    assert any(entry.copy for entry in ledger.entries)
    assert any(entry.fault for entry in ledger.entries)


def test_a_signal_ends_it_in_order(clock: list[float], tmp_path: Path) -> None:
    fake = FakeProducer(clock)
    with LedgerWriter(tmp_path / "a.ledger", {}) as writer:
        outcome = go(fake, Plan("events", rate_per_s=1_000), writer, stopped=lambda: clock[0] > 103)
    assert outcome.acked == outcome.sent > 2_900  # those held back were sent as well
    assert read_ledger(tmp_path / "a.ledger").complete
