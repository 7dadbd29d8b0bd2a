"""The rule language: what a rule may say, checked.

Pydantic models are the one definition of the form: they validate what comes over the topic and from files, and give
rules/rule.schema.json for editors. docs/rules.md is the reference. Pure: no Flink, no I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from shop.v1.events_pb2 import Event

from udfs.rules import paths
from udfs.rules.condition_forms import CONDITIONS, Condition
from udfs.rules.destinations import refusal
from udfs.rules.signals import FORMS as SIGNALS
from udfs.rules.signals import NoView, Signal
from udfs.rules.values import (
    Amount,
    CurrencyCode,
    Duration,
    FieldName,
    Grouping,
    Model,
    Moment,
    MoneyPath,
    Name,
    Number,
    NumberPath,
    Percent,
    ScalarPath,
    minor_units,
)
from udfs.validation import UNKNOWN

ANY: Final = "*"
EVENT_TYPES: Final = tuple(field.name for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields)
MAX_VERSION: Final = 2**31 - 1

# Limits: whatever stands on the topic, reading it stays cheap.
MAX_RULE_BYTES: Final = 65_536
MAX_DEPTH: Final = 16


class InvalidRule(Exception):
    """A rule that can't be used.

    Attributes:
        faults: (place in the rule, what is wrong and what is allowed), all that were found; the text is the first.
    """

    def __init__(self, *faults: tuple[tuple[str | int, ...], str]) -> None:
        self.faults = faults
        super().__init__(_sentence(*faults[0]))


def _sentence(place: tuple[str | int, ...], what: str) -> str:
    return f"{place_name(place)} {what}" if place else what


def place_name(place: tuple[str | int, ...]) -> str:
    """("when", "all", 0, "op") -> when.all[0].op"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


