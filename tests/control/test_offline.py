"""The commands that change nothing, without Kafka."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from shop.v1.events_pb2 import Event

from scripts.control import offline
from scripts.control.cases import run_cases
from scripts.control.differences import differences
from scripts.control.dry_run import dry_run
from scripts.control.explain import check, explain
from scripts.control.in_force import overlay
from scripts.control.output import CommandError
from scripts.control.reading import Record
from scripts.control.sources import RULES, event_of, read_event
from tests.control.samples import ORDERS, TOPICS, TOTAL, over, rule, rules_of, run, when
from tests.udfs import samples
from udfs.rules.language import Rule, parse_rule

# -- test ------------------------------------------------------------------------------------------------------------------------


def test_the_tests_of_the_projects_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("test") == 0
    assert capsys.readouterr().out.endswith("passed, 0 failed\n")


def write_cases(folder: Path, text: str) -> list[Path]:
    (folder / "cases.yaml").write_text(text)
    return [folder / "cases.yaml"]


def test_a_case_that_fails_says_what_was_expected_and_found(tmp_path: Path) -> None:
    text = "- name: good\n  event: {order_placed: {}}\n  expect: {matched: [a]}\n\n" + (
        "- name: bad\n  event: {order_placed: {}}\n  expect: {matched: [], ordered: [payments]}\n"
    )
    tested = run_cases(write_cases(tmp_path, text), rules_of(rule()))
    assert (tested.passed, tested.good) == (1, False)
    assert list(tested.failures[0].lines()) == [
        "cases.yaml:5: bad",
        "  matched: expected none, found a",
        "  ordered: expected payments, found orders",
    ]


def test_events_before_count_for_a_rule_that_aggregates(tmp_path: Path) -> None:
    aggregate = {"count": "events", "by": "session", "within": "1m", "op": ">", "value": 1}
    many = rule(when=when(aggregate=aggregate), to=[{"topic": "fraud-detection", "order": "none"}])
    text = (
        "- {name: first, event: {order_placed: {}}, expect: {matched: [], unordered: []}}\n"
        "- {name: second, before: [{order_placed: {}}], event: {order_placed: {}}, expect: {matched: [a], unordered: [fraud-detection]}}\n"
        "- {name: other, before: [{session_id: x, order_placed: {}}], event: {order_placed: {}}, expect: {unordered: []}}\n"
    )
    assert run_cases(write_cases(tmp_path, text), rules_of(many)).passed == 3


BAD_CASES = {
    "- {name: x, event: {order_placed: {}}}": "cases.yaml:1: expect is missing",
    "- {name: x, event: {order_placed: {}}, expect: {}}": "expect must have one of matched, shadow, ordered, unordered",
    "- {name: x, event: {order_placed: {}}, expect: {matches: [a]}}": "expect.matches is not a key that is allowed here",
    "- {name: x, event: {order: {}}, expect: {matched: [a]}}": 'no field named "order"',
    "- {name: x, rules: [z], event: {order_placed: {}}, expect: {matched: [a]}}": "rules has z, allowed are a",
    "- x": "is not a case",
    "name: x": "must be a list of cases",
    "- [": "cases.yaml:1",
}


@pytest.mark.parametrize(("text", "expected"), BAD_CASES.items())
def test_a_case_that_can_not_run(tmp_path: Path, text: str, expected: str) -> None:
    tested = run_cases(write_cases(tmp_path, text), rules_of(rule()))
    assert (tested.passed, tested.failures, len(tested.faults)) == (0, (), 1)
    assert expected in str(tested.faults[0])


LAUGHS = "- &a [x, x]\n" + "".join(
    f"- &{new} [*{old}, *{old}, *{old}, *{old}]\n" for old, new in zip("abcdefghijklmn", "bcdefghijklmno", strict=True)
)


@pytest.mark.parametrize("text", [LAUGHS, "- &a {event: *a}", "- &a [*a, *a]"], ids=["billion laughs", "an alias of itself", "twice"])
def test_aliases_of_tests_are_counted(tmp_path: Path, text: str) -> None:
    """Tests may have anchors, rules may not; but a few lines must not stand for gigabytes."""
    tested = run_cases(write_cases(tmp_path, text), rules_of(rule()))
    [fault] = tested.faults
    assert str(fault) == "cases.yaml:1: must have at most 10,000,000 bytes and 1,000,000 values, aliases counted"
    anchored = "- {name: a, event: &order {order_placed: {}}, expect: {ordered: [orders]}}\n"
    anchored += "- {name: b, event: *order, expect: {matched: [a]}}\n"
    assert run_cases(write_cases(tmp_path, anchored), rules_of(rule())).passed == 2


def test_a_failure_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [file] = write_cases(tmp_path, "- {name: x, event: {user_id: u, order_placed: {}}, expect: {matched: []}}")
    assert run("test", "--json", str(file)) == 1
    assert json.loads(capsys.readouterr().out)["failures"][0]["found"] == {"matched": ["orders"]}


# -- explain ---------------------------------------------------------------------------------------------------------------------


def lines_of(event: Event, *rules: Rule) -> list[str]:
    return [line for each in explain(rules, event)[0] for line in each.lines()]


def test_each_condition_on_its_own() -> None:
    nested = rule(
        when=when(
            {"money": "$.order_placed.total", "op": ">", "amount": "1000.00", "currency": "USD"},
            {"any": [{"path": "$.order_placed.lines[*].category", "op": "in", "value": ["toys", "food"]},
                     {"not": {"count": "$.order_placed.lines[*]", "op": "==", "value": 2}}]},
            {"path": "$.payment_failed.reason", "op": "exists"},
            {"sum": "$..quantity", "op": ">=", "value": 3},
        )
    )  # fmt: skip
    assert lines_of(samples.event("order_placed"), nested, rule(id="b", when={"events": ["payment_failed"]})) == [
        "✗ a (version 1) does not match",
        "    ✗ $.order_placed.total > 1000.00 USD   found 54.98 USD",
        "    ✓ any of",
        "      ✓ $.order_placed.lines[*].category in ['toys', 'food']   found 'books', 'toys'",
        "      ✗ not",
        "        ✓ count of $.order_placed.lines[*] == 2   found 2",
        "    ✗ $.payment_failed.reason exists   found nothing",
        "    ✓ sum of $..quantity >= 3   found 3",
    ]


def test_a_check_agrees_with_the_whole() -> None:
    condition = rule(when=over(5497)).when.all[0]  # type: ignore[index]
    assert check(condition, samples.event("order_placed")).as_json() == {"condition": f"{TOTAL} > 5497", "holds": True, "found": "5498"}


def test_limits_are_checks_too() -> None:
    limited = rule(valid_from="2020-01-01T00:00:00Z", valid_until="2020-01-02T00:00:00Z", rollout={"percent": 0}, sample=100)
    [explained], outcome = explain([limited], samples.event("order_placed"))
    assert [(each.text.split()[0], each.text.split()[1], each.holds) for each in explained.checks] == [
        ("valid", "from", True), ("valid", "until", False), ("rollout", "to", False), ("sample", "of", True),
    ]  # fmt: skip
    assert not explained.matched
    assert str(outcome) == "nowhere"


AGGREGATE = {"count": "events", "by": "user", "within": "1m", "op": ">", "value": 2}
NOTES: list[tuple[dict[str, Any], bool, str]] = [
    ({"mode": "paused"}, False, "not evaluated: it is paused"),
    ({"enabled": False}, False, "not evaluated: enabled is false"),
    ({"mode": "shadow"}, False, "but routes nothing: mode is shadow"),
    ({"match": "first", "group": "g", "priority": -1}, False, "but winner comes first in group g"),
    ({"when": {"events": ["*"], "unmatched": True}}, False, "it takes what no other rule takes, and winner does"),
    (
        {"when": when(aggregate=AGGREGATE), "to": [{"topic": "orders", "order": "none"}]},
        False,
        "but the event has no user: it counts for nothing",
    ),
    ({"priority": 5}, True, ""),
]


@pytest.mark.parametrize(("changes", "routes", "note"), NOTES)
def test_why_a_rule_does_not_route(changes: dict[str, Any], routes: bool, note: str) -> None:
    winner = rule(id="winner", match="first", group="g")
    explained = {each.rule.id: each for each in explain([winner, rule(**changes)], samples.event("order_placed"))[0]}
    assert (explained["a"].routes, explained["a"].note) == (routes, note)
    assert explained["winner"].routes


PASSED_OVER: list[tuple[dict[str, Any], str]] = [
    ({"kind": "velocity", "by": "device", "within": "1m", "over": 2}, "device"),
    ({"kind": "accounts", "by": "session", "within": "1m", "over": 2}, "user"),
    ({"kind": "deviation", "by": "session", "amount": "$.payment_failed.amount", "over": 3}, "amount at $.payment_failed.amount"),
    ({"kind": "travel", "by": "session", "over": 900}, "country"),
    ({"kind": "unfamiliar", "by": "session", "of": "ip"}, "ip"),
]


@pytest.mark.parametrize(("signal", "lacking"), PASSED_OVER, ids=lambda each: each["kind"] if isinstance(each, dict) else "")
def test_what_an_event_lacks_for_a_signal_is_said(signal: dict[str, Any], lacking: str) -> None:
    raw = {key: value for key, value in ORDERS.items() if key != "to"} | {"when": when(signal=signal | {"score": 50})}
    [explained], outcome = explain([parse_rule(json.dumps(raw), TOPICS)], samples.event("order_placed"))
    assert (explained.matched, explained.routes) == (True, False), "a signal sends nothing on"
    assert explained.note == f"but the event has no {lacking}: the signal passes it over"
    assert outcome.matched == ()


def test_what_an_aggregating_rule_counts_is_said() -> None:
    def note(**changes: Any) -> tuple[bool, str]:
        counting = rule(when=when(aggregate=AGGREGATE | {"by": "session"} | changes), to=[{"topic": "orders", "order": "none"}])
        [explained], _ = explain([counting], samples.event("order_placed"))
        return explained.routes, explained.note

    assert note() == (True, "adds 1 and routes once count by session within 1m > 2, which the events before it decide")
    spending: dict[str, Any] = {"count": None, "value": None, "money": "$.order_placed.total", "amount": "100.00", "currency": "USD"}
    assert note(**spending)[1] == "adds 54.98 USD and routes once sum by session within 1m > 100.00 USD, which the events before it decide"
    euros = note(**spending | {"currency": "EUR"})
    assert euros == (False, "but the event has no $.order_placed.total in EUR: it counts for nothing")
    summing: dict[str, Any] = {"count": None, "sum": "$.payment_failed.amount.amount_minor"}
    assert note(**summing) == (False, "but the event has no $.payment_failed.amount.amount_minor: it counts for nothing")


def test_the_explanation_agrees_with_the_outcome() -> None:
    some = [rule(id="big", when=over(5498), to=[{"topic": "fraud-detection", "order": "none"}]), rule(id="all")]
    explained, outcome = explain(some, samples.event("order_placed"))
    assert {each.rule.id for each in explained if each.routes} == set(outcome.matched) == {"all"}
    assert (outcome.ordered, outcome.unordered) == (("orders",), ())


def test_explain_reads_json_and_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    raw = samples.event("order_placed").SerializeToString()
    (tmp_path / "event.bin").write_bytes(raw)
    (tmp_path / "event.json").write_text('{"orderPlaced": {"total": {"amountMinor": "5498", "currency": "USD"}}}')
    assert run("explain", "--json", "--event", str(tmp_path / "event.bin")) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["type"], shown["dead_letter"], shown["ordered"], shown["unordered"]) == ("order_placed", None, ["orders"], [])
    assert run("explain", "--event", str(tmp_path / "event.json")) == 0
    assert "the job would make it a dead letter: missing-field: order_placed.order_id is empty" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert read_event("-") == samples.event("order_placed")


@pytest.mark.parametrize("content", ["[]", "{", '{"order": {}}', '{"order_placed": 1}', '{"event_id": 5}'])
def test_what_is_not_an_event(tmp_path: Path, content: str) -> None:
    (tmp_path / "event.json").write_text(content)
    with pytest.raises(CommandError, match=r"event\.json: ") as refused:
        run("explain", "--event", str(tmp_path / "event.json"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("arguments", [(), ("--topic", "events"), ("--event", "x", "--offset", "1")])
def test_explain_needs_one_event(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="either --event"):
        run("explain", *arguments)


# -- dry-run ---------------------------------------------------------------------------------------------------------------------


def record(event: Event) -> Record:
    return Record(0, 0, samples.NOW_MS, event.session_id.encode(), event.SerializeToString())


def test_what_a_change_would_have_done() -> None:
    orders = [samples.event("order_placed", event_id=f"e-{number}") for number in range(8)]
    for number, event in enumerate(orders):
        event.order_placed.total.amount_minor = number
    views = [samples.event("product_viewed", event_id="v")]
    records = [record(event) for event in (*orders, *views, *orders[:2])] + [Record(0, 1, samples.NOW_MS, b"", None)]
    before = rules_of(rule(), rule(id="big", when=over(6), to=[{"topic": "fraud-detection", "order": "none"}]))
    after = before | rules_of(rule(id="big", when=over(0), to=[{"topic": "fraud-detection", "order": "none"}]))
    effect = dry_run(records, before, after)
    assert (effect.events, effect.duplicates, effect.dead_letters, effect.changed) == (9, 2, 1, 6)
    shown = effect.as_json()
    assert shown["matches"] == {"a": {"before": 8, "after": 8}, "big": {"before": 1, "after": 7}}
    assert shown["routed"] == {"fraud-detection": {"before": 1, "after": 7}, "orders": {"before": 8, "after": 8}}
    assert [each.event_id for each in effect.samples] == ["e-1", "e-2", "e-3", "e-4", "e-5"]
    lines = list(effect.lines())
    assert lines[0] == "9 events, 2 duplicates and 1 dead letter left out"
    assert "6 events would go another way" in lines
    assert lines[-1] == "  e-5 order_placed: before orders (session); after orders (session), fraud-detection (none)"


def test_a_shadow_changes_no_route() -> None:
    shadow = rules_of(rule(id="big", mode="shadow", to=[{"topic": "payments"}]))
    effect = dry_run([record(samples.event("order_placed"))], {}, shadow)
    assert (effect.changed, effect.as_json()["shadow_matches"]) == (0, {"big": {"before": 0, "after": 1}})


def test_another_form_is_a_change() -> None:
    masked = rules_of(rule(to=[{"topic": "orders", "mask": ["user_id"]}]))
    effect = dry_run([record(samples.event("order_placed"))], rules_of(rule()), masked)
    assert effect.changed == 1
    assert str(effect.samples[0]).endswith("after orders (session) in another form")


def test_sums_run_on_over_the_events() -> None:
    many = rules_of(rule(when=when(aggregate=AGGREGATE | {"by": "session"}), to=[{"topic": "payments", "order": "none"}]))
    records = [record(samples.event("order_placed", event_id=f"e-{number}")) for number in range(5)]
    assert dry_run(records, {}, many).as_json()["matches"] == {"a": {"before": 0, "after": 3}}


# -- in force, diff --------------------------------------------------------------------------------------------------------------


def test_the_topic_overlays_the_baseline() -> None:
    baseline = {name: json.dumps(ORDERS | {"id": name}) for name in ("kept", "changed", "deleted")}
    second = json.dumps(ORDERS | {"id": "changed", "version": 2, "sample": 5})
    updates = [
        (b"changed", second.encode()),
        (b"changed", json.dumps(ORDERS | {"id": "changed", "version": 1}).encode()),  # stale
        (b"deleted", None),
        (b"new", json.dumps(ORDERS | {"id": "new"}).encode()),
        (b"new", b'{"id": "new", "version": 2}'),  # rejected
        (b"\xff", b"\xff"),
    ]
    found = overlay(baseline, updates, TOPICS)
    assert {rule_id: each.version for rule_id, (each, _) in found.items()} == {"kept": 1, "changed": 2, "new": 1}
    assert found["changed"][1] == second
    assert found["kept"][1] == baseline["kept"]


def texts(*rules: dict[str, Any]) -> dict[str, tuple[Rule, str]]:
    return {each["id"]: (rule(**each), json.dumps(ORDERS | each)) for each in rules}


def test_differences() -> None:
    in_force = texts({"id": "same"}, {"id": "other"}, {"id": "changed"})
    files = texts({"id": "same", "enabled": True}, {"id": "changed", "version": 2}, {"id": "new"})
    found = differences(in_force, files)
    assert [(each.rule_id, each.kind) for each in found] == [("changed", "changed"), ("new", "added"), ("other", "only in force")]
    assert found[0].patch[:2] == ("--- in force", "+++ files")
    assert [line for line in found[0].patch[2:] if line[0] in "+-"] == ['-  "version": 1,', '+  "version": 2,']
    assert list(found[2].lines()) == ["other: only in force"]


def test_diff_is_exit_code_1_if_they_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(ORDERS))
    monkeypatch.setattr(offline, "in_force_of", lambda *_: texts({"id": "a"}))
    assert run("diff", str(tmp_path)) == 0
    monkeypatch.setattr(offline, "in_force_of", lambda *_: texts({"id": "a", "sample": 1}))
    capsys.readouterr()
    assert run("diff", "--json", str(tmp_path)) == 1
    assert [each["difference"] for each in json.loads(capsys.readouterr().out)] == ["changed"]


# -- schema ----------------------------------------------------------------------------------------------------------------------


def test_the_schema_file_is_fresh() -> None:
    assert run("schema", "--check") == 0


def test_a_schema_that_is_not_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "SCHEMA", tmp_path / "rule.schema.json")
    assert run("schema", "--check") == 1
    assert not offline.SCHEMA.exists()
    assert run("schema") == 0
    assert run("schema", "--check") == 0


def test_editors_accept_the_rules_and_refuse_wrong_ones() -> None:
    validator = jsonschema.Draft202012Validator(json.loads((RULES / "rule.schema.json").read_text()))
    for file in RULES.glob("*.yaml"):
        assert file.read_text().startswith("# yaml-language-server: $schema=rule.schema.json\n")
        validator.validate(yaml.safe_load(file.read_text()))
    validator.validate(ORDERS | {"when": when({"any": [{"path": TOTAL, "op": ">", "value": 1}, {"not": {"path": TOTAL, "op": "exists"}}]})})
    assert not validator.is_valid(ORDERS | {"when": when({"path": TOTAL, "op": "=>", "value": 1})})
    assert not validator.is_valid(ORDERS | {"modus": "shadow"})


def test_editors_explain_every_key() -> None:
    found = json.loads((RULES / "rule.schema.json").read_text())
    properties = {("rule", key): each for key, each in found["properties"].items()}
    properties |= {(name, key): each for name, model in found["$defs"].items() for key, each in model.get("properties", {}).items()}
    assert [place for place, each in properties.items() if not each.get("description")] == []
    assert len(properties) > 80


def test_an_event_has_what_it_needs() -> None:
    event = event_of({"order_placed": {}})
    assert event.event_id and event.session_id and event.event_time_ms > 0
    assert event_of({"event_time_ms": 5, "sessionId": "s", "order_placed": {}}).session_id == "s"
