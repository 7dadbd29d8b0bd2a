"""From what fired to alerts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.fraud.alerts import MOST_REASONS, combine, noisy_or
from udfs.fraud.signals import Firing, Memory

WINDOW_MS = 600_000


def firing(rule_id: str = "a", time_ms: int = 0, score: int = 50, **changes: Any) -> Firing:
    fields: dict[str, Any] = {
        "version": 1, "signal": "velocity", "by": "user", "key": "u-1", "value": 4.0, "limit": 3.0, "text": f"because of {rule_id}",
        "evidence": ("e-0", f"e-{time_ms}"), "event_id": f"e-{time_ms}", "session_id": "s-1", "user_id": "u-1", "order_id": "o-1",
    }  # fmt: skip
    return Firing(rule_id=rule_id, time_ms=time_ms, score=score, **fields | changes)


def play(firings: list[Firing], min_score: float = 0) -> list[dict[str, Any] | None]:
    memory: Memory | None = None
    alerts = []
    for each in firings:
        memory, alert = combine(memory, each, WINDOW_MS, min_score, 7)
        memory = json.loads(json.dumps(memory))
        assert len(memory["fired"]) <= MOST_REASONS
        alerts.append(None if alert is None else json.loads(alert))
    return alerts


@pytest.mark.parametrize(
    ("scores", "expected"), [([], 0), ([40], 40), ([40, 40], 64), ([100, 1], 100), ([50, 50, 50], 87.5), ([0, 0], 0)], ids=str
)
def test_noisy_or(scores: list[float], expected: float) -> None:
    assert noisy_or(scores) == pytest.approx(expected)


@given(st.lists(st.floats(0, 100), max_size=30), st.floats(0, 100))
def test_one_more_reason_never_makes_less(scores: list[float], more: float) -> None:
    assert noisy_or(scores) - 1e-9 <= noisy_or([*scores, more]) <= 100 + 1e-9


def test_what_an_alert_says() -> None:
    (alert,) = play([firing()])
    assert alert is not None
    assert len(alert.pop("alert_id")) == 32
    reason = {
        "rule_id": "a", "version": 1, "signal": "velocity", "by": "user", "key": "u-1", "value": 4.0, "limit": 3.0, "score": 50,
        "text": "because of a", "evidence": ["e-0", "e-0"],
    }  # fmt: skip
    assert alert == {
        "subject": "u-1", "event_id": "e-0", "session_id": "s-1", "user_id": "u-1", "order_id": "o-1", "time_ms": 0, "detected_ms": 7,
        "score": 50.0, "reasons": [reason],
    }  # fmt: skip


# Which rule fires, at which second and with which score -> the reasons of the alert, and its score.
TIMELINES: dict[str, tuple[list[str], list[str]]] = {
    "reasons add up": (["a 0 50", "b 1 50", "c 2 20"], ["a=50", "ba=75", "cab=80"]),
    "a rule counts once": (["a 0 50", "a 1 50"], ["a=50", "a=50"]),
    "its own reason first, then the weightiest": (["a 0 10", "b 1 50", "c 2 20"], ["a=10", "ba=55", "cba=64"]),
    "what is ten minutes ago is forgotten": (["a 0 50", "b 599 50", "c 600 50"], ["a=50", "ba=75", "cb=75"]),
    "the last firing of a rule counts": (["a 0 50", "a 500 20", "b 1000 50"], ["a=50", "a=20", "ba=60"]),
    "one from the ordered path comes late": (["a 10 50", "n 5 50", "b 11 50"], ["a=50", "na=75", "ban=87.5"]),
}


@pytest.mark.parametrize(("fired", "expected"), TIMELINES.values(), ids=TIMELINES)
def test_timeline(fired: list[str], expected: list[str]) -> None:
    alerts = play([firing(rule, int(at) * 1000, int(score)) for rule, at, score in (each.split() for each in fired)])
    assert [f"{''.join(each['rule_id'] for each in alert['reasons'])}={alert['score']:g}" for alert in alerts if alert] == expected


def test_a_low_score_makes_no_alert_and_is_a_reason_later() -> None:
    alerts = play([firing("a", 0, 30), firing("b", 1, 30)], min_score=50)
    assert alerts[0] is None
    assert alerts[1] is not None
    assert alerts[1]["score"] == 51.0


def test_the_same_event_makes_the_same_alert_and_no_two_events_do() -> None:
    ids = [alert["alert_id"] for alert in play([firing("a", 1), firing("a", 2), firing("b", 1)]) if alert]
    assert len(set(ids)) == 3
    assert play([firing("a", 1)])[0]["alert_id"] == ids[0]  # type: ignore[index]


def test_what_is_remembered_is_bounded() -> None:
    play([firing(f"rule-{number}", number) for number in range(3 * MOST_REASONS)])
