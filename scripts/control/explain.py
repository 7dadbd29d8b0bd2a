"""Why an event goes where it goes: each rule of its type, with each condition on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from iso4217 import Currency
from shop.v1.events_pb2 import Event

from scripts.control.evaluate import Evaluator, Outcome
from scripts.control.lint import parts_of, path_of
from scripts.control.sources import concerns, event_type
from udfs.documents import to_document
from udfs.fraud.sightings import sighting
from udfs.rules import paths
from udfs.rules.aggregates import Observation, key_reader, observation
from udfs.rules.condition_forms import All, AnyOf, Comparison, Condition, Contains, Count, Exists, Matches, Membership, Money, Not, Sum
from udfs.rules.conditions import Slots, comparable, compile_condition
from udfs.rules.engine import RuleSet
from udfs.rules.language import Aggregate, Rule, When
from udfs.rules.signals import Signal

_LOOKED_AT: Final[dict[str, Callable[[Any], str]]] = {
    "accounts": lambda _: "user", "deviation": lambda signal: f"amount at {signal.amount}", "travel": lambda _: "country",
    "unfamiliar": lambda signal: signal.of,
}  # fmt: skip
"""What a signal can lack beside its key, by its kind."""
_MOST_SHOWN: Final = 5
_LONGEST_SHOWN: Final = 60


@dataclass(frozen=True)
class Check:
    """One condition, with those inside it. `found`: what it looked at, as text; None if that is in its parts."""

    text: str
    holds: bool
    found: str | None = None
    parts: tuple[Check, ...] = ()

    def lines(self, indent: str) -> Iterator[str]:
        found = "" if self.found is None else f"   found {self.found}"
        yield f"{indent}{'✓' if self.holds else '✗'} {self.text}{found}"
        for part in self.parts:
            yield from part.lines(indent + "  ")

    def as_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"condition": self.text, "holds": self.holds}
        if self.found is not None:
            shown["found"] = self.found
        if self.parts:
            shown["parts"] = [part.as_json() for part in self.parts]
        return shown


@dataclass(frozen=True)
class Explained:
    """A rule and an event.

    Attributes:
        matched: whether all its checks hold.
        routes: whether it sends the event on, for an aggregating rule once its sum is reached; a rule that matches does not if it is
            a shadow, say, or a fraud signal.
        note: why a rule that is not evaluated or does not route is so; what an aggregating one counts.
    """

    rule: Rule
    matched: bool
    routes: bool
    checks: tuple[Check, ...]
    note: str = ""

    def lines(self) -> Iterator[str]:
        verdict = ("matches" if self.matched else "does not match") + (f", {self.note}" if self.note else "")
        yield f"{'✓' if self.matched else '✗'} {self.rule.id} (version {self.rule.version}) {verdict}"
        for check in self.checks:
            yield from check.lines("    ")

    def as_json(self) -> dict[str, Any]:
        checks = [check.as_json() for check in self.checks]
        return {
            "rule": self.rule.id, "version": self.rule.version, "matched": self.matched, "routes": self.routes, "note": self.note,
            "checks": checks,
        }  # fmt: skip


def explain(rules: Iterable[Rule], event: Event) -> tuple[list[Explained], Outcome]:
    """Explains the rules of the event's type, the highest priority first; and where the event goes in the end."""
    every = list(rules)
    kind = event_type(event)
    routing = {rule.id: rule for rule, routes in RuleSet(every, mask_key=b"any").matches(event, kind) if routes}
    concerned = sorted((rule for rule in every if concerns(rule, kind)), key=lambda rule: (-rule.priority, rule.id))
    return [_explain(rule, event, kind, routing) for rule in concerned], Evaluator(every).outcome(event)


def _explain(rule: Rule, event: Event, kind: str, routing: dict[str, Rule]) -> Explained:
    checks = (*(check(condition, event) for _, condition in parts_of(rule.when)), *_limits(rule, event, kind))
    holds = all(each.holds for each in checks)
    others = [other.id for other in routing.values() if not other.when.unmatched]
    winner = next((other for other in routing.values() if rule.group is not None and other.group == rule.group), None)
    if not rule.live:
        return Explained(rule, False, False, checks, "not evaluated: " + ("it is paused" if rule.enabled else "enabled is false"))
    if rule.when.unmatched and others:
        return Explained(rule, False, False, checks, f"it takes what no other rule takes, and {others[0]} does")
    note, routes = "", rule.id in routing
    if holds and rule.mode == "shadow":
        note = "but routes nothing: mode is shadow"
    elif holds and winner is not None and winner.id != rule.id:
        note = f"but {winner.id} comes first in group {rule.group}"
    elif holds and rule.when.aggregate is not None:
        note = _counted(rule.when.aggregate, rule, event)
        routes = observation(rule, event) is not None
    elif holds and rule.when.signal is not None:
        note, routes = _looked_at(rule.when.signal, rule, event), False
    return Explained(rule, holds, routes, checks, note)


