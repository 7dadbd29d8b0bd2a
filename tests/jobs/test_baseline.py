"""The baseline rules: those of the project, and what happens to a bad file."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import baseline
from jobs.settings import Topics
from udfs.rules.language import EVENT_TYPES, InvalidRule, parse_rule

ROOT = Path(__file__).parents[2]
TOPICS = ("orders", "payments")


def rule(rule_id: str, topic: str = "orders") -> str:
    return f"id: {rule_id}\nversion: 1\nwhen: {{events: [order_placed]}}\nto: [{{topic: {topic}}}]\n"


def condition(value: str) -> str:
    return rule("a").replace("]}", f"], all: [{{path: $.event_id, op: in, value: {value}}}]}}", 1)


def load(folder: Path, **files: str | bytes) -> dict[str, str]:
    """Writes each file as <name>.yaml and loads the folder."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return baseline.load(folder, TOPICS)


def test_the_rules_of_the_project() -> None:
    rules = baseline.load(ROOT / "rules", Topics.destinations)
    assert set(rules) == {path.stem for path in (ROOT / "rules").glob("*.yaml")}
    parsed = {rule_id: parse_rule(text, Topics.destinations) for rule_id, text in rules.items()}
    assert all(each.id == rule_id and each.enabled and each.description for rule_id, each in parsed.items())
    assert {event for each in parsed.values() for event in each.when.events} == set(EVENT_TYPES), "every event goes somewhere"
    assert {to.topic for each in parsed.values() for to in each.to} == set(Topics.destinations), "every topic gets something"


def test_rules_come_in_the_order_of_their_files(tmp_path: Path) -> None:
    assert list(load(tmp_path, b=rule("x") + "---\n" + rule("w"), a=rule("z"))) == ["z", "x", "w"]


def test_the_text_is_the_rule_as_it_travels(tmp_path: Path) -> None:
    text = load(tmp_path, a="# a comment\n" + rule("a"))["a"]
    assert text == '{"id": "a", "to": [{"topic": "orders"}], "version": 1, "when": {"events": ["order_placed"]}}'


def test_other_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("no rule")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.yaml").write_text("no rule")
    assert load(tmp_path) == {}
    assert load(tmp_path, comment="# nothing here\n") == {}


FAULTS: list[tuple[str | bytes, str]] = [
    ("{", "bad.yaml:1: "),
    ("\tid: a", "bad.yaml:1: found character '\\t' that cannot start any token"),
    ("just words", "bad.yaml:1: the rule is 'just words', must be a mapping"),
    (rule("a", topic="elsewhere"), "bad.yaml:4: to[0].topic is 'elsewhere', allowed are orders, payments"),
    (rule("A"), "bad.yaml:1: id is 'A', must match"),
    (rule("a") + "---\n" + rule("b", topic="elsewhere"), "bad.yaml:9: to[0].topic is 'elsewhere'"),
    ("# a comment\n\n" + rule("a", topic="elsewhere"), "bad.yaml:6: to[0].topic is 'elsewhere'"),
    (rule("a") + "---\n", "bad.yaml:6: the rule is None, must be a mapping"),
    (rule("good"), "bad.yaml:1: id 'good' stands twice in these files"),
    (rule("a") + "prio: 1\n", "bad.yaml:5: prio is not a key that is allowed here, allowed are description, enabled, "),
    (rule("a").replace("version: 1\n", ""), "bad.yaml:1: version is missing"),
    (rule("a").replace("version: 1", "version: 2026-01-01"), "bad.yaml:1: "),
    (condition("[2026-01-01]"), "bad.yaml:1: "),
    (condition("[a, [b]]"), "bad.yaml:3: when.all[0].value[1] is ['b'], must be a text, a number, true or false"),
    (condition("&self [*self]"), "bad.yaml:3: aliases (*name) are not allowed in rules"),
    ("id: !!python/name:os.system x", "bad.yaml:1: could not determine a constructor"),
    (b"id: a\nversion: \xff", "bad.yaml:2: not UTF-8: invalid start byte"),
    ("[" * 5_000, "bad.yaml:1: nested deeper than "),
    ("- 1: 2\n", "bad.yaml:1: the rule is [{'1': 2}], must be a mapping"),
    ("? [a]\n: 1\n", "bad.yaml:1: "),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS)
def test_a_fault_names_file_and_line(tmp_path: Path, text: str | bytes, fault: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        load(tmp_path, a_good=rule("good"), bad=text)
    assert str(refused.value).startswith(fault)
    assert str(refused.value).isprintable(), "one line"


def test_all_faults_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(rule("A").replace("version: 1", "version: 0"))
    (tmp_path / "b.yaml").write_text(rule("b", topic="elsewhere"))
    found = baseline.read_files(sorted(tmp_path.glob("*.yaml")), TOPICS)
    assert not found.rules
    assert [(fault.file, fault.line, fault.what.split()[0]) for fault in found.faults] == [
        ("a.yaml", 1, "id"), ("a.yaml", 2, "version"), ("b.yaml", 4, "to[0].topic"),
    ]  # fmt: skip


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing is not a folder"):
        baseline.load(tmp_path / "missing", TOPICS)
