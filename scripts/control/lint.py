"""What is wrong with rules, and what is allowed but hardly meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any, Final

from shop.v1.events_pb2 import Event

from jobs.baseline import Fault, RuleFile
from udfs.rules import paths
from udfs.rules.condition_forms import All, AnyOf, Comparison, Condition, Contains, Count, Exists, Matches, Membership, Money, Not, Sum
from udfs.rules.conditions import Slots, comparable, compile_condition
from udfs.rules.language import ANY, EVENT_TYPES, Destination, Rule, When
from udfs.rules.rulebook import MAX_RULES
from udfs.validation import UNKNOWN

Place = tuple[str | int, ...]
_FIRST_FIELD: Final = re.compile(r"\$\.([a-z_][a-z0-9_]*)")
_PLAIN: Final = re.compile(r"\$(\.[a-z_][a-z0-9_]*(\[\*\])?)+")


@dataclass(frozen=True)
class Findings:
    """Faults: these rules can't be used. Warnings: they can."""

    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


def lint(found: RuleFile, now: datetime) -> Findings:
    """Looks for all that can be told without an event.

    Args:
        now: with a time zone; a rule that was valid until before then is warned of.
    """
    warnings = [found.fault(rule.id, place, what) for rule in found.rules.values() for place, what in _of_rule(rule, now)]
    warnings += [found.fault(rule_id, place, what) for rule_id, place, what in _of_pairs(found.rules)]
    too_many = list(found.rules)[MAX_RULES:][:1]
    faults = [found.fault(rule_id, (), f"is one of {len(found.rules):,} rules, allowed are {MAX_RULES:,}") for rule_id in too_many]
    return Findings((*found.faults, *faults), tuple(sorted(set(warnings), key=lambda each: (each.file, each.line, each.what))))


# -- one rule --------------------------------------------------------------------------------------------------------------------


def _of_rule(rule: Rule, now: datetime) -> Iterator[tuple[Place, str]]:
    if rule.rollout is not None and rule.rollout.percent == 0:
        yield ("rollout", "percent"), "is 0: the rule never matches"
    if rule.sample == 0:
        yield ("sample",), "is 0: the rule never matches"
    if rule.valid_until is not None and rule.valid_until <= now:
        yield ("valid_until",), f"is in the past ({rule.valid_until.isoformat()}): the rule matches no new events"
    for place, condition in conditions_of(rule.when):
        yield from _of_condition(place, condition)
    summed = rule.when.aggregate.sum if rule.when.aggregate is not None else None
    if summed is not None and paths.is_money(money := summed.rpartition(".")[0]) and f"{money}.currency" not in _paths(rule.when):
        yield ("when", "aggregate", "sum"), f"is {summed}, which adds up amounts of different currencies: use money: {money}"
    yield from _never(rule)


def conditions_of(when: When) -> Iterator[tuple[Place, Condition]]:
    """The conditions of a rule, and those inside them, each with its place."""
    for place, part in parts_of(when):
        yield from _inside(place, part)


def parts_of(when: When) -> Iterator[tuple[Place, Condition]]:
    """What must hold, each with its place: the conditions under all; any and not as one condition each."""
    for index, each in enumerate(when.all or ()):
        yield ("when", "all", index), each
    if when.any is not None:
        yield ("when",), AnyOf.model_construct(any=when.any)
    if when.not_ is not None:
        yield ("when",), Not.model_construct(not_=when.not_)


def _inside(place: Place, condition: Condition) -> Iterator[tuple[Place, Condition]]:
    yield place, condition
    match condition:
        case All():
            for index, each in enumerate(condition.all):
                yield from _inside((*place, "all", index), each)
        case AnyOf():
            for index, each in enumerate(condition.any):
                yield from _inside((*place, "any", index), each)
        case Not():
            yield from _inside((*place, "not"), condition.not_)


def _of_condition(place: Place, condition: Condition) -> Iterator[tuple[Place, str]]:
    path = path_of(condition)
    if path is None:
        return
    key = next(key for key in ("path", "money", "count", "sum") if hasattr(condition, key))
    if isinstance(condition, Comparison | Membership | Contains | Matches):
        kind = paths.kind_of(path)
        if kind is not None:
            wanted = list(condition.value) if isinstance(condition, Membership) else [condition.value]
            if not any(comparable(kind(), each) for each in wanted):
                yield (*place, "value"), f"is {', '.join(map(repr, wanted))}, and {path} is {_KIND_NAMES[kind]}: never true"
        elif _PLAIN.fullmatch(path):  # the language refuses paths that the schema lacks, so this one leads to a message
            yield (*place, key), f"is {path}, which has no value of its own: never true; compare one of its fields"


_KIND_NAMES: Final = {str: "a text", bool: "true or false", int: "a number", float: "a number"}


def path_of(condition: Condition) -> str | None:
    """The path that a condition looks at; None for all, any and not."""
    match condition:
        case Comparison() | Membership() | Contains() | Matches() | Exists():
            return condition.path
        case Money():
            return condition.money
        case Count():
            return condition.count
        case Sum():
            return condition.sum
        case _:
            return None


# -- can it match? ---------------------------------------------------------------------------------------------------------------