def _counted(aggregate: Aggregate, rule: Rule, event: Event) -> str:
    told = observation(rule, event)
    if told is None:
        summed = f"{aggregate.money} in {aggregate.currency}" if aggregate.money is not None else aggregate.sum
        lacking = aggregate.by if key_reader(aggregate.by)(event) is None else summed
        return f"but the event has no {lacking}: it counts for nothing"
    amount: Any = Observation.decoded(told).amount
    limit: Any = aggregate.value
    if aggregate.amount is not None and aggregate.currency is not None:
        amount, limit = _major(int(amount), aggregate.currency), f"{aggregate.amount} {aggregate.currency}"
    reached = f"{'sum' if aggregate.path else 'count'} by {aggregate.by} within {aggregate.within} {aggregate.op} {limit}"
    return f"adds {amount} and routes once {reached}, which the events before it decide"


def _looked_at(signal: Signal, rule: Rule, event: Event) -> str:
    seen = sighting(rule, event)
    if seen is None:
        by = getattr(signal, "by", "session")
        lacking = by if key_reader(by)(event) is None else _LOOKED_AT[signal.kind](signal)
        return f"but the event has no {lacking}: the signal passes it over"
    return f"a {seen.kind} signal looks at it by {seen.by} {seen.key!r}; whether it fires, the events before it decide"


def _limits(rule: Rule, event: Event, kind: str) -> Iterator[Check]:
    """Validity, rollout and sample, each on its own: the engine is asked about a rule that has nothing else."""
    bare: dict[str, Any] = dict.fromkeys(("valid_from", "valid_until", "rollout", "sample", "group"))
    bare |= {"enabled": True, "mode": "active", "match": "all", "when": When(events=rule.when.events)}
    for name, text, found in (
        ("valid_from", f"valid from {rule.valid_from}", f"event_time_ms {event.event_time_ms}"),
        ("valid_until", f"valid until {rule.valid_until}", f"event_time_ms {event.event_time_ms}"),
        ("rollout", f"rollout to {rule.rollout and rule.rollout.percent} % by {rule.rollout and rule.rollout.by}", None),
        ("sample", f"sample of {rule.sample} % of the events", None),
    ):
        limit = getattr(rule, name)
        if limit is not None:
            only = rule.model_copy(update=bare | {name: limit})
            yield Check(text, bool(RuleSet([only], mask_key=b"any").matches(event, kind)), found)


def check(condition: Condition, event: Event) -> Check:
    """Evaluates a condition, and each condition inside it on its own."""
    match condition:
        case All():
            return Check("all of", _holds(condition, event), parts=tuple(check(each, event) for each in condition.all))
        case AnyOf():
            return Check("any of", _holds(condition, event), parts=tuple(check(each, event) for each in condition.any))
        case Not():
            return Check("not", _holds(condition, event), parts=(check(condition.not_, event),))
        case _:
            return Check(_text(condition), _holds(condition, event), _found(condition, event))


def _holds(condition: Condition, event: Event) -> bool:
    slots = Slots()
    holds = compile_condition(condition, slots)
    try:
        return holds(slots.values(event))
    except Exception:  # as in the job: a condition that can't be evaluated is a no
        return False


def _text(condition: Condition) -> str:
    match condition:
        case Comparison() | Membership() | Contains() | Matches():
            return f"{'every ' if condition.every else ''}{condition.path} {condition.op} {_shown(condition.value)}"
        case Exists():
            return f"{condition.path} exists"
        case Money():
            return f"{condition.money} {condition.op} {condition.amount} {condition.currency}"
        case Count():
            return f"count of {condition.count} {condition.op} {condition.value}"
        case Sum():
            return f"sum of {condition.sum} {condition.op} {condition.value}"
        case _:
            raise TypeError(type(condition).__name__)


def _found(condition: Condition, event: Event) -> str:
    """What stands in the event where the condition looks."""
    path = path_of(condition)
    assert path is not None
    if isinstance(condition, Money):
        amounts = [_major(each.amount_minor, each.currency) for each in paths.money_reader(path)(event)]
        return ", ".join(amounts[:_MOST_SHOWN]) or "nothing"
    walk = paths.list_reader(path)
    values = walk(event) if walk is not None else paths.document_reader(path)(to_document(event))
    if isinstance(condition, Count):
        return str(len(values))
    if isinstance(condition, Sum):
        return str(sum(each for each in values if comparable(each, 0)))
    more = f" and {len(values) - _MOST_SHOWN} more" if len(values) > _MOST_SHOWN else ""
    return ", ".join(_shown(each) for each in values[:_MOST_SHOWN]) + more or "nothing"


def _major(amount_minor: int, currency: str) -> str:
    try:
        exponent = Currency(currency).exponent or 0
    except ValueError:
        return f"{amount_minor} minor units of {currency!r}"
    return f"{Decimal(amount_minor).scaleb(-exponent):f} {currency}"


def _shown(value: Any) -> str:
    text = "[" + ", ".join(_shown(each) for each in value) + "]" if isinstance(value, tuple) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
