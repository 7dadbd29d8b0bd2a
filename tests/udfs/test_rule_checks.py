"""What a rule may look like. Each refusal names the field, its value and what is allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.udfs import samples
from udfs.rules import EVENT_TYPES, MAX_VERSION, Comparison, Destination, InvalidRule, Rule, parse_rule, rule_from

PATH = "$.order_placed.order_id"
OPERATORS = "== != < <= > >= in exists"
TEXT_NUMBER_OR_BOOLEAN = "must be a text, number or boolean"
AT_LEAST_ONE = "must be a list with at least one entry"
TYPES = ", ".join((*EVENT_TYPES, "unknown"))


def when(**entries: Any) -> dict[str, Any]:
    return samples.rule(when=entries)


def condition(**entries: Any) -> dict[str, Any]:
    return when(events=["*"], all=[entries])


def to(*destinations: Any) -> dict[str, Any]:
    return samples.rule(to=list(destinations))


REFUSED: dict[str, tuple[Any, str]] = {
    "no mapping": ([1], "rule is [1], must be a mapping"),
    "null": (None, "rule is None, must be a mapping"),
    "unknown key": (
        samples.rule(prio=1),
        "rule has the key 'prio', allowed are description, enabled, id, to, version, when",
    ),
    "no id": (samples.rule(id=None), "id is None, must match [a-z0-9][a-z0-9-]{0,63}"),
    "id of another type": (samples.rule(id=7), "id is 7, must match [a-z0-9][a-z0-9-]{0,63}"),
    "empty id": (samples.rule(id=""), "id is '', must match [a-z0-9][a-z0-9-]{0,63}"),
    "id in capitals": (samples.rule(id="Rule"), "id is 'Rule', must match [a-z0-9][a-z0-9-]{0,63}"),
    "id begins with a dash": (samples.rule(id="-a"), "id is '-a', must match [a-z0-9][a-z0-9-]{0,63}"),
    "id ends in a newline": (samples.rule(id="a\n"), "id is 'a\\n', must match [a-z0-9][a-z0-9-]{0,63}"),
    "long id": (samples.rule(id="a" * 65), f"id is '{'a' * 65}', must match [a-z0-9][a-z0-9-]{{0,63}}"),
    "no version": (samples.rule(version=None), f"version is None, must be an integer from 1 to {MAX_VERSION}"),
    "version 0": (samples.rule(version=0), f"version is 0, must be an integer from 1 to {MAX_VERSION}"),
    "version over 31 bits": (samples.rule(version=2**31), f"version is {2**31}, must be an integer from 1 to {MAX_VERSION}"),
    "version is a boolean": (samples.rule(version=True), f"version is True, must be an integer from 1 to {MAX_VERSION}"),
    "version is a float": (samples.rule(version=1.0), f"version is 1.0, must be an integer from 1 to {MAX_VERSION}"),
    "version is a text": (samples.rule(version="1"), f"version is '1', must be an integer from 1 to {MAX_VERSION}"),
    "enabled is a number": (samples.rule(enabled=1), "enabled is 1, must be true or false"),
    "enabled is a text": (samples.rule(enabled="yes"), "enabled is 'yes', must be true or false"),
    "description is a list": (samples.rule(description=["a"]), "description is ['a'], must be text"),
    "no when": (samples.rule(when=None), "when is None, must be a mapping"),
    "unknown key in when": (when(events=["*"], any=[]), "when has the key 'any', allowed are all, events"),
    "no events": (when(), f"when.events is None, {AT_LEAST_ONE}"),
    "events empty": (when(events=[]), f"when.events is [], {AT_LEAST_ONE}"),
    "events is a text": (when(events="*"), f"when.events is '*', {AT_LEAST_ONE}"),
    "no such event": (when(events=["*", "order"]), f"when.events has 'order', allowed are {TYPES} and \"*\""),
    "event is a list": (when(events=[["*"]]), f"when.events has ['*'], allowed are {TYPES} and \"*\""),
    "all empty": (when(events=["*"], all=[]), f"when.all is [], {AT_LEAST_ONE}"),
    "all is null": (when(events=["*"], all=None), f"when.all is None, {AT_LEAST_ONE}"),
    "condition is a text": (when(events=["*"], all=[PATH]), f"when.all[0] is '{PATH}', must be a mapping"),
    "unknown key in a condition": (
        condition(path=PATH, operator="=="),
        "when.all[0] has the key 'operator', allowed are op, path, value",
    ),
    "no path": (condition(op="exists"), "when.all[0].path is None, must be a JSONPath such as $.order_placed.total.amount_minor"),
    "path is a number": (condition(path=1, op="exists"), "when.all[0].path is 1, must be a JSONPath such as"),
    "empty path": (condition(path="", op="exists"), "when.all[0].path is '', not a JSONPath: "),
    "path is no JSONPath": (condition(path="$.a[", op="exists"), "when.all[0].path is '$.a[', not a JSONPath: "),
    "filter is not closed": (condition(path="$.a[?(@.b > 1]", op="exists"), "when.all[0].path is '$.a[?(@.b > 1]', not a JSONPath: "),
    "two descents": (condition(path="$..a..b", op="exists"), "when.all[0].path is '$..a..b', at most one '..' is allowed"),
    "endless brackets": (condition(path="(" * 5000, op="exists"), f"when.all[0].path is '{'(' * 5000}', not a JSONPath: "),
    "no op": (condition(path=PATH, value=1), f"when.all[0].op is None, allowed are {OPERATORS}"),
    "no such op": (condition(path=PATH, op="=", value=1), f"when.all[0].op is '=', allowed are {OPERATORS}"),
    "op is a list": (condition(path=PATH, op=["=="], value=1), f"when.all[0].op is ['=='], allowed are {OPERATORS}"),
    "op is a mapping": (condition(path=PATH, op={}, value=1), f"when.all[0].op is {{}}, allowed are {OPERATORS}"),
    "exists with a value": (condition(path=PATH, op="exists", value=1), "when.all[0].value is not allowed with op exists"),
    "in without a value": (condition(path=PATH, op="in"), f"when.all[0].value is None, {AT_LEAST_ONE}"),
    "in a text": (condition(path=PATH, op="in", value="ab"), f"when.all[0].value is 'ab', {AT_LEAST_ONE}"),
    "in nothing": (condition(path=PATH, op="in", value=[]), f"when.all[0].value is [], {AT_LEAST_ONE}"),
    "in a list of lists": (
        condition(path=PATH, op="in", value=["a", ["b"]]),
        "when.all[0].value has ['b'], must hold texts, numbers or booleans",
    ),
    "in a list with null": (condition(path=PATH, op="in", value=[None]), "when.all[0].value has None, must hold texts"),
    "no value": (condition(path=PATH, op="=="), f"when.all[0].value is None, {TEXT_NUMBER_OR_BOOLEAN}"),
    "value is a list": (condition(path=PATH, op=">", value=[1]), f"when.all[0].value is [1], {TEXT_NUMBER_OR_BOOLEAN}"),
    "second condition": (
        when(events=["*"], all=[{"path": PATH, "op": "exists"}, {"path": PATH, "op": "~", "value": 1}]),
        f"when.all[1].op is '~', allowed are {OPERATORS}",
    ),
    "no to": (samples.rule(to=None), f"to is None, {AT_LEAST_ONE}"),
    "to is empty": (to(), f"to is [], {AT_LEAST_ONE}"),
    "to is a mapping": (samples.rule(to={"topic": "orders"}), "to is {'topic': 'orders'}, must be a list"),
    "destination is a text": (to("orders"), "to[0] is 'orders', must be a mapping"),
    "unknown key in a destination": (to({"topic": "orders", "key": 1}), "to[0] has the key 'key', allowed are order, topic"),
    "no topic": (to({"order": "none"}), "to[0].topic is None, allowed are orders, payments, fraud-detection"),
    "no such topic": (
        to({"topic": "orders"}, {"topic": "ordres"}),
        "to[1].topic is 'ordres', allowed are orders, payments, fraud-detection",
    ),
    "topic is a list": (to({"topic": ["orders"]}), "to[0].topic is ['orders'], allowed are orders, payments, fraud-detection"),
    "no such order": (to({"topic": "orders", "order": "time"}), "to[0].order is 'time', allowed are session, none"),
    "order is a list": (to({"topic": "orders", "order": ["none"]}), "to[0].order is ['none'], allowed are session, none"),
    "a topic twice": (to({"topic": "orders"}, {"topic": "orders", "order": "none"}), "to has a topic twice"),
}

NOT_JSON = {
    "words": "no json",
    "half": '{"id": "a-rule"',
    "empty": " ",
    "endless brackets": "[" * 100_000,
    "endless digits": "1" * 5_000,
}


@pytest.mark.parametrize(("raw", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(raw: Any, message: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        rule_from(raw, samples.TOPICS)
    assert str(refused.value).startswith(message)
    with pytest.raises(InvalidRule) as refused_text:
        parse_rule(json.dumps(raw), samples.TOPICS)
    assert str(refused_text.value) == str(refused.value)


@pytest.mark.parametrize("text", NOT_JSON.values(), ids=NOT_JSON)
def test_not_json(text: str) -> None:
    with pytest.raises(InvalidRule, match=r"^not JSON: "):
        parse_rule(text, samples.TOPICS)


def test_no_topic_is_allowed_but_the_given_ones() -> None:
    with pytest.raises(InvalidRule, match=r"^to\[0\]\.topic is 'orders', allowed are elsewhere$"):
        rule_from(samples.rule(), ["elsewhere"])


def test_the_shortest_rule_and_its_defaults() -> None:
    expected = Rule("a-rule", 1, True, ("order_placed",), (), (Destination("orders", "session"),), "")
    assert rule_from(samples.rule(), samples.TOPICS) == expected
    assert parse_rule(samples.rule_text(), iter(samples.TOPICS)) == expected


def test_a_rule_with_everything() -> None:
    raw = samples.rule(
        id="9" + "-" * 63,
        version=MAX_VERSION,
        enabled=False,
        description="Größe zählt",
        when={
            "events": ["*", "unknown"],
            "all": [{"path": PATH, "op": "in", "value": ["a", 1, 1.5, False]}, {"path": "$", "op": "exists"}],
        },
        to=[{"topic": "orders", "order": "session"}, {"topic": "payments", "order": "none"}],
    )
    assert parse_rule(json.dumps(raw), samples.TOPICS) == Rule(
        id="9" + "-" * 63,
        version=MAX_VERSION,
        enabled=False,
        events=("*", "unknown"),
        conditions=(Comparison(PATH, "in", ["a", 1, 1.5, False]), Comparison("$", "exists", None)),
        to=(Destination("orders", "session"), Destination("payments", "none")),
        description="Größe zählt",
    )
