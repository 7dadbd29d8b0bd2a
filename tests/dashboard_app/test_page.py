"""The page in a real browser (Debian's Chromium, driven by Playwright), fed by a test instead of Kafka and Flink."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from scripts.dashboard_app.shared import Shared
from scripts.outputs.record import Offsets, Record
from tests.dashboard_app import simulated
from tests.dashboard_app.browser import VIEW, chromium, needs_chromium
from tests.dashboard_app.samples import (
    ABOUT,
    HOSTILE,
    MINUTE_MS,
    alert,
    dead_letter,
    for_product,
    for_user,
    funnel,
    minute,
    rule,
    session,
    status,
    top,
    trend,
    window,
)  # fmt: skip
from tests.dashboard_app.serving import Serving, fresh_job, serving

pytestmark = [pytest.mark.integration, needs_chromium]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def server() -> Iterator[Serving]:
    with serving() as running:
        yield running


@pytest.fixture
def faults() -> list[str]:
    """What the browser complained of: scripts' errors, and what the content security policy has refused."""
    return []


@pytest.fixture
def page(browser: Browser, faults: list[str]) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, **VIEW)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" and "ERR_" not in message.text else None)
    page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
    yield page
    page.context.close()
    assert faults == []


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def everything(name: str = "toys") -> list[Record]:
    """A record or two for each panel; `name` stands wherever a stranger's text may."""
    end_ms = now_ms() // 10_000 * 10_000
    start_ms = end_ms // MINUTE_MS * MINUTE_MS - MINUTE_MS
    return [
        window(name, 250_000, end_ms=end_ms, orders=12), window("books", 50_000, end_ms=end_ms, orders=4),
        window(name, 200_000, end_ms=end_ms - 10_000), window(name, 900_000, end_ms=end_ms, currency="JPY", orders=2),
        minute(start_ms - MINUTE_MS, 7, 80_000), minute(start_ms, 9, 123_456, at_risk_orders=2, at_risk_minor=9_876),
        top(1, name, 77_700, category=name, end_ms=end_ms), top(2, "p-2", 11_100, end_ms=end_ms),
        funnel(name, 1_000, 200, 50, 45, end_ms), funnel("books", 3_000, 300, 70, 60, end_ms),
        session("s", length_ms=125_000, time_ms=end_ms), alert("a-1", 91, time_ms=end_ms, subject=name, text=name, rule_id=name),
        for_user(name, name, "p-2"), for_product(name, viewed=(name,), bought=("p-4",)), trend(name, name, "p-3", time_ms=end_ms),
        rule(name, 3, mode="shadow", description=name), status(name, 3, time_ms=end_ms),
        status(name, 3, "counted", time_ms=end_ms, evaluated=100, matched=42, shadow_matched=17, errors=1),
        status("other", 2, "rejected", time_ms=end_ms, reason=name), dead_letter(name), dead_letter(name),
    ]  # fmt: skip


def cells(page: Page, panel: str) -> list[list[str]]:
    """The texts of a panel's (first) table, row by row."""
    rows: list[list[str]] = (
        page.locator(f"#{panel} table")
        .first.locator("tbody tr")
        .evaluate_all("rows => rows.map(row => [...row.children].map(cell => cell.innerText.trim()))")
    )
    return rows


def value(page: Page, kpi: str) -> Any:
    return expect(page.locator(f"#kpi-{kpi} .value"))


