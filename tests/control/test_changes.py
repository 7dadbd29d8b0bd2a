"""Changes of rules: what each command plans, what it makes of the job's answers, and how it is told. No Kafka here."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.baseline import read_files
from scripts.control import changes, log, offline, plans, reading
from scripts.control.answers import Answers, report
from scripts.control.in_force import overlay
from scripts.control.log import Entry, State, Status, sum_counters
from scripts.control.main import main
from scripts.control.output import CommandError
from scripts.control.plans import Change, Planned
from scripts.control.sources import RULES
from scripts.control.tables import table
from scripts.control.writing import Written
from udfs.rules.language import parse_rule
from udfs.rules.rulebook import digest

TOPICS = ("orders", "payments")


def raw(version: int = 1, rule_id: str = "a", **keys: Any) -> dict[str, Any]:
    return {"id": rule_id, "version": version, "when": {"events": ["order_placed"]}, "to": [{"topic": "orders"}]} | keys


def entry(rule: dict[str, Any] | None, version: int = 0, action: str = "push", rule_id: str = "a") -> Entry:
    return Entry("jane@host", 1_000, action, rule_id, rule["version"] if rule else version, 0, "", rule)


def state(*in_force: dict[str, Any], audit: tuple[Entry, ...] = (), baseline: tuple[dict[str, Any], ...] = ()) -> State:
    texts = {each["id"]: json.dumps(each) for each in in_force}
    return State(overlay(texts, (), TOPICS), {each["id"]: json.dumps(each) for each in baseline}, audit)


def push(*pushed: dict[str, Any], on: State, bump: bool = False) -> Planned:
    texts = {each["id"]: json.dumps(each) for each in pushed}
    return plans.push({rule_id: parse_rule(text, TOPICS) for rule_id, text in texts.items()}, texts, TOPICS, bump=bump)(on)


def rule_of(planned: Planned) -> dict[str, Any]:
    """The one rule that is to be written."""
    (change,) = planned.changes
    assert change.text is not None
    written: dict[str, Any] = json.loads(change.text)
    assert written["version"] == change.version
    return written


# -- push ------------------------------------------------------------------------------------------------------------------------


def test_a_push_writes_what_differs_and_nothing_else() -> None:
    planned = push(raw(2, "a"), raw(1, "b"), raw(1, "new"), on=state(raw(1, "a"), raw(1, "b")))
    assert [(each.rule_id, each.version, each.previous_version) for each in planned.changes] == [("a", 2, 1), ("new", 1, 0)]
    assert planned.unchanged == {"b": "version 1 is in force"}


@pytest.mark.parametrize(("version", "in_force"), [(3, 3), (1, 3)])
def test_the_same_rule_is_unchanged_even_if_its_version_is_lower(version: int, in_force: int) -> None:
    """Lower: the file still has version 1 after a pause and a resume, which took versions 2 and 3."""
    for bump in (False, True):
        assert push(raw(version), on=state(raw(in_force)), bump=bump).changes == ()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_version_that_is_not_higher_is_refused_or_bumped(version: int) -> None:
    on = state(raw(3), audit=(entry(raw(5)), entry(raw(3))))
    with pytest.raises(
        CommandError, match=rf"a has version {version} and differs from version 3, which is in force: .* or --bump"
    ) as refused:
        push(raw(version, priority=1), on=on)
    assert refused.value.exit_code == 1
    # Version 5 was once there and refused: it stays the name of what it was.
    assert rule_of(push(raw(version, priority=1), on=on, bump=True)) == raw(6, priority=1)


def test_one_refused_rule_refuses_all() -> None:
    with pytest.raises(CommandError, match=r"a has version 1 .*; b has version 1 "):
        push(raw(1, "a", priority=1), raw(1, "b", priority=1), raw(1, "c"), on=state(raw(1, "a"), raw(1, "b")))


def test_more_rules_than_the_job_takes_are_refused_before_any_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MAX_RULES", 2)
    on = state(raw(1, "a"), raw(1, "b"))
    with pytest.raises(CommandError, match="3 rules would be in force, allowed are 2") as refused:
        push(raw(2, "a"), raw(1, "c"), on=on)
    assert refused.value.exit_code == 1
    assert len(push(raw(2, "a"), raw(2, "b"), on=on).changes) == 2, "no more than before"


def test_a_deleted_rule_comes_back_with_a_higher_version_only() -> None:
    on = state(audit=(entry(raw(4)), entry(None, 4, "delete")))
    with pytest.raises(CommandError, match="differs from version 4, which was deleted"):
        push(raw(4), on=on)
    assert rule_of(push(raw(5), on=on)) == raw(5)


def test_true_is_not_1() -> None:
    def wanted(value: object) -> dict[str, Any]:
        return raw(1, when={"events": ["order_placed"], "all": [{"path": "$.order_placed.lines[0].quantity", "op": "==", "value": value}]})

    with pytest.raises(CommandError, match="differs"):
        push(wanted(True), on=state(wanted(1)))


# -- the other commands ----------------------------------------------------------------------------------------------------------


def test_rollback_takes_the_history_and_then_the_baseline() -> None:
    on = state(raw(3, priority=3), audit=(entry(raw(2, priority=2)), entry(raw(3, priority=3))), baseline=(raw(1, priority=1),))
    assert rule_of(plans.rollback("a", 2, TOPICS)(on)) == raw(4, priority=2)
    assert rule_of(plans.rollback("a", 1, TOPICS)(on)) == raw(4, priority=1)
    with pytest.raises(CommandError, match="there is no version 7 of a: the known versions are 1, 2, 3"):
        plans.rollback("a", 7, TOPICS)(on)
    with pytest.raises(CommandError, match="there is no version 1 of b: no version of it is known"):
        plans.rollback("b", 1, TOPICS)(on)


def test_rollback_of_what_is_in_force_or_deleted() -> None:
    assert plans.rollback("a", 3, TOPICS)(state(raw(3))).unchanged == {"a": "version 3 in force is the same"}
    on = state(audit=(entry(raw(2)), entry(None, 2, "delete")))
    assert rule_of(plans.rollback("a", 2, TOPICS)(on)) == raw(3)


def test_rollback_to_what_is_not_valid_any_more() -> None:
    with pytest.raises(CommandError, match=r"not valid any more: to\[0\]\.topic is 'gone'"):
        plans.rollback("a", 1, TOPICS)(state(raw(2), audit=(entry(raw(1, to=[{"topic": "gone"}])),)))


@pytest.mark.parametrize("mode", ["active", "shadow"])
def test_a_pause_and_its_end(mode: str) -> None:
    before = raw(1, mode=mode)
    paused = rule_of(plans.pause("a", TOPICS)(state(before)))
    assert paused == raw(2, mode="paused")
    on = state(paused, audit=(entry(paused, action="pause"),), baseline=(before,))
    assert plans.pause("a", TOPICS)(on).changes == ()
    assert rule_of(plans.resume("a", TOPICS)(on)) == raw(3, mode=mode)
    assert plans.resume("a", TOPICS)(state(before)).unchanged == {"a": "version 1 is not paused"}


def test_only_shadow_is_promoted() -> None:
    assert rule_of(plans.promote("a", TOPICS)(state(raw(1, mode="shadow")))) == raw(2, mode="active")
    for mode in ("active", "paused"):
        with pytest.raises(CommandError, match=f"is in mode {mode}, only a rule in mode shadow"):
            plans.promote("a", TOPICS)(state(raw(1, mode=mode)))


def test_delete() -> None:
    assert plans.delete("a")(state(raw(3))).changes == (Change("delete", "a", 3, 3, None),)
    for plan in (plans.delete("b"), plans.pause("b", TOPICS), plans.resume("b", TOPICS), plans.promote("b", TOPICS)):
        with pytest.raises(CommandError, match="there is no rule b in force, there are a"):
            plan(state(raw(3)))


def test_what_the_job_rejects_is_taken_back() -> None:
    before, after = state(raw(1, "a")), state(raw(2, "a"), raw(1, "new"), raw(2, "other"))
    refused = {
        "a": (Change("push", "a", 2, 1, json.dumps(raw(2))), 1),
        "new": (Change("push", "new", 1, 0, json.dumps(raw(1, "new"))), 0),
        # The job has a version of it that the topic does not know: a tombstone would delete that.
        "other": (Change("push", "other", 2, 0, json.dumps(raw(2, "other"))), 1),
    }
    back, gone = plans.withdraw(refused, before, TOPICS)(after).changes
    assert rule_of(Planned((back,))) == raw(3), "as a new version: who reads the topic from its start has taken version 2"
    assert (back.action, back.previous_version) == ("withdraw", 2)
    assert gone == Change("withdraw", "new", 1, 1, None)
    assert plans.withdraw(refused, before, TOPICS)(state(raw(3, "a"))).changes == (), "somebody has pushed version 3 meanwhile"


# -- the job's answers -----------------------------------------------------------------------------------------------------------


def status(subtask: int, word: str = "accepted", version: int = 2, reason: str = "", time_ms: int = 1_100, **more: Any) -> Status:
    return Status("a", version, word, reason, subtask, 2, time_ms, **more)


CHANGE = Change("push", "a", 2, 1, "{}")


def told(*statuses: Status, change: Change = CHANGE) -> tuple[Answers, dict[str, Any], str, int]:
    answers = Answers([change])
    for each in statuses:
        answers.observe(each)
    result, lines, code = report(Written(Planned((change,)), state(), 1_000), answers)
    (line,) = lines
    return answers, result, line, code


def test_in_force_is_what_every_subtask_has_accepted() -> None:
    answers, result, line, code = told(status(0), status(1, time_ms=1_250))
    assert (answers.missing, code) == ({}, 0)
    assert line == "a: push version 2, before 1: in force after 100 ms (subtask 0), 250 ms (subtask 1)"
    (change,) = result["changes"]
    assert change["in_force"]
    assert [each["after_ms"] for each in change["subtasks"]] == [100, 250]


@pytest.mark.parametrize(
    ("statuses", "missing", "line"),
    [
        ([], [], "written, but no job answers: is it running, with this --topic-prefix?"),
        ([status(1)], [0], "written, but subtask 0 of 2 has not answered"),
        # Not answers to this change: counters, an older version at the start of a job, a deletion, another rule.
        ([status(0, "counted"), status(0, version=1), status(0, "deleted"), Status("b", 2, "accepted", "", 0, 2, 0)], [], "no job answers"),
    ],
)
def test_no_answer(statuses: list[Status], missing: list[int], line: str) -> None:
    answers, _, found, code = told(*statuses)
    assert (answers.missing, code) == ({"a": missing}, 2)
    assert line in found


@pytest.mark.parametrize(
    ("word", "version", "line"),
    [
        ("rejected", 1, "a: push version 2, before 1: rejected: why (subtask 0, 1 of 2)"),
        ("rejected", 0, "a: push version 2, before 1: rejected: why (subtask 0, 1 of 2)"),
        ("stale", 2, "a: push version 2, before 1: stale: why (subtask 0, 1 of 2)"),
        ("accepted", 3, "a: push version 2, before 1: overtaken, version 3 is in force (subtask 0, 1 of 2)"),
    ],
)
def test_a_refusal(word: str, version: int, line: str) -> None:
    answers, result, found, code = told(*(status(subtask, word, version, "why") for subtask in range(2)))
    assert (found, code) == (line, 1)
    assert not result["changes"][0]["in_force"]
    assert answers.rejected([CHANGE]) == ({"a": (CHANGE, version)} if word == "rejected" else {})
    assert list(answers.reasons()) == ["why"]


def test_a_deletion() -> None:
    deletion = Change("delete", "a", 2, 2, None)
    _, _, line, code = told(status(0, "deleted"), status(1, "deleted"), change=deletion)
    assert (line, code) == ("a: delete version 2: deleted after 100 ms (subtask 0), 100 ms (subtask 1)", 0)
    assert told(status(0, "stale"), status(1, "stale"), change=deletion)[3] == 1


def test_answers_to_the_change_of_another_one_are_told_apart() -> None:
    """Both push version 2 of one rule within milliseconds, past the transaction: by writing to the topic directly."""
    mine, others = digest(CHANGE.text), digest("another rule")
    refused = [status(each, "rejected", 1, "theirs", digest=others) for each in range(2)]
    assert told(*refused)[3] == 2, "no answer to mine yet"
    assert told(*refused, *(status(each, digest=mine) for each in range(2)))[3] == 0
    first = [status(each, digest=others) for each in range(2)]
    assert told(*first, *(status(each, "stale", reason="version 2 is in force", digest=mine) for each in range(2)))[3] == 1
    assert "overtaken, version 3" in told(*(status(each, version=3, digest=others) for each in range(2)))[2]


def test_the_first_answer_counts() -> None:
    assert told(status(0), status(1), status(0, "stale", reason="of another push"))[3] == 0


# -- counters --------------------------------------------------------------------------------------------------------------------


def total(*statuses: Status) -> tuple[int, ...] | None:
    found = sum_counters(statuses, {"a": 2}).get("a")
    return (found["evaluated"], found["matched"]) if found else None


def test_counters_are_summed_over_the_subtasks() -> None:
    first = [status(0, "counted", evaluated=5, matched=1), status(1, "counted", evaluated=7)]
    assert total(*first) == (12, 1)
    assert total(*first, status(0, "counted", evaluated=9, matched=2)) == (16, 2), "the newest of each"
    assert total(*first, status(0, version=1)) == (12, 1), "another version"
    assert total(*first, status(0, reason="already in force")) == (12, 1)
    assert total(*first, status(0, reason="in force at start"), status(1, reason="in force at start")) == (0, 0), "the job starts anew"
    assert total(*first, Status("a", 2, "counted", "", 0, 1, 0, evaluated=3)) == (3, 0), "scaled down to one subtask"
    assert total(status(0, "counted", version=1, evaluated=5)) is None


# -- the commands ----------------------------------------------------------------------------------------------------------------


def test_an_export_reads_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    in_force = state(
        raw(3, "a", valid_from="2026-12-01T00:00:00Z", description="naïve: yes\n# no comment"), raw(1, "b", tags=["on", "1", ""])
    ).in_force
    monkeypatch.setattr(changes, "in_force_of", lambda *_: in_force)
    (tmp_path / "old.yaml").write_text("{}")
    assert main(["rules", "export", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "2 rules" in captured.out
    assert "also has old.yaml" in captured.err
    (tmp_path / "old.yaml").unlink()
    found = read_files(sorted(tmp_path.glob("*.yaml")), TOPICS)
    assert found.faults == ()
    assert found.rules == {rule_id: rule for rule_id, (rule, _) in in_force.items()}

    assert main(["rules", "export"]) == 0
    stream = capsys.readouterr().out
    assert [each["id"] for each in yaml.safe_load_all(stream)] == ["a", "b"]
    assert stream.startswith("id: a\nversion: 3\n")
    assert main(["rules", "export", "--json"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == ["a", "b"]


def test_list_and_history(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(changes, "in_force_of", lambda *_: state(raw(3, "a", owner="[red]fraud"), raw(1, "b", priority=5)).in_force)
    counters = {"evaluated": 12_345, "matched": 2, "shadow_matched": 3, "errors": 4, "time_us": 5}
    monkeypatch.setattr(changes, "read_counters", lambda *_: {"a": counters})
    monkeypatch.setattr(changes, "read_audit", lambda *_: [entry(raw(1)), entry(raw(1, "b"), rule_id="b"), entry(None, 1, "delete")])
    assert main(["rules", "list"]) == 0
    heading, _, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heading[:3] == ["id", "version", "mode"]
    assert first == ["b", "1", "active", "yes", "5", "order_placed", "orders", "-", "-", "-", "-"], "the higher priority first"
    assert second == ["a", "3", "active", "yes", "0", "order_placed", "orders", "[red]fraud", "12,345", "2", "3", "4"]
    assert main(["rules", "list", "--json"]) == 0
    assert [each["counters"] for each in json.loads(capsys.readouterr().out)] == [None, counters]

    assert main(["rules", "history", "a", "--json"]) == 0
    assert [(each["action"], each["version"]) for each in json.loads(capsys.readouterr().out)] == [("push", 1), ("delete", 1)]
    assert main(["rules", "history"]) == 0
    assert "1970-01-01 00:00:01Z   jane@host" in capsys.readouterr().out
    assert main(["rules", "history", "c"]) == 1
    assert capsys.readouterr().err == "millrace: nobody has changed a rule c yet\n"


@pytest.mark.parametrize("given", [[], ["--no-test"]])
def test_a_push_is_tested_first(
    tmp_path: Path, given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[argparse.Namespace] = []

    def carry_out(options: argparse.Namespace, _: Any) -> int:
        written.append(options)
        return 0

    monkeypatch.setattr(changes, "_carry_out", carry_out)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(raw()))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "t.yaml").write_text("- {name: wrong, event: {order_placed: {}}, expect: {ordered: [payments]}}")
    code = main(["rules", "push", str(tmp_path / "a.yaml"), *given])
    assert (code, len(written)) == ((0, 1) if given else (1, 0))
    assert ("1 test of the rules in" in capsys.readouterr().err) == (not given)


def test_a_push_with_a_fault_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(raw(priority="high"), sort_keys=False))
    assert main(["rules", "push", str(tmp_path), "--bootstrap", "127.0.0.1:1"]) == 1
    assert "a.yaml:8: priority is 'high'" in capsys.readouterr().err


def commands() -> list[str]:
    """All commands of scripts/millrace rules."""
    found = argparse.ArgumentParser().add_subparsers()
    offline.add_commands(found)
    changes.add_commands(found)
    return list(found.choices)


@pytest.mark.parametrize("command", commands())
def test_every_command_has_an_example_and_prints_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rules", command, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert f"Example: scripts/millrace rules {command}" in told
    assert "--json " in told



ONLINE = [
    ["list"], ["history"], ["diff"], ["export"], ["push", str(RULES), "--no-test"], ["rollback", "a", "--to", "1"], ["pause", "a"],
    ["resume", "a"], ["promote", "a"], ["delete", "a"], ["dry-run", str(RULES)], ["explain", "--event", "EVENT", "--in-force"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", ONLINE, ids=lambda each: each[0])
def test_where_no_broker_answers_it_is_said(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (reading, log):
        monkeypatch.setattr(module, "_TIMEOUT_S", 0.05)
    (tmp_path / "event.json").write_text("{}")
    given = [str(tmp_path / "event.json") if each == "EVENT" else each for each in arguments]
    assert main(["rules", *given, "--bootstrap", "127.0.0.1:1"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("millrace: Kafka at 127.0.0.1:1: ")
    assert err.endswith(". Is a broker running there? See --bootstrap\n")


def test_the_commands_as_a_whole_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rules", "--help"])
    told = capsys.readouterr().out
    assert "docs/rules.md" in told
    assert "Exit codes: 0 done, 1 a finding or a refusal, 2 wrong usage or no answer" in told


def test_a_table_keeps_long_texts() -> None:
    lines = table(("rule", "reason"), [("a", "word " * 100)])
    assert " ".join(lines).count("word") == 100
