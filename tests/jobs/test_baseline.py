"""The baseline rules: those of the project, and what happens to a bad file."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import baseline
from jobs.settings import Topics
from udfs.rules import EVENT_TYPES, InvalidRule, parse_rule

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
    return baseline.load(folder, iter(TOPICS))


def test_the_rules_of_the_project() -> None:
    rules = baseline.load(ROOT / "rules", Topics.destinations)
    assert set(rules) == {path.stem for path in (ROOT / "rules").glob("*.yaml")}
    parsed = {rule_id: parse_rule(text, Topics.destinations) for rule_id, text in rules.items()}
    assert all(each.id == rule_id and each.enabled and each.description for rule_id, each in parsed.items())
    assert {event for each in parsed.values() for event in each.events} == set(EVENT_TYPES), "every event goes somewhere"
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


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "while parsing"),
        ("\tid: a", "found character"),
        ("just words", "rule is 'just words', must be a mapping"),
        (rule("a", topic="elsewhere"), "to[0].topic is 'elsewhere', allowed are orders, payments"),
        (rule("A"), "id is 'A', must match"),
        (rule("a") + "---\n" + rule("b", topic="elsewhere"), "to[0].topic is 'elsewhere'"),
        (rule("a") + "---\n", "rule is None, must be a mapping"),
        (rule("good"), "id 'good' stands in two files"),
        (rule("a").replace("version: 1", "version: 2026-01-01"), "version is datetime.date(2026, 1, 1), must be an integer"),
        (condition("[2026-01-01]"), "when.all[0].value has datetime.date(2026, 1, 1), must hold texts, numbers or booleans"),
        (condition("&self [*self]"), "when.all[0].value has [[...]], must hold texts, numbers or booleans"),
        ("id: !!python/name:os.system x", "could not determine a constructor"),
        (b"id: \xff", "not UTF-8"),
        ("[" * 5_000, "nested too deeply"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str | bytes, fault: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        load(tmp_path, a_good=rule("good"), bad=text)
    assert str(refused.value).startswith("bad.yaml: ")
    assert fault in str(refused.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing is not a folder"):
        baseline.load(tmp_path / "missing", TOPICS)