def test_the_page_shows_the_numbers_of_the_snapshot(server: Serving, page: Page) -> None:
    server.feed(*everything())
    page.goto(server.url)
    # Revenue per minute: 250,000 and 50,000 cents in 5 minutes are 600.00 dollars a minute.
    value(page, "revenue").to_have_text("600.00 USD")
    value(page, "orders").to_have_text("9")
    value(page, "conversion").to_have_text("3.00 %")
    value(page, "alerts").to_have_text("1")
    expect(page.locator("#job-state")).to_have_text("running")
    assert cells(page, "categories") == [["toys", "500.00", "12"], ["books", "100.00", "4"]]
    assert [row[1:] for row in cells(page, "minutes")] == [["9", "1,234.56", "137.17", "98.76"], ["7", "800.00", "114.29", "0"]]
    assert cells(page, "funnel") == [
        ["books", "3,000", "300", "10.0 %", "70", "23.3 %", "60", "85.7 %", "2.33 %"],
        ["toys", "1,000", "200", "20.0 %", "50", "25.0 %", "45", "90.0 %", "5.00 %"],
    ]
    assert cells(page, "top") == [["1", "toys\ntoys", "3", "777.00"], ["2", "p-2\ntoys", "3", "111.00"]]
    assert cells(page, "rules") == [["toys", "v3", "shadow", "42", "17", "1"]]
    expect(page.locator("#rules .note")).to_contain_text("version 2 of other was rejected: toys")
    expect(page.locator("#alerts .headline")).to_have_text("toys")
    expect(page.locator("#alerts .score")).to_contain_text("91")
    expect(page.locator("#sessions")).to_contain_text("2 min")
    expect(page.locator("#sessions")).to_contain_text("1 of 1 with a cart left it")
    expect(page.locator("#trends li").first).to_have_text("toys")
    expect(page.locator("#health-lag .figure")).to_have_text("7")
    expect(page.locator("#health-dead .figure")).to_have_text("2")
    assert [row[:2] for row in cells(page, "health")] == [["toys", "2"]]


def test_evidence_of_an_alert_and_one_that_is_new_is_announced(server: Serving, page: Page) -> None:
    server.feed(*everything())
    page.goto(server.url)
    page.locator("#alerts summary").click()
    expect(page.locator("#alerts .evidence")).to_contain_text("e-a-1-3")
    server.feed(alert("a-2", 55, time_ms=now_ms(), text="5 failed payments with one card"))
    expect(page.locator("#announcer")).to_have_text("New alert, score 55: 5 failed payments with one card")
    expect(page.locator("#alerts details").first).to_contain_text("5 failed payments")
    expect(page.locator("#alerts .evidence").nth(1)).to_be_visible()  # what somebody reads stays open


def test_another_currency(server: Serving, page: Page) -> None:
    """The yen has no minor unit."""
    server.feed(*everything())
    page.goto(server.url)
    value(page, "revenue").to_have_text("600.00 USD")
    page.get_by_role("radio", name="JPY").check(force=True)
    value(page, "revenue").to_have_text("180,000 JPY")
    assert cells(page, "categories") == [["toys", "180,000", "2"]]


def test_recommendations_for_a_user_and_a_product(server: Serving, page: Page) -> None:
    server.feed(for_user("u-77", "p-1", "p-2"), for_product("p-1", viewed=("p-3",), bought=("p-4", "p-5")))
    page.goto(server.url)
    page.get_by_role("button", name="u-77").click()
    expect(page.locator("#users .ranked li")).to_have_count(2)
    expect(page.locator("#users .answer h3")).to_have_text("Next for u-77")
    server.feed(for_user("u-77", "p-9"))
    expect(page.locator("#users .ranked li")).to_have_text([re.compile("p-9")])
    page.locator("#person").fill("p-1")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#users .ranked li")).to_have_count(3)
    page.locator("#person").fill("nobody")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#users .answer")).to_contain_text("There are no recommendations for nobody")


def test_hostile_names_are_shown_and_do_nothing(server: Serving, page: Page) -> None:
    server.feed(*everything(HOSTILE))
    page.goto(server.url)
    value(page, "revenue").to_have_text("600.00 USD")
    page.locator("#alerts summary").click()
    page.locator("#top").get_by_role("button", name=HOSTILE).click()
    expect(page.locator("#users .answer")).to_contain_text(HOSTILE)
    for panel in ("categories", "funnel", "top", "alerts", "users", "trends", "health", "rules"):
        expect(page.locator(f"#{panel}")).to_contain_text(HOSTILE)
    assert page.locator("img, script:not([src]), iframe, [onerror]").count() == 0
    assert page.title() == "millrace"


