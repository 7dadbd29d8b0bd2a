"""What the keys of a rule may hold: paths, patterns, amounts, times. Each refusal says what is allowed.

udfs/rules/language.py builds the rule's form from these types.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from iso4217 import Currency
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from udfs.rules import paths
from udfs.rules.regex import re2

# Limits: whatever stands in a rule, matching it stays cheap.
MAX_PATTERN_BYTES: Final = 1 << 20
MAX_WINDOW: Final = timedelta(hours=1)
MAX_MEMORY: Final = timedelta(days=90)

_GROUPINGS: Final = ("session", "user", "card", "ip", "device")
_COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")
PATH_OPS: Final = ("in", "contains", "matches", "exists")
_MOMENT: Final = "must be a date and time with a time zone, such as 2026-12-01T00:00:00Z"


class Model(BaseModel):
    """A part of a rule: no other keys than those of its form, and no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


def _path(text: str) -> str:
    paths.check(text)
    return text


def _scalar_path(text: str) -> str:
    paths.check(text)
    if not paths.is_scalar(text):
        raise ValueError("must lead to one field of the event's schema that is a text, number or boolean")
    return text


def _number_path(text: str) -> str:
    if paths.kind_of(text) not in (int, float):
        raise ValueError("must lead to a number")
    return _scalar_path(text)


def _numbers_path(text: str) -> str:
    if paths.kind_of(text) in (str, bool):
        raise ValueError("must lead to numbers")
    return _path(text)


def _grouping(given: Any) -> Any:
    if given not in _GROUPINGS and not (isinstance(given, str) and paths.is_scalar(given)):
        raise ValueError(f"must be one of {', '.join(_GROUPINGS)}, or a path to one field of the event's schema")
    return given


def _money_path(text: str) -> str:
    if not paths.is_money(text):
        raise ValueError("must lead to money, such as $.order_placed.total")
    return text


def _field_name(text: str) -> str:
    if not paths.is_field(text):
        raise ValueError("must be a field of the event's schema, such as user_id or order_placed.total")
    return text


def _pattern(text: str) -> str:
    try:
        compile_pattern(text)
    except re2.error as error:
        reason = error.args[0]
        raise ValueError(f"must be a pattern of RE2: {reason.decode() if isinstance(reason, bytes) else reason}") from None
    return text


def compile_pattern(text: str) -> Any:
    """Compiles a regular expression that is matched in linear time whatever it is (RE2), or raises re2.error."""
    options = re2.Options()
    options.max_mem, options.log_errors = MAX_PATTERN_BYTES, False
    return re2.compile(text, options)


def _duration(text: str) -> str:
    if not timedelta(0) < duration(text) <= MAX_WINDOW:
        raise ValueError("must be longer than nothing and no longer than 1h")
    return text


def duration(text: str) -> timedelta:
    """30s, 10m or 1h as a length of time; raises ValueError."""
    found = re.fullmatch(r"(\d{1,6})(s|m|h)", text)
    if found is None:
        raise ValueError("must be a length of time such as 30s, 10m or 1h")
    return timedelta(**{{"s": "seconds", "m": "minutes", "h": "hours"}[found[2]]: int(found[1])})


def _memory(text: str) -> str:
    if not timedelta(0) < memory(text) <= MAX_MEMORY:
        raise ValueError("must be longer than nothing and no longer than 90d")
    return text


def memory(text: str) -> timedelta:
    """12h or 30d as a length of time; raises ValueError."""
    found = re.fullmatch(r"(\d{1,4})(h|d)", text)
    if found is None:
        raise ValueError("must be a length of time such as 12h or 30d")
    return timedelta(**{{"h": "hours", "d": "days"}[found[2]]: int(found[1])})


def _amount(given: Any) -> Any:
    if not isinstance(given, str):  # a number of YAML is a float, which can't be exact
        raise ValueError('must be a text such as "1000.00", in quotes')
    return given


def minor_units(amount: str, currency: str) -> int:
    """An amount in major units ("1000.00") as integer minor units (100000); raises ValueError."""
    try:
        exponent = Currency(currency).exponent
    except ValueError:
        exponent = None
    if exponent is None:
        raise ValueError(f"has the currency {currency!r}, which is none of ISO 4217 with minor units")
    # Not whatever Decimal reads: "1e999999" has a million digits.
    if re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,9})?", amount) is None:
        raise ValueError(f'has the amount {amount!r}, which must be written like "1000.00"')
    minor = Decimal(amount).scaleb(exponent)
    if minor != int(minor):
        raise ValueError(f"has the amount {amount!r}, but {currency} has {exponent} decimals")
    return int(minor)


def _scalar(given: Any) -> Any:
    if not isinstance(given, str | bool) and not _is_number(given):
        raise ValueError("must be a text, a number, true or false")
    return given


def _number(given: Any) -> Any:
    if not _is_number(given):
        raise ValueError("must be a number")
    return given


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def _known_operator(given: Any) -> Any:
    if given not in _COMPARISONS:
        raise ValueError(f"allowed are {' '.join((*_COMPARISONS, *PATH_OPS))}")
    return given


def _moment(given: Any) -> Any:
    # Pydantic would take "2026" as seconds since 1970.
    if not isinstance(given, str) or re.match(r"\d{4}-\d\d-\d\d[T ]\d", given) is None:
        raise ValueError(_MOMENT)
    return given


def _with_time_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(_MOMENT)
    return moment


JsonPath = Annotated[str, Field(max_length=300), AfterValidator(_path)]
ScalarPath = Annotated[str, Field(max_length=300), AfterValidator(_scalar_path)]
MoneyPath = Annotated[str, Field(max_length=300), AfterValidator(_money_path)]
FieldName = Annotated[str, Field(max_length=300), AfterValidator(_field_name)]
Pattern = Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(_pattern)]
Duration = Annotated[str, AfterValidator(_duration)]
Memory = Annotated[str, AfterValidator(_memory)]
NumberPath = Annotated[str, Field(max_length=300), AfterValidator(_number_path)]
NumbersPath = Annotated[str, Field(max_length=300), AfterValidator(_numbers_path)]
Number = Annotated[int | float, BeforeValidator(_number)]
Scalar = Annotated[str | bool | int | float, BeforeValidator(_scalar)]
Moment = Annotated[datetime, Field(strict=False), AfterValidator(_with_time_zone), BeforeValidator(_moment)]
Operator = Literal["==", "!=", "<", "<=", ">", ">="]
AnyOperator = Annotated[Operator, BeforeValidator(_known_operator)]
Grouping = Annotated[Literal["session", "user", "card", "ip", "device"] | str, BeforeValidator(_grouping)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Amount = Annotated[str, Field(max_length=30), BeforeValidator(_amount)]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Percent = Annotated[float, Field(ge=0, le=100)]
