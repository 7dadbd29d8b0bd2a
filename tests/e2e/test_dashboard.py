"""The dashboard on a real job: what stands on the page is what the ledger says. And on a broker that goes away."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer
from playwright.sync_api import Page, expect
from shop.v1.events_pb2 import Event

from jobs import baseline
from jobs.settings import Topics
from scripts.checker import sales
from scripts.checker.model import Terms
from scripts.checker.oracle import expect as expectation
from scripts.checker.rows import Row
from scripts.checker.rules import load_rules
from scripts.checker.windows import Sums, WindowKey, expected_windows
from scripts.dashboard_app.panels import PANELS
from scripts.shop.ledger import read_ledger
from scripts.stack import Stack, jars
from scripts.stack.paths import ROOT
from tests.dashboard_app.browser import VIEW, chromium, needs_chromium
from tests.dashboard_app.samples import window
from tests.e2e.harness import AGREED, SLIDE_MS, WINDOW_MS, Job, header, now_ms, running_job, wait_until

pytestmark = [pytest.mark.e2e, needs_chromium]
AGREED_MS: dict[str, Any] = {
    name.removeprefix("--").replace("-", "_"): int(value) for name, value in zip(AGREED[::2], AGREED[1::2], strict=True)
}
TERMS = Terms(**AGREED_MS)


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


@dataclass(frozen=True)
class Truth:
    """What the oracle makes of a ledger, without the events that were late."""

    categories: dict[WindowKey, Sums]
    minutes: list[Row]
    top: list[Row]
    funnel: list[Row]
    sessions: list[Row]

    @classmethod
    def of(cls, job: Job, ledger: Path) -> Truth:
        late = {header(message, "event-id").decode() for message in job.read(job.topics.late)}
        events = expectation(read_ledger(ledger).entries, load_rules(ROOT / "rules")).events.values()
        on_time = [event for event in events if event.event_id not in late]
        steps = [sales.Step(event.time_ms, event.event_type, Event.FromString(event.value)) for event in on_time]
        return cls(
            expected_windows(on_time, WINDOW_MS, SLIDE_MS), sales.per_minute(steps, TERMS), sales.top_products(steps, TERMS),
            sales.funnel(steps, TERMS), sales.sessions(steps, TERMS),
        )  # fmt: skip


def newest(rows: list[Row]) -> list[Row]:
    """Those of the window that ends last."""
    newest_ms = max(row["window_end"] for row in rows)
    return [row for row in rows if row["window_end"] == newest_ms]


def minor(text: str) -> int:
    """An amount as the page writes it (currencies of the simulated shop have two digits)."""
    return int(text.replace(",", "").replace(".", ""))


def count(text: str) -> int:
    return int(text.replace(",", ""))


def cells(page: Page, panel: str) -> list[list[str]]:
    """The texts of a panel's first table, row by row."""
    rows: list[list[str]] = (
        page.locator(f"#{panel} table").first.locator("tbody tr")
        .evaluate_all("rows => rows.map((row) => [...row.children].map((cell) => cell.innerText.trim()))")
    )  # fmt: skip
    return rows


def test_numbers_on_the_page_equal_the_ledgers(stack: Stack, tmp_path: Path) -> None:
    with running_job(stack, "dashboard", tmp_path, "--recommendation-window-ms", "5000") as job:
        where = ("--bootstrap", stack.bootstrap, "--flink", stack.rest_url, "--job-id", job.job_id)
        with dashboard(*where, "--topic-prefix", job.topics.prefix, "--group-id", "dashboard") as url, opened(url) as page:
            expect(page.locator("#categories .note")).to_contain_text("No sales window yet")
            expect(page.locator("#job-state")).to_have_text("running")
            assert {name: panel["off"] for name, panel in snapshot(url)["panels"].items()} == dict.fromkeys(PANELS, False)
            ledger = job.generate(
                "--rate", "1000", "--for", "20", "--seed", "31", "--late", "0.01", "--malformed", "0.01", "--fraud", "0.02"
            )
            job.verify(ledger)  # all that must come out is out

            truth = Truth.of(job, ledger)
            wait_until(lambda: _is_all_there(snapshot(url), truth), "the newest windows and all sessions on the page")
            found = snapshot(url)
            _categories_are_right(page, found["categories"], truth.categories)
            _minutes_are_right(page, found["minutes"], truth.minutes)
            _top_products_are_right(page, truth.top)
            _funnel_is_right(page, truth.funnel)
            _sessions_are_right(page, found["sessions"], truth.sessions)
            _alerts_are_right(job, page, found)
            _recommendations_are_right(job, url, found)
            _health_is_right(job, page, found)