def test_the_policy_would_stop_a_script_that_got_in(server: Serving, page: Page, faults: list[str]) -> None:
    page.goto(server.url)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title=2'}))")
    page.wait_for_timeout(300)
    assert page.title() == "millrace"
    assert len([fault for fault in faults if "Content Security Policy" in fault]) >= 2
    faults.clear()


def test_empty_panels_say_what_is_missing_and_why(server: Serving, page: Page) -> None:
    server.feed(offsets=Offsets(0, 0, ("trending.by-category",)), view=fresh_job(sinks=frozenset({"sales_by_category"})))
    page.goto(server.url)
    expect(page.locator("#categories .note")).to_have_text("No sales window yet: the first closes about 10 s after the first order.")
    expect(page.locator("#alerts .note")).to_have_text("Switched off in the job that runs (--no-fraud).")
    expect(page.locator("#trends .note")).to_have_text("The topic trending.by-category does not exist.")
    expect(page.locator(".banner")).to_have_text("These topics do not exist: trending.by-category.")
    server.feed(*everything(), offsets=Offsets(10, 0))
    expect(page.locator("#categories table tbody tr")).to_have_count(2)
    expect(page.locator("#categories .note")).to_have_count(0)
    expect(page.locator(".banner")).to_have_count(0)


def test_kafka_goes_away_and_comes_back(server: Serving, page: Page) -> None:
    server.feed(*everything())
    page.goto(server.url)
    value(page, "revenue").to_have_text("600.00 USD")
    server.shared.offsets(None)
    banner = page.locator(".banner.error")
    expect(banner).to_have_text(
        re.compile(r"^Kafka at 127\.0\.0\.1:9092 does not answer since \d+ s; figures below are of \d\d:\d\d:\d\d\.$")
    )
    expect(page.locator("body")).to_have_class("lost")
    expect(page.locator("#categories table tbody tr")).to_have_count(2)
    server.shared.offsets(Offsets(100, 0))
    expect(banner).to_have_count(0)
    expect(page.locator("body")).not_to_have_class("lost")


def test_old_data_are_marked(server: Serving, page: Page) -> None:
    server.feed(window("toys", 500, end_ms=now_ms() - 600_000))
    page.goto(server.url)
    expect(page.locator("#categories")).to_have_class(re.compile("stale"))
    expect(page.locator("#categories .note")).to_have_text(re.compile(r"Nothing newer has come\. What is shown is of \d\d:\d\d:\d\d\."))
    expect(page.locator("#kpi-revenue")).to_have_class(re.compile("stale"))


