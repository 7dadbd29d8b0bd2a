"""What a rule may look like. Each refusal names the field, its value and what is allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.udfs import samples
from udfs.rules.condition_forms import Comparison
from udfs.rules.language import EVENT_TYPES, MAX_VERSION, Destination, InvalidRule, parse_rule, schema
from udfs.rules.values import minor_units

PATH = "$.order_placed.order_id"
OPERATORS = "== != < <= > >= in contains matches exists"
SCALAR = "must be a text, a number, true or false"
AT_LEAST_ONE = "must have at least 1 entry, not 0"
TYPES = ", ".join((*EVENT_TYPES, "unknown"))
TOPICS = "orders, payments, fraud-detection"
ID = "must match '^[a-z0-9][a-z0-9-]{0,63}$'"
MOMENT = "must be a date and time with a time zone, such as 2026-12-01T00:00:00Z"
FIELD = "must be a field of the event's schema, such as user_id or order_placed.total"
GROUPING = "must be one of session, user, card, ip, device, or a path to one field of the event's schema"
SIGNALS = "must be a signal: a mapping with the key kind, one of velocity, accounts, deviation, travel, unfamiliar, no-view"
KINDS = "must be a condition: a mapping with one of the keys path, money, count, sum, all, any, not"


def when(**entries: Any) -> dict[str, Any]:
    return samples.rule(when={"events": ["*"], **entries})


def condition(**entries: Any) -> dict[str, Any]:
    return when(all=[entries])


def to(*destinations: Any) -> dict[str, Any]:
    return samples.rule(to=list(destinations))


def money(amount: Any, currency: str = "USD", path: str = "$.order_placed.total") -> dict[str, Any]:
    return condition(money=path, op=">", amount=amount, currency=currency)


def aggregate(**changes: Any) -> dict[str, Any]:
    """A change to None takes the key away."""
    entries = {"count": "events", "by": "user", "within": "10m", "op": ">=", "value": 3, **changes}
    chosen = {key: value for key, value in entries.items() if value is not None}
    return samples.rule(when={"events": ["*"], "aggregate": chosen}, to=[{"topic": "orders", "order": "none"}])


SPENT = {"count": None, "money": "$.order_placed.total", "amount": "5000.00", "currency": "USD"}


def signal(kind: str | None = "velocity", **changes: Any) -> dict[str, Any]:
    """A change to None takes the key away."""
    entries: dict[str, Any] = {"kind": kind, "score": 50}
    entries |= {"by": "user", "within": "10m", "over": 3} if kind in ("velocity", "accounts") else {}
    entries |= {"amount": "$.order_placed.total", "over": 3} if kind == "deviation" else {}
    entries |= {"over": 1000} if kind == "travel" else {}
    entries |= {"of": "device"} if kind == "unfamiliar" else {}
    chosen = {key: value for key, value in (entries | changes).items() if value is not None}
    return samples.rule(when={"events": ["order_placed"], "signal": chosen}, to=None)


ENVELOPE: dict[str, tuple[Any, str]] = {
    "no mapping": ([1], "the rule is [1], must be a mapping"),
    "null": (None, "the rule is None, must be a mapping"),
    "unknown key": (samples.rule(prio=1), "prio is not a key that is allowed here, allowed are description, enabled, group, id, "),
    "no id": (samples.rule(id=None), "id is missing"),
    "id of another type": (samples.rule(id=7), "id is 7, must be a text"),
    "empty id": (samples.rule(id=""), f"id is '', {ID}"),
    "id in capitals": (samples.rule(id="Rule"), f"id is 'Rule', {ID}"),
    "id begins with a dash": (samples.rule(id="-a"), f"id is '-a', {ID}"),
    "id ends in a newline": (samples.rule(id="a\n"), f"id is 'a\\n', {ID}"),
    "long id": (samples.rule(id="a" * 65), f"id is '{'a' * 65}', {ID}"),
    "no version": (samples.rule(version=None), "version is missing"),
    "version 0": (samples.rule(version=0), "version is 0, must be greater than or equal to 1"),
    "version over 31 bits": (samples.rule(version=2**31), f"version is {2**31}, must be less than or equal to {MAX_VERSION}"),
    "version is a boolean": (samples.rule(version=True), "version is True, must be a whole number"),
    "version is a float": (samples.rule(version=1.0), "version is 1.0, must be a whole number"),
    "version is a text": (samples.rule(version="1"), "version is '1', must be a whole number"),
    "enabled is a number": (samples.rule(enabled=1), "enabled is 1, must be true or false"),
    "enabled is a text": (samples.rule(enabled="yes"), "enabled is 'yes', must be true or false"),
    "description is a list": (samples.rule(description=["a"]), "description is ['a'], must be a text"),
    "long description": (samples.rule(description="a" * 1_001), f"description is '{'a' * 99}…, must have at most 1000 characters"),
    "tag is a number": (samples.rule(tags=["a", 1]), "tags[1] is 1, must be a text"),
    "no such mode": (samples.rule(mode="off"), "mode is 'off', must be 'active', 'shadow' or 'paused'"),
    "priority": (samples.rule(priority=1_001), "priority is 1001, must be less than or equal to 1000"),
    "no such match": (samples.rule(match="last"), "match is 'last', must be 'all' or 'first'"),
    "first without a group": (samples.rule(match="first"), "match: first and group belong together"),
    "a group without first": (samples.rule(group="g"), "match: first and group belong together"),
    "a date": (samples.rule(valid_from="2026-12-01"), f"valid_from is '2026-12-01', {MOMENT}"),
    "a year": (samples.rule(valid_from="2026"), f"valid_from is '2026', {MOMENT}"),
    "seconds": (samples.rule(valid_until=1_790_000_000), f"valid_until is 1790000000, {MOMENT}"),
    "no time zone": (samples.rule(valid_until="2026-12-01T00:00:00"), f"valid_until is '2026-12-01T00:00:00', {MOMENT}"),
    "month 13": (samples.rule(valid_from="2026-13-01T00:00:00Z"), "valid_from is '2026-13-01T00:00:00Z', must be a valid datetime"),
    "ends as it begins": (
        samples.rule(valid_from="2026-12-01T01:00:00+01:00", valid_until="2026-12-01T00:00:00Z"),
        "valid_from must be before valid_until",
    ),
    "over 100 percent": (samples.rule(rollout={"percent": 100.1}), "rollout.percent is 100.1, must be less than or equal to 100"),
    "rollout by another": (
        samples.rule(rollout={"percent": 1, "by": "event_id"}),
        "rollout.by is 'event_id', must be 'session_id' or 'user_id'",
    ),
    "unknown key in rollout": (samples.rule(rollout={"share": 1, "percent": 1}), "rollout.share is not a key that is allowed"),
    "sample below 0": (samples.rule(sample=-1), "sample is -1, must be greater than or equal to 0"),
    "no when": (samples.rule(when=None), "when is missing"),
    "when is a list": (samples.rule(when=["*"]), "when is ['*'], must be a mapping"),
}

WHEN: dict[str, tuple[Any, str]] = {
    "unknown key": (
        when(none=[]),
        "when.none is not a key that is allowed here, allowed are aggregate, all, any, events, not, signal, unmatched",
    ),
    "no events": (samples.rule(when={}), "when.events is missing"),
    "events empty": (when(events=[]), f"when.events is [], {AT_LEAST_ONE}"),
    "events is a text": (when(events="*"), "when.events is '*', must be a list"),
    "no such event": (when(events=["*", "order"]), f"when.events has 'order', allowed are {TYPES} and \"*\""),
    "event is a list": (when(events=[["*"]]), "when.events[0] is ['*'], must be a text"),
    "all empty": (when(all=[]), f"when.all is [], {AT_LEAST_ONE}"),
    "condition is a text": (when(all=[PATH]), f"when.all[0] is '{PATH}', {KINDS}"),
    "condition is empty": (when(all=[{}]), f"when.all[0] is {{}}, {KINDS}"),
    "condition of no kind": (condition(op="exists"), f"when.all[0] is {{'op': 'exists'}}, {KINDS}"),
    "unknown key in a condition": (condition(path=PATH, op="==", value=1, oder=1), "when.all[0].oder is not a key that is allowed here"),
    "path is a number": (condition(path=1, op="exists"), "when.all[0].path is 1, must be a text"),
    "no $": (condition(path="order_placed", op="exists"), "when.all[0].path is 'order_placed', must be a JSONPath that starts with $"),
    "no JSONPath": (condition(path="$.a[", op="exists"), "when.all[0].path is '$.a[', must be a JSONPath: "),
    "endless brackets": (condition(path="$" + "(" * 299, op="exists"), f"when.all[0].path is '${'(' * 98}…, must be a JSONPath: "),
    "long path": (condition(path="$" + "." * 300, op="exists"), f"when.all[0].path is '${'.' * 98}…, must have at most 300 characters"),
    "two descents": (condition(path="$..a..b", op="exists"), "when.all[0].path is '$..a..b', has more than one '..', one is allowed"),
    "function": (condition(path="$.source.`len`", op="exists"), "when.all[0].path is '$.source.`len`', uses len, which is not allowed"),
    "pattern in a filter": (
        condition(path="$.order_placed.lines[?(@.category =~ 'a')]", op="exists"),
        "when.all[0].path is \"$.order_placed.lines[?(@.category =~ 'a')]\", has the filter operator =~, allowed are == != < <= > >= ",
    ),
    "no op": (condition(path=PATH, value=1), "when.all[0].op is missing"),
    "no such op": (condition(path=PATH, op="=", value=1), f"when.all[0].op is '=', allowed are {OPERATORS}"),
    "op is a list": (condition(path=PATH, op=["=="], value=1), f"when.all[0].op is ['=='], allowed are {OPERATORS}"),
    "op is a mapping": (condition(path=PATH, op={}, value=1), f"when.all[0].op is {{}}, allowed are {OPERATORS}"),
    "exists with a value": (condition(path=PATH, op="exists", value=1), "when.all[0].value is not a key that is allowed here"),
    "in without a value": (condition(path=PATH, op="in"), "when.all[0].value is missing"),
    "in a text": (condition(path=PATH, op="in", value="ab"), "when.all[0].value is 'ab', must be a list"),
    "in nothing": (condition(path=PATH, op="in", value=[]), f"when.all[0].value is [], {AT_LEAST_ONE}"),
    "in a list of lists": (condition(path=PATH, op="in", value=["a", ["b"]]), f"when.all[0].value[1] is ['b'], {SCALAR}"),
    "in a list with null": (condition(path=PATH, op="in", value=[None]), f"when.all[0].value[0] is None, {SCALAR}"),
    "no value": (condition(path=PATH, op="=="), "when.all[0].value is missing"),
    "value is a list": (condition(path=PATH, op=">", value=[1]), f"when.all[0].value is [1], {SCALAR}"),
    "value is infinite": (condition(path=PATH, op=">", value=float("inf")), f"when.all[0].value is inf, {SCALAR}"),
    "value is no number": (condition(path=PATH, op=">", value=float("nan")), f"when.all[0].value is nan, {SCALAR}"),
    "contains a number": (condition(path=PATH, op="contains", value=1), "when.all[0].value is 1, must be a text"),
    "contains nothing": (condition(path=PATH, op="contains", value=""), "when.all[0].value is '', must have at least 1 character"),
    "no pattern": (condition(path=PATH, op="matches", value="("), "when.all[0].value is '(', must be a pattern of RE2: missing )"),
    "every is a text": (condition(path=PATH, op="==", value=1, every="yes"), "when.all[0].every is 'yes', must be true or false"),
    "money of no money": (money("1.00", path="$.order_placed"), "when.all[0].money is '$.order_placed', must lead to money, such as "),
    "no currency": (money("1.00", "XXX"), "when.all[0] has the currency 'XXX', which is none of ISO 4217 with minor units"),
    "currency in small letters": (money("1.00", "usd"), "when.all[0].currency is 'usd', must match '^[A-Z]{3}$'"),
    "amount is a number": (money(1), "when.all[0].amount is 1, must be a text such as \"1000.00\", in quotes"),
    "amount of a million digits": (money("1e999999"), "when.all[0] has the amount '1e999999', which must be written like \"1000.00\""),
    "amount is no number": (money("NaN"), "when.all[0] has the amount 'NaN', which must be written like \"1000.00\""),
    "too many decimals": (money("1.001"), "when.all[0] has the amount '1.001', but USD has 2 decimals"),
    "decimals of yen": (money("1.5", "JPY"), "when.all[0] has the amount '1.5', but JPY has 0 decimals"),
    "count of a part": (condition(count="$..category", op=">", value=1.5), "when.all[0].value is 1.5, must be a whole number"),
    "sum of texts": (condition(sum="$.order_placed.lines[*].category", op=">", value=1), "when.all[0].sum is '$.order_placed.lines[*]"),
    "sum over a text": (condition(sum="$..quantity", op=">", value="1"), "when.all[0].value is '1', must be a number"),
    "second condition": (
        when(all=[{"path": PATH, "op": "exists"}, {"path": PATH, "op": "~", "value": 1}]),
        f"when.all[1].op is '~', allowed are {OPERATORS}",
    ),
    "deep inside": (
        when(all=[{"any": [{"not": {"not": {"all": [{"path": PATH, "op": "=="}]}}}]}]),
        "when.all[0].any[0].not.not.all[0].value is missing",
    ),
    "not of a list": (when(**{"not": [1]}), f"when.not is [1], {KINDS}"),
}

AGGREGATE: dict[str, tuple[Any, str]] = {
    "count and sum": (aggregate(sum="$.order_placed.total.amount_minor"), "when.aggregate is {"),
    "neither count nor sum": (aggregate(count=None), "when.aggregate is {"),
    "count without a value": (aggregate(value=None), "when.aggregate is {"),
    "count in a currency": (aggregate(currency="USD"), "when.aggregate is {"),
    "money and a value": (aggregate(**SPENT), "when.aggregate is {"),
    "money without a currency": (aggregate(**SPENT | {"currency": None}, value=None), "when.aggregate is {"),
    "money of no money": (aggregate(**SPENT | {"money": PATH}, value=None), f"when.aggregate.money is '{PATH}', must lead to money"),
    "money and count": (aggregate(**SPENT | {"count": "events"}, value=None), "when.aggregate is {"),
    "money with too many decimals": (aggregate(**SPENT | {"amount": "1.001"}, value=None), "when.aggregate has the amount '1.001', but"),
    "sum of texts": (aggregate(count=None, sum=PATH), f"when.aggregate.sum is '{PATH}', must lead to a number"),
    "sum through a list": (
        aggregate(count=None, sum="$.order_placed.lines[*].quantity"),
        "when.aggregate.sum is '$.order_placed.lines[*].quantity', must lead to one field of the event's schema",
    ),
    "by nobody": (aggregate(by="nobody"), f"when.aggregate.by is 'nobody', {GROUPING}"),
    "by a number": (aggregate(by=1), f"when.aggregate.by is 1, {GROUPING}"),
    "by a message": (aggregate(by="$.order_placed"), f"when.aggregate.by is '$.order_placed', {GROUPING}"),
    "no time": (aggregate(within="0s"), "when.aggregate.within is '0s', must be longer than nothing and no longer than 1h"),
    "over an hour": (aggregate(within="61m"), "when.aggregate.within is '61m', must be longer than nothing and no longer than 1h"),
    "days": (aggregate(within="1d"), "when.aggregate.within is '1d', must be a length of time such as 30s, 10m or 1h"),
    "fewer than": (aggregate(op="<"), "when.aggregate.op is '<', must be '>' or '>='"),
    "of a session's order": (aggregate() | {"to": [{"topic": "orders"}]}, "a rule with when.aggregate takes destinations with order: none"),
    "masked": (aggregate() | {"to": [{"topic": "orders", "order": "none", "mask": ["user_id"]}]}, "a rule with when.aggregate takes"),
    "first of a group": (aggregate() | {"match": "first", "group": "g"}, "when.aggregate goes with neither match: first nor"),
}

SIGNAL: dict[str, tuple[Any, str]] = {
    "no mapping": (samples.rule(when={"events": ["*"], "signal": 1}, to=None), f"when.signal is 1, {SIGNALS}"),
    "no kind": (signal(kind=None), "when.signal is {'score': 50"),
    "no such kind": (signal(kind="speed"), "when.signal is {'kind': 'speed', 'score': 50}, must be a signal: "),
    "kind is a list": (signal() | {"when": {"events": ["*"], "signal": {"kind": ["velocity"]}}}, "when.signal is {'kind': ['velocity']}"),
    "a key of another kind": (signal(amount="$.order_placed.total"), "when.signal.amount is not a key that is allowed here, allowed are"),
    "no score": (signal(score=None), "when.signal.score is missing"),
    "score 0": (signal(score=0), "when.signal.score is 0, must be greater than or equal to 1"),
    "score over 100": (signal(score=101), "when.signal.score is 101, must be less than or equal to 100"),
    "score is a float": (signal(score=50.5), "when.signal.score is 50.5, must be a whole number"),
    "by nobody": (signal(by="nobody"), f"when.signal.by is 'nobody', {GROUPING}"),
    "by is missing": (signal(by=None), "when.signal.by is missing"),
    "more than is remembered": (signal(over=64), "when.signal.over is 64, must be less than 64"),
    "more than none": (signal(over=0), "when.signal.over is 0, must be greater than or equal to 1"),
    "over an hour": (signal(within="2h"), "when.signal.within is '2h', must be longer than nothing and no longer than 1h"),
    "users of a user": (signal("accounts"), "when.signal is {'kind': 'accounts'"),
    "amount of no money": (signal("deviation", amount="$.user_id"), "when.signal.amount is '$.user_id', must lead to money"),
    "no deviation": (signal("deviation", over=0), "when.signal.over is 0, must be greater than 0"),
    "one amount": (signal("deviation", min_count=1), "when.signal.min_count is 1, must be greater than or equal to 2"),
    "floor below 0": (signal("deviation", floor=-1), "when.signal.floor is -1, must be greater than or equal to 0"),
    "remembered for ever": (signal("travel", remember="91d"), "when.signal.remember is '91d', must be longer than nothing and no longer"),
    "remembered for minutes": (signal("travel", remember="10m"), "when.signal.remember is '10m', must be a length of time such as 12h"),
    "no speed": (signal("travel", over=-1), "when.signal.over is -1, must be greater than 0"),
    "a user new to the user": (signal("unfamiliar", of="user"), "when.signal is {'kind': 'unfamiliar'"),
    "new to nothing": (signal("unfamiliar", of=None), "when.signal.of is missing"),
    "the first none": (signal("no-view", among_first=0), "when.signal.among_first is 0, must be greater than or equal to 1"),
    "no view before a payment": (
        signal("no-view") | {"when": {"events": ["payment_failed"], "signal": {"kind": "no-view", "score": 1}}},
        "a signal of kind no-view takes events: [order_placed]",
    ),
    "with a destination": (signal() | {"to": [{"topic": "orders"}]}, "a rule with when.signal takes no to: what it finds goes to"),
    "first of a group": (signal() | {"match": "first", "group": "g"}, "when.signal goes with neither match: first nor when.unmatched nor"),
}

TO: dict[str, tuple[Any, str]] = {
    "no to": (samples.rule(to=None), "to is missing"),
    "empty": (to(), f"to is [], {AT_LEAST_ONE}"),
    "a mapping": (samples.rule(to={"topic": "orders"}), "to is {'topic': 'orders'}, must be a list"),
    "destination is a text": (to("orders"), "to[0] is 'orders', must be a mapping"),
    "unknown key": (
        to({"topic": "orders", "keys": 1}),
        "to[0].keys is not a key that is allowed here, allowed are fields, key, mask, order, topic",
    ),
    "no topic": (to({"order": "none"}), "to[0].topic is missing"),
    "no such topic": (to({"topic": "orders"}, {"topic": "ordres"}), f"to[1].topic is 'ordres', allowed are {TOPICS}"),
    "topic is a list": (to({"topic": ["orders"]}), "to[0].topic is ['orders'], must be a text"),
    "no such order": (to({"topic": "orders", "order": "time"}), "to[0].order is 'time', must be 'session' or 'none'"),
    "a topic twice": (to({"topic": "orders"}, {"topic": "orders", "order": "none"}), "to has a topic twice"),
    "key through a list": (to({"topic": "orders", "key": "$..category"}), "to[0].key is '$..category', must lead to one field"),
    "no fields": (to({"topic": "orders", "fields": []}), f"to[0].fields is [], {AT_LEAST_ONE}"),
    "no such field": (to({"topic": "orders", "fields": ["user_id", "usr"]}), f"to[0].fields[1] is 'usr', {FIELD}"),
    "field through a list": (
        to({"topic": "orders", "fields": ["order_placed.lines.category"]}),
        f"to[0].fields[0] is 'order_placed.lines.category', {FIELD}",
    ),
    "mask of a number": (to({"topic": "orders", "mask": ["event_time_ms"]}), "to[0].mask has 'event_time_ms', only a single text"),
}

REFUSED = {
    f"{part}: {name}": case
    for part, cases in (("rule", ENVELOPE), ("when", WHEN), ("aggregate", AGGREGATE), ("signal", SIGNAL), ("to", TO))
    for name, case in cases.items()
}


@pytest.mark.parametrize(("raw", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(raw: Any, message: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        samples.parsed(raw)
    assert str(refused.value).startswith(message)
    assert str(refused.value).isprintable(), "one line"
    assert len(refused.value.faults) == 1, "one mistake is told once"


def test_all_faults_are_told() -> None:
    with pytest.raises(InvalidRule) as refused:
        samples.parsed(samples.rule(id="A", version=0, when={"events": ["*"], "all": [{"path": PATH, "op": "in", "value": 1}]}))
    assert [place for place, _ in refused.value.faults] == [("id",), ("version",), ("when", "all", 0, "value")]


NOT_JSON = {
    "words": "no json",
    "half": '{"id": "a-rule"',
    "empty": " ",
    "endless digits": "1" * 5_000,
    "a key twice": '{"id": "a", "id": "b"}',
    "a key twice, inside": '{"when": {"events": [], "events": []}}',
}


@pytest.mark.parametrize("text", NOT_JSON.values(), ids=NOT_JSON)
def test_not_json(text: str) -> None:
    with pytest.raises(InvalidRule, match=r"^not JSON: "):
        parse_rule(text, samples.TOPICS)


def test_no_topic_is_allowed_but_the_given_ones() -> None:
    with pytest.raises(InvalidRule, match=r"^to\[0\]\.topic is 'orders', allowed are elsewhere$"):
        parse_rule(samples.rule_text(), ("elsewhere",))


def test_fields_are_masked_only_with_a_key() -> None:
    text = json.dumps(to({"topic": "orders", "mask": ["user_id"]}))
    assert parse_rule(text, samples.TOPICS, can_mask=True).to[0].mask == ("user_id",)
    with pytest.raises(InvalidRule, match=r"^to\[0\]\.mask needs the job's --mask-key-file$"):
        parse_rule(text, samples.TOPICS, can_mask=False)


def test_only_a_job_that_orders_sessions_takes_order_session() -> None:
    at_once = json.dumps(to({"topic": "orders", "order": "none"}))
    assert parse_rule(at_once, samples.TOPICS, can_order=False).to[0].order == "none"
    for text in (json.dumps(to({"topic": "orders", "order": "session"})), json.dumps(to({"topic": "orders"}))):
        assert parse_rule(text, samples.TOPICS).to[0].order == "session"
        with pytest.raises(InvalidRule, match=r"^to\[0\]\.order is session, and the job runs with --no-order$"):
            parse_rule(text, samples.TOPICS, can_order=False)


@pytest.mark.parametrize("kind", ["velocity", "deviation", "travel", "unfamiliar", "no-view"])
def test_a_signal_has_no_destination_and_needs_a_stage_for_alerts(kind: str) -> None:
    rule = samples.parsed(signal(kind))
    assert rule.to == ()
    assert repr(samples.parsed(json.loads(rule.model_dump_json(by_alias=True, exclude_unset=True)))) == repr(rule)
    with pytest.raises(InvalidRule, match=r"^when\.signal needs fraud detection, and the job runs with --no-fraud$"):
        parse_rule(json.dumps(signal(kind)), samples.TOPICS, has_alerts=False)


def test_the_shortest_rule_and_its_defaults() -> None:
    rule = samples.parsed(samples.rule())
    assert (rule.id, rule.version, rule.when.events) == ("a-rule", 1, ("order_placed",))
    assert rule.to == (Destination(topic="orders", order="session"),)
    assert rule.to[0].plain
    assert (rule.live, rule.mode, rule.match, rule.priority) == (True, "active", "all", 0)
    assert (rule.group, rule.rollout, rule.sample, rule.valid_from, rule.when.all) == (None, None, None, None, None)


def test_a_rule_with_everything() -> None:
    raw = {
        "id": "9" + "-" * 63,
        "version": MAX_VERSION,
        "description": "Größe zählt",
        "owner": "fraud team",
        "tags": ["fraud", "q4"],
        "enabled": False,
        "mode": "shadow",
        "priority": -1_000,
        "match": "first",
        "group": "banners",
        "valid_from": "2026-12-01T00:00:00Z",
        "valid_until": "2026-12-24 12:00:00.5+01:00",
        "rollout": {"percent": 12.5, "by": "user_id"},
        "sample": 0.1,
        "when": {
            "events": ["*", "unknown"],
            "all": [{"path": PATH, "op": "in", "value": ["a", 1, 1.5, False]}, {"path": "$..category", "op": "==", "value": True}],
            "any": [{"count": "$.order_placed.lines[*]", "op": ">", "value": 1}],
            "not": {"money": "$.order_placed.total", "op": ">", "amount": "1.50", "currency": "KWD"},
            "unmatched": True,
        },
        "to": [{"topic": "orders"}, {"topic": "payments", "order": "none", "key": PATH, "fields": ["user_id"], "mask": ["user_id"]}],
    }
    rule = samples.parsed(raw)
    assert not rule.live
    assert rule.when.all is not None
    assert repr(rule.when.all[0].value) == "('a', 1, 1.5, False)"  # type: ignore[union-attr]
    assert rule.when.all[1] == Comparison(path="$..category", op="==", value=True)
    assert rule.valid_until is not None
    assert rule.valid_until.isoformat() == "2026-12-24T12:00:00.500000+01:00"
    written = rule.model_dump_json(by_alias=True, exclude_unset=True, warnings="error")
    assert repr(parse_rule(written, samples.TOPICS)) == repr(rule), "and can be written out again"


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("1000.00", "USD", 100_000),
        ("1000", "USD", 100_000),
        ("0.010", "USD", 1),
        ("-1.5", "EUR", -150),
        ("1500", "JPY", 1_500),
        ("1500.0", "JPY", 1_500),
        ("1.234", "KWD", 1_234),
        ("999999999999999999", "USD", 99_999_999_999_999_999_900),
    ],
)
def test_minor_units(amount: str, currency: str, minor: int) -> None:
    assert minor_units(amount, currency) == minor


def test_the_schema_knows_every_key() -> None:
    text = json.dumps(schema())
    for key in ("valid_from", "unmatched", "aggregate", "within", "mask", "rollout", "not", "money", "matches"):
        assert f'"{key}"' in text
