"""Routing rules: their form, their checks, and their compilation to closures.

Pure: no Flink, no I/O. A rule set is compiled when a rule changes, never per event; what remains per event is one
dict look-up by event type and the comparisons of the rules that name this type.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jsonpath_ng.ext import parse as parse_jsonpath
from shop.v1.events_pb2 import Event

from udfs.documents import to_document
from udfs.validation import UNKNOWN

ANY: Final = "*"
EVENT_TYPES: Final = tuple(field.name for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields)
ORDERS: Final = ("session", "none")
MAX_VERSION: Final = 2**31 - 1
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_PLAIN_PATH: Final = re.compile(r"\$(\.[a-z_][a-z0-9_]*)+")
_MISSING: Final = object()


class InvalidRule(Exception):
    """A rule that can't be used; the text names the field, its value, and what is allowed."""


@dataclass(frozen=True)
class Comparison:
    """One condition on the event; true if any value found at `path` satisfies it."""

    path: str
    op: str
    value: Any


@dataclass(frozen=True)
class Destination:
    """Where matching events go: in session order, or at once ("none")."""

    topic: str
    order: str


@dataclass(frozen=True)
class Rule:
    """One routing rule. A higher version of the same id replaces a lower one."""

    id: str
    version: int
    enabled: bool
    events: tuple[str, ...]
    conditions: tuple[Comparison, ...]
    to: tuple[Destination, ...]
    description: str = ""


@dataclass(frozen=True)
class Route:
    """Where one event goes: two ';'-joined lists of topics, the form in which they leave the Python stage."""

    ordered: str
    unordered: str


NOWHERE: Final = Route("", "")
Predicate = Callable[[Event], bool]


