"""What one event says to one fraud rule: made where rules are evaluated, read where the state of its key is kept.

A Sighting carries the rule's parameters, so that the keyed stage never has another version of the rule than the stage that decided.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as _text
from typing import Any, Final, NamedTuple, Self

import orjson

from udfs.rules.aggregates import key_reader
from udfs.rules.language import ANY, Accounts, Deviation, NoView, Rule, Travel, Unfamiliar, Velocity
from udfs.rules.paths import money_reader
from udfs.rules.values import duration, memory

SIGNAL_MARK: Final = "!"
"""Begins a destination that is a Sighting."""

MAX_KEY_LENGTH: Final = 128
"""Longest text of a key that is shown. What is kept is kept by a hash of all of it."""


class Sighting(NamedTuple):
    """One event as one fraud rule sees it. What a kind of signal does not need has its default, and is not sent.

    Attributes:
        group: rule, what it looks at, and the key's value. Limits and windows are not in it: they can change, and what is
            remembered stays.
        key: the value of `by`, for people.
        what: the event types that the rule counts, for people.
        window_ms: how far back it looks; what is older is forgotten.
        over: the limit: events, users, deviations or km/h.
        of, thing: what may be unfamiliar: a word for it, and its value.
    """

    group: str
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

    def encoded(self) -> str:
        """As JSON in ASCII, without the defaults and without what separates destinations."""
        told = {name: value for name, value in self._asdict().items() if value != self._field_defaults.get(name)}
        return _separable(json.dumps(told, separators=(",", ":")))

    @classmethod
    def decoded(cls, text: str) -> Self:
        """The reverse of `encoded`."""
        return cls(**orjson.loads(text))


def group_of(text: str) -> str:
    """The group of an encoded Sighting."""
    found: str = orjson.loads(text)["group"]
    return found


Look = Callable[[Any, str], str | None]
"""(event, `common` of it) -> the event as an encoded Sighting of one rule; None if it has no key (nobody signed in), or not what the
signal looks at."""


def common(event: Any) -> str:
    """What all Sightings of an event say: members of a JSON object, written once for all rules."""
    payload = event.WhichOneof("payload")
    order_id = getattr(getattr(event, payload), "order_id", "") if payload is not None else ""
    user_id = event.user_id
    told = f'"event_id":{_text(event.event_id)},"session_id":{_text(event.session_id)},"time_ms":{event.event_time_ms}'
    if user_id:
        told += f',"user_id":{_text(user_id)}'
    return f'{told},"order_id":{_text(order_id)}' if order_id else told


def compile_look(rule: Rule) -> Look:
    """How events are told to a rule with a signal. Written out as text: it is made for each order, several times."""
    signal = rule.when.signal
    assert signal is not None
    head = {"rule_id": rule.id, "version": rule.version, "kind": signal.kind, "score": signal.score}
    if isinstance(signal, NoView):
        start = _start(head | {"by": "session"} | ({"among_first": signal.among_first} if signal.among_first else {}))
        return lambda event, told: _separable(
            f'{start},{told},"group":{_text(f"{rule.id}/{event.session_id}")},"key":{_text(event.session_id)}}}'
        )
    what = _WORDS.get(rule.when.events[0], "events") if len(rule.when.events) == 1 else "events"
    limits, look_at, kept_apart = _parts(signal)
    start = _start(head | {"by": signal.by, "what": what} | limits)
    read_key = key_reader(signal.by)
    measure = "/".join((signal.kind, signal.by, kept_apart, *rule.when.events)).encode()

    def look(event: Any, told: str) -> str | None:
        key, seen = read_key(event), look_at(event)
        if key is None or seen is None:
            return None
        text, apart = str(key), seen[0]
        group = blake2b(f"{apart}/{text}/".encode(), digest_size=16)
        group.update(measure)
        shown = text if len(text) <= MAX_KEY_LENGTH else text[:MAX_KEY_LENGTH]
        return _separable(f'{start},{told},"group":"{rule.id}/{group.hexdigest()}","key":{_text(shown)}{seen[1]}}}')

    return look


def sighting(rule: Rule, event: Any) -> str | None:
    """The event as an encoded Sighting of the rule, or None."""
    return compile_look(rule)(event, common(event))


_Seen = tuple[str, str]
"""What keeps histories of one key apart (the currency), and more members of the JSON object."""


def _parts(signal: Any) -> tuple[dict[str, Any], Callable[[Any], _Seen | None], str]:
    """Of a signal: its limits, how it looks at an event, and what belongs to what is remembered."""
    nothing: _Seen = ("", "")
    match signal:
        case Velocity():
            return {"over": signal.over, "window_ms": _ms(duration(signal.within))}, lambda _: nothing, ""
        case Accounts():
            limits = {"over": signal.over, "window_ms": _ms(duration(signal.within))}
            return limits, lambda event: nothing if event.user_id else None, ""
        case Deviation():
            read = money_reader(signal.amount)
            limits = {"over": signal.over, "window_ms": _ms(memory(signal.remember)), "min_count": signal.min_count, "floor": signal.floor}

            def amount(event: Any) -> _Seen | None:
                found = read(event)
                if not found:
                    return None
                currency = found[0].currency
                return currency, f',"amount_minor":{found[0].amount_minor},"currency":{_text(currency)}'

            return limits, amount, ""
        case Travel():
            limits = {"over": signal.over, "window_ms": _ms(memory(signal.remember)), "min_km": signal.min_km}

            def country(event: Any) -> _Seen | None:
                code = event.source.country
                return ("", f',"country":{_text(code)}') if code else None

            return limits, country, ""
        case Unfamiliar():
            read_thing = key_reader(signal.of)

            def thing(event: Any) -> _Seen | None:
                value = read_thing(event)
                return None if value is None else ("", f',"thing":{_text(str(value)[:MAX_KEY_LENGTH])}')

            return {"of": signal.of, "min_count": signal.min_count, "window_ms": _ms(memory(signal.remember))}, thing, signal.of
        case _:
            raise TypeError(type(signal).__name__)


def _ms(length: timedelta) -> int:
    return length // timedelta(milliseconds=1)


def _start(members: dict[str, Any]) -> str:
    return json.dumps(members, separators=(",", ":"))[:-1]


def _separable(token: str) -> str:
    """`;` and `|` separate destinations; in JSON they can only be inside of texts, where JSON can escape them."""
    return token.replace(";", "\\u003b").replace("|", "\\u007c")


_WORDS: Final = {
    "product_viewed": "views", "product_searched": "searches", "product_added_to_cart": "additions to a cart",
    "product_removed_from_cart": "removals from a cart", "checkout_started": "checkouts", "order_placed": "orders",
    "payment_processed": "payments", "payment_failed": "failed payments", "order_cancelled": "cancelled orders",
    "user_signed_in": "sign-ins", ANY: "events",
}  # fmt: skip
