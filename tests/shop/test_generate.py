"""The generator's options."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from scripts.shop import generate
from scripts.shop.producer import Outcome, Plan
from scripts.shop.simulator import Shop


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, Shop]]:
    """Runs that were asked for; none of them reaches Kafka."""
    asked: list[tuple[Plan, Shop]] = []

    class Recorded:
        def __init__(self, producer: Any, plan: Plan, shop: Shop, ledger: Any, stopped: Any, labels: Any) -> None:
            asked.append((plan, shop))

        def run(self) -> Outcome:
            return Outcome(10, 10, 0, 2.0, 1, 2)

    monkeypatch.setattr(generate, "connect", lambda bootstrap, topic: None)
    monkeypatch.setattr(generate, "Traffic", Recorded)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    return asked


def run(*options: str) -> int:
    return generate.run(["--bootstrap", "nowhere:1", "--no-ledger", *options])


def test_live_at_a_rate(runs: list[tuple[Plan, Shop]]) -> None:
    assert run("--rate", "500", "--topic-prefix", "t.") == 0
    plan, shop = runs[0]
    assert (plan.topic, plan.rate_per_s, plan.event_rate_per_s) == ("t.events", 500, None)
    assert shop._settings.sessions == 750


@pytest.mark.parametrize(
    ("options", "rate", "event_rate"),
    [
        (("--rate", "max"), None, 2000),
        (("--rate", "500"), 500, 500),
        (("--rate", "500", "--speed", "10"), 500, 50),
        (("--rate", "max", "--event-rate", "100"), None, 100),
        (("--rate", "max", "--events-per-second-of-event-time", "100"), None, 100),
    ],
)
def test_simulated_clock(runs: list[tuple[Plan, Shop]], options: tuple[str, ...], rate: float | None, event_rate: float) -> None:
    assert run("--start-time", "2026-11-01T00:00:00", *options) == 0
    plan = runs[0][0]
    assert (plan.rate_per_s, plan.event_rate_per_s, plan.start_ms) == (rate, event_rate, 1_793_491_200_000)


@pytest.mark.parametrize(
    "options",
    [
        ("--rate", "0"),
        ("--rate", "fast"),
        ("--speed", "2"),
        ("--clock-offset-ms", "5", "--start-time", "5"),
        ("--start-time", "x"),
        ("--start-time", "5", "--rate", "max", "--speed", "2"),
        ("--disorder", "2"),
        ("--ledger", "x"),
    ],
)
def test_impossible_options(options: tuple[str, ...], runs: list[tuple[Plan, Shop]]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(*options)
    assert stopped.value.code == 2


def test_two_runs_have_different_seeds(runs: list[tuple[Plan, Shop]]) -> None:
    run()
    run()
    assert runs[0][1]._settings.seed != runs[1][1]._settings.seed


def test_summary_as_json(runs: list[tuple[Plan, Shop]], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert generate.run(["--bootstrap", "nowhere:1", "--ledger", str(tmp_path / "sub" / "a.ledger"), "--json", "--seed", "4"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["sent"], result["acked"], result["records_per_s"], result["seed"]) == (10, 10, 5, 4)
    assert (tmp_path / "sub" / "a.ledger").exists()