def _is_all_there(found: dict[str, Any], truth: Truth) -> bool:
    ends = {"top": truth.top, "funnel": truth.funnel}
    return (
        bool(
            found["categories"] and found["minutes"] and found["top"] and found["funnel"] and found["sessions"] and found["users"]["users"]
        )
        and found["categories"]["window"]["start_ms"] == max(key.start_ms for key in truth.categories)
        and found["minutes"]["end_ms"] == newest(truth.minutes)[0]["window_end"]
        and all(found[name]["window"]["end_ms"] == newest(rows)[0]["window_end"] for name, rows in ends.items())
        and found["sessions"]["closed"] == len(truth.sessions)
    )


def _choose(page: Page, currency: str) -> None:
    page.get_by_role("radio", name=currency).check(force=True)
    expect(page.locator("#kpi-revenue .value")).to_contain_text(currency)


def _categories_are_right(page: Page, found: dict[str, Any], expected: dict[WindowKey, Sums]) -> None:
    """The table of each currency, the figure at the top, and every point of every line that the chart draws."""
    newest_ms = max(key.start_ms for key in expected)
    of_newest = {(key.currency, key.category): sums for key, sums in expected.items() if key.start_ms == newest_ms}
    shown: dict[tuple[str, str], tuple[int, int]] = {}
    for currency in {currency for currency, _ in of_newest}:
        _choose(page, currency)
        shown |= {(currency, category): (minor(per_minute), count(orders)) for category, per_minute, orders in cells(page, "categories")}
        revenue = minor(page.locator("#kpi-revenue .value").inner_text().split()[0])
        total = sum(sums.amount_minor for (of, _), sums in of_newest.items() if of == currency)
        assert revenue == pytest.approx(total / (WINDOW_MS / 60_000), abs=0.5)
    assert shown == {key: (round(sums.amount_minor / (WINDOW_MS / 60_000)), sums.orders) for key, sums in of_newest.items()}

    assert found["ends_ms"] == sorted({key.start_ms + WINDOW_MS for key in expected})
    drawn = {
        WindowKey(end_ms - WINDOW_MS, category, currency): value
        for currency, of in found["currencies"].items()
        for category, course in of["course"].items()
        for end_ms, value in zip(found["ends_ms"], course, strict=True)
        if value
    }
    assert drawn == {key: round(sums.amount_minor / (WINDOW_MS / 60_000)) for key, sums in expected.items()}


def _minutes_are_right(page: Page, found: dict[str, Any], expected: list[Row]) -> None:
    names = ("orders", "amount_minor", "payments", "paid_minor", "failed_payments", "at_risk_orders", "at_risk_minor")
    shown = {
        (currency, each["start_ms"]): tuple(each[name] for name in names) for currency, of in found["currencies"].items() for each in of
    }
    wanted = {(row["currency"], row["window_start"]): tuple(row[name] for name in names) for row in expected}
    assert {key: value for key, value in shown.items() if any(value)} == wanted
    last = {row["currency"]: row for row in newest(expected)}
    for currency, row in last.items():
        _choose(page, currency)
        _, orders, revenue, _, at_risk = cells(page, "minutes")[0]
        assert (count(orders), minor(revenue), minor(at_risk)) == (row["orders"], row["amount_minor"], row["at_risk_minor"])
    per_minute = sum(row["orders"] for row in last.values()) * 60_000 / TERMS.totals_ms
    assert count(page.locator("#kpi-orders .value").inner_text()) == per_minute


