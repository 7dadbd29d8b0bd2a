"""The routing rules, read and evaluated in the plainest way: jsonpath-ng over protobuf's own JSON form of an event."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import yaml
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from iso4217 import Currency
from jsonpath_ng import JSONPath
from jsonpath_ng.ext import parse
from shop.v1.events_pb2 import Event

_INT64_TYPES = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


class RuleError(ValueError):
    """A rule that cannot be understood; names the rule and where it stands."""


class Condition(Protocol):
    """A condition on the event as a dict."""

    def holds(self, event: dict[str, Any]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """True if any value found at the path satisfies it (every: all, and at least one)."""

    path: JSONPath
    op: str
    value: Any
    every: bool = False

    def holds(self, event: dict[str, Any]) -> bool:
        results = [_compare(value, self.op, self.value) for value in _find(self.path, event)]
        return bool(results) and all(results) if self.every else any(results)


@dataclass(frozen=True, slots=True)
class MoneyComparison:
    """True if any money found at the path is in the currency and its minor units compare so."""

    path: JSONPath
    op: str
    minor: int
    currency: str

    def holds(self, event: dict[str, Any]) -> bool:
        return any(
            money.get("currency") == self.currency and _compare(money["amount_minor"], self.op, self.minor)
            for money in _find(self.path, event)
        )


@dataclass(frozen=True, slots=True)
class Total:
    """Compares the number of values found, or the sum of the numbers among them."""

    path: JSONPath
    op: str
    value: float
    counts: bool

    def holds(self, event: dict[str, Any]) -> bool:
        found = _find(self.path, event)
        numbers = [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
        return _compare(len(found) if self.counts else sum(numbers), self.op, self.value)


@dataclass(frozen=True, slots=True)
class Combination:
    """all, any or not (of one) of other conditions."""

    kind: str
    conditions: tuple[Condition, ...]

    def holds(self, event: dict[str, Any]) -> bool:
        results = [condition.holds(event) for condition in self.conditions]
        return {"all": all(results), "any": any(results), "not": not results[0]}[self.kind]


def _find(path: JSONPath, event: dict[str, Any]) -> list[Any]:
    try:
        return [match.value for match in path.find(event)]
    except Exception:  # jsonpath-ng's filters raise on some documents: what a path cannot reach is not there
        return []


@dataclass(frozen=True, slots=True)
class Rule:
    """`topics`: for each destination whether events go there in order (True) or at once (False)."""

    rule_id: str
    version: int
    events: frozenset[str]
    conditions: tuple[Condition, ...]
    topics: dict[str, bool] = field(default_factory=dict)

    def matches(self, event_type: str, event: Event) -> bool:
        if "*" not in self.events and event_type not in self.events:
            return False
        if not self.conditions:
            return True
        as_dict = event_as_dict(event)
        return all(condition.holds(as_dict) for condition in self.conditions)


def _same_type(left: Any, right: Any) -> bool:
    def family(value: Any) -> type:
        return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)

    return family(left) is family(right)


def _compare(found: Any, op: str, wanted: Any) -> bool:
    if op == "exists":
        return True
    if op == "contains":
        return isinstance(found, str) and wanted in found
    if op == "matches":
        return isinstance(found, str) and re.search(wanted, found) is not None
    if op == "in":
        return any(_same_type(found, one) and found == one for one in wanted)
    if not _same_type(found, wanted):
        return False
    if op in ("==", "!="):
        return bool((found == wanted) == (op == "=="))
    if not isinstance(found, int | float | str) or isinstance(found, bool):
        return False
    return bool({"<": found < wanted, "<=": found <= wanted, ">": found > wanted, ">=": found >= wanted}[op])


def event_as_dict(event: Event) -> dict[str, Any]:
    """The event under the proto's field names: scalars always there, messages only if set, 64-bit integers as int."""
    as_dict: dict[str, Any] = MessageToDict(event, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    _restore_ints(as_dict, Event.DESCRIPTOR)
    return as_dict


def _restore_ints(as_dict: dict[str, Any], descriptor: Descriptor) -> None:
    """Protobuf's JSON writes 64-bit integers as strings."""
    for one in descriptor.fields:
        value = as_dict.get(one.name)
        if value is None:
            continue
        if one.cpp_type in _INT64_TYPES:
            as_dict[one.name] = [int(part) for part in value] if isinstance(value, list) else int(value)
        elif one.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            for part in value if isinstance(value, list) else [value]:
                _restore_ints(part, one.message_type)


_OPS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "contains", "matches", "exists"})
_ORDERS = {"session": True, "none": False}
# What decides nothing about where an event goes, or is handled here; with anything else the checker can't judge a rule.
_RULE_KEYS = {"id", "version", "description", "owner", "tags", "priority", "enabled", "mode", "when", "to"}
_DESTINATION_KEYS = {"topic", "order"}


