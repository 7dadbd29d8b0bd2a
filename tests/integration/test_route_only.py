"""Jobs without the order of sessions (--no-order): one that only routes, where nothing is late, and one with sales, which have windows."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml
from shop.v1.events_pb2 import Event

from scripts.checker.model import SALES, Findings, Output, Terms
from scripts.checker.oracle import expect
from scripts.checker.windows import compare_windows
from tests.checker.ideal import START_MS, shop_entries
from tests.integration import mini

pytestmark = pytest.mark.integration

BASE_MS = 1_700_000_000_000
RULE = {"id": "all", "version": 1, "when": {"events": ["*"]}, "to": [{"topic": "session-activity", "order": "none"}]}


def view(event_id: str, at_ms: int) -> tuple[bytes, int]:
    event = Event(event_id=event_id, session_id="s", event_time_ms=BASE_MS + at_ms)
    event.product_viewed.product_id = "p"
    return event.SerializeToString(), event.event_time_ms


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules-given"
    folder.mkdir()
    (folder / "all.yaml").write_text(yaml.safe_dump(RULE))
    return folder


def test_events_leave_as_they_came(tmp_path: Path, rules: Path) -> None:
    """Out of order, one twice, one that would be late anywhere else."""
    records = [view("late-for-order", 60_000), view("twice", 50_000), view("twice", 50_000), view("old", 0)]
    lean = mini.settings(order=False, deduplication=False, sales=False, fraud=False, recommendations=False, lateness_ms=1_000)
    outputs = mini.run(tmp_path, records, lean, rules)
    found = [base64.b64decode(row["headers"]["event-id"]).decode() for row in outputs["instant_routes"]]
    assert found == ["late-for-order", "twice", "twice", "old"]
    assert {row["topic"] for row in outputs["instant_routes"]} == {"session-activity"}
    assert outputs["ordered_routes"] == outputs["late_events"] == outputs["dead_letters"] == []


def test_sales_by_category_and_nothing_else(tmp_path: Path, rules: Path) -> None:
    """Windows of the oracle, from events that no session holds back; what is too late for them leaves by events.late as well."""
    entries = shop_entries(1_500)
    late, late_ms = view("late", START_MS - BASE_MS - 600_000)
    records = [*((entry.value or b"", entry.timestamp_ms) for entry in entries), (late, late_ms)]
    parts = dict.fromkeys(("totals", "top_products", "funnel", "closed_sessions", "fraud", "recommendations"), False)
    lean = mini.settings(order=False, window_ms=10_000, slide_ms=1_000, **parts)
    outputs = mini.run(tmp_path, records, lean, rules)

    assert set(outputs) == {"ordered_routes", "instant_routes", "late_events", "dead_letters", "rule_status", "sales_by_category"}
    findings = Findings()
    expected = expect(entries, []).events.values()
    rows = outputs["sales_by_category"]
    found = [Output(SALES, 0, offset, 0, row["category"].encode(), json.dumps(row).encode()) for offset, row in enumerate(rows)]
    terms = Terms(window_ms=10_000, slide_ms=1_000, until_ms=1 << 62)
    counts = compare_windows((each for each in expected if each.sales), found, terms, findings)
    assert not findings.counts, findings.examples
    assert counts.equal > 10
    assert [base64.b64decode(row["value"]) for row in outputs["late_events"]] == [late]
    assert len(outputs["instant_routes"]) == len(expected) + 1
