"""What one event says to one fraud rule: made where rules are evaluated, read where the state of its key is kept.

A Sighting carries the rule's parameters, so that the keyed stage never has another version of the rule than the stage that decided.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as _text
from typing import Any, Final, NamedTuple

import orjson

from udfs.rules.aggregates import key_reader
from udfs.rules.language import ANY, Rule
from udfs.rules.paths import money_reader
from udfs.rules.signals import Accounts, Deviation, NoView, Travel, Unfamiliar, Velocity
from udfs.rules.values import duration, memory

SIGNAL_MARK: Final = "!"
"""Begins a destination that is a bundle: the Sightings of one event by all rules that group it by the same key, since each crossing
into Python costs more than the work on several of them. Behind the mark stand KEY_DIGITS digits, by which it is keyed, then JSON."""
KEY_DIGITS: Final = 32

MAX_KEY_LENGTH: Final = 128
"""Longest text of a key that is shown. What is kept is kept by a hash of all of it."""


class Sighting(NamedTuple):
    """One event as one fraud rule sees it. What a kind of signal does not need has its default, and is not sent.

    Attributes:
        part: of what is remembered for the key: rule, and what it looks at. Limits and windows are not in it: they can change, and
            what is remembered stays.
        key: the value of `by`, for people.
        what: the event types that the rule counts, for people.
        window_ms: how far back it looks; what is older is forgotten.
        over: the limit: events, users, deviations or km/h.
        of, thing: what may be unfamiliar: a word for it, and its value.
    """

    part: str
    rule_id: str
    version: int
    kind: str
    score: int
    event_id: str
    session_id: str
    time_ms: int
    user_id: str = ""
    order_id: str = ""
    by: str = ""
    key: str = ""
    what: str = ""
    window_ms: int = 0
    over: float = 0
    min_count: int = 0
    floor: float = 0
    min_km: float = 0
    among_first: int = 0
    amount_minor: int = 0
    currency: str = ""
    country: str = ""
    of: str = ""
    thing: str = ""


def decoded(text: str) -> list[Sighting]:
    """The Sightings of a bundle, behind its key."""
    bundle: dict[str, Any] = orjson.loads(text)
    parts: list[dict[str, Any]] = bundle.pop("seen")
    return [Sighting(**bundle, **part) for part in parts]


@dataclass(frozen=True, slots=True)
class Look:
    """How one rule looks at events, compiled. `sees` gives what keeps histories of one key apart (the currency) and more members of
    the JSON object; None if the event has not what the signal looks at."""

    by: str
    key: Callable[[Any], Any]
    sees: Callable[[Any], tuple[str, str] | None]
    start: str
    in_order: bool


def compile_look(rule: Rule) -> Look:
    """How a rule with a signal looks at events."""
    signal = rule.when.signal
    assert signal is not None
    limits, sees, apart = _parts(signal)
    by = "session" if isinstance(signal, NoView) else signal.by
    what = _WORDS.get(rule.when.events[0], "events") if len(rule.when.events) == 1 else "events"
    measure = blake2b("/".join((signal.kind, by, apart, *rule.when.events)).encode(), digest_size=8).hexdigest()
    head = {"rule_id": rule.id, "version": rule.version, "kind": signal.kind, "score": signal.score, "what": what, **limits}
    start = f'{json.dumps(head, separators=(",", ":"))[:-1]},"part":"{rule.id}/{measure}'
    return Look(by, key_reader(by), sees, start, isinstance(signal, NoView))


def tell(looks: Iterable[Look], event: Any) -> tuple[list[str], list[str]]:
    """The event as all rules see it that look at it: bundles of Sightings, one for each key. Those that need the order of the
    session, and the others. Written out as text: half of the orders of a shop have several."""
    bundles: dict[tuple[str, bool], list[str]] = {}
    keys: dict[str, str] = {}
    for look in looks:
        by = look.by
        if by not in keys:
            key = look.key(event)
            keys[by] = "" if key is None else str(key)
        if not keys[by]:
            continue
        seen = look.sees(event)
        if seen is not None:
            bundles.setdefault((by, look.in_order), []).append(f'{look.start}{seen[0]}"{seen[1]}}}')
    if not bundles:
        return [], []
    of_all = _of_all(event)
    ordered: list[str] = []
    unordered: list[str] = []
    for (by, in_order), seen_by in bundles.items():
        key = keys[by]
        shown = key if len(key) <= MAX_KEY_LENGTH else key[:MAX_KEY_LENGTH]
        bundle = f'{{"by":{_text(by)},"key":{_text(shown)},{of_all},"seen":[{",".join(seen_by)}]}}'
        hashed = blake2b(f"{by}/{key}".encode(), digest_size=KEY_DIGITS // 2).hexdigest()
        (ordered if in_order else unordered).append(SIGNAL_MARK + hashed + _separable(bundle))
    return ordered, unordered


def _of_all(event: Any) -> str:
    """What all Sightings of an event say: members of a JSON object."""
    payload = event.WhichOneof("payload")
    order_id = getattr(getattr(event, payload), "order_id", "") if payload is not None else ""
    told = f'"event_id":{_text(event.event_id)},"session_id":{_text(event.session_id)},"time_ms":{event.event_time_ms}'
    if event.user_id:
        told += f',"user_id":{_text(event.user_id)}'
    return f'{told},"order_id":{_text(order_id)}' if order_id else told


def sighting(rule: Rule, event: Any) -> Sighting | None:
    """The event as one rule sees it; None if it has no key (nobody signed in), or not what the signal looks at."""
    ordered, unordered = tell([compile_look(rule)], event)
    return next((seen for token in (*ordered, *unordered) for _, each in (split(token),) for seen in decoded(each)), None)


def split(token: str) -> tuple[str, str]:
    """A destination that is a bundle -> its key, and the rest."""
    start = len(SIGNAL_MARK)
    return token[start : start + KEY_DIGITS], token[start + KEY_DIGITS :]


def _parts(signal: Any) -> tuple[dict[str, Any], Callable[[Any], tuple[str, str] | None], str]:
    """Of a signal: its limits, how it looks at an event, and what belongs to what is remembered."""
    limits: dict[str, int | float]
    match signal:
        case NoView():
            return {"among_first": signal.among_first} if signal.among_first else {}, lambda _: _NOTHING, ""
        case Velocity():
            return {"over": signal.over, "window_ms": _ms(duration(signal.within))}, lambda _: _NOTHING, ""
        case Accounts():
            limits = {"over": signal.over, "window_ms": _ms(duration(signal.within))}
            return limits, lambda event: _NOTHING if event.user_id else None, ""
        case Deviation():
            read = money_reader(signal.amount)
            limits = {"over": signal.over, "window_ms": _ms(memory(signal.remember)), "min_count": signal.min_count, "floor": signal.floor}

            def amount(event: Any) -> tuple[str, str] | None:
                found = read(event)
                if not found:
                    return None
                currency = found[0].currency  # three letters, or the event is a dead letter
                return f"/{currency}", f',"amount_minor":{found[0].amount_minor},"currency":"{currency}"'

            return limits, amount, ""
        case Travel():
            limits = {"over": signal.over, "window_ms": _ms(memory(signal.remember)), "min_km": signal.min_km}

            def country(event: Any) -> tuple[str, str] | None:
                code = event.source.country
                return ("", f',"country":{_text(code)}') if code else None

            return limits, country, ""
        case Unfamiliar():
            read_thing = key_reader(signal.of)

            def thing(event: Any) -> tuple[str, str] | None:
                value = read_thing(event)
                return None if value is None else ("", f',"thing":{_text(str(value)[:MAX_KEY_LENGTH])}')

            return {"of": signal.of, "min_count": signal.min_count, "window_ms": _ms(memory(signal.remember))}, thing, signal.of
        case _:
            raise TypeError(type(signal).__name__)


_NOTHING: Final = ("", "")


def _ms(length: timedelta) -> int:
    return length // timedelta(milliseconds=1)


def _separable(token: str) -> str:
    """`;` and `|` separate destinations; in JSON they can only be inside of texts, where JSON can escape them."""
    return token.replace(";", "\\u003b").replace("|", "\\u007c")


_WORDS: Final = {
    "product_viewed": "views", "product_searched": "searches", "product_added_to_cart": "additions to a cart",
    "product_removed_from_cart": "removals from a cart", "checkout_started": "checkouts", "order_placed": "orders",
    "payment_processed": "payments", "payment_failed": "failed payments", "order_cancelled": "cancelled orders",
    "user_signed_in": "sign-ins", ANY: "events",
}  # fmt: skip
