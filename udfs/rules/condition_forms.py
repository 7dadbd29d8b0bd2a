"""The forms of conditions in a rule: what `when.all`, `any` and `not` may hold. What they do is in udfs/rules/conditions.py.

udfs/rules/language.py makes them a part of the language.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from udfs.rules.values import (
    PATH_OPS,
    Amount,
    AnyOperator,
    CurrencyCode,
    JsonPath,
    Model,
    MoneyPath,
    Number,
    NumbersPath,
    Operator,
    Pattern,
    Scalar,
    minor_units,
)


class Comparison(Model):
    """True if any value found at `path` compares so (with `every`: all of them, and at least one)."""

    path: JsonPath
    """JSONPath over the event, such as $.order_placed.total.currency."""
    op: AnyOperator
    """How a value found must compare."""
    value: Scalar
    """A text, a number, true or false."""
    every: bool = False
    """All values found must fulfil it, and there must be one."""


class Membership(Model):
    """True if any value found at `path` is one of the list."""

    path: JsonPath
    """JSONPath over the event, such as $.order_placed.total.currency."""
    op: Literal["in"]
    """One of a list."""
    value: Annotated[tuple[Scalar, ...], Field(min_length=1)]
    """The list."""
    every: bool = False
    """All values found must fulfil it, and there must be one."""


class Contains(Model):
    """True if any text found at `path` contains the text."""

    path: JsonPath
    """JSONPath over the event, such as $.order_placed.total.currency."""
    op: Literal["contains"]
    """Contains a text."""
    value: Annotated[str, Field(min_length=1)]
    """The text."""
    every: bool = False
    """All values found must fulfil it, and there must be one."""


class Matches(Model):
    """True if any text found at `path` matches the pattern somewhere (syntax of RE2; ^ and $ anchor it)."""

    path: JsonPath
    """JSONPath over the event, such as $.order_placed.total.currency."""
    op: Literal["matches"]
    """Matches a pattern."""
    value: Pattern
    """Pattern of RE2; found anywhere, ^ and $ anchor it."""
    every: bool = False
    """All values found must fulfil it, and there must be one."""


class Exists(Model):
    """True if anything is found at `path`."""

    path: JsonPath
    """JSONPath over the event, such as $.order_placed.total.currency."""
    op: Literal["exists"]
    """Is there."""


class Money(Model):
    """Compares an amount of money in major units; another currency is false."""

    money: MoneyPath
    """Path to money, such as $.order_placed.total."""
    op: Operator
    """How an amount found must compare."""
    amount: Amount
    """In major units, as a text: "1000.00"."""
    currency: CurrencyCode
    """ISO 4217."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        minor_units(self.amount, self.currency)
        return self


class Count(Model):
    """Compares how many values are found."""

    count: JsonPath
    """JSONPath of which the values are counted."""
    op: Operator
    """How their number must compare."""
    value: int
    """A whole number."""


class Sum(Model):
    """Compares the sum of the numbers found."""

    sum: NumbersPath
    """JSONPath to numbers, which are added up."""
    op: Operator
    """How their sum must compare."""
    value: Number
    """A number."""


class All(Model):
    """True if all of the conditions hold."""

    all: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=100)]
    """Conditions."""


class AnyOf(Model):
    """True if one of the conditions holds."""

    any: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=100)]
    """Conditions."""


class Not(Model):
    """True if the condition does not hold."""

    not_: Condition = Field(alias="not")
    """A condition."""


_KINDS: Final = ("all", "any", "not", "money", "count", "sum")


def _kind(raw: Any) -> str | None:
    if not isinstance(raw, dict):  # a condition itself, when a rule is written out
        return next((kind for kind, model in CONDITIONS.items() if type(raw) is model), None)
    for key in _KINDS:
        if key in raw:
            return key
    if "path" not in raw:
        return None
    op = raw.get("op")
    return op if op in PATH_OPS else "comparison"


Condition = Annotated[
    Annotated[Comparison, Tag("comparison")]
    | Annotated[Membership, Tag("in")]
    | Annotated[Contains, Tag("contains")]
    | Annotated[Matches, Tag("matches")]
    | Annotated[Exists, Tag("exists")]
    | Annotated[Money, Tag("money")]
    | Annotated[Count, Tag("count")]
    | Annotated[Sum, Tag("sum")]
    | Annotated[All, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(
        _kind,
        custom_error_type="condition",
        custom_error_message="must be a condition: a mapping with one of the keys path, money, count, sum, all, any, not",
    ),
]


CONDITIONS: Final[dict[str, type[Model]]] = {
    "comparison": Comparison, "in": Membership, "contains": Contains, "matches": Matches, "exists": Exists, "money": Money,
    "count": Count, "sum": Sum, "all": All, "any": AnyOf, "not": Not,
}  # fmt: skip
