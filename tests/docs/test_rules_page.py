"""Everything that docs/rules.md shows is run: its examples, its tables of JSONPaths, its limits."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from google.protobuf.json_format import MessageToDict, ParseDict
from pydantic import BaseModel
from shop.v1.events_pb2 import Event

from jobs.baseline import MAX_FILE_BYTES
from jobs.settings import Settings
from scripts.control import changes, offline
from scripts.control.cases import run_cases
from tests.docs.rules_page import MASK_KEY, TEXT, TIME_MS, Example, event, examples, section, table
from udfs.documents import to_document
from udfs.fraud.sightings import sighting
from udfs.fraud.signals import observe
from udfs.router import COUNTED
from udfs.rules import condition_forms, language, paths, rulebook, signals
from udfs.rules.aggregates import BUCKETS, Observation, SlidingSum, observation
from udfs.rules.engine import DESTINATION_SEPARATOR, FORM_SEPARATOR, RuleSet
from udfs.rules.language import InvalidRule, Rule, parse_rule
from udfs.rules.signals import MOST_KEPT
from udfs.rules.values import MAX_MEMORY, MAX_WINDOW, Operator
from udfs.topics import MAX_TOPICS

EXAMPLES = [each for each in examples() if each.kind != "cases"]
CASES = [each for each in examples() if each.kind == "cases"]
MODELS = [
    each
    for module in (language, condition_forms, signals)
    for _, each in inspect.getmembers(module, inspect.isclass)
    if issubclass(each, BaseModel) and each.__module__ == module.__name__ and not each.__subclasses__()
]
SAMPLE = ParseDict(json.loads(examples("json")[0].body), Event())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: f"line-{each.line}")
def test_an_example_is_valid_and_does_what_it_says(example: Example) -> None:
    rules = example.rules()
    assert rules
    given: dict[str, Any] = {}
    for what, rest in example.promises():
        where = f"docs/rules.md, example of line {example.line}: {what}: {rest}"
        if what == "event":
            given = yaml.safe_load(rest)
        elif what in ("matches", "not", "shadow"):
            assert outcome(rules, yaml.safe_load(rest)) == what, where
        elif what == "goes to":
            assert ", ".join(f"{topic} ({order})" for topic, order, _, _ in sent(rules, given)) == rest.replace("nowhere", ""), where
        elif what == "key":
            assert [key for _, _, key, _ in sent(rules, given)] == [rest], where
        elif what == "value":
            assert [value for _, _, _, value in sent(rules, given)] == [yaml.safe_load(rest)], where
        elif what == "routes":
            seconds = next(times for name, times in example.promises() if name == "seconds")
            assert aggregated(rules[0], given, [int(each) for each in seconds.split()]) == [each == "X" for each in rest.split()], where
        elif what == "fires":
            assert fired(rules[0], given, dict(example.promises())) == [each == "X" for each in rest.split()], where


def fired(rule: Rule, fields: dict[str, Any], rows: dict[str, str]) -> list[bool]:
    """Whether the signal of a rule fires at each of a row of events, which differ by one thing, or by two."""
    row = {name: rows[name].split() for name in ("seconds", "amounts", "countries", "users", "devices") if name in rows}
    memory, found = None, []
    for number in range(max(map(len, row.values()))):
        made, event_type = event(fields)
        made.event_time_ms += 1000 * (int(row["seconds"][number]) if "seconds" in row else number)
        if "amounts" in row:
            made.order_placed.total.amount_minor = int(row["amounts"][number])
        if "countries" in row:
            made.source.country = row["countries"][number]
        if "users" in row:
            made.user_id = row["users"][number]
        if "devices" in row:
            made.source.device_id = row["devices"][number]
        assert RuleSet([rule]).matches(made, event_type)
        told = sighting(rule, made)
        assert told is not None
        memory, firing = observe(memory, told)
        found.append(firing is not None)
    return found


def outcome(rules: list[Rule], fields: dict[str, Any]) -> str:
    """What the first rule makes of an event, by RuleSet.matches: matches, shadow or not."""
    found = {rule.id: routes for rule, routes in RuleSet(rules, MASK_KEY).matches(*event(fields))}
    return {True: "matches", False: "shadow", None: "not"}[found.get(rules[0].id)]


def sent(rules: list[Rule], fields: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(topic, order, key, value) of each copy of an event that leaves."""
    given, event_type = event(fields)
    route = RuleSet(rules, MASK_KEY).route(given, event_type)
    for order, destinations in (("session", route.ordered), ("none", route.unordered)):
        for destination in filter(None, destinations.split(DESTINATION_SEPARATOR)):
            topic, key, value = [*destination.split(FORM_SEPARATOR), "", ""][:3]
            form = Event.FromString(bytes.fromhex(value)) if value else given
            fields_sent = MessageToDict(form, preserving_proto_field_name=True)
            yield topic, order, bytes.fromhex(key).decode() or given.session_id, _with_integers(fields_sent)


def _with_integers(fields: dict[str, Any]) -> dict[str, Any]:
    """Protobuf's JSON has 64-bit integers as texts."""
    for key, value in fields.items():
        if isinstance(value, dict):
            _with_integers(value)
        elif key in ("event_time_ms", "amount_minor"):
            fields[key] = int(value)
    return fields


def aggregated(rule: Rule, fields: dict[str, Any], seconds: list[int]) -> list[bool]:
    """Whether each of a row of equal events, at these seconds, is routed."""
    window = SlidingSum({})
    found = []
    for second in seconds:
        made, event_type = event(fields | {"event_time_ms": TIME_MS + 1000 * second})
        assert RuleSet([rule]).matches(made, event_type)
        told = observation(rule, made)
        assert told is not None
        found.append(window.add(Observation.decoded(told)))
    return found


