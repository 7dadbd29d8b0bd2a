"""The forms of fraud signals in a rule: what `when.signal` may hold. What they do is in udfs/fraud/signals.py.

udfs/rules/language.py makes them a part of the language.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from udfs.rules.values import Duration, Grouping, Memory, Model, MoneyPath, Number

MOST_KEPT: Final = 64
"""Sightings kept for one key: limits that count them must stay below."""

_Limit = Annotated[int, Field(ge=1, lt=MOST_KEPT)]
_Positive = Annotated[Number, Field(gt=0)]


class _Signal(Model):
    score: Annotated[int, Field(ge=1, le=100)]
    """How sure one is of fraud by this signal alone, in percent."""


class Velocity(_Signal):
    """True for an event with which one key has had more than `over` events of the rule within `within`."""

    kind: Literal["velocity"]
    """More than so many events of one key within a time."""
    by: Grouping
    """Grouped by session, user, card, ip, device, or a path to one field."""
    within: Duration
    """Length of the sliding window: 30s, 10m, at most 1h."""
    over: _Limit
    """More than so many events."""


class Accounts(_Signal):
    """True for an event with which one key has had more than `over` different users within `within`."""

    kind: Literal["accounts"]
    """More than so many users of one key within a time."""
    by: Grouping
    """Grouped by session, user, card, ip, device, or a path to one field."""
    within: Duration
    """Length of the sliding window: 30s, 10m, at most 1h."""
    over: _Limit
    """More than so many users."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.by in ("user", "$.user_id"):
            raise ValueError("must count users by something else than the user")
        return self


class Deviation(_Signal):
    """True for an amount that is more than `over` standard deviations above the mean of the amounts of its key and currency before it,
    of which there must be `min_count`. The deviation is taken for at least `floor` times the mean."""

    kind: Literal["deviation"]
    """An amount far above the usual ones of the key."""
    by: Grouping = "user"
    """Grouped by session, user, card, ip, device, or a path to one field."""
    amount: MoneyPath
    """Path to money."""
    over: _Positive
    """So many standard deviations."""
    min_count: Annotated[int, Field(ge=2, le=10_000)] = 5
    """So many amounts there must have been."""
    floor: Annotated[Number, Field(ge=0, le=100)] = 0.1
    """The deviation is taken for at least so many times the mean."""
    remember: Memory = "30d"
    """What is remembered goes after so long a silence: 12h, 30d, at most 90d."""


class Travel(_Signal):
    """True for an event in another country than an earlier one of its key, if the way, of at least `min_km`, would have needed more
    than `over` km/h."""

    kind: Literal["travel"]
    """In another country than the time allows."""
    by: Grouping = "user"
    """Grouped by session, user, card, ip, device, or a path to one field."""
    over: _Positive
    """km/h."""
    min_km: Annotated[Number, Field(ge=0, le=20_000)] = 0
    """Shorter ways are left out."""
    remember: Memory = "24h"
    """What is remembered goes after so long a silence: 12h, 30d, at most 90d."""


class Unfamiliar(_Signal):
    """True for an event from something (`of`) that its key has not been seen with before, once it has had `min_count` events."""

    kind: Literal["unfamiliar"]
    """Something that the key has not been seen with."""
    by: Grouping = "user"
    """Grouped by session, user, card, ip, device, or a path to one field."""
    of: Grouping
    """What is new, as by."""
    min_count: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Only once the key has had so many events."""
    remember: Memory = "30d"
    """What is remembered goes after so long a silence: 12h, 30d, at most 90d."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.by == self.of:
            raise ValueError("must have another of than by")
        return self


class NoView(_Signal):
    """True for an order in a session that has not seen a product before; with `among_first`, only if it is one of the first events."""

    kind: Literal["no-view"]
    """An order in a session that has not looked at a product."""
    among_first: Annotated[int, Field(ge=1, le=1_000)] | None = None
    """Only if the order is one of the first so many events of its session."""


FORMS: Final[dict[str, type[_Signal]]] = {
    "velocity": Velocity, "accounts": Accounts, "deviation": Deviation, "travel": Travel,
    "unfamiliar": Unfamiliar, "no-view": NoView,
}  # fmt: skip


def _kind(raw: Any) -> str | None:
    kind = raw.get("kind") if isinstance(raw, dict) else getattr(raw, "kind", None)
    return kind if isinstance(kind, str) and kind in FORMS else None


Signal = Annotated[
    Annotated[Velocity, Tag("velocity")]
    | Annotated[Accounts, Tag("accounts")]
    | Annotated[Deviation, Tag("deviation")]
    | Annotated[Travel, Tag("travel")]
    | Annotated[Unfamiliar, Tag("unfamiliar")]
    | Annotated[NoView, Tag("no-view")],
    Discriminator(
        _kind,
        custom_error_type="signal",
        custom_error_message=f"must be a signal: a mapping with the key kind, one of {', '.join(FORMS)}",
    ),
]
