"""What counts as found, and that detection without Flink does what the job does."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.baseline import load
from jobs.settings import Settings
from scripts.evaluation.detection import Detection
from scripts.evaluation.fraud import Tally, measure, tally
from scripts.shop.fraudsters import Label
from scripts.shop.simulator import Record
from scripts.stack.paths import ROOT
from tests.udfs import samples
from udfs.rules.language import parse_rule

SETTINGS = Settings(fraud_min_score=0)


def label(number: int, pattern: str = "order-burst", attack: int = 0, kind: str = "order_placed") -> Label:
    return Label(f"e-{number}", "s", "u", f"o-{number}", number, kind, pattern, attack)


def alert(number: int, *evidence: int, rule: str = "r", signal: str = "velocity") -> dict[str, Any]:
    reason = {"rule_id": rule, "signal": signal, "evidence": [f"e-{each}" for each in (*evidence, number)]}
    return {"event_id": f"e-{number}", "order_id": f"o-{number}", "reasons": [reason]}


ORDERS = {f"e-{number}": f"o-{number}" for number in range(10)}


def test_orders_of_a_series_are_flagged_too() -> None:
    found = tally([label(1), label(2), label(3)], [alert(3, 1, 2)], 10, ORDERS)
    assert (found.flagged_orders, found.flagged_orders_right, found.fraud_orders_found["order-burst"]) == (3, 3, 3)


def test_what_an_amount_was_compared_with_is_not_flagged() -> None:
    found = tally([label(3)], [alert(3, 1, 2, signal="deviation")], 10, ORDERS)
    assert (found.flagged_orders, found.flagged_orders_right) == (1, 1)


def test_a_wrong_alert_and_a_missed_attack() -> None:
    found = tally([label(1), label(2, "direct-order", 1)], [alert(1), alert(5, rule="other")], 10, ORDERS)
    assert (found.alerts, found.alerts_right) == ({"r": 1, "other": 1}, {"r": 1})
    assert (found.attacks, found.attacks_found) == ({"order-burst": 1, "direct-order": 1}, {"order-burst": 1})
    assert found.as_json()["alerts"] == {"precision": 0.5, "count": 2}
    assert found.as_json()["orders_flagged"] == {"precision": 0.5, "recall": 0.5, "count": 2}


def test_an_attack_counts_once_however_many_alerts_it_makes() -> None:
    found = tally([label(1), label(2)], [alert(1), alert(2)], 10, ORDERS) + tally([label(1)], [alert(1)], 5, ORDERS)
    assert (found.attacks_found.total(), found.attacks.total(), found.alerts.total(), found.events) == (2, 2, 3, 15)


def test_an_event_of_an_attack_that_is_no_order() -> None:
    found = tally([label(1, kind="payment_failed")], [alert(1)], 10, ORDERS)
    assert (found.attacks_found.total(), found.alerts_right.total(), found.fraud_orders.total()) == (1, 1, 0)


@pytest.mark.thorough
def test_a_small_run_finds_most_and_tells_it() -> None:
    found = measure(7, ROOT / "rules", hours=0.5, rate=20, share=0.05, min_score=50)
    assert isinstance(found, Tally)
    assert found.attacks_found.total() > 0.5 * found.attacks.total() > 0
    text = "\n".join(found.lines())
    for words in ("card-testing", "alerts by rule", f"{found.alerts.total():,}", "of them fraud"):
        assert words in text


# -- detection without Flink -----------------------------------------------------------------------------------------------------


def record(kind: str, at_ms: int, number: int, **envelope: Any) -> Record:
    event = samples.event(kind, event_id=f"e-{number}", event_time_ms=samples.NOW_MS + at_ms, **envelope)
    return Record(event.event_time_ms, event.session_id.encode(), event.SerializeToString())


def alerts(records: list[Record]) -> list[tuple[str, str]]:
    rules = [parse_rule(text, SETTINGS.destinations) for text in load(ROOT / "rules", SETTINGS.destinations).values()]
    return [(each["event_id"], each["reasons"][0]["rule_id"]) for each in Detection(rules, SETTINGS).alerts(records)]


def test_views_count_in_the_order_of_the_session() -> None:
    """The view comes after the order, but was before it."""
    order, view = record("order_placed", 1_000, 1), record("product_viewed", 500, 2)
    assert alerts([order]) == [("e-1", "fraud-no-view")]
    assert alerts([order, view]) == []
    assert alerts([order, record("product_viewed", 1_500, 2)]) == [("e-1", "fraud-no-view")]


def test_a_view_that_is_late_counts_for_nothing() -> None:
    records = [record("order_placed", 1_000, 1), record("user_signed_in", 9_000, 3, session_id="s-2"), record("product_viewed", 500, 2)]
    assert alerts(records) == [("e-1", "fraud-no-view")]


def test_a_copy_is_dropped() -> None:
    failed = [record("payment_failed", number, number, source={"ip": "10.0.0.1"}) for number in range(6)]
    assert alerts(failed) == [("e-5", "fraud-failed-payments-ip")]
    assert alerts([*failed[:5], failed[0], failed[1]]) == []
