"""What a page gets of each kind of record, without Kafka and without a browser."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from scripts.dashboard_app.bounded import Now
from scripts.dashboard_app.state import DashboardState
from scripts.outputs.record import Record
from tests.dashboard_app.samples import (
    LATER,
    MINUTE_MS,
    NOON_MS,
    TOPICS,
    alert,
    dead_letter,
    for_product,
    for_user,
    funnel,
    minute,
    record,
    rule,
    seen,
    session,
    status,
    top,
    trend,
    window,
)  # fmt: skip


def sections(*records: Record, now: Now = LATER) -> dict[str, Any]:
    """As a page gets them."""
    return page(seen(*records), now)


def page(state: DashboardState, now: Now = LATER) -> dict[str, Any]:
    result: dict[str, Any] = orjson.loads(orjson.dumps(state.sections(now)))
    return result


# -- sales ------------------------------------------------------------------------------------------------------------------


def test_categories_in_the_newest_window_and_their_course() -> None:
    found = sections(
        window("toys", 500, end_ms=NOON_MS - 10_000), window("gone", 100, end_ms=NOON_MS - 10_000),
        window("toys", 1_000, orders=2), window("books", 2_000), window("books", 9_000, currency="JPY"),
    )["categories"]  # fmt: skip
    assert found["window"] == {"end_ms": NOON_MS, "start_ms": NOON_MS - 300_000}
    assert found["ends_ms"] == [NOON_MS - 10_000, NOON_MS]
    dollars = found["currencies"]["USD"]
    assert [(each["category"], each["minor_per_minute"], each["orders"]) for each in dollars["now"]] == [
        ("books", 400, 1),
        ("toys", 200, 2),
    ]
    assert dollars["course"] == {"books": [0, 400], "gone": [20, 0], "toys": [100, 200]}
    assert found["currencies"]["JPY"]["course"] == {"books": [0, 1_800]}


def test_the_currency_with_most_orders_comes_first_with_its_digits() -> None:
    found = sections(window("a", 1, currency="EUR"), window("a", 1, currency="JPY", orders=5), window("a", 1, currency="KWD", orders=3),
                     window("a", 1, currency="???", orders=2))  # fmt: skip
    assert found["currencies"] == [
        {"code": "JPY", "digits": 0}, {"code": "KWD", "digits": 3}, {"code": "???", "digits": 2}, {"code": "EUR", "digits": 2},
    ]  # fmt: skip


def test_a_course_ends_where_the_page_looks_no_further_back() -> None:
    old, edge = NOON_MS - 31 * MINUTE_MS, NOON_MS - 29 * MINUTE_MS
    found = sections(window("a", 1, end_ms=old), window("a", 2, end_ms=edge), window("a", 3))["categories"]
    assert found["ends_ms"] == [edge, NOON_MS]


def test_without_anything_new_the_last_known_window_is_shown_as_stale() -> None:
    found = sections(window("a", 300, end_ms=NOON_MS - 3 * 3_600_000))
    assert found["categories"]["currencies"]["USD"]["now"][0]["minor_per_minute"] == 60
    assert found["panels"]["categories"]["stale"] is True
    assert found["panels"]["categories"]["as_of_ms"] == NOON_MS - 3 * 3_600_000


def test_minutes_without_sales_in_a_currency_are_zeros() -> None:
    found = sections(
        minute(NOON_MS - 2 * MINUTE_MS, 4, 400, currency="EUR"), minute(NOON_MS - MINUTE_MS, 2, 250, at_risk_orders=1, at_risk_minor=90)
    )
    minutes = found["minutes"]["currencies"]
    assert [(each["start_ms"], each["orders"], each["amount_minor"]) for each in minutes["USD"]] == [
        (NOON_MS - 2 * MINUTE_MS, 0, 0), (NOON_MS - MINUTE_MS, 2, 250),
    ]  # fmt: skip
    assert (minutes["USD"][1]["at_risk_orders"], minutes["USD"][1]["at_risk_minor"]) == (1, 90)
    assert [each["orders"] for each in minutes["EUR"]] == [4, 0]
    assert found["kpis"]["orders"] == {"per_minute": 2, "course": [4, 2], "minute_ms": NOON_MS - MINUTE_MS}


def test_top_products_by_rank() -> None:
    found = sections(
        top(2, "b", 200), top(1, "a", 300), top(1, "e", 9, currency="EUR"), top(11, "z", 1), top(1, "old", 999, end_ms=NOON_MS - 10_000)
    )
    assert [(each["rank"], each["product_id"]) for each in found["top"]["currencies"]["USD"]] == [(1, "a"), (2, "b")]
    assert [each["product_id"] for each in found["top"]["currencies"]["EUR"]] == ["e"]


def test_revenue_is_compared_with_the_window_before() -> None:
    """Before: the one that ends where the newest starts."""
    records = [window("a", 7_000, end_ms=NOON_MS - 310_000),
               window("a", 1_000, end_ms=NOON_MS - 300_000), window("b", 1_000, end_ms=NOON_MS - 300_000),
               window("a", 9_999, end_ms=NOON_MS - 10_000), window("a", 2_500), window("a", 5, currency="EUR")]  # fmt: skip
    revenue = sections(*records)["kpis"]["revenue"]
    assert revenue["USD"]["minor_per_minute"] == 500
    assert revenue["USD"]["change"] == pytest.approx(0.25)
    assert revenue["USD"]["course"] == [1_400, 400, 2_000, 500]
    assert revenue["EUR"]["change"] is None


# -- shoppers -----------------------------------------------------------------------------------------------------------------


def test_the_funnel_and_conversion() -> None:
    found = sections(funnel("a", 100, 30, 10, 9), funnel("b", 300, 10, 2, 2), funnel("a", 1, 1, 1, 1, end_ms=NOON_MS - 10_000))
    assert found["funnel"]["total"] == {"views": 400, "carts": 40, "orders": 12, "paid": 11}
    assert [each["category"] for each in found["funnel"]["categories"]] == ["b", "a"]
    assert found["kpis"]["conversion"] == {"share": 0.03, "course": [1.0, 0.03]}


def test_nobody_viewed_anything() -> None:
    assert sections(funnel("a", 0, 0, 1, 1))["kpis"]["conversion"] == {"share": None, "course": [None]}


def test_sessions_that_ended_in_the_last_hour() -> None:
    found = sections(
        session("a", length_ms=60_000, views=3, carts=1, orders=0), session("b", length_ms=120_000, views=5, carts=1, orders=1),
        session("c", length_ms=0, views=1, carts=0), session("old", time_ms=NOON_MS - 61 * MINUTE_MS),
    )["sessions"]  # fmt: skip
    assert (found["closed"], found["with_cart"], found["with_order"], found["abandoned"]) == (3, 2, 1, 1)
    assert (found["avg_length_ms"], found["avg_views"], found["avg_events"]) == (60_000, 3, 4)
    assert (found["abandoned_share"], found["order_share"]) == (0.5, pytest.approx(1 / 3))


# -- alerts ------------------------------------------------------------------------------------------------------------------


def test_alerts_with_reasons_newest_first() -> None:
    found = sections(alert("a", 40, time_ms=NOON_MS - 5_000), alert("b", 90, reasons=2), alert("b", 90, reasons=2),
                     alert("old", 99, time_ms=NOON_MS - 20 * MINUTE_MS))  # fmt: skip
    alerts = found["alerts"]
    assert [each["alert_id"] for each in alerts["newest"]] == ["b", "a", "old"]
    assert (alerts["open"], alerts["highest"], alerts["by_rule"]) == (2, 90, {"order-velocity": 2})
    reason = alerts["newest"][0]["reasons"][0]
    assert (reason["text"], reason["value"], reason["limit"]) == ("6 orders in 60 s, allowed are 3", "6", "3")
    assert (reason["evidence"], reason["evidence_count"]) == (["e-b-0", "e-b-1", "e-b-2", "e-b-3"], 4)
    assert found["kpis"]["alerts"] == {"open": 2, "highest": 90}


def test_much_evidence_is_shown_in_part_and_counted() -> None:
    document = orjson.loads(alert("a").value)
    document["reasons"][0] |= {"evidence": [f"e-{number}" for number in range(1_000)], "value": "DE to BR", "limit": None}
    document |= {"session_id": None, "order_id": None}
    found = sections(record(TOPICS.fraud_alerts, document))["alerts"]["newest"][0]
    assert (len(found["reasons"][0]["evidence"]), found["reasons"][0]["evidence_count"]) == (20, 1_000)
    assert (found["reasons"][0]["value"], found["reasons"][0]["limit"], found["order_id"]) == ("DE to BR", "", "")


# -- recommendations -------------------------------------------------------------------------------------------------------


def test_recommendations_of_users_and_products() -> None:
    recommendations = seen(for_user("u-1", "p-1"), for_user("u-1", "p-2", "p-3"), for_user("u-2", "p-9"),
                           for_product("p-1", viewed=("p-2",), bought=("p-4", "p-5"))).recommendations  # fmt: skip
    of_user = recommendations.of_user("u-1")
    assert of_user is not None
    assert [each["product_id"] for each in of_user["items"]] == ["p-2", "p-3"]
    of_product = recommendations.of_product("p-1")
    assert of_product is not None
    assert ([each["product_id"] for each in of_product["also_viewed"]], len(of_product["also_bought"])) == (["p-2"], 2)
    assert recommendations.of_user("u-3") is None
    assert recommendations.suggestions("") == {"users": ["u-2", "u-1"], "products": ["p-1"]}
    assert recommendations.suggestions("U-1") == {"users": ["u-1"], "products": []}


def test_a_tombstone_takes_them_back() -> None:
    gone = [Record(topic, b"", key=key) for topic, key in ((TOPICS.user_recommendations, b"u-1"), (TOPICS.trending, b"toys"))]
    state = seen(for_user("u-1", "p-1"), trend("toys", "p-1"), *gone)
    assert state.recommendations.of_user("u-1") is None
    found = page(state)
    assert (found["trends"], found["users"], found["panels"]["users"]["note"][:23]) == (
        [],
        {"users": 0, "products": 0},
        "No recommendations yet:",
    )


def test_trends_by_category() -> None:
    found = sections(trend("toys", "p-1"), trend("books", "p-2"), trend("toys", "p-3"))["trends"]
    assert [(each["category"], each["items"][0]["product_id"]) for each in found] == [("books", "p-2"), ("toys", "p-3")]


# -- rules -------------------------------------------------------------------------------------------------------------------


def test_rules_with_their_mode_and_counters_over_all_subtasks() -> None:
    found = sections(
        rule("a", 2, mode="shadow", description="what it is for"), rule("off", 1, enabled=False), rule("other", 9),
        status("a", 2, subtask=0, parallelism=2), status("a", 2, subtask=1, parallelism=2), status("off"), status("other"),
        status("a", 2, "counted", subtask=0, parallelism=2, matched=5, shadow_matched=2, evaluated=9, errors=1),
        status("a", 2, "counted", subtask=1, parallelism=2, matched=7, evaluated=8),
        status("a", 2, "counted", subtask=1, parallelism=2, matched=8, evaluated=9),
    )["rules"]  # fmt: skip
    assert found["count"] == 3
    a, off, other = found["rules"]
    assert a == {"id": "a", "version": 2, "mode": "shadow", "description": "what it is for", "subtasks": 2, "parallelism": 2,
                 "evaluated": 18, "matched": 13, "shadow_matched": 2, "errors": 1}  # fmt: skip
    assert (off["mode"], other["mode"]) == ("disabled", "unknown")  # version 9 of `other` is not the one in force


def test_a_new_version_counts_from_zero_and_a_refused_one_is_told_for_an_hour() -> None:
    records = [status("a", 1), status("a", 1, "counted", matched=5), status("a", 2), status("b", 3, "rejected", reason="no such topic")]
    found = sections(*records)["rules"]
    assert (found["rules"][0]["version"], found["rules"][0]["matched"]) == (2, 0)
    assert found["refused"] == {"id": "b", "version": 3, "status": "rejected", "reason": "no such topic", "time_ms": NOON_MS}
    assert sections(*records, now=Now(2, NOON_MS + 3_700_000))["rules"]["refused"] is None


def test_a_subtask_that_has_the_old_version_yet_does_not_count_for_the_new_one() -> None:
    old = [status("a", 1, "counted", subtask=each, parallelism=2, matched=5) for each in (0, 1)]
    found = sections(*old, status("a", 2, subtask=1, parallelism=2), status("a", 2, "counted", subtask=1, parallelism=2, matched=1))
    assert [(each["version"], each["subtasks"], each["matched"]) for each in found["rules"]["rules"]] == [(2, 1, 1)]


def test_a_job_that_starts_again_counts_anew() -> None:
    records = [status("a", 1), status("a", 1, "counted", matched=5), status("a", 1, reason="in force at start")]
    assert sections(*records)["rules"]["rules"][0]["matched"] == 0
    assert sections(*records[:2], status("a", 1, reason="already in force"))["rules"]["rules"][0]["matched"] == 5


def test_a_job_of_fewer_subtasks_forgets_the_counters_of_the_others() -> None:
    records = [status("a", 1, "counted", subtask=each, parallelism=2, matched=5) for each in (0, 1)]
    assert sections(*records, status("a", 1, "counted", subtask=0, parallelism=1, matched=6))["rules"]["rules"][0]["matched"] == 6


# -- health ------------------------------------------------------------------------------------------------------------------


def test_dead_letters_by_reason_and_late_events() -> None:
    found = sections(dead_letter("malformed"), dead_letter("malformed"), dead_letter("too_large"), Record(TOPICS.dead_letters),
                     Record(TOPICS.late))["health"]  # fmt: skip
    assert found["dead_letters"]["by_reason"] == [
        {"reason": "malformed", "count": 2}, {"reason": "too_large", "count": 1}, {"reason": "no reason", "count": 1},
    ]  # fmt: skip
    assert (found["dead_letters"]["total"], found["late"]["total"]) == (4, 1)


def test_what_was_there_before_the_view_began_makes_no_rate() -> None:
    """It is read in the first seconds."""
    state = seen()
    for second in range(1, 80):
        late = 500 if second == 3 else 1 if second >= 30 else 0
        for _ in range(late):
            state.observe(Record(TOPICS.late), Now(second, NOON_MS))
        state.sections(Now(second, NOON_MS + second * 1_000))
        if second == 20:
            assert page(state, Now(20, NOON_MS + 20_000))["health"]["late"] == {"total": 500, "per_minute": 0}
    found = page(state, Now(80, NOON_MS + 80_000))["health"]["late"]
    assert found["total"] == 550
    assert found["per_minute"] == pytest.approx(50, abs=2)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (Record(TOPICS.sales, b"{"), "sales.by-category[0]@0: no JSON"),
        (window("a", 2**60), "amount_minor is 1152921504606846976, must be within 2^53"),
        (alert("a", 101), "score is 101.0, must be 0 to 100"),
        (record(TOPICS.fraud_alerts, {"score": 5}), "alert_id is None"),
        (for_user("u" * 300, "p"), "a key of 300 characters"),
        (Record(TOPICS.user_recommendations, b"{}", key=b"\xff"), "the key is no UTF-8"),
        (Record(TOPICS.user_recommendations, b" " * 9_000, key=b"u"), "9000 bytes, allowed are 8192"),
        (status("a", subtask=5, parallelism=2), "subtask 5 of 2"),
    ],
)
def test_an_unreadable_record_is_counted_and_said(broken: Record, problem: str) -> None:
    found = sections(broken, window("b", 100))
    assert problem in found["status"]["banners"][0]["text"]
    assert found["status"]["banners"][0]["name"] == "unreadable"
    assert found["categories"]["currencies"]["USD"]["now"][0]["category"] == "b"


def test_a_topic_that_nobody_asked_for_is_left_alone() -> None:
    assert sections(Record("orders", b"\xff"))["status"]["banners"] == []