def test_the_tests_of_rules_on_the_page_pass(tmp_path: Path) -> None:
    rules = {rule.id: rule for example in EXAMPLES if example.kind == "" for rule in example.rules()}
    file = tmp_path / "cases.yaml"
    file.write_text("".join(each.body for each in CASES))
    tested = run_cases([file], rules)
    assert tested.good, (tested.failures, tested.faults)
    assert tested.passed == 6


def test_most_examples_promise_something() -> None:
    assert len(EXAMPLES) >= 30
    assert sum(bool(each.promises()) for each in EXAMPLES) >= 25


@pytest.mark.parametrize("model", MODELS, ids=lambda each: each.__name__)
def test_every_key_of_the_language_has_a_heading(model: type[BaseModel]) -> None:
    headings = " ".join(re.findall(r"^### .*$", TEXT, re.MULTILINE))
    keys = [field.alias or name for name, field in model.model_fields.items()]
    assert [key for key in keys if f"`{key}`" not in headings] == []


def parts_of(part: BaseModel) -> Iterator[BaseModel]:
    """A part of a rule, and all parts in it."""
    yield part
    for name in part.model_fields_set:
        value = getattr(part, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, BaseModel):
                yield from parts_of(each)


def test_every_key_of_the_language_is_in_an_example() -> None:
    """In each form of a rule that has it, and with each of the words that it may hold but for the default."""
    shown = [part for example in EXAMPLES for rule in example.rules() for part in parts_of(rule)]
    used = {(type(part).__name__, name) for part in shown for name in part.model_fields_set}
    assert [(model.__name__, name) for model in MODELS for name in model.model_fields if (model.__name__, name) not in used] == []
    words = {(type(part).__name__, name, str(getattr(part, name))) for part in shown for name in part.model_fields_set}
    allowed = {
        (model.__name__, name, word)
        for model in MODELS
        for name, field in model.model_fields.items()
        for word in get_args(field.annotation)
        if name != "op" and isinstance(word, str) and word != field.default
    }
    assert allowed - words == set()
    assert {str(part.op) for part in shown if hasattr(part, "op")} == {*get_args(Operator), "in", "contains", "matches", "exists"}


def test_every_operator_and_event_type_is_named() -> None:
    operators = [*get_args(Operator), "in", "contains", "matches", "exists"]
    assert [each for each in (*operators, *language.EVENT_TYPES) if f"`{each}`" not in TEXT] == []


def test_the_limits_are_those_of_the_code() -> None:
    minutes = MAX_WINDOW.total_seconds() / 60
    limits = {
        f"{language.MAX_RULE_BYTES:,} bytes", f"{language.MAX_DEPTH} deep", f"{MAX_FILE_BYTES:,} bytes", f"{rulebook.MAX_RULES:,} rules",
        f"below {MOST_KEPT}", f"{MAX_TOPICS:,} from one start", f"{MAX_MEMORY.days} days",
        f"{language.MAX_VERSION:,}", f"{rulebook.MAX_REASON_LENGTH:,} characters", f"{minutes:.0f} minutes", f"{BUCKETS} steps",
    }  # fmt: skip
    assert {each for each in limits if each not in TEXT} == set()
    bounded = {"to": 20, "description": 1_000, "owner": 100}
    for name, limit in bounded.items():
        assert limit in [getattr(each, "max_length", None) for each in Rule.model_fields[name].metadata]
        assert f"{limit:,}" in section("Limits")


def test_the_statuses_are_those_of_the_code() -> None:
    known = {rulebook.ACCEPTED, rulebook.REJECTED, rulebook.STALE, rulebook.DELETED, COUNTED}
    assert {status for status, _ in table("What became of a rule")} == known


def test_the_commands_are_those_of_the_command_line() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    offline.add_commands(commands)
    changes.add_commands(commands)
    assert {row[0].split()[0] for row in table("Commands")} == set(commands.choices)


# -- JSONPath ------------------------------------------------------------------------------------------------------------------


def found(path: str) -> list[Any]:
    """What the reader of a path that the conditions use finds in the example event."""
    walk = paths.list_reader(path)
    return walk(SAMPLE) if walk is not None else paths.document_reader(path)(to_document(SAMPLE))


def holds(condition: dict[str, Any]) -> bool:
    """Whether a rule of this one condition matches the example event."""
    text = json.dumps({"id": "a-rule", "version": 1, "when": {"events": ["*"], "all": [condition]}, "to": [{"topic": "orders"}]})
    rule = parse_rule(text, Settings.destinations)
    return bool(RuleSet([rule]).matches(SAMPLE, "order_placed"))


ACCEPTED = [*(row[1:3] for row in table("Supported")), *(row[:2] for row in table("Different from the RFC"))]


@pytest.mark.parametrize(("path", "finds"), ACCEPTED)
def test_a_path_finds_what_the_table_says(path: str, finds: str) -> None:
    wanted = json.loads(finds)
    paths.check(path)
    assert found(path) == wanted
    assert holds({"count": path, "op": "==", "value": len(wanted)})
    assert holds({"path": path, "op": "exists"}) is bool(wanted)
    for value in wanted:
        assert holds({"path": path, "op": "==", "value": value})


@pytest.mark.parametrize(("path", "error"), [row[1:3] for row in table("Not supported")])
def test_a_path_that_is_not_supported_gives_the_error_of_the_table(path: str, error: str) -> None:
    with pytest.raises(InvalidRule) as raised:
        holds({"path": path, "op": "exists"})
    assert str(raised.value).startswith("when.all[0].path ")
    assert str(raised.value).endswith(error)


def test_the_tables_of_paths_are_not_empty() -> None:
    assert len(table("Supported")) >= 15
    assert len(table("Not supported")) >= 10
    assert len(table("Different from the RFC")) >= 6
