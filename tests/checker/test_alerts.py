"""The checker's own reading of fraud signals: against the job's machines on simulated traffic, and against alerts that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jobs.baseline import load
from jobs.settings import Settings
from scripts.checker.alerts import Expected, alert_findings, check_alerts, expect_alerts, load_signals
from scripts.checker.model import Output, Problem
from scripts.evaluation.detection import Detection
from scripts.shop import simulator
from scripts.shop.faults import Fault
from scripts.shop.ledger import Entry
from scripts.shop.simulator import Disturbances, Record, Shop
from scripts.stack.paths import ROOT
from udfs.rules.language import parse_rule

START_MS = 1_790_000_000_000
RULES = ROOT / "rules"
SETTINGS = Settings(fraud_min_score=0)


def records(seed: int) -> list[Record]:
    """An hour of a small shop with many attackers, out of order, doubled and broken, but never late."""
    disturbances = Disturbances(late=0, malformed=0.01)
    shop = Shop(simulator.Settings(seed=seed, start_ms=START_MS, sessions=30, fraud=0.03, disturbances=disturbances))
    return shop.records(START_MS + number * 100 for number in range(36_000)) + shop.drain()


@pytest.fixture(scope="module", params=[1, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (2, 3))])
def run(request: pytest.FixtureRequest) -> tuple[list[dict[str, Any]], Expected]:
    """What the job's machines make of it, and what the checker expects."""
    made = records(request.param)
    rules = [parse_rule(text, SETTINGS.destinations) for text in load(RULES, SETTINGS.destinations).values()]
    entries = (Entry(0, offset, each.timestamp_ms, each.key, each.value, Fault.NONE) for offset, each in enumerate(made))
    return list(Detection(rules, SETTINGS).alerts(made)), expect_alerts(entries, load_signals(RULES))


def problems(run: tuple[list[dict[str, Any]], Expected], alerts: list[dict[str, Any]] | None = None) -> list[str]:
    made, expected = run
    return check_alerts([json.dumps(each).encode() for each in alerts or made], expected.event_ids, 0, expected=expected)


@pytest.mark.thorough
def test_checker_and_job_agree(run: tuple[list[dict[str, Any]], Expected]) -> None:
    assert problems(run) == []
    fired = {each.rule_id for each in run[1].fired}
    assert {signal.rule_id for signal in load_signals(RULES)} == fired, "every rule fires at least once"
    assert any(len(alert["reasons"]) > 1 for alert in run[0])


def reason(alert: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = alert["reasons"][0]
    return found


WRONGS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "score": (lambda alert: alert.update(score=99.9), "has the score"),
    "evidence of nothing": (lambda alert: reason(alert)["evidence"].insert(0, "nothing"), "has evidence that never was"),
    "another event": (lambda alert: alert.update(event_id="e"), "is about e"),
    "another subject": (lambda alert: alert.update(subject="e"), "has the subject e"),
    "another value": (lambda alert: reason(alert).update(value=1e6), "has the reason"),
    "no words": (lambda alert: reason(alert).update(text=""), "has a reason without words"),
    "another time": (lambda alert: alert.update(time_ms=1), "at 1, expected"),
}


@pytest.mark.parametrize(("change", "told"), WRONGS.values(), ids=WRONGS)
def test_a_wrong_alert_is_told(run: tuple[list[dict[str, Any]], Expected], change: Callable[[dict[str, Any]], Any], told: str) -> None:
    alerts = json.loads(json.dumps(run[0]))
    change(alerts[-1])
    assert any(told in problem for problem in problems(run, alerts))


def test_a_lost_a_doubled_and_a_superfluous_alert_are_told(run: tuple[list[dict[str, Any]], Expected]) -> None:
    alerts = run[0]
    assert any("there is no alert of" in problem for problem in problems(run, alerts[1:]))
    assert any("2 times" in problem for problem in problems(run, [*alerts, alerts[0]]))
    made, expected = run
    fewer = Expected(expected.fired[1:], expected.event_ids)
    assert any("has no reason for an alert" in problem for problem in problems((made, fewer)))


# -- what scripts/verify tells, whatever fired ----------------------------------------------------------------------------------------


def output(alert: dict[str, Any] | bytes, offset: int = 0, key: bytes | None = None) -> Output:
    value = alert if isinstance(alert, bytes) else json.dumps(alert).encode()
    subject = b"" if isinstance(alert, bytes) else alert["subject"].encode()
    return Output("fraud.alerts", 0, offset, 0, subject if key is None else key, value)


def test_sound_alerts_give_no_findings(run: tuple[list[dict[str, Any]], Expected]) -> None:
    assert alert_findings(map(output, run[0]), run[1].event_ids).counts == {}


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], list[Output]], Problem]] = {
    "doubled": (lambda alert: [output(alert), output(alert, 1)], Problem.DOUBLED),
    "another key": (lambda alert: [output(alert, key=b"x")], Problem.WRONG_KEY),
    "no JSON": (lambda alert: [output(b"?")], Problem.ALTERED),
    "no reasons": (lambda alert: [output(alert | {"reasons": []})], Problem.ALTERED),
    "another score": (lambda alert: [output(alert | {"score": 1})], Problem.UNEXPECTED),
}


@pytest.mark.parametrize(("make", "problem"), FAULTS.values(), ids=FAULTS)
def test_each_fault_gives_its_finding(
    run: tuple[list[dict[str, Any]], Expected], make: Callable[[dict[str, Any]], list[Output]], problem: Problem
) -> None:
    assert alert_findings(make(run[0][0]), run[1].event_ids).kinds() == {problem}


def test_evidence_that_never_was(run: tuple[list[dict[str, Any]], Expected]) -> None:
    assert alert_findings([output(run[0][0])], set()).kinds() == {Problem.UNEXPECTED}
