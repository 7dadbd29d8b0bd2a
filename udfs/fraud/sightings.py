"""What one event says to one fraud rule: made where rules are evaluated, read where the state of its key is kept.

A Sighting carries the rule's parameters, so that the keyed stage never has another version of the rule than the stage that decided.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import MISSING as REQUIRED
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from udfs.rules.aggregates import key_of
from udfs.rules.language import ANY, Accounts, Deviation, Rule, Travel, Unfamiliar, Velocity
from udfs.rules.paths import money_reader
from udfs.rules.values import duration, memory

SIGNAL_MARK: Final = "!"
"""Begins a destination that is a Sighting."""

MAX_KEY_LENGTH: Final = 128
"""Longest text of a key that is shown. What is kept is kept by a hash of all of it."""


@dataclass(frozen=True, slots=True)
class Sighting:
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
        """As JSON in ASCII without what separates destinations: `;` and `|` can only be inside of texts, where JSON can escape them."""
        told = {name: value for name, default in _FIELDS if (value := getattr(self, name)) != default}
        return json.dumps(told, separators=(",", ":")).replace(";", "\\u003b").replace("|", "\\u007c")

    @classmethod
    def decoded(cls, text: str) -> Self:
        """The reverse of `encoded`."""
        return cls(**json.loads(text))


_FIELDS: Final = tuple((each.name, each.default if each.default is not REQUIRED else None) for each in fields(Sighting))


def sighting(rule: Rule, event: Any) -> str | None:
    """The event as an encoded Sighting; None if it has no key (nobody signed in), or not what the signal looks at."""
    signal = rule.when.signal
    assert signal is not None
    payload = getattr(event, event.WhichOneof("payload") or "", None)
    common = {
        "rule_id": rule.id,
        "version": rule.version,
        "kind": signal.kind,
        "score": signal.score,
        "event_id": event.event_id,
        "session_id": event.session_id,
        "time_ms": event.event_time_ms,
        "user_id": event.user_id,
        "order_id": getattr(payload, "order_id", ""),
    }
    looked = _LOOKS.get(signal.kind, _no_look)(signal, event)
    if looked is None:
        return None
    if signal.kind == "no-view":
        session = {"group": f"{rule.id}/{event.session_id}", "by": "session", "key": event.session_id}
        return Sighting(among_first=signal.among_first or 0, **session, **common).encoded()
    value = key_of(event, signal.by)
    if value is None:
        return None
    parts = (signal.kind, signal.by, *rule.when.events, looked.get("currency", ""), looked.get("of", ""), str(value))
    group = hashlib.sha256("/".join(parts).encode()).hexdigest()
    what = _WORDS.get(rule.when.events[0], "events") if len(rule.when.events) == 1 else "events"
    return Sighting(
        group=f"{rule.id}/{group[:32]}", by=signal.by, key=str(value)[:MAX_KEY_LENGTH], what=what, **common, **looked
    ).encoded()


def _window(signal: Velocity | Accounts, event: Any) -> dict[str, Any] | None:
    if signal.kind == "accounts" and not event.user_id:
        return None
    return {"over": signal.over, "window_ms": int(duration(signal.within).total_seconds() * 1000)}


def _amount(signal: Deviation, event: Any) -> dict[str, Any] | None:
    found = money_reader(signal.amount)(event)
    if not found:
        return None
    return {
        "over": signal.over,
        "window_ms": _remembered_ms(signal),
        "min_count": signal.min_count,
        "floor": signal.floor,
        "amount_minor": found[0].amount_minor,
        "currency": found[0].currency,
    }


def _country(signal: Travel, event: Any) -> dict[str, Any] | None:
    country = event.source.country
    if not country:
        return None
    return {"over": signal.over, "window_ms": _remembered_ms(signal), "min_km": signal.min_km, "country": country}


def _thing(signal: Unfamiliar, event: Any) -> dict[str, Any] | None:
    thing = key_of(event, signal.of)
    if thing is None:
        return None
    told = {"of": signal.of, "thing": str(thing)[:MAX_KEY_LENGTH], "min_count": signal.min_count}
    return told | {"window_ms": _remembered_ms(signal)}


def _remembered_ms(signal: Deviation | Travel | Unfamiliar) -> int:
    return int(memory(signal.remember).total_seconds() * 1000)


def _no_look(_signal: Any, _event: Any) -> dict[str, Any]:
    return {}


_LOOKS: Final[dict[str, Callable[[Any, Any], dict[str, Any] | None]]] = {
    "velocity": _window, "accounts": _window, "deviation": _amount, "travel": _country,
    "unfamiliar": _thing,
}  # fmt: skip
_WORDS: Final = {
    "product_viewed": "views", "product_searched": "searches", "product_added_to_cart": "additions to a cart",
    "product_removed_from_cart": "removals from a cart", "checkout_started": "checkouts", "order_placed": "orders",
    "payment_processed": "payments", "payment_failed": "failed payments", "order_cancelled": "cancelled orders",
    "user_signed_in": "sign-ins", ANY: "events",
}  # fmt: skip