def test_the_server_ends_and_another_one_starts(page: Page) -> None:
    with serving() as first:
        first.feed(*everything())
        page.goto(first.url)
        value(page, "revenue").to_have_text("600.00 USD")
    expect(page.locator(".banner.error")).to_have_text(re.compile("The dashboard's server does not answer since .*figures below are of"))
    value(page, "revenue").to_have_text("600.00 USD")
    with serving(port=first.port) as second:
        second.feed(window("toys", 1_000_000, end_ms=now_ms() // 10_000 * 10_000))
        value(page, "revenue").to_have_text("2,000.00 USD", timeout=15_000)
        expect(page.locator(".banner")).to_have_count(0)


def test_light_and_dark(server: Serving, page: Page) -> None:
    def background() -> str:
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    server.feed(*everything())
    page.goto(server.url)
    light = background()
    page.emulate_media(color_scheme="dark")
    dark = background()
    assert light != dark
    button = page.locator("#theme")
    expect(button).to_have_text("Auto")
    button.click()
    expect(button).to_have_text("Light")
    assert background() == light
    page.reload()
    expect(button).to_have_text("Light")
    assert background() == light
    button.click()
    page.emulate_media(color_scheme="light")
    expect(button).to_have_text("Dark")
    assert background() == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(server: Serving, page: Page, scheme: Any) -> None:
    """WCAG 2.1 level AA, 1.4.3: at least 4.5 to 1."""
    server.feed(*everything())
    page.emulate_media(color_scheme=scheme)
    page.goto(server.url)
    value(page, "revenue").to_have_text("600.00 USD")
    poor = page.evaluate(
        """() => {
        const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
          .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const ground = (node) => { for (; node; node = node.parentElement) {
          const c = rgb(getComputedStyle(node).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
        const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), poor = [];
        let seen = 0;
        for (let node = texts.nextNode(); node; node = texts.nextNode()) {
          const parent = node.parentElement;
          if (!node.textContent.trim() || !parent.checkVisibility() || parent.closest('.hidden, noscript, .skip')) continue;
          const [a, b] = [light(rgb(getComputedStyle(parent).color)), light(ground(parent))];
          const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          seen += 1;
          if (contrast < 4.5) poor.push(`${node.textContent.trim()}: ${contrast.toFixed(2)}`);
        }
        return seen > 100 ? poor : [`only ${seen} texts`];
      }"""
    )
    assert poor == []


@pytest.mark.parametrize("width", [390, 360, 768, 1024])
@pytest.mark.parametrize("name", ["toys", "W" * 300, HOSTILE])
def test_nothing_is_wider_than_the_screen(server: Serving, page: Page, width: int, name: str) -> None:
    server.feed(*everything(name))
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(server.url)
    value(page, "revenue").to_have_text("600.00 USD")
    page.locator("#alerts summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    wide = page.evaluate(
        """() => [...document.querySelectorAll('.kpi, .panel')]
          .filter((each) => each.getBoundingClientRect().right > innerWidth).map((each) => each.id)"""
    )
    assert wide == []


def test_what_is_drawn_has_a_name_and_tables_have_heads(server: Serving, page: Page) -> None:
    server.feed(*everything())
    page.goto(server.url)
    value(page, "revenue").to_have_text("600.00 USD")
    expect(page.locator("#categories [role=img]")).to_have_attribute("aria-label", re.compile(r"Highest now: toys, 500\.00 USD"))
    expect(page.locator("#minutes [role=img]")).to_have_attribute("aria-label", re.compile(r"Newest: 1,234\.56 USD"))
    assert page.locator("canvas").count() == 2
    assert (
        page.evaluate(
            "[...document.querySelectorAll('table')].filter((each) => !each.caption || !each.querySelector('thead th[scope=col]')).length"
        )
        == 0
    )
    assert (
        page.evaluate(
            "[...document.querySelectorAll('button, input, a')].filter((each) => !each.textContent && !each.labels?.length).length"
        )
        == 0
    )
    assert page.evaluate("[...document.querySelectorAll('svg')].filter((each) => each.ariaHidden !== 'true').length") == 0
    expect(page.locator("#banners")).to_have_attribute("aria-live", "polite")


def test_a_line_is_hidden_and_drawn_again(server: Serving, page: Page) -> None:
    server.feed(*everything())
    page.goto(server.url)
    toys = page.locator("#categories button.series").first
    expect(toys).to_have_attribute("aria-pressed", "true")
    toys.click()
    expect(toys).to_have_attribute("aria-pressed", "false")
    toys.click()
    expect(toys).to_have_attribute("aria-pressed", "true")


def test_half_an_hour_of_a_busy_shop(page: Page) -> None:
    """Twelve categories in three currencies: it comes without an error, and the busiest panels are full."""
    shared = Shared(ABOUT)
    simulated.fill(shared)
    with serving(shared=shared) as server:
        server.feed()
        page.goto(server.url)
        expect(page.locator("#funnel tbody tr")).to_have_count(12)
        expect(page.locator("#top tbody tr")).to_have_count(10)
        expect(page.locator("#alerts details")).to_have_count(14)
        expect(page.locator("#rules tbody tr")).to_have_count(6)