def _condition(raw: dict[str, Any]) -> Condition:
    for kind in ("all", "any"):
        if kind in raw:
            return Combination(kind, tuple(_condition(one) for one in raw[kind]))
    if "not" in raw:
        return Combination("not", (_condition(raw["not"]),))
    if raw["op"] not in _OPS:
        raise ValueError(f"unknown op {raw['op']!r}, allowed are {sorted(_OPS)}")
    if "money" in raw:
        exponent = Currency(raw["currency"]).exponent
        if exponent is None:
            raise ValueError(f"{raw['currency']} has no minor unit, so no amount in it can be compared")
        return MoneyComparison(parse(raw["money"]), raw["op"], int(Decimal(raw["amount"]) * 10**exponent), raw["currency"])
    for kind in ("count", "sum"):
        if kind in raw:
            return Total(parse(raw[kind]), raw["op"], raw["value"], kind == "count")
    return Comparison(parse(raw["path"]), raw["op"], raw.get("value"), raw.get("every", False))


def _only(what: str, raw: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(raw.keys() - known)
    if unknown:
        raise ValueError(f"{what} has {', '.join(unknown)}, which the checker has no reading of")


def parse_conditions(when: dict[str, Any]) -> tuple[Condition, ...]:
    """What must hold of an event beside its type."""
    conditions = [_condition(one) for one in when.get("all") or []]
    return (*conditions, *(_condition({kind: when[kind]}) for kind in ("any", "not") if when.get(kind)))


def parse_rule(document: dict[str, Any]) -> Rule:
    """One rule document; raises RuleError."""
    rule_id = document.get("id", "?")
    try:
        when = document["when"]
        _only("rule", document, _RULE_KEYS)
        _only("when", when, {"events", "all", "any", "not"})
        conditions = parse_conditions(when)
        topics: dict[str, bool] = {}
        for destination in document["to"]:
            _only("destination", destination, _DESTINATION_KEYS)
            ordered = _ORDERS[destination.get("order", "session")]
            if topics.setdefault(destination["topic"], ordered) != ordered:
                raise ValueError(f"{destination['topic']} is named with both orders")
        return Rule(str(document["id"]), int(document["version"]), frozenset(when["events"]), conditions, topics)
    except Exception as error:  # jsonpath-ng raises bare Exceptions as well
        raise RuleError(f"rule {rule_id!r}: {type(error).__name__}: {error}") from error


def _routes(document: dict[str, Any]) -> bool:
    return bool(document.get("enabled", True)) and document.get("mode", "active") == "active" and not is_signal(document)


def is_signal(document: dict[str, Any]) -> bool:
    """Whether a rule looks for fraud: such a rule sends no event anywhere (see alerts.py)."""
    when = document.get("when")
    return isinstance(when, dict) and "signal" in when


def load_rules(directory: Path) -> list[Rule]:
    """The enabled rules of all YAML files in a directory, of each id the highest version."""
    newest: dict[str, tuple[int, Rule | None]] = {}
    files = sorted(path for pattern in ("*.yaml", "*.yml") for path in directory.glob(pattern))
    if not files:
        raise RuleError(f"no rules (*.yaml) in {directory}")
    for path in files:
        for document in yaml.safe_load_all(path.read_text()):
            if document is None:
                continue
            try:
                rule = None if is_signal(document) else parse_rule(document)
                rule_id, version = str(document["id"]), int(document["version"])
            except (RuleError, KeyError) as error:
                raise RuleError(f"{path}: {error}") from error
            if rule_id not in newest or version > newest[rule_id][0]:
                newest[rule_id] = (version, rule if _routes(document) else None)
    return [rule for _, rule in newest.values() if rule is not None]
