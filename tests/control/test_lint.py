"""scripts/millrace rules lint: what is a fault, and what is allowed but hardly meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.baseline import read_files
from scripts.control.lint import lint
from scripts.control.output import CommandError
from tests.control.samples import ORDERS, TOPICS, TOTAL, over, run, when

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def warnings(folder: Path, *rules: dict[str, Any]) -> list[str]:
    file = folder / "rules.yaml"
    file.write_text("---\n".join(yaml.safe_dump(ORDERS | each, sort_keys=False) for each in rules))
    findings = lint(read_files([file], TOPICS), NOW)
    assert not findings.faults
    return [str(each) for each in findings.warnings]


FOREIGN = {"path": "$.payment_failed.reason", "op": "==", "value": "declined"}
SUSPECT: list[tuple[dict[str, Any], str]] = [
    ({"when": when(FOREIGN)}, "when.events is order_placed, but the conditions ask for payment_failed: the rule never matches"),
    ({"when": when({"any": [FOREIGN, {"all": [FOREIGN | {"value": "x"}]}]})}, "the rule never matches"),
    ({"when": when({"path": "$.payment_failed..reason", "op": "exists"})}, "the rule never matches"),
    ({"when": when({"count": "$.payment_failed.reason", "op": ">", "value": 0})}, "the rule never matches"),
    ({"when": when(FOREIGN, events=("payment_failed", "order_placed"))}, "when.events[1] is order_placed"),
    ({"when": when(FOREIGN, {"path": TOTAL, "op": ">", "value": 1}, events=("*",))}, "when can never match"),
    ({"rollout": {"percent": 0}}, "rollout.percent is 0"),
    ({"sample": 0}, "sample is 0"),
    ({"valid_until": "2026-05-31T23:59:59Z"}, "valid_until is in the past"),
    ({"when": when({"path": "$.order_placed.total", "op": "==", "value": 5})}, "which has no value of its own"),
    ({"when": when({"path": TOTAL, "op": ">", "value": "100"})}, f"when.all[0].value is '100', and {TOTAL} is a number"),
    ({"when": when({"not": {"path": "$.session_id", "op": "in", "value": [5]}})}, "when.all[0].not.value is 5, and"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), SUSPECT)
def test_what_is_hardly_meant_is_warned_of(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    found = warnings(tmp_path, changes)
    assert len(found) == 1
    assert expected in found[0]
    assert found[0].startswith("rules.yaml:")


FINE: list[dict[str, Any]] = [
    {},
    {"when": over(100)},
    {"when": when({"not": FOREIGN})},
    {"when": when({"any": [FOREIGN, {"path": TOTAL, "op": ">", "value": 1}]})},
    {"when": when({"count": "$.payment_failed.reason", "op": "==", "value": 0})},
    {"when": when({"count": "$.order_placed.lines[*]", "op": ">", "value": 3})},
    {"when": when({"path": "$.order_placed.total", "op": "exists"})},
    {"when": when({"path": "$..currency", "op": "==", "value": "USD"})},
    {"when": when(FOREIGN, events=("*",))},
    {"valid_until": "2026-06-01T00:00:01Z"},
]


@pytest.mark.parametrize("changes", FINE)
def test_what_can_match_is_not_warned_of(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert warnings(tmp_path, changes) == []


@pytest.mark.parametrize(("by", "can_match"), [("card", False), ("user", True), ("$.payment_failed.reason", False), ("$.source.app", True)])
def test_an_aggregate_without_its_key_never_matches(tmp_path: Path, by: str, can_match: bool) -> None:
    aggregate = {"count": "events", "by": by, "within": "1m", "op": ">", "value": 2}
    found = warnings(tmp_path, {"when": when(aggregate=aggregate), "to": [{"topic": "orders", "order": "none"}]})
    assert bool(found) != can_match


def test_a_sum_over_currencies_is_warned_of(tmp_path: Path) -> None:
    aggregate = {"sum": TOTAL, "by": "user", "within": "1h", "op": ">", "value": 500_000}
    to = [{"topic": "orders", "order": "none"}]
    [found] = warnings(tmp_path, {"when": when(aggregate=aggregate), "to": to})
    assert found.endswith("which adds up amounts of different currencies: use money: $.order_placed.total")
    dollars = {"path": "$.order_placed.total.currency", "op": "==", "value": "USD"}
    assert warnings(tmp_path, {"when": when(dollars, aggregate=aggregate), "to": to}) == []
    money = {key: aggregate[key] for key in ("by", "within", "op")} | {"money": "$.order_placed.total", "amount": "5000", "currency": "USD"}
    assert warnings(tmp_path, {"when": when(aggregate=money), "to": to}) == []
    foreign = money | {"money": "$.payment_failed.amount"}
    assert "the rule never matches" in warnings(tmp_path, {"when": when(aggregate=foreign), "to": to})[0]


def test_rules_that_meet_at_one_topic(tmp_path: Path) -> None:
    second = {"id": "b", "to": [{"topic": "orders", "order": "none"}]}
    masked = {"id": "b", "to": [{"topic": "orders", "mask": ["user_id"]}]}
    assert "to[0].order is none, and session in rule a" in warnings(tmp_path, {}, second)[0]
    assert "to[0] has another form (key, fields, mask) than in rule a" in warnings(tmp_path, {}, masked)[0]
    assert warnings(tmp_path, {}, second | {"mode": "shadow"}) == []
    assert warnings(tmp_path, {}, masked | {"when": {"events": ["order_cancelled"]}}) == []
    assert warnings(tmp_path, masked | {"id": "a"}, masked) == []


def test_a_warning_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("id: a\nversion: 1\nsample: 0\nwhen: {events: [order_placed]}\nto: [{topic: orders}]\n")
    assert [(each.file, each.line) for each in lint(read_files([tmp_path / "a.yaml"], TOPICS), NOW).warnings] == [("a.yaml", 3)]


def test_faults_come_in_the_order_of_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("ower: me\nto: [{topic: nowhere, ordr: none}]\nversion: 0\nid: A\nwhen: {events: [order]}\n")
    assert run("lint", str(tmp_path)) == 1
    lines = [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines[:-1] == [f"a.yaml:{number}:" for number in (1, 2, 3, 4, 5)]


def test_lint_says_all_faults_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("id: a\nversion: 0\nsample: 0\nwhen: {events: [order]}\nto: [{topic: orders}]\n")
    (tmp_path / "b.yaml").write_text("id: b\nversion: 1\nsample: 0\nwhen: {events: [order_placed]}\nto: [{topic: orders}]\n")
    assert run("lint", str(tmp_path)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a.yaml:2: version is 0")
    assert lines[1].startswith("a.yaml:4: when.events ")
    assert lines[2:] == ["b.yaml:3: warning: b: sample is 0: the rule never matches", "1 valid rule, 2 faults, 1 warning"]
    assert run("lint", str(tmp_path / "b.yaml")) == 0
    assert run("lint", "--strict", str(tmp_path / "b.yaml")) == 1
    with pytest.raises(CommandError, match="no such file"):
        run("lint", str(tmp_path / "missing"))


def test_more_rules_than_the_job_takes_are_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.control.lint.MAX_RULES", 2)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all([ORDERS | {"id": name} for name in "abcd"], sort_keys=False))
    [fault] = lint(read_files([tmp_path / "a.yaml"], TOPICS), NOW).faults
    assert str(fault) == "a.yaml:17: c: is one of 4 rules, allowed are 2"


def test_the_rules_of_the_project_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lint", "--strict", "--json") == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []
