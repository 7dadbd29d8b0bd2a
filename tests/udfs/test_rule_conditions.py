"""Conditions on one event: the operators, the paths, and that the fast way and JSONPath agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from shop.v1.events_pb2 import Event

from tests.udfs import samples
from udfs import rules
from udfs.rules import EVENT_TYPES, Comparison, compile_comparison

TOTAL = "$.order_placed.total.amount_minor"  # 5498
CURRENCY = "$.order_placed.total.currency"  # USD
PRICES = "$.order_placed.lines[*].unit_price.amount_minor"  # 1999 and 1500


def holds(path: str, op: str, value: Any = None, event: Event | None = None) -> bool:
    return compile_comparison(Comparison(path, op, value))(event or samples.event("order_placed"))


OPERATORS: list[tuple[str, str, Any, bool]] = [
    (TOTAL, "==", 5498, True),
    (TOTAL, "==", 5498.0, True),
    (TOTAL, "==", 5497, False),
    (TOTAL, "!=", 5497, True),
    (TOTAL, "!=", 5498, False),
    (TOTAL, "<", 5499, True),
    (TOTAL, "<", 5498, False),
    (TOTAL, "<=", 5498, True),
    (TOTAL, "<=", 5497.9, False),
    (TOTAL, ">", 5497.9, True),
    (TOTAL, ">", 5498, False),
    (TOTAL, ">=", 5498, True),
    (TOTAL, ">=", 5499, False),
    (TOTAL, "in", [1, 5498], True),
    (TOTAL, "in", [1, 2.5, "5498", True], False),
    (TOTAL, ">", -(10**30), True),
    (TOTAL, "<", float("inf"), True),
    (CURRENCY, "==", "USD", True),
    (CURRENCY, "==", "usd", False),
    (CURRENCY, "!=", "EUR", True),
    (CURRENCY, "!=", "USD", False),
    (CURRENCY, "<", "UT", True),
    (CURRENCY, ">=", "USD", True),
    (CURRENCY, ">", "USD", False),
    (CURRENCY, "in", ["EUR", "USD"], True),
    (CURRENCY, "in", ["EUR"], False),
    ("$.user_id", "==", "", True),  # a scalar that is not set has its default
    ("$.event_time_ms", "==", samples.NOW_MS, True),
]

# A value of another kind satisfies no operator, "!=" included: there is no order between them.
OTHER_KINDS: list[tuple[str, Any]] = [
    *((TOTAL, value) for value in ("5498", "", True, False)),
    *((CURRENCY, value) for value in (0, 5498, 1.5, True)),
]

PATHS: list[tuple[str, str, Any, bool]] = [
    (TOTAL, "exists", None, True),
    ("$.order_placed.total", "exists", None, True),
    ("$.order_placed", "exists", None, True),
    ("$", "exists", None, True),
    ("$.user_id", "exists", None, True),
    ("$.source", "exists", None, False),
    ("$.source.country", "exists", None, False),
    ("$.source.country", "==", "", False),
    ("$.source.country", "!=", "DE", False),
    ("$.payment_failed.reason", "exists", None, False),
    ("$.payment_failed.amount.amount_minor", ">=", 0, False),
    ("$.no_such_field", "exists", None, False),
    ("$.no_such_field", "!=", 1, False),
    ("$.order_placed.no_such_field.at_all", "in", [1], False),
    ("$.event_id.no_such_field", "exists", None, False),
    ("$.order_placed.total", "==", "USD", False),  # a message is no scalar
    ("$.order_placed.lines", "!=", 1, False),
    (PRICES, ">", 1998, True),  # any of the values found
    (PRICES, ">", 1999, False),
    (PRICES, "<", 1999, True),
    (PRICES, "!=", 1999, True),
    (PRICES, "in", [1500], True),
    (PRICES, "==", "1999", False),
    ("$.order_placed.lines[1].category", "==", "toys", True),
    ("$.order_placed.lines[0].category", "==", "toys", False),
    ("$.order_placed.lines[2]", "exists", None, False),
    ("$.order_placed.lines.category", "exists", None, False),  # a list has no fields: [*] is needed
    ("$..category", "==", "toys", True),
    ("$.order_placed.lines[?(@.category == 'toys')].quantity", "==", 1, True),
    ("$.order_placed.lines[?(@.category == 'toys')].quantity", "==", 2, False),
    ("$.order_placed.lines[?(@.quantity > 1)]", "exists", None, True),
    ("$.order_placed.lines[?(@.quantity > 2)]", "exists", None, False),
    ("$.order_placed.lines.`len`", "==", 2, True),
    ("order_placed.order_id", "==", "o-1", True),
]

RAISES = [
    "$.order_placed.lines[?(@.category > 5)]",
    "$.order_placed.lines[?(@.quantity =~ 5)]",
    "$.order_placed.lines[?(@.category =~ '(')]",
    "$.order_placed.lines[?(@.unit_price < 5)]",
]


@pytest.mark.parametrize(("path", "op", "value", "expected"), OPERATORS)
def test_operator(path: str, op: str, value: Any, expected: bool) -> None:
    assert holds(path, op, value) is expected
    assert holds(as_jsonpath(path), op, value) is expected


@pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">=", "in"])
@pytest.mark.parametrize(("path", "value"), OTHER_KINDS)
def test_a_value_of_another_kind_never_satisfies(path: str, op: str, value: Any) -> None:
    wanted = [value] if op == "in" else value
    assert not holds(path, op, wanted)
    assert not holds(as_jsonpath(path), op, wanted)


@pytest.mark.parametrize(("path", "op", "value", "expected"), PATHS)
def test_path(path: str, op: str, value: Any, expected: bool) -> None:
    assert holds(path, op, value) is expected


@pytest.mark.parametrize("path", RAISES)
def test_a_filter_that_raises_finds_nothing(path: str) -> None:
    for event in samples.every_event().values():
        assert not holds(path, "exists", event=event)


def test_an_error_of_the_jsonpath_library_does_not_propagate(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "$..category"
    predicate = compile_comparison(Comparison(path, "exists", None))
    monkeypatch.setattr(rules, "to_document", lambda _: 1 / 0)
    assert not predicate(samples.event("order_placed"))


def test_a_plain_path_builds_no_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "to_document", lambda _: pytest.fail("a plain path must read the fields directly"))
    assert holds(TOTAL, "==", 5498)
    assert holds("$.session_id", "==", "s-1")
    assert not holds("$.payment_failed.reason", "exists")


def as_jsonpath(path: str) -> str:
    """$.a.b -> $['a']['b']: the same for JSONPath, but not a plain path."""
    return "$" + "".join(f"['{name}']" for name in path.split(".")[1:])


def field_paths(descriptor: Descriptor = Event.DESCRIPTOR, parent: str = "$") -> Iterator[str]:
    """Every path of field names in the schema, to messages and lists as well, and one beyond each."""
    for field in descriptor.fields:
        path = f"{parent}.{field.name}"
        yield path
        if field.message_type:
            yield from field_paths(field.message_type, path)
        else:
            yield f"{path}.beyond"


ALL_PATHS = list(field_paths())
VALUES = st.sampled_from([0, 1, 2, 1999, 5498.0, samples.NOW_MS, "", "USD", "books", "o-1", "e-1", True, False, float("nan")])
COMPARISONS = st.one_of(
    st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), VALUES),
    st.tuples(st.just("in"), st.lists(VALUES, min_size=1, max_size=3)),
    st.tuples(st.just("exists"), st.none()),
)


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(st.sampled_from(ALL_PATHS), COMPARISONS, st.sampled_from(EVENT_TYPES), st.booleans())
def test_the_fast_way_and_jsonpath_agree(path: str, comparison: tuple[str, Any], event_type: str, with_source: bool) -> None:
    event = samples.event(event_type, **({"source": {"app": "web", "country": "DE"}} if with_source else {}))
    assert holds(path, *comparison, event=event) is holds(as_jsonpath(path), *comparison, event=event)


def test_the_fast_way_and_jsonpath_agree_on_what_exists() -> None:
    events = samples.every_event()
    for path in ALL_PATHS:
        fast, jsonpath = (compile_comparison(Comparison(each, "exists", None)) for each in (path, as_jsonpath(path)))
        assert [name for name, event in events.items() if fast(event)] == [name for name, event in events.items() if jsonpath(event)]
