"""The routing rules, read and evaluated in the plainest way: jsonpath-ng over protobuf's own JSON form of an event."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from jsonpath_ng import JSONPath
from jsonpath_ng.ext import parse
from shop.v1.events_pb2 import Event

_INT64_TYPES = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


class RuleError(ValueError):
    """A rule that cannot be understood; names the rule and where it stands."""


@dataclass(frozen=True, slots=True)
class Comparison:
    path: JSONPath
    op: str
    value: Any

    def holds(self, event: dict[str, Any]) -> bool:
        """True if any value found at the path satisfies it."""
        try:
            found = self.path.find(event)
        except Exception:  # jsonpath-ng's filters raise on some documents: what a path cannot reach is not there
            return False
        return any(_compare(match.value, self.op, self.value) for match in found)


@dataclass(frozen=True, slots=True)
class Rule:
    """`topics`: for each destination whether events go there in order (True) or at once (False)."""

    rule_id: str
    version: int
    events: frozenset[str]
    comparisons: tuple[Comparison, ...]
    topics: dict[str, bool] = field(default_factory=dict)

    def matches(self, event_type: str, event: Event) -> bool:
        if "*" not in self.events and event_type not in self.events:
            return False
        if not self.comparisons:
            return True
        as_dict = event_as_dict(event)
        return all(comparison.holds(as_dict) for comparison in self.comparisons)


def _same_type(left: Any, right: Any) -> bool:
    def family(value: Any) -> type:
        return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)

    return family(left) is family(right)


def _compare(found: Any, op: str, wanted: Any) -> bool:
    if op == "exists":
        return True
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


_OPS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "exists"})
_ORDERS = {"session": True, "none": False}


def parse_rule(document: dict[str, Any]) -> Rule:
    """One rule document; raises RuleError."""
    rule_id = document.get("id", "?")
    try:
        when = document["when"]
        comparisons = []
        for one in when.get("all") or []:
            if one["op"] not in _OPS:
                raise ValueError(f"unknown op {one['op']!r}, allowed are {sorted(_OPS)}")
            comparisons.append(Comparison(parse(one["path"]), one["op"], one.get("value")))
        topics: dict[str, bool] = {}
        for destination in document["to"]:
            ordered = _ORDERS[destination.get("order", "session")]
            if topics.setdefault(destination["topic"], ordered) != ordered:
                raise ValueError(f"{destination['topic']} is named with both orders")
        return Rule(str(document["id"]), int(document["version"]), frozenset(when["events"]), tuple(comparisons), topics)
    except Exception as error:  # jsonpath-ng raises bare Exceptions as well
        raise RuleError(f"rule {rule_id!r}: {type(error).__name__}: {error}") from error


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
                rule = parse_rule(document)
            except RuleError as error:
                raise RuleError(f"{path}: {error}") from error
            if rule.rule_id not in newest or rule.version > newest[rule.rule_id][0]:
                newest[rule.rule_id] = (rule.version, rule if document.get("enabled", True) else None)
    return [rule for _, rule in newest.values() if rule is not None]
