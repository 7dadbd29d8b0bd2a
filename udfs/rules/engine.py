"""The rules in force, compiled: event in, route out.

Rules are indexed by event type, and within a type by the first text that they demand of a scalar field
(`path == text`, or `in`), so that a thousand rules for a thousand products cost one look-up. A change compiles the types
that it touches again, at the next event of that type.
"""

from __future__ import annotations

import hmac
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.field_mask_pb2 import FieldMask
from shop.v1.events_pb2 import Event

from udfs.fraud.sightings import Look, compile_look, tell
from udfs.rules.aggregates import observation
from udfs.rules.condition_forms import Comparison, Membership
from udfs.rules.conditions import Predicate, Slots, Values, compile_when, conjunction
from udfs.rules.language import ANY, EVENT_TYPES, Destination, Rule
from udfs.rules.limits import limits
from udfs.rules.paths import MISSING, is_scalar, scalar_reader
from udfs.validation import UNKNOWN

DESTINATION_SEPARATOR: Final = ";"
FORM_SEPARATOR: Final = "|"
"""Separates a destination's topic from its key and its payload, both in hexadecimal digits, where they are not the event's."""
AGGREGATE_MARK: Final = "?"
"""Begins a destination that is an observation for an aggregating rule."""

_TIMED_EVERY: Final = 4_096
"""The longest way between two events of a type of which the rules are timed; it grows up to that, so that a new rule is soon timed."""
_MAX_KEPT_ROUTES: Final = 1_000
"""By event type. Rules that match independently of each other make more combinations than memory holds."""
_ALL_TYPES: Final = (*EVENT_TYPES, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Route:
    """Where one event goes: two lists of destinations, the form in which they leave the Python stage."""

    ordered: str
    unordered: str


NOWHERE: Final = Route("", "")


@dataclass(slots=True)
class Counters:
    """What became of a rule on this subtask since it came into force."""

    evaluated: int = 0
    matched: int = 0
    shadow_matched: int = 0
    errors: int = 0
    time_ns: int = 0
    """Estimated from samples: each stands for the events since the one before."""


@dataclass(slots=True)
class _Compiled:
    rule: Rule
    rank: tuple[int, str]
    holds: Predicate
    counters: Counters
    is_shadow: bool
    is_plain: bool
    is_unconditional: bool
    look: Look | None
    """Of a rule with a signal."""
    demanded: tuple[int, tuple[str, ...]] | None
    """A slot and the texts of which it must have one for the rule to match, if there is such a condition."""


@dataclass(slots=True)
class _Type:
    """The compiled rules of one event type, by rank. Kept over changes: among thousands of rules, one that changes must not cost
    the compilation of all.

    `gone`: how many were taken out, of which slots and patterns are still there. `events`: of earlier plans.
    """

    slots: Slots
    rules: list[_Compiled]
    gone: int = 0
    events: int = 0

    def add(self, compiled: _Compiled) -> None:
        insort(self.rules, compiled, key=_rank_of)

    def remove(self, rank: tuple[int, str]) -> None:
        del self.rules[bisect_left(self.rules, rank, key=_rank_of)]
        self.gone += 1


@dataclass(slots=True)
class _Plan:
    """How the events of one type are evaluated, until the rules of the type change."""

    slots: Slots
    rules: list[_Compiled]
    always: list[_Compiled] = field(default_factory=list)
    index: list[tuple[int, dict[Any, list[_Compiled]]]] = field(default_factory=list)
    fallbacks: list[_Compiled] = field(default_factory=list)
    is_grouped: bool = False
    fixed: Route | None = None
    events: int = 0
    counted: int = 0
    timed: int = 0
    next_timed: int = 0
    """Among the events: the last and the next one of which the rules are timed."""
    routes: dict[tuple[str, ...], Route] = field(default_factory=dict)


class RuleSet:
    """The rules in force. Not for several threads."""

    def __init__(self, rules: Iterable[Rule] = (), mask_key: bytes | None = None) -> None:
        """
        Args:
            mask_key: key of the hash that masks fields; rules that mask must not come in without one.
        """
        self._mask_key = mask_key
        self._rules: dict[str, Rule] = {}
        self._counters: dict[str, Counters] = {}
        self._types: dict[str, _Type] = {}
        self._plans: dict[str, _Plan] = {}
        for rule in rules:
            self.put(rule)

    def __len__(self) -> int:
        return len(self._rules)

    def put(self, rule: Rule) -> None:
        """Brings a rule into force, in place of the one of the same id."""
        self.remove(rule.id)
        if rule.live:
            self._rules[rule.id] = rule
            self._counters[rule.id] = Counters()
            for kept in self._changing(rule):
                kept.add(self._compiled(rule, kept.slots))

    def remove(self, rule_id: str) -> None:
        """Takes a rule out of force."""
        rule = self._rules.pop(rule_id, None)
        if rule is not None:
            for kept in self._changing(rule):
                kept.remove(_rank(rule))
            del self._counters[rule_id]

    def _changing(self, rule: Rule) -> Iterator[_Type]:
        """The types that the rule is about and that are compiled; their plans are given up."""
        for event_type in _types(rule):
            plan, kept = self._plans.pop(event_type, None), self._types.get(event_type)
            if plan is not None and kept is not None:
                self._settle(plan)
                kept.events = plan.events
            if kept is not None:
                yield kept

    def counters(self) -> Mapping[str, Counters]:
        """Counters by rule id."""
        for plan in self._plans.values():
            self._settle(plan)
        return self._counters

    def _settle(self, plan: _Plan) -> None:
        """Events are counted by type, and not by rule: this adds them to the rules of the type."""
        new = plan.events - plan.counted
        plan.counted = plan.events
        for compiled in plan.rules if new else ():
            compiled.counters.evaluated += new
            if plan.fixed is not None:
                compiled.counters.matched += new

    def route(self, event: Event, event_type: str) -> Route:
        """Where `event` goes. A destination that several rules name gets it once; order "none" wins over "session",
        since whoever asked for it without delay can't be served by the ordered copy. Of several forms of the event for one
        destination, that of the rule of the highest priority wins."""
        plan = self._plans.get(event_type) or self._planned(event_type)
        plan.events += 1
        if plan.fixed is not None:
            return plan.fixed
        values = plan.slots.values(event)
        matched = self._matched(plan, values)
        if not matched:
            return NOWHERE
        key = tuple([each.rule.id for each in matched])
        route = plan.routes.get(key)
        if route is None:
            route = self._make_route(matched, event)
            if len(plan.routes) < _MAX_KEPT_ROUTES and all(each.is_plain for each in matched):
                plan.routes[key] = route
        return route

    def matches(self, event: Event, event_type: str) -> list[tuple[Rule, bool]]:
        """The rules that match, shadow rules too, the highest priority first; and whether each routes the event."""
        plan = self._plans.get(event_type) or self._planned(event_type)
        values = plan.slots.values(event)
        routing = {each.rule.id for each in self._matched(plan, values)}
        return [(each.rule, each.rule.id in routing) for each in plan.rules if each.rule.id in routing or _holds(each, values)]

    # -- evaluation -----------------------------------------------------------------------------------------------------------

    def _matched(self, plan: _Plan, values: Values) -> list[_Compiled]:
        """The rules that route the event, by rank."""
        candidates = plan.always
        for slot, table in plan.index:
            more = table.get(values[slot])
            if more is not None:
                candidates = candidates + more
        weight = 0
        if plan.events >= plan.next_timed:
            weight = plan.events - plan.timed
            plan.timed, plan.next_timed = plan.events, plan.events + min(2 * weight, _TIMED_EVERY)
        matched = _routing(plan, _holding(candidates, values, weight))
        # A signal looks at an event, and sends it nowhere.
        if plan.fallbacks and all(each.look is not None for each in matched):
            matched = matched + _routing(plan, _holding(plan.fallbacks, values, weight))
        return matched

    def _make_route(self, matched: list[_Compiled], event: Event) -> Route:
        chosen: dict[str, tuple[str, str]] = {}
        for rule in [each.rule for each in matched if each.rule.when.aggregate is None]:
            for destination in rule.to:
                order, token = chosen.get(destination.topic, (destination.order, ""))
                chosen[destination.topic] = (
                    "none" if "none" in (order, destination.order) else "session",
                    token or self._token(destination, event),
                )
        aggregating = [each.rule for each in matched if each.rule.when.aggregate is not None]
        observations = [told for rule in aggregating if (told := observation(rule, event, but=chosen)) is not None]
        unordered = [token for order, token in chosen.values() if order == "none"]
        unordered += [AGGREGATE_MARK + told for told in observations]
        ordered = [token for order, token in chosen.values() if order == "session"]
        looks = [each.look for each in matched if each.look is not None]
        if looks:
            # What a session has viewed before is known where its events are in order.
            in_order, at_once = tell(looks, event)
            ordered += in_order
            unordered += at_once
        return Route(ordered=DESTINATION_SEPARATOR.join(ordered), unordered=DESTINATION_SEPARATOR.join(unordered))

    def _token(self, destination: Destination, event: Event) -> str:
        if destination.plain:
            return destination.topic
        key = ""
        if destination.key is None and "session_id" in (destination.mask or ()):
            key = self._masked(event.session_id).encode().hex()
        elif destination.key is not None:
            value = scalar_reader(destination.key)(event)
            text = "" if value is MISSING else str(value)
            if destination.key.removeprefix("$.") in (destination.mask or ()):
                text = self._masked(text)
            key = text.encode().hex()
        payload = ""
        if destination.fields or destination.mask:
            payload = reshape(event, destination.fields, destination.mask or (), self._masked).SerializeToString().hex()
        return FORM_SEPARATOR.join((destination.topic, key, payload))

    def _masked(self, text: str) -> str:
        """A keyed hash of the text: equal texts stay equal, and who has no key can't try names until one fits."""
        assert self._mask_key is not None, "rules that mask are refused without a key"
        return hmac.digest(self._mask_key, text.encode(), "sha256").hex()[:32] if text else ""

    # -- compilation ----------------------------------------------------------------------------------------------------------

    def _planned(self, event_type: str) -> _Plan:
        kept = self._types.get(event_type)
        if kept is None or kept.gone > len(kept.rules):
            slots = Slots()
            rules = sorted((rule for rule in self._rules.values() if event_type in _types(rule)), key=_rank)
            compiled_rules = [self._compiled(rule, slots) for rule in rules]
            kept = self._types[event_type] = _Type(slots, compiled_rules, events=kept.events if kept is not None else 0)
        plan = _Plan(kept.slots, kept.rules, events=kept.events, counted=kept.events, timed=kept.events)
        indexed: dict[int, dict[Any, list[_Compiled]]] = {}
        for compiled in kept.rules:
            if compiled.rule.match == "first":
                plan.is_grouped = True
            if compiled.rule.when.unmatched:
                plan.fallbacks.append(compiled)
            elif compiled.demanded is None:
                plan.always.append(compiled)
            else:
                slot, texts = compiled.demanded
                table = indexed.setdefault(slot, {})
                for text in texts:
                    table.setdefault(text, []).append(compiled)
        plan.index = list(indexed.items())
        if all(each.is_unconditional for each in kept.rules):
            plan.fixed = self._make_route(plan.always, Event())
        self._plans[event_type] = plan
        return plan

    def _compiled(self, rule: Rule, slots: Slots) -> _Compiled:
        demanded = _demanded_texts(rule)
        return _Compiled(
            rule=rule,
            rank=_rank(rule),
            holds=conjunction([*compile_when(rule.when, slots), *limits(rule, slots)]),
            counters=self._counters[rule.id],
            is_shadow=rule.mode == "shadow",
            is_plain=rule.when.aggregate is None and rule.when.signal is None and all(destination.plain for destination in rule.to),
            is_unconditional=_is_unconditional(rule),
            look=None if rule.when.signal is None else compile_look(rule),
            demanded=None if demanded is None else (slots.of(demanded[0]), demanded[1]),
        )


def _types(rule: Rule) -> tuple[str, ...]:
    return _ALL_TYPES if ANY in rule.when.events else tuple(dict.fromkeys(rule.when.events))


def _rank(rule: Rule) -> tuple[int, str]:
    return (-rule.priority, rule.id)


def _rank_of(compiled: _Compiled) -> tuple[int, str]:
    return compiled.rank


def _is_unconditional(rule: Rule) -> bool:
    when = rule.when
    conditions = (when.all, when.any, when.not_, when.aggregate, when.signal, rule.valid_from, rule.valid_until, rule.rollout, rule.sample)
    is_simple = rule.mode == "active" and rule.match == "all" and not when.unmatched
    return is_simple and all(each is None for each in conditions) and all(each.plain for each in rule.to)


def _demanded_texts(rule: Rule) -> tuple[str, tuple[str, ...]] | None:
    """A scalar path and the texts of which it must have one for the rule to match, if there is such a condition."""
    for condition in rule.when.all or ():
        if isinstance(condition, Comparison) and condition.op == "==" and isinstance(condition.value, str):
            texts: tuple[Any, ...] = (condition.value,)
        elif isinstance(condition, Membership) and all(isinstance(each, str) for each in condition.value):
            texts = tuple(dict.fromkeys(condition.value))
        else:
            continue
        if is_scalar(condition.path):
            return condition.path, texts
    return None


def _routing(plan: _Plan, matched: list[_Compiled]) -> list[_Compiled]:
    """Counts matches, takes out shadow rules and those that lost to a better one of their group, and sorts."""
    if len(matched) > 1:
        matched.sort(key=lambda each: each.rank)
    routing = []
    taken: set[str] = set()
    for compiled in matched:
        if compiled.is_shadow:
            compiled.counters.shadow_matched += 1
            continue
        if plan.is_grouped and compiled.rule.group is not None:
            if compiled.rule.group in taken:
                continue
            taken.add(compiled.rule.group)
        compiled.counters.matched += 1
        routing.append(compiled)
    return routing


def _holds(compiled: _Compiled, values: Values) -> bool:
    """As compiled.holds, but an error counts and is a no: a rule must never stop the job."""
    try:
        return compiled.holds(values)
    except Exception:
        compiled.counters.errors += 1
        return False


def _holding(candidates: list[_Compiled], values: Values, weight: int) -> list[_Compiled]:
    """The rules that match. With a weight, they are timed, for so many events."""
    if not weight:
        try:
            return [each for each in candidates if each.holds(values)]
        except Exception:
            return [each for each in candidates if _holds(each, values)]
    matched = []
    for compiled in candidates:
        start = time.perf_counter_ns()
        if _holds(compiled, values):
            matched.append(compiled)
        compiled.counters.time_ns += (time.perf_counter_ns() - start) * weight
    return matched


def reshape(event: Event, fields: tuple[str, ...] | None, mask: tuple[str, ...], masked: Callable[[str], str]) -> Event:
    """A copy with only `fields` (dotted names; None: all), and with keyed hashes in place of the texts of `mask`.

    What this version of the schema does not know is left out: nobody can tell whether it may be seen.
    """
    copy = Event()
    if fields is None:
        copy.CopyFrom(event)
    else:
        FieldMask(paths=fields).MergeMessage(event, copy)
    copy.DiscardUnknownFields()  # type: ignore[attr-defined]  # protobuf's stubs lack it
    for name in mask:
        *parents, leaf = name.split(".")
        message: Any = copy
        for parent in parents:
            if not message.HasField(parent):
                break
            message = getattr(message, parent)
        else:
            setattr(message, leaf, masked(getattr(message, leaf)))
    return copy
