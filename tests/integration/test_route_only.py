"""A job that only routes (--no-order --no-deduplication): nothing waits, nothing is dropped, nothing is late."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml
from shop.v1.events_pb2 import Event

from tests.integration import mini

pytestmark = pytest.mark.integration

BASE_MS = 1_700_000_000_000
RULE = {"id": "all", "version": 1, "when": {"events": ["*"]}, "to": [{"topic": "session-activity", "order": "none"}]}


def view(event_id: str, at_ms: int) -> tuple[bytes, int]:
    event = Event(event_id=event_id, session_id="s", event_time_ms=BASE_MS + at_ms)
    event.product_viewed.product_id = "p"
    return event.SerializeToString(), event.event_time_ms


def test_events_leave_as_they_came(tmp_path: Path) -> None:
    """Out of order, one twice, one that would be late anywhere else."""
    rules = tmp_path / "rules-given"
    rules.mkdir()
    (rules / "all.yaml").write_text(yaml.safe_dump(RULE))
    records = [view("late-for-order", 60_000), view("twice", 50_000), view("twice", 50_000), view("old", 0)]
    lean = mini.settings(order=False, deduplication=False, sales=False, fraud=False, recommendations=False, lateness_ms=1_000)
    outputs = mini.run(tmp_path, records, lean, rules)
    found = [base64.b64decode(row["headers"]["event-id"]).decode() for row in outputs["instant_routes"]]
    assert found == ["late-for-order", "twice", "twice", "old"]
    assert {row["topic"] for row in outputs["instant_routes"]} == {"session-activity"}
    assert outputs["ordered_routes"] == outputs["late_events"] == outputs["dead_letters"] == []