def _never(rule: Rule) -> Iterator[tuple[Place, str]]:
    """Event types of which no event can match, since the conditions ask for payloads of other types."""
    if ANY in rule.when.events:
        if not any(_possible(rule.when, kind) for kind in (*EVENT_TYPES, UNKNOWN)):
            yield ("when",), "can never match: no event has all the payloads that it asks for"
        return
    impossible = [kind for kind in rule.when.events if not _possible(rule.when, kind)]
    if len(impossible) == len(rule.when.events):
        asked = dict.fromkeys(payload for path in _paths(rule.when) if (payload := _payload(path)))
        yield ("when", "events"), f"is {', '.join(impossible)}, but the conditions ask for {', '.join(asked)}: the rule never matches"
        return
    for kind in impossible:
        index = rule.when.events.index(kind)
        yield ("when", "events", index), f"is {kind}, but the conditions ask for other payloads: no such event matches"


def _paths(when: When) -> Iterator[str]:
    for _, condition in conditions_of(when):
        path = path_of(condition)
        if path is not None:
            yield path
    if when.aggregate is not None:
        yield from (path for path in (when.aggregate.path, *_keys(when.aggregate.by)) if path is not None)
    if when.signal is not None:
        looked_at = (getattr(when.signal, "amount", None), *_keys(getattr(when.signal, "by", "")), *_keys(getattr(when.signal, "of", "")))
        yield from (path for path in looked_at if path is not None)


def _payload(path: str) -> str | None:
    """The payload that a path is in."""
    found = _FIRST_FIELD.match(path)
    return found[1] if found is not None and found[1] in EVENT_TYPES else None


def _possible(when: When, kind: str) -> bool:
    aggregate, signal = when.aggregate, when.signal
    can_count = aggregate is None or _can_count(aggregate.by, aggregate.path, kind)
    can_look = signal is None or all(
        _can_count(getattr(signal, name, ""), getattr(signal, "amount", None), kind) for name in ("by", "of")
    )
    return can_count and can_look and all(_can_hold(each, kind) for _, each in parts_of(when))


def _can_hold(condition: Condition, kind: str) -> bool:
    """Whether a condition can be true for an event of this type. What asks only for payloads that such an event lacks is
    for each of them as it is for an empty one."""
    looked_at = [path for _, inner in _inside((), condition) if (path := path_of(inner)) is not None]
    if all(_payload(path) not in (None, kind) for path in looked_at):
        slots = Slots()
        holds = compile_condition(condition, slots)
        return holds(slots.values(Event()))
    match condition:
        case All():
            return all(_can_hold(each, kind) for each in condition.all)
        case AnyOf():
            return any(_can_hold(each, kind) for each in condition.any)
        case _:
            return True


def _can_count(by: str, amount: str | None, kind: str) -> bool:
    """Whether an event of this type has the key, and what is summed or compared."""
    keys = _keys(by)
    has_key = not keys or any(_payload(path) in (None, kind) for path in keys)
    return has_key and (amount is None or _payload(amount) in (None, kind))


def _keys(by: str) -> tuple[str, ...]:
    """Paths of which one must be there; none for what every event can have."""
    if by == "card":
        with_card = [kind for kind in EVENT_TYPES if paths.is_field(f"{kind}.card_fingerprint")]
        return tuple(f"$.{kind}.card_fingerprint" for kind in with_card)
    return (by,) if by.startswith("$") else ()


# -- rules that meet at one topic --------------------------------------------------------------------------------------------------


def _of_pairs(rules: Mapping[str, Rule]) -> Iterator[tuple[str, Place, str]]:
    meeting: dict[str, list[tuple[Rule, int, Destination]]] = {}
    for rule in rules.values():
        if rule.enabled and rule.mode == "active":
            for index, destination in enumerate(rule.to):
                meeting.setdefault(destination.topic, []).append((rule, index, destination))
    for topic, senders in meeting.items():
        yield from _of_orders(topic, senders)
        yield from _of_forms(topic, senders)


def _of_orders(topic: str, senders: list[tuple[Rule, int, Destination]]) -> Iterator[tuple[str, Place, str]]:
    """One warning for a topic: at the first rule whose order is not that of the first of all."""
    first, _, wanted = senders[0]
    other = next((each for each in senders if each[2].order != wanted.order), None)
    if other is not None:
        rule, index, destination = other
        what = f"is {destination.order}, and {wanted.order} in rule {first.id}: {topic} as a whole is in no order"
        yield rule.id, ("to", index, "order"), what


def _of_forms(topic: str, senders: list[tuple[Rule, int, Destination]]) -> Iterator[tuple[str, Place, str]]:
    """One warning for each rule that meets another with a different form."""
    warned: set[str] = set()
    # Many rules may send to one topic, but few forms are in use: pairs of equal ones are not looked at.
    by_form: dict[Any, list[tuple[Rule, int]]] = {}
    for rule, index, destination in senders:
        by_form.setdefault((destination.key, destination.fields, destination.mask), []).append((rule, index))
    for one, another in combinations(by_form.values(), 2):
        for rule, index in another:
            first = next((each for each, _ in one if _overlap(each, rule)), None)
            if first is not None and rule.id not in warned:
                warned.add(rule.id)
                what = f"has another form (key, fields, mask) than in rule {first.id}: where both match, the higher priority decides"
                yield rule.id, ("to", index), what


def _overlap(one: Rule, another: Rule) -> bool:
    return ANY in (*one.when.events, *another.when.events) or not set(one.when.events).isdisjoint(another.when.events)
