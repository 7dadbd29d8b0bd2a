"""The rule language, read plainly: what a rule means, without a thought for speed.

It takes rules as parsed JSON and events as documents, finds everything with jsonpath-ng, and shares no code with
udfs/rules: tests/udfs/rules/test_interpreter.py holds that the compiled rules do the same.
"""

from __future__ import annotations

import hmac
import re
import zlib
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from jsonpath_ng.ext import parse
from shop.v1.events_pb2 import Event

from udfs.documents import to_document

Raw = dict[str, Any]
Document = dict[str, Any]
DECIMALS: Final = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3}


def route(rules: list[Raw], event: Event, event_type: str) -> tuple[list[str], list[str]]:
    """Topics in session order, and topics at once."""
    document = to_document(event)
    matching = [rule for rule in rules if matches(rule, document, event_type)]
    routing = without_losers([rule for rule in matching if not rule["when"].get("unmatched")])
    if not routing:
        routing = without_losers([rule for rule in matching if rule["when"].get("unmatched")])
    orders: dict[str, list[str]] = {}
    for rule in routing:
        for destination in rule["to"]:
            orders.setdefault(destination["topic"], []).append(destination.get("order", "session"))
    return [topic for topic, each in orders.items() if "none" not in each], [topic for topic, each in orders.items() if "none" in each]


def without_losers(matching: list[Raw]) -> list[Raw]:
    """The rules that route, by priority and id: no shadows, and one of each group."""
    routing: list[Raw] = []
    for rule in sorted(matching, key=lambda each: (-each.get("priority", 0), each["id"])):
        is_first = rule.get("group") is None or all(rule["group"] != other.get("group") for other in routing)
        if rule.get("mode") != "shadow" and is_first:
            routing.append(rule)
    return routing


def matches(rule: Raw, document: Document, event_type: str) -> bool:
    """Whether one rule by itself matches."""
    when = rule["when"]
    time_ms = document["event_time_ms"]
    if rule.get("enabled") is False or rule.get("mode") == "paused":
        return False
    if event_type not in when["events"] and "*" not in when["events"]:
        return False
    if "valid_from" in rule and time_ms < epoch_ms(rule["valid_from"]):
        return False
    if "valid_until" in rule and time_ms >= epoch_ms(rule["valid_until"]):
        return False
    if "rollout" in rule:
        who = document[rule["rollout"].get("by", "session_id")]
        if not is_in_share(f"rollout/{rule['id']}", who, rule["rollout"]["percent"]):
            return False
    if "sample" in rule and not is_in_share(f"sample/{rule['id']}", document["event_id"], rule["sample"]):
        return False
    parts = {key: when[key] for key in ("all", "any", "not") if key in when}
    return all(holds({key: part}, document) for key, part in parts.items())


def epoch_ms(moment: str) -> Fraction:
    return Fraction(datetime.fromisoformat(moment).timestamp()) * 1000


def is_in_share(salt: str, value: str, percent: float) -> bool:
    number = zlib.crc32((salt + value).encode()) * 0x9E3779B97F4A7C15 % 2**64 // 2**32
    return number * 1_000_000 // 2**32 < percent * 10_000


def holds(condition: Raw, document: Document) -> bool:
    """Whether one condition holds."""
    if "all" in condition:
        return all([holds(each, document) for each in condition["all"]])
    if "any" in condition:
        return any([holds(each, document) for each in condition["any"]])
    if "not" in condition:
        return not holds(condition["not"], document)
    if "money" in condition:
        return any([is_money(each, condition) for each in find(condition["money"], document)])
    if "count" in condition:
        return compare(len(find(condition["count"], document)), condition["op"], condition["value"])
    if "sum" in condition:
        numbers = [each for each in find(condition["sum"], document) if kind(each) == "number"]
        return compare(sum(numbers), condition["op"], condition["value"])
    found = find(condition["path"], document)
    if condition["op"] == "exists":
        return len(found) > 0
    each_holds = [fits(each, condition["op"], condition["value"]) for each in found]
    if condition.get("every"):
        return len(each_holds) > 0 and all(each_holds)
    return any(each_holds)


def find(path: str, document: Document) -> list[Any]:
    try:
        return [match.value for match in parse(path).find(document)]
    except TypeError:  # a filter that compares a text with a number
        return []


def is_money(found: Any, condition: Raw) -> bool:
    amount = Decimal(found["amount_minor"]) / 10 ** DECIMALS[condition["currency"]]
    return found["currency"] == condition["currency"] and compare(amount, condition["op"], Decimal(condition["amount"]))


def fits(found: Any, op: str, wanted: Any) -> bool:
    if op == "in":
        return any([fits(found, "==", each) for each in wanted])
    if op == "contains":
        return kind(found) == "text" and wanted in found
    if op == "matches":
        return kind(found) == "text" and re.search(wanted, found) is not None
    return kind(found) == kind(wanted) != "" and compare(found, op, wanted)


def kind(value: Any) -> str:
    return {bool: "boolean", str: "text", int: "number", float: "number"}.get(type(value), "")


def compare(found: Any, op: str, wanted: Any) -> bool:
    is_equal: bool = found == wanted
    is_less: bool = not is_equal and found < wanted if op not in ("==", "!=") else False
    holding = {
        "==": is_equal,
        "!=": not is_equal,
        "<": is_less,
        "<=": is_less or is_equal,
        ">": not is_less and not is_equal,
        ">=": not is_less,
    }
    return holding[op]


def leaves(document: Document) -> dict[str, Any]:
    """Dotted name -> what is there, of all that is not empty; a list is one thing."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": each for inner, each in leaves(value).items()}
        elif value:
            found[name] = value
    return found


def form(destination: Raw, document: Document, mask_key: bytes) -> tuple[str, dict[str, Any]]:
    """Key of its own ("": the session's id is the key), and the leaves of an event as a destination gets it."""
    whole = leaves(document)

    def shown(name: str) -> Any:
        value = next(iter(find(f"$.{name}", document)), "")
        return hmac.new(mask_key, value.encode(), "sha256").hexdigest()[:32] if value and name in destination.get("mask", ()) else value

    kept = [name for name in whole if any(f"{name}.".startswith(f"{field}.") for field in destination.get("fields", whole))]
    default = "session_id" if "session_id" in destination.get("mask", ()) else ""
    path = destination.get("key", default).removeprefix("$.")
    return str(shown(path)) if path else "", {name: shown(name) for name in kept}
