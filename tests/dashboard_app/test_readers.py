"""The threads that read: a reader that fails begins anew, and Flink's silence is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from scripts.dashboard_app import readers
from scripts.dashboard_app.flink import JobView
from scripts.dashboard_app.readers import Readers
from scripts.dashboard_app.shared import Shared
from scripts.outputs.flink import NoAnswer
from scripts.outputs.record import Offsets, Record
from tests.dashboard_app.samples import ABOUT, TOPICS
from tests.dashboard_app.serving import fresh_job


class Feed:
    """Tells of a late event; the first of them breaks then."""

    made = 0

    def __init__(self, shared: Shared) -> None:
        Feed.made += 1
        self._shared, self._breaks = shared, Feed.made == 1

    def run(self, ended: threading.Event) -> None:
        self._shared.records([Record(TOPICS.late)])
        self._shared.offsets(Offsets(1, 0))
        if self._breaks:
            raise RuntimeError("broken")
        ended.wait(30)


class Flink:
    """Answers when it is told to."""

    answer: JobView | None = None

    def ask(self, _now_ms: int) -> JobView:
        if self.answer is None:
            raise NoAnswer("nobody")
        return self.answer


def until(shared: Shared, wanted: Callable[[dict[str, Any]], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not wanted(found := shared.sections()):
        assert time.monotonic() < deadline_s, found
        time.sleep(0.02)


def test_readers_outlive_whatever_happens(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(readers, "_BEGIN_AGAIN_S", 0.2)
    monkeypatch.setattr(readers, "_ASK_FLINK_S", 0.02)
    shared, flink = Shared(ABOUT), Flink()
    with Readers(shared, lambda: Feed(shared), flink):  # type: ignore[arg-type, return-value]
        until(shared, lambda found: found["status"]["kafka_answers"] is False)
        until(shared, lambda found: found["status"]["kafka_answers"] is True)
        assert shared.sections()["health"]["late"]["total"] == 1  # not twice, though it was read twice
        until(shared, lambda found: found["status"]["flink_answers"] is False)
        flink.answer = fresh_job()
        until(shared, lambda found: found["status"]["job"] is not None)
        flink.answer = None
        until(shared, lambda found: found["status"]["flink_answers"] is False)
    assert Feed.made == 2
    assert "reading Kafka has failed" in caplog.text
    assert not [each for each in threading.enumerate() if each.name in ("kafka", "flink")]