class Aggregate(Model):
    """True from the event on with which the number (or a sum, or an amount of money in major units) over the events that fit `when`, of
    one key, in the sliding window that ends with it, compares so."""

    count: Literal["events"] | None = None
    """Counts the events that fit."""
    sum: NumberPath | None = None
    """Path to one number, which is summed."""
    money: MoneyPath | None = None
    """Path to money, which is summed in one currency."""
    by: Grouping
    """Grouped by session, user, card, ip, device, or a path to one field."""
    within: Duration
    """Length of the sliding window: 30s, 10m, at most 1h."""
    op: Literal[">", ">="]
    """How the sum must compare with value or amount."""
    value: Number | None = None
    """The threshold of count and sum."""
    amount: Amount | None = None
    """The threshold of money in major units, as a text: "5000.00"."""
    currency: CurrencyCode | None = None
    """ISO 4217; other currencies are not counted."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(each is not None for each in (self.count, self.sum, self.money)) != 1:
            raise ValueError("must have one of count: events, sum: PATH and money: PATH")
        if self.money is None:
            if self.value is None or self.amount is not None or self.currency is not None:
                raise ValueError("must have a value, and neither amount nor currency, which go with money")
        elif self.value is not None or self.amount is None or self.currency is None:
            raise ValueError("must have amount and currency with money, and no value")
        else:
            minor_units(self.amount, self.currency)
        return self

    @property
    def path(self) -> str | None:
        """What is summed; None: events are counted."""
        return self.money or self.sum

    @property
    def threshold(self) -> int | float:
        """What the sum must reach or exceed; of money in minor units."""
        if self.amount is not None and self.currency is not None:
            return minor_units(self.amount, self.currency)
        assert self.value is not None
        return self.value


class When(Model):
    """Which events the rule matches: `events`, and all of the conditions."""

    events: Annotated[tuple[str, ...], Field(min_length=1)]
    """Types of events, or "*" for all."""
    all: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=100)] | None = None
    """All of these conditions must hold."""
    any: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=100)] | None = None
    """One of these conditions must hold."""
    not_: Condition | None = Field(default=None, alias="not")
    """This condition must not hold."""
    unmatched: bool = False
    """Takes what no other active rule routes."""
    aggregate: Aggregate | None = None
    """More than so many events, or so much, of one key within a time."""
    signal: Signal | None = None
    """Looks for fraud; what it finds becomes an alert."""

    @field_validator("events")
    @classmethod
    def _known(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        for event in events:
            if event not in (*EVENT_TYPES, UNKNOWN, ANY):
                raise ValueError(f'has {event!r}, allowed are {", ".join((*EVENT_TYPES, UNKNOWN))} and "{ANY}"')
        return events


class Destination(Model):
    """Where matching events go, how, and in which form."""

    topic: str
    """One of the job's --destinations."""
    order: Literal["session", "none"] = "session"
    """session: in the order of the session, after the lateness bound. none: at once."""
    key: ScalarPath | None = None
    """Path to the field that becomes the record's key; without it, the session's id."""
    fields: Annotated[tuple[FieldName, ...], Field(min_length=1)] | None = None
    """Only these fields are kept: dotted names such as order_placed.total."""
    mask: Annotated[tuple[FieldName, ...], Field(min_length=1)] | None = None
    """Text fields that are replaced by a keyed hash."""

    @property
    def plain(self) -> bool:
        """Whether events go there as they came."""
        return self.key is None and self.fields is None and self.mask is None

    @field_validator("mask")
    @classmethod
    def _texts(cls, mask: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in mask or ():
            if not paths.is_text_field(name):
                raise ValueError(f"has {name!r}, only a single text field can be masked")
        return mask


class Rollout(Model):
    """A share of sessions or users, always the same ones while `percent` grows."""

    percent: Percent
    """0 to 100."""
    by: Literal["session_id", "user_id"] = "session_id"
    """What the hash is of."""


class Rule(Model):
    """One routing rule. A higher version of the same id replaces a lower one."""

    id: Name
    """a-z, 0-9 and -; also the key of the record."""
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    """A higher one replaces a lower one."""
    description: Annotated[str, Field(max_length=1_000)] = ""
    """For people."""
    owner: Annotated[str, Field(max_length=100)] = ""
    """For people: whom to ask."""
    tags: tuple[Annotated[str, Field(max_length=50)], ...] = ()
    """For people."""
    enabled: bool = True
    """false takes the rule out of force."""
    mode: Literal["active", "shadow", "paused"] = "active"
    """active; shadow: evaluated and counted, never routed; paused: not evaluated."""
    priority: Annotated[int, Field(ge=-1_000, le=1_000)] = 0
    """Of rules that match the same event, the higher one wins a group and decides the form of the event."""
    match: Literal["all", "first"] = "all"
    """first: of the rules of a group that match, only the one of the highest priority routes."""
    group: Name | None = None
    """Goes with match: first."""
    valid_from: Moment | None = None
    """Event time, with a time zone; inside."""
    valid_until: Moment | None = None
    """Event time, with a time zone; not inside."""
    rollout: Rollout | None = None
    """A share of sessions or users, by hash."""
    sample: Percent | None = None
    """Percent of events, by hash."""
    when: When
    """Which events."""
    to: Annotated[tuple[Destination, ...], Field(min_length=1, max_length=20)] = ()
    """Required, but for a rule with `when.signal`, which has none: what it finds goes to the alerts."""

    @property
    def live(self) -> bool:
        """Whether it is evaluated at all."""
        return self.enabled and self.mode != "paused"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("valid_from must be before valid_until")
        if (self.match == "first") != (self.group is not None):
            raise ValueError("match: first and group belong together")
        if len({destination.topic for destination in self.to}) < len(self.to):
            raise ValueError("to has a topic twice")
        if self.when.aggregate is not None:
            if any(destination.order != "none" or not destination.plain for destination in self.to):
                raise ValueError("a rule with when.aggregate takes destinations with order: none and without key, fields and mask")
            if self.match == "first" or self.when.unmatched:
                raise ValueError("when.aggregate goes with neither match: first nor when.unmatched")
        if self.when.signal is not None:
            self._check_signal(self.when.signal)
        return self

    def _check_signal(self, signal: Signal) -> None:
        if self.to:
            raise ValueError("a rule with when.signal takes no to: what it finds goes to the alerts")
        if self.match == "first" or self.when.unmatched or self.when.aggregate is not None:
            raise ValueError("when.signal goes with neither match: first nor when.unmatched nor when.aggregate")
        if isinstance(signal, NoView) and self.when.events != ("order_placed",):
            raise ValueError("a signal of kind no-view takes events: [order_placed]")

def parse_rule(
    text: str, allowed_topics: Collection[str], *, can_mask: bool = True, has_alerts: bool = True, can_order: bool = True
) -> Rule:
    """Reads a rule from JSON text and checks it.

    Args:
        text: at most MAX_RULE_BYTES, nested at most MAX_DEPTH deep.
        allowed_topics: what destinations may name: names, or Destinations, which may have patterns.
        can_mask: whether there is a key to mask fields with.
        has_alerts: whether there is a stage that makes alerts of signals.
        can_order: whether the job orders sessions.

    Raises:
        InvalidRule: with every fault found.
    """
    _require_small(text)
    try:
        rule = Rule.model_validate_json(text)
    except ValidationError as error:
        raise InvalidRule(*_faults(error)) from None
    faults: list[tuple[tuple[str | int, ...], str]] = []
    if not rule.to and rule.when.signal is None:
        faults.append((("to",), "is missing"))
    if rule.when.signal is not None and not has_alerts:
        faults.append((("when", "signal"), "needs fraud detection, and the job runs with --no-fraud"))
    for index, destination in enumerate(rule.to):
        if (reason := refusal(destination.topic, allowed_topics)) is not None:
            faults.append((("to", index, "topic"), reason))
        if destination.mask and not can_mask:
            faults.append((("to", index, "mask"), "needs the job's --mask-key-file"))
        if destination.order == "session" and not can_order:
            faults.append((("to", index, "order"), "is session, and the job runs with --no-order"))
    if faults:
        raise InvalidRule(*faults)
    return rule


def _require_small(text: str) -> None:
    """Refuses what would be costly to read before anything reads it as a rule."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_RULE_BYTES:
        raise InvalidRule(((), f"the rule has {size} bytes, allowed are {MAX_RULE_BYTES}"))
    depth = deepest = 0
    # A text that does not end is taken to the end of the rule: looking for another at each quote in it would be quadratic.
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket, 0)
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise InvalidRule(((), f"the rule is nested {deepest} deep, allowed are {MAX_DEPTH}"))
    try:
        json.loads(text, object_pairs_hook=_unique)
    except ValueError as error:
        raise InvalidRule(((), f"not JSON: {error}")) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return found


_PARTS: Final[dict[str, type[Model]]] = {**CONDITIONS, **SIGNALS, "when": When, "aggregate": Aggregate, "rollout": Rollout}
_OWN_TEXTS: Final = frozenset({"value_error", "condition", "signal"})
_WORDS: Final = {
    "a valid array": "a list", "an object": "a mapping", "a valid string": "a text", "a valid boolean": "true or false",
    "a valid tuple": "a list", "a valid integer": "a whole number", "a valid number": "a number", "match pattern": "match",
    " after validation": "", "items": "entries", "item": "entry",
}  # fmt: skip
_MAX_SHOWN: Final = 100


def _faults(error: ValidationError) -> list[tuple[tuple[str | int, ...], str]]:
    faults = [(fault, _without_tags(fault["loc"])) for fault in error.errors(include_url=False)]
    places = [place for _, place in faults]
    # A list of which an entry is faulty is also called too short.
    return [
        (place, _what(fault))
        for fault, place in faults
        if fault["type"] != "too_short" or not any(other[: len(place)] == place != other for other in places)
    ]


def _what(fault: ErrorDetails) -> str:
    """A fault in the words of docs/rules.md, and not in pydantic's."""
    given = fault["input"]
    if fault["type"] in ("json_invalid", "string_unicode"):  # lone surrogates: Python's own reader takes them
        return f"not JSON: {fault.get('ctx', {}).get('error', 'not UTF-8')}"
    if fault["type"] == "missing":
        return "is missing"
    if fault["type"] == "extra_forbidden":
        parent = fault["loc"][-2] if len(fault["loc"]) > 1 else None
        model = Rule if parent is None else _PARTS.get(str(parent), Destination)
        keys = (field.alias or name for name, field in model.model_fields.items())
        return f"is not a key that is allowed here, allowed are {', '.join(sorted(keys))}"
    if fault["type"] in _OWN_TEXTS:
        message = str(fault["ctx"]["error"]) if fault["type"] == "value_error" else fault["msg"]
        is_whole = isinstance(given, dict | list) and not message.startswith(("must", "allowed"))
        return message if is_whole else f"is {_shown(given)}, {message}"
    message = re.sub(r"^\w+ should", "must", fault["msg"])
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return f"is {_shown(given)}, {message}" if fault["loc"] else f"the rule is {_shown(given)}, {message}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _without_tags(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Pydantic names the kind of a condition behind its place: ("when", "all", 0, "comparison", "op") -> (…, 0, "op")."""
    kept: list[str | int] = []
    was_tag = False
    for index, part in enumerate(place):
        before = place[index - 1] if index else None
        is_kind = part in CONDITIONS and (isinstance(before, int) or before == "not")
        was_tag = not was_tag and (is_kind or (part in SIGNALS and before == "signal"))
        if not was_tag:
            kept.append(part)
    return tuple(kept)


def schema() -> dict[str, Any]:
    """JSON Schema of a rule: rules/rule.schema.json."""
    either = {"anyOf": [{"required": ["to"]}, {"properties": {"when": {"required": ["signal"]}}}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Rule.model_json_schema() | {"title": "millrace rule"} | either
