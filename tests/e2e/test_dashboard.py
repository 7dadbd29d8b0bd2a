"""The dashboard on a real job: what stands on the page is what the ledger says. And on a broker that goes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer
from playwright.sync_api import Page, expect

from jobs import baseline
from jobs.settings import Topics
from scripts.checker.oracle import expect as expectation
from scripts.checker.rules import load_rules
from scripts.checker.windows import Sums, WindowKey, expected_windows
from scripts.shop.ledger import read_ledger
from scripts.stack import Stack, jars
from scripts.stack.paths import ROOT
from tests.dashboard_app.browser import VIEW, chromium, needs_chromium
from tests.dashboard_app.samples import window
from tests.e2e.harness import SLIDE_MS, WINDOW_MS, Job, now_ms, running_job, wait_until

pytestmark = [pytest.mark.e2e, needs_chromium]


@contextmanager
def dashboard(*options: str) -> Iterator[str]:
    """scripts/dashboard on any port; gives its address."""
    command = [sys.executable, "-m", "scripts.dashboard_app.main", "--port", "0", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@contextmanager
def opened(url: str) -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900}, **VIEW)
        page.goto(url)
        yield page


def snapshot(url: str) -> dict[str, Any]:
    with urlopen(f"{url}/api/snapshot", timeout=30) as answer:
        return dict(json.load(answer))


def windows_of(job: Job, ledger: Path) -> dict[WindowKey, Sums]:
    """What the oracle makes of the ledger, without the events that were late."""
    late = {dict(message.headers())["event-id"].decode() for message in job.read(job.topics.late)}
    events = expectation(read_ledger(ledger).entries, load_rules(ROOT / "rules")).events.values()
    return expected_windows([event for event in events if event.event_id not in late], WINDOW_MS, SLIDE_MS)


def minor(text: str) -> int:
    """An amount as the page writes it (currencies of the simulated shop have two digits)."""
    return int(text.replace(",", "").replace(".", ""))


def test_numbers_on_the_page_equal_the_ledgers(stack: Stack, tmp_path: Path) -> None:
    with running_job(stack, "dashboard", tmp_path) as job:
        where = ("--bootstrap", stack.bootstrap, "--flink", stack.rest_url, "--job-id", job.job_id)
        with dashboard(*where, "--topic-prefix", job.topics.prefix, "--group-id", "dashboard") as url, opened(url) as page:
            expect(page.locator("#categories .note")).to_contain_text("No sales window yet")
            expect(page.locator("#job-state")).to_have_text("running")
            ledger = job.generate(
                "--rate", "1500", "--for", "25", "--seed", "31", "--late", "0.01", "--malformed", "0.01", "--fraud", "0.02"
            )
            job.verify(ledger)  # all that must come out is out

            expected = windows_of(job, ledger)
            newest_ms = max(key.start_ms for key in expected)
            wait_until(
                lambda: (snapshot(url)["categories"] or {}).get("window", {}).get("start_ms") == newest_ms, "the newest window on the page"
            )
            _newest_window_is_right(page, expected, newest_ms)
            _course_is_right(snapshot(url)["categories"], expected)
            _alerts_are_right(job, page, snapshot(url))
            _health_is_right(job, page, snapshot(url))


def _newest_window_is_right(page: Page, expected: dict[WindowKey, Sums], newest_ms: int) -> None:
    """The table of each currency: per minute and orders of each category; and the figure at the top, their sum."""
    of_newest = {(key.currency, key.category): sums for key, sums in expected.items() if key.start_ms == newest_ms}
    currencies = {currency for currency, _ in of_newest}
    shown: dict[tuple[str, str], tuple[int, int]] = {}
    for currency in currencies:
        if len(currencies) > 1:
            page.get_by_label(currency).check(force=True)
        expect(page.locator("#kpi-revenue .value")).to_contain_text(currency)
        rows = page.locator("#categories tbody tr").evaluate_all(
            "rows => rows.map((row) => [...row.children].map((cell) => cell.innerText))"
        )
        shown |= {(currency, category.strip()): (minor(per_minute), int(orders)) for category, per_minute, orders in rows}
        revenue = minor(page.locator("#kpi-revenue .value").inner_text().split()[0])
        total = sum(sums.amount_minor for (of, _), sums in of_newest.items() if of == currency)
        assert revenue == pytest.approx(total / (WINDOW_MS / 60_000), abs=0.5)
    assert shown == {key: (round(sums.amount_minor / (WINDOW_MS / 60_000)), sums.orders) for key, sums in of_newest.items()}


def _course_is_right(categories: dict[str, Any], expected: dict[WindowKey, Sums]) -> None:
    """Every point of every line that the chart draws."""
    ends = categories["ends_ms"]
    assert ends == sorted({key.start_ms + WINDOW_MS for key in expected})
    drawn = {
        WindowKey(end_ms - WINDOW_MS, category, currency): value
        for currency, of in categories["currencies"].items()
        for category, course in of["course"].items()
        for end_ms, value in zip(ends, course, strict=True)
        if value
    }
    assert drawn == {key: round(sums.amount_minor / (WINDOW_MS / 60_000)) for key, sums in expected.items()}


def _alerts_are_right(job: Job, page: Page, found: dict[str, Any]) -> None:
    """What the topic holds: as many, and the newest with its score and first reason."""
    alerts = {alert["alert_id"]: alert for alert in (json.loads(message.value()) for message in job.read(job.topics.fraud_alerts))}
    assert len(alerts) > 0
    assert found["kpis"]["alerts"] == {"open": len(alerts), "highest": max(alert["score"] for alert in alerts.values())}
    newest = min(alerts.values(), key=lambda alert: (-alert["time_ms"], alert["alert_id"]))
    shown = page.locator("#alerts details").first
    expect(shown.locator(".headline")).to_have_text(newest["reasons"][0]["text"])
    expect(shown.locator(".score")).to_contain_text(f"{newest['score']:.0f}")


def _health_is_right(job: Job, page: Page, found: dict[str, Any]) -> None:
    health = found["health"]
    dead, late = job.read(job.topics.dead_letters), job.read(job.topics.late)
    assert health["dead_letters"]["total"] == len(dead) > 0
    assert health["late"]["total"] == len(late) > 0
    expect(page.locator("#health-dead .figure")).to_have_text(f"{len(dead):,}")
    assert health["restarts"] == job.restarts()
    assert health["checkpoint"]["number"] > 0
    assert 0 <= health["watermark_lag_ms"] < 60_000
    assert found["status"]["banners"] == []
    matched = {rule["id"]: rule for rule in found["rules"]["rules"]}
    assert matched.keys() == baseline.load(ROOT / "rules", job.topics.destinations).keys()
    assert {rule["mode"] for rule in matched.values()} == {"active"}
    assert {rule["subtasks"] for rule in matched.values()} == {2}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Stack]:
    """A Kafka of its own, without Flink: one that may be killed."""
    jars.ensure()
    stack = Stack(tmp_path)
    stack.kafka_port = 0
    try:
        stack.up_kafka()
        yield stack
    finally:
        stack.down()


def test_kafka_is_killed_and_comes_back(broker: Stack) -> None:
    """Flink is not there at all: the page says so, and works."""
    with dashboard("--bootstrap", broker.bootstrap, "--flink", "http://127.0.0.1:1", "--topic-prefix", "away.") as url, opened(url) as page:
        expect(page.locator(".banner", has_text="These topics do not exist: away.events,")).to_be_visible(timeout=30_000)
        expect(page.locator(".banner", has_text="Flink at http://127.0.0.1:1 does not answer")).to_be_visible()
        broker.create_topics(Topics(prefix="away."))
        _send(broker, 100_000)
        expect(page.locator("#kpi-revenue .value")).to_have_text("200.00 USD", timeout=30_000)
        expect(page.locator(".banner", has_text="do not exist")).to_have_count(0)

        kafka = broker.processes[0]
        os.killpg(kafka.pid, signal.SIGKILL)
        gone = page.locator(".banner", has_text=f"Kafka at {broker.bootstrap} does not answer")
        expect(gone).to_contain_text("figures below are of", timeout=30_000)
        expect(page.locator("#kpi-revenue .value")).to_have_text("200.00 USD")

        broker.processes.remove(kafka)
        broker.up_kafka()
        expect(gone).to_have_count(0, timeout=60_000)
        _send(broker, 200_000)
        expect(page.locator("#kpi-revenue .value")).to_have_text("400.00 USD", timeout=60_000)


def _send(broker: Stack, amount_minor: int) -> None:
    """A sales window that has just ended."""
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    record = window("toys", amount_minor, end_ms=now_ms() // 1_000 * 1_000)
    producer.produce(f"away.{record.topic}", record.value, record.key)
    assert producer.flush(30) == 0