def parse_rule(text: str, allowed_topics: Iterable[str]) -> Rule:
    """Reads a rule from JSON text and checks it.

    Raises:
        InvalidRule: with the first fault found.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRule(f"not JSON: {error}") from None
    return rule_from(raw, allowed_topics)


def rule_from(raw: Any, allowed_topics: Iterable[str]) -> Rule:
    """Builds a rule from parsed YAML or JSON; raises InvalidRule with the first fault found."""
    rule = _mapping("rule", raw, {"id", "version", "enabled", "description", "when", "to"})
    rule_id = rule.get("id")
    if not isinstance(rule_id, str) or not _ID.fullmatch(rule_id):
        raise InvalidRule(f"id is {rule_id!r}, must match {_ID.pattern}")
    version = rule.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= MAX_VERSION:
        raise InvalidRule(f"version is {version!r}, must be an integer from 1 to {MAX_VERSION}")
    enabled = rule.get("enabled", True)
    if not isinstance(enabled, bool):
        raise InvalidRule(f"enabled is {enabled!r}, must be true or false")
    description = rule.get("description", "")
    if not isinstance(description, str):
        raise InvalidRule(f"description is {description!r}, must be text")

    when = _mapping("when", rule.get("when"), {"events", "all"})
    events = _list("when.events", when.get("events"))
    for event in events:
        if event not in (*EVENT_TYPES, UNKNOWN, ANY):
            raise InvalidRule(f'when.events has {event!r}, allowed are {", ".join((*EVENT_TYPES, UNKNOWN))} and "{ANY}"')
    conditions = tuple(
        _comparison(f"when.all[{index}]", raw_condition)
        for index, raw_condition in enumerate(_list("when.all", when["all"]) if "all" in when else ())
    )
    topics = tuple(allowed_topics)
    to = tuple(_destination(f"to[{index}]", raw_to, topics) for index, raw_to in enumerate(_list("to", rule.get("to"))))
    if len({destination.topic for destination in to}) < len(to):
        raise InvalidRule("to has a topic twice")
    return Rule(rule_id, version, enabled, tuple(events), conditions, to, description)


def _mapping(field: str, raw: Any, allowed: set[str]) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise InvalidRule(f"{field} is {raw!r}, must be a mapping")
    for key in raw:
        if key not in allowed:
            raise InvalidRule(f"{field} has the key {key!r}, allowed are {', '.join(sorted(allowed))}")
    return raw


def _list(field: str, raw: Any) -> list[Any]:
    if not isinstance(raw, list) or not raw:
        raise InvalidRule(f"{field} is {raw!r}, must be a list with at least one entry")
    return raw


def _comparison(field: str, raw: Any) -> Comparison:
    condition = _mapping(field, raw, {"path", "op", "value"})
    path, op = condition.get("path"), condition.get("op")
    if not isinstance(path, str):
        raise InvalidRule(f"{field}.path is {path!r}, must be a JSONPath such as $.order_placed.total.amount_minor")
    _jsonpath(f"{field}.path", path)
    if op == "exists":
        if "value" in condition:
            raise InvalidRule(f"{field}.value is not allowed with op exists")
    elif not isinstance(op, str) or op not in _OPERATORS:
        raise InvalidRule(f"{field}.op is {op!r}, allowed are {' '.join(_OPERATORS)} exists")
    elif op == "in":
        for each in _list(f"{field}.value", condition.get("value")):
            if not isinstance(each, (str, int, float)):
                raise InvalidRule(f"{field}.value has {each!r}, must hold texts, numbers or booleans")
    elif not isinstance(condition.get("value"), (str, int, float)):
        raise InvalidRule(f"{field}.value is {condition.get('value')!r}, must be a text, number or boolean")
    return Comparison(path, str(op), condition.get("value"))


def _destination(field: str, raw: Any, allowed_topics: tuple[str, ...]) -> Destination:
    destination = _mapping(field, raw, {"topic", "order"})
    topic, order = destination.get("topic"), destination.get("order", "session")
    if topic not in allowed_topics:
        raise InvalidRule(f"{field}.topic is {topic!r}, allowed are {', '.join(allowed_topics)}")
    if order not in ORDERS:
        raise InvalidRule(f"{field}.order is {order!r}, allowed are {', '.join(ORDERS)}")
    return Destination(topic, order)


def _jsonpath(field: str, path: str) -> Any:
    # A path with several descents visits an event's nodes once for each pair of them: on a large event that takes seconds.
    if path.count("..") > 1:
        raise InvalidRule(f"{field} is {path!r}, at most one '..' is allowed")
    try:
        return parse_jsonpath(path)
    except Exception as error:  # a foreign parser on a user's text: whatever it raises, the answer is the same
        raise InvalidRule(f"{field} is {path!r}, not a JSONPath: {error}") from None


def _comparable(found: Any, wanted: Any) -> bool:
    numbers = (int, float)
    if isinstance(found, bool) or isinstance(wanted, bool):
        return isinstance(found, bool) and isinstance(wanted, bool)
    return (isinstance(found, numbers) and isinstance(wanted, numbers)) or (isinstance(found, str) and isinstance(wanted, str))


def _same_kind(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda found, wanted: _comparable(found, wanted) and compare(found, wanted)


_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": _same_kind(operator.eq),
    "!=": _same_kind(operator.ne),
    "<": _same_kind(operator.lt),
    "<=": _same_kind(operator.le),
    ">": _same_kind(operator.gt),
    ">=": _same_kind(operator.ge),
    "in": lambda found, wanted: any(_comparable(found, each) and found == each for each in wanted),
}


def compile_comparison(condition: Comparison) -> Predicate:
    """Compiles a comparison to a closure over the protobuf event.

    A path of plain field names reads the protobuf fields directly (about 0.3 us); any other JSONPath runs over the
    event as a dict (tens of us).
    """
    if _PLAIN_PATH.fullmatch(condition.path):
        fields = condition.path.split(".")[1:]
        if _is_scalar_path(fields):
            return _compile_plain(fields, condition)
    path = _jsonpath("path", condition.path)
    exists = condition.op == "exists"
    compare, wanted = _OPERATORS.get(condition.op, operator.eq), condition.value

    def holds(event: Event) -> bool:
        try:
            matches = path.find(to_document(event))
        except Exception:
            # jsonpath-ng's filters raise on some documents (a comparison of text with a number). A rule must never stop
            # the job, and what a path can't reach is not there.
            return False
        return any(exists or compare(match.value, wanted) for match in matches)

    return holds


def _is_scalar_path(fields: list[str]) -> bool:
    """Whether the names lead through single messages to a field of the schema that is neither repeated nor a message."""
    descriptor = Event.DESCRIPTOR
    for index, name in enumerate(fields):
        field = descriptor.fields_by_name.get(name)
        if field is None or field.label == field.LABEL_REPEATED:
            return False
        last = index == len(fields) - 1
        if last != (field.message_type is None):
            return False
        descriptor = field.message_type
    return True


def _compile_plain(fields: list[str], condition: Comparison) -> Predicate:
    *parents, leaf = fields
    exists = condition.op == "exists"
    compare = _OPERATORS.get(condition.op, operator.eq)
    wanted = condition.value

    def holds(event: Any) -> bool:
        for parent in parents:
            if not event.HasField(parent):
                return False
            event = getattr(event, parent)
        return exists or compare(getattr(event, leaf), wanted)

    return holds


class RuleSet:
    """The rules in force, compiled: event in, route out."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(sorted((rule for rule in rules if rule.enabled), key=lambda rule: rule.id))
        self._fixed: dict[str, Route] = {}
        self._conditional: dict[str, tuple[list[Destination], list[tuple[tuple[Predicate, ...], tuple[Destination, ...]]]]] = {}
        for event_type in (*EVENT_TYPES, UNKNOWN):
            self._compile(event_type)

    def _compile(self, event_type: str) -> None:
        rules = [rule for rule in self._rules if event_type in rule.events or ANY in rule.events]
        always = [destination for rule in rules if not rule.conditions for destination in rule.to]
        sometimes = [(tuple(map(compile_comparison, rule.conditions)), rule.to) for rule in rules if rule.conditions]
        if sometimes:
            self._conditional[event_type] = (always, sometimes)
        else:
            self._fixed[event_type] = _route(always)

    def route(self, event: Event, event_type: str) -> Route:
        """Where `event` goes. A destination that several rules name gets it once; order "none" wins over "session",
        since whoever asked for it without delay can't be served by the ordered copy."""
        fixed = self._fixed.get(event_type)
        if fixed is not None:
            return fixed
        always, sometimes = self._conditional[event_type]
        destinations = list(always)
        for predicates, to in sometimes:
            if all(predicate(event) for predicate in predicates):
                destinations += to
        return _route(destinations)


def _route(destinations: Iterable[Destination]) -> Route:
    order_of: dict[str, str] = {}
    for destination in destinations:
        if order_of.get(destination.topic) != "none":
            order_of[destination.topic] = destination.order
    if not order_of:
        return NOWHERE
    return Route(
        ordered=";".join(topic for topic, order in order_of.items() if order == "session"),
        unordered=";".join(topic for topic, order in order_of.items() if order == "none"),
    )
