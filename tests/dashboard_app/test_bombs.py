"""Whatever comes over the topics: nothing but Unreadable is raised, the page stays valid JSON, and memory stays bounded."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.dashboard_app.bounded import Now
from scripts.dashboard_app.state import STARTS, DashboardState
from scripts.outputs.record import Offsets, Record
from tests.dashboard_app import samples
from tests.dashboard_app.samples import ABOUT, HOSTILE, NOON_MS, TOPICS, seen

VALID = [
    samples.window("toys", 1), samples.minute(NOON_MS - 60_000, 1, 1), samples.top(1, "p", 1), samples.funnel("a", 1, 1, 1, 1),
    samples.session("s"), samples.alert("a"), samples.for_user("u", "p"), samples.for_product("p", ("q",)), samples.trend("a", "p"),
    samples.status("r"), samples.rule("r"), samples.dead_letter("x"),
]  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**64), 2**64), st.floats(), st.text(max_size=20), st.just(HOSTILE), st.just("x" * 5_000)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["score", "text", "product_id", "x"]), inner)),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> Record:
    """A valid record with some of its fields replaced, or left out, or with any bytes."""
    base = draw(st.sampled_from(VALID))
    topic = draw(st.sampled_from(sorted({base.topic, *draw(st.lists(st.sampled_from(sorted(STARTS)), max_size=1))})))
    if draw(st.integers(0, 9)) == 0 or base.topic == TOPICS.dead_letters:
        value = draw(st.binary(max_size=40))
    else:
        document: dict[str, Any] = orjson.loads(base.value)
        for name in draw(st.lists(st.sampled_from(sorted(document)), max_size=3)):
            document[name] = draw(VALUES)
        if draw(st.booleans()):
            document.pop(draw(st.sampled_from(sorted(document))))
        try:
            value = orjson.dumps(document)
        except TypeError:  # larger than 64 bits
            value = repr(document).encode("utf-8", "replace")
    key = draw(st.one_of(st.just(base.key), st.binary(max_size=8), st.just(b"k" * 300)))
    time_ms = draw(st.one_of(st.just(NOON_MS), st.integers(-1, 2**62)))
    return Record(topic, value, {"reason": draw(st.binary(max_size=100))}, key=key, time_ms=time_ms)


@pytest.mark.thorough
@settings(max_examples=60, deadline=None)
@given(st.lists(mutated(), min_size=1, max_size=5))
def test_any_record_leaves_a_valid_page(records: list[Record]) -> None:
    state = seen(*VALID, *records)
    for now in (Now(2.0, NOON_MS + 2_000), Now(5.0, NOON_MS + 5_000)):
        page = orjson.loads(orjson.dumps(state.sections(now)))
        assert page["kpis"].keys() == {"revenue", "orders", "conversion", "alerts", "events", "watermark_lag_ms"}
    for user in state.recommendations.users.with_text(""):
        assert len(user) <= 200


def test_a_window_of_the_far_future_hides_nothing() -> None:
    state = seen(samples.window("toys", 500), samples.window("evil", 1, end_ms=NOON_MS + 3 * 3_600_000), samples.funnel("toys", 9, 1, 1, 1),
                 samples.minute(NOON_MS - 60_000, 3, 30), samples.minute(2**52, 1, 1), samples.top(1, "p", 1, end_ms=2**52),
                 samples.funnel("evil", 1, 1, 1, 1, end_ms=2**52))  # fmt: skip
    page = orjson.loads(orjson.dumps(state.sections(Now(2, NOON_MS + 2_000))))
    assert [each["category"] for each in page["categories"]["currencies"]["USD"]["now"]] == ["toys"]
    assert (page["funnel"]["total"]["views"], page["kpis"]["orders"]["per_minute"], page["top"]) == (9, 3, None)
    assert state.health.unreadable == 4


@pytest.mark.thorough
def test_thousands_of_different_names_stay_within_bounds() -> None:
    state = DashboardState(ABOUT, Now(0, NOON_MS))
    state.kafka_said(Offsets(0, 0), Now(0, NOON_MS))
    long = "x" * 3_000
    for number in range(6_000):
        name = f"{number}-{long}"
        for record in (
            samples.window(name, 1, currency=f"C{number}"), samples.minute(NOON_MS - 60_000, 1, 1, currency=f"C{number}"),
            samples.top(1, name, 1, currency=f"C{number}"), samples.funnel(name, 1, 1, 1, 1), samples.session(name),
            samples.alert(name, text=name),
            samples.for_user(f"u-{number}", long[:150]), samples.for_product(f"p-{number}"), samples.trend(name, name),
            samples.status(f"rule-{number}"), samples.rule(f"rule-{number}", description=name), samples.dead_letter(name),
        ):  # fmt: skip
            state.observe(record, Now(number / 1_000, NOON_MS))
    page = orjson.dumps(state.sections(Now(20, NOON_MS + 3_000)))
    assert len(page) < 400_000
    assert orjson.loads(page)["rules"]["count"] == 5_000
    assert state.health.unreadable == 1_000  # the rules above those that a job may have


@pytest.mark.thorough
def test_a_dashboard_that_runs_for_long_forgets() -> None:
    """Windows of a day, one every ten seconds."""
    state = DashboardState(ABOUT, Now(0, NOON_MS))
    state.kafka_said(Offsets(0, 0), Now(0, NOON_MS))
    for number in range(8_640):
        now = Now(number * 10, NOON_MS + number * 10_000)
        state.observe(samples.funnel("toys", 9, 3, 2, 1, end_ms=now.ms), now)
        state.observe(samples.window("toys", 100, end_ms=now.ms), now)
    page = state.sections(Now(now.s + 5, now.ms + 5_000))
    assert len(page["categories"]["ends_ms"]) == 180  # half an hour
    assert len(state.sales.by_category.whole(now.s + 5)) == 400
    assert len(state.shoppers.funnel.whole(now.s + 5)) == 120