def _top_products_are_right(page: Page, expected: list[Row]) -> None:
    of_newest = newest(expected)
    for currency in {row["currency"] for row in of_newest}:
        _choose(page, currency)
        shown = [(count(rank), product, count(pieces), minor(revenue)) for rank, product, pieces, revenue in cells(page, "top")]
        rows = sorted((row for row in of_newest if row["currency"] == currency), key=lambda row: row["rank"])
        assert shown == [(row["rank"], f"{row['product_id']}\n{row['category']}", row["quantity"], row["amount_minor"]) for row in rows]


def _funnel_is_right(page: Page, expected: list[Row]) -> None:
    of_newest = newest(expected)
    shown = {
        category: tuple(map(count, (views, carts, orders, paid)))
        for category, views, carts, _, orders, _, paid, _, _ in cells(page, "funnel")
    }
    assert shown == {row["category"]: (row["views"], row["carts"], row["orders"], row["paid"]) for row in of_newest}
    steps = [count(text) for text in page.locator("#funnel .steps strong").all_inner_texts()]
    assert steps == [sum(row[name] for row in of_newest) for name in ("views", "carts", "orders", "paid")]


def _sessions_are_right(page: Page, found: dict[str, Any], expected: list[Row]) -> None:
    with_cart = sum(row["carts"] > 0 for row in expected)
    abandoned = sum(row["abandoned"] for row in expected)
    assert found["avg_length_ms"] == pytest.approx(sum(row["length_ms"] for row in expected) / len(expected))
    assert found["avg_events"] == pytest.approx(sum(row["events"] for row in expected) / len(expected))
    assert (found["with_cart"], found["with_order"]) == (with_cart, sum(row["orders"] > 0 for row in expected))
    expect(page.locator("#sessions")).to_contain_text(f"{abandoned:,} of {with_cart:,} with a cart left it")


def _alerts_are_right(job: Job, page: Page, found: dict[str, Any]) -> None:
    """What the topic holds: as many, and the newest with its score and first reason."""
    alerts = {alert["alert_id"]: alert for alert in (json.loads(message.value() or b"") for message in job.read(job.topics.fraud_alerts))}
    assert len(alerts) > 0
    assert found["kpis"]["alerts"] == {"open": len(alerts), "highest": max(alert["score"] for alert in alerts.values())}
    last = min(alerts.values(), key=lambda alert: (-alert["time_ms"], alert["alert_id"]))
    shown = page.locator("#alerts details").first
    expect(shown.locator(".headline")).to_have_text(last["reasons"][0]["text"])
    expect(shown.locator(".score")).to_contain_text(str(int(last["score"] + 0.5)))


def _recommendations_are_right(job: Job, url: str, found: dict[str, Any]) -> None:
    """What the topics hold of a few keys."""
    users, products, trends = (
        {(message.key() or b"").decode(): message for message in job.read(topic)}  # the last of each key
        for topic in (job.topics.user_recommendations, job.topics.product_recommendations, job.topics.trending)
    )
    assert found["users"] == {"users": len(users), "products": len(products)}
    for key in [*list(users)[:5], *list(products)[:5]]:
        with urlopen(f"{url}/api/recommendations/{quote(key, safe='')}", timeout=30) as answer:
            shown = json.load(answer)
        if key in users:
            assert shown["user"]["items"] == json.loads(users[key].value() or b"")["items"]
        if key in products:
            assert shown["product"]["also_bought"] == json.loads(products[key].value() or b"")["also_bought"]
    assert {each["category"]: each["items"] for each in found["trends"]} == {
        category: json.loads(message.value() or b"")["items"] for category, message in trends.items()
    }


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

        broker.kill(broker.broker_name(1))
        gone = page.locator(".banner", has_text=f"Kafka at {broker.bootstrap} does not answer")
        expect(gone).to_contain_text("figures below are of", timeout=30_000)
        expect(page.locator("#kpi-revenue .value")).to_have_text("200.00 USD")

        broker.start_broker(1)
        expect(gone).to_have_count(0, timeout=60_000)
        _send(broker, 200_000)
        expect(page.locator("#kpi-revenue .value")).to_have_text("400.00 USD", timeout=60_000)


def _send(broker: Stack, amount_minor: int) -> None:
    """A sales window that has just ended."""
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    record = window("toys", amount_minor, end_ms=now_ms() // 1_000 * 1_000)
    producer.produce(f"away.{record.topic}", record.value, record.key)
    assert producer.flush(30) == 0
