"""Conditions on one event: the kinds, the operators and the paths. tests/udfs/rules/test_interpreter.py tries them at random."""

from __future__ import annotations

from typing import Any

import pytest
from shop.v1.events_pb2 import Event

from tests.udfs import samples
from udfs.documents import to_document
from udfs.rules import conditions, paths
from udfs.rules.conditions import Slots, compile_when
from udfs.rules.engine import RuleSet
from udfs.rules.language import InvalidRule, When

TOTAL = "$.order_placed.total.amount_minor"  # 5498
CURRENCY = "$.order_placed.total.currency"  # USD
CATEGORIES = "$.order_placed.lines[*].category"  # books and toys
QUANTITIES = "$.order_placed.lines[*].quantity"  # 2 and 1
PRICES = "$.order_placed.lines[*].unit_price.amount_minor"  # 1999 and 1500


def holds(*condition: dict[str, Any], event: Event | None = None, **when: Any) -> bool:
    """Whether an event (the sample order) fits."""
    if condition:
        when["all"] = condition
    parsed: When = samples.parsed(samples.rule(when={"events": ["*"], **when})).when
    slots = Slots()
    predicates = compile_when(parsed, slots)
    values = slots.values(event or samples.event("order_placed"))
    return all(predicate(values) for predicate in predicates)


def compare(path: str, op: str, value: Any = None, event: Event | None = None, **more: Any) -> bool:
    return holds({"path": path, "op": op, **({} if value is None else {"value": value}), **more}, event=event)


def as_jsonpath(path: str) -> str:
    """$.a.b -> $['a']['b']: the same for JSONPath, but not a plain path."""
    return "$" + "".join(f"['{name}']" for name in path.split(".")[1:])


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
    (TOTAL, "in", [5498.0], True),
    (TOTAL, "in", [1, 2.5, "5498", True], False),
    (TOTAL, ">", -(10**30), True),
    (CURRENCY, "==", "USD", True),
    (CURRENCY, "==", "usd", False),
    (CURRENCY, "!=", "EUR", True),
    (CURRENCY, "!=", "USD", False),
    (CURRENCY, "<", "UT", True),
    (CURRENCY, ">=", "USD", True),
    (CURRENCY, ">", "USD", False),
    (CURRENCY, "in", ["EUR", "USD"], True),
    (CURRENCY, "in", ["EUR"], False),
    (CURRENCY, "contains", "S", True),
    (CURRENCY, "contains", "USD", True),
    (CURRENCY, "contains", "s", False),
    (CURRENCY, "matches", "S", True),
    (CURRENCY, "matches", "^S", False),
    (CURRENCY, "matches", "^[A-Z]{3}$", True),
    (CURRENCY, "matches", "(?i)^usd$", True),
    (TOTAL, "contains", "5", False),  # a number is no text
    (TOTAL, "matches", "5", False),
    ("$.user_id", "==", "", True),  # a scalar that is not set has its default
    ("$.user_id", "exists", None, True),
    ("$.event_time_ms", "==", samples.NOW_MS, True),
]


@pytest.mark.parametrize(("path", "op", "value", "expected"), OPERATORS)
def test_operator(path: str, op: str, value: Any, expected: bool) -> None:
    assert compare(path, op, value) is expected
    assert compare(as_jsonpath(path), op, value) is expected


# A value of another kind satisfies no operator, "!=" included: there is no order between them.
@pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">=", "in"])
@pytest.mark.parametrize(
    ("path", "value"), [*((TOTAL, each) for each in ("5498", "", True, False)), *((CURRENCY, each) for each in (0, 5498, 1.5, True))]
)
def test_a_value_of_another_kind_never_satisfies(path: str, op: str, value: Any) -> None:
    wanted = [value] if op == "in" else value
    assert not compare(path, op, wanted)
    assert not compare(as_jsonpath(path), op, wanted)


PATHS: list[tuple[str, str, Any, bool]] = [
    (TOTAL, "exists", None, True),
    ("$.order_placed.total", "exists", None, True),
    ("$.order_placed", "exists", None, True),
    ("$.source", "exists", None, False),
    ("$.source.country", "exists", None, False),
    ("$.source.country", "==", "", False),
    ("$.source.country", "!=", "DE", False),
    ("$.payment_failed.reason", "exists", None, False),
    ("$.payment_failed.amount.amount_minor", ">=", 0, False),
    ("$.order_placed.total", "==", "USD", False),  # a message is no scalar
    (PRICES, ">", 1998, True),  # any of the values found
    (PRICES, ">", 1999, False),
    (PRICES, "<", 1999, True),
    (PRICES, "!=", 1999, True),
    (PRICES, "in", [1500], True),
    (PRICES, "==", "1999", False),
    ("$.order_placed.lines[1].category", "==", "toys", True),
    ("$.order_placed.lines[0].category", "==", "toys", False),
    ("$.order_placed.lines[2]", "exists", None, False),
    ("$.order_placed.lines[0:1].category", "==", "books", True),
    ("$.order_placed.lines[-1:].category", "==", "toys", True),
    ("$..category", "==", "toys", True),
    ("$.order_placed.*.currency", "==", "USD", True),
    ("$.order_placed.lines[?(@.category == 'toys')].quantity", "==", 1, True),
    ("$.order_placed.lines[?(@.category == 'toys')].quantity", "==", 2, False),
    ("$.order_placed.lines[?(@.quantity > 1)]", "exists", None, True),
    ("$.order_placed.lines[?(@.quantity > 2)]", "exists", None, False),
]


@pytest.mark.parametrize(("path", "op", "value", "expected"), PATHS)
def test_path(path: str, op: str, value: Any, expected: bool) -> None:
    assert compare(path, op, value) is expected


NO_PATHS = [
    ("$.no_such_field", "finds nothing, there is no 'no_such_field': allowed are event_id, "),
    ("$.order_placed.totl.currency", "finds nothing, there is no 'totl': allowed are order_id, lines, total"),
    ("$.event_id.length", "finds nothing, there is no 'length': allowed are no fields"),
    ("$['no_such_field']", "finds nothing, no event has a field 'no_such_field'"),
    ("$..categry", "finds nothing, no event has a field 'categry'"),
    ("$.order_placed.lines[?(@.categry == 'toys')]", "finds nothing, no event has a field 'categry'"),
    ("$.order_placed.lines.category", r"must have lines[*], it is a list"),
    ("$.order_placed.lines", "must have lines[*], it is a list"),
    ("$.order_placed.total[*].currency", "must have total without [*], it is no list"),
    *((path, "finds everything, it must name a field") for path in ("$", "$.*", "$..*", "$[*]", "$[0]", "$.*.*")),
]


@pytest.mark.parametrize(("path", "fault"), NO_PATHS)
def test_a_path_that_finds_nothing_or_everything_is_refused(path: str, fault: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        compare(path, "exists")
    assert f", {fault}" in str(refused.value)


EVERY: list[tuple[str, str, Any, bool]] = [
    (PRICES, ">", 1499, True),
    (PRICES, ">", 1500, False),
    (CATEGORIES, "in", ["books", "toys"], True),
    (CATEGORIES, "in", ["books"], False),
    (CATEGORIES, "contains", "o", True),
    (CATEGORIES, "contains", "oo", False),
    (CATEGORIES, "matches", "^[a-z]+s$", True),
    (CATEGORIES, "matches", "^b", False),
    (CATEGORIES, "!=", 1, False),  # another kind
    ("$..category", "!=", "food", True),
    ("$.payment_failed.reason", "!=", "stolen", False),  # all of none is not enough
    ("$.product_added_to_cart.item.category", "!=", "food", False),
    (TOTAL, ">", 1, True),  # of one
]


@pytest.mark.parametrize(("path", "op", "value", "expected"), EVERY)
def test_every(path: str, op: str, value: Any, expected: bool) -> None:
    assert compare(path, op, value, every=True) is expected


def test_every_of_an_empty_list_does_not_hold() -> None:
    event = samples.event("order_placed")
    event.order_placed.ClearField("lines")
    assert not compare(CATEGORIES, "!=", "food", event=event, every=True)


MONEY: list[tuple[int, str, str, str, str, bool]] = [
    # of the event        of the rule
    (100_000, "USD", ">", "1000.00", "USD", False),
    (100_001, "USD", ">", "1000.00", "USD", True),
    (100_000, "USD", ">=", "1000", "USD", True),
    (100_000, "USD", "==", "1000.00", "USD", True),
    (100_000, "USD", "!=", "1000.00", "USD", False),
    (100_000, "USD", "<=", "1000.00", "USD", True),
    (99_999, "USD", "<", "1000.00", "USD", True),
    (100_001, "EUR", ">", "1000.00", "USD", False),
    (100_001, "EUR", "!=", "1000.00", "USD", False),  # another currency is no other amount
    (1_000, "JPY", ">=", "1000", "JPY", True),
    (999, "JPY", ">=", "1000", "JPY", False),
    (1_234, "KWD", "==", "1.234", "KWD", True),
    (1_000_000, "KWD", "==", "1000", "KWD", True),
]


@pytest.mark.parametrize(("minor", "currency", "op", "amount", "wanted_currency", "expected"), MONEY)
def test_money(minor: int, currency: str, op: str, amount: str, wanted_currency: str, expected: bool) -> None:
    condition = {"money": "$.order_placed.total", "op": op, "amount": amount, "currency": wanted_currency}
    assert holds(condition, event=samples.order(minor, currency)) is expected


def test_money_in_a_list_and_where_there_is_none() -> None:
    def over(path: str, amount: str) -> dict[str, str]:
        return {"money": path, "op": ">", "amount": amount, "currency": "USD"}

    assert holds(over("$.order_placed.lines[*].unit_price", "19.98"))
    assert not holds(over("$.order_placed.lines[*].unit_price", "19.99"))
    assert not holds(over("$.payment_failed.amount", "0"))


NUMBERS: list[tuple[dict[str, Any], bool]] = [
    ({"count": "$.order_placed.lines[*]", "op": "==", "value": 2}, True),
    ({"count": CATEGORIES, "op": ">", "value": 2}, False),
    ({"count": "$..currency", "op": "==", "value": 3}, True),
    ({"count": "$.order_placed.lines[?(@.quantity > 1)]", "op": "==", "value": 1}, True),
    ({"count": "$.payment_failed.reason", "op": "==", "value": 0}, True),
    ({"count": TOTAL, "op": "==", "value": 1}, True),
    ({"sum": QUANTITIES, "op": "==", "value": 3}, True),
    ({"sum": QUANTITIES, "op": ">=", "value": 3.5}, False),
    ({"sum": PRICES, "op": ">", "value": 3498.5}, True),
    ({"sum": "$.order_placed.lines[*].*", "op": "==", "value": 3}, True),  # what is no number is left out
    ({"sum": "$.payment_failed.amount.amount_minor", "op": "==", "value": 0}, True),
    ({"sum": "$.payment_failed.amount.amount_minor", "op": "<", "value": 0}, False),
]


@pytest.mark.parametrize(("condition", "expected"), NUMBERS)
def test_count_and_sum(condition: dict[str, Any], expected: bool) -> None:
    assert holds(condition) is expected


YES = {"path": CURRENCY, "op": "==", "value": "USD"}
NO = {"path": CURRENCY, "op": "==", "value": "EUR"}


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, True),
        ({"all": [YES, YES, YES]}, True),
        ({"all": [YES, YES, NO]}, False),
        ({"any": [NO, NO, YES]}, True),
        ({"any": [NO]}, False),
        ({"not": NO}, True),
        ({"not": YES}, False),
        ({"all": [YES], "any": [YES], "not": NO}, True),
        ({"all": [NO], "any": [YES], "not": NO}, False),
        ({"all": [YES], "any": [NO], "not": NO}, False),
        ({"all": [YES], "any": [YES], "not": YES}, False),
        ({"all": [{"any": [NO, {"not": {"all": [YES, NO]}}]}]}, True),
        ({"all": [{"not": {"not": NO}}]}, False),
        ({"not": {"path": "$.payment_failed.reason", "op": "exists"}}, True),
    ],
)
def test_all_any_not(when: dict[str, Any], expected: bool) -> None:
    assert holds(**when) is expected


@pytest.mark.parametrize("path", ["$.order_placed.lines[?(@.category > 5)]", "$.order_placed.lines[?(@.unit_price < 5)]"])
def test_a_filter_that_raises_finds_nothing(path: str) -> None:
    for event in samples.every_event().values():
        assert not compare(path, "exists", event=event)


def test_a_plain_path_builds_no_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "to_document", lambda _: pytest.fail("a plain path must read the fields directly"))
    assert compare(TOTAL, "==", 5498)
    assert compare(PRICES, "==", 1500)
    assert not compare("$.payment_failed.reason", "exists")


def test_one_event_becomes_a_document_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Event] = []

    def counted(event: Event) -> Any:
        made.append(event)
        return to_document(event)

    monkeypatch.setattr(conditions, "to_document", counted)
    assert holds({"path": "$..category", "op": "exists"}, {"path": "$..currency", "op": "exists"})
    assert len(made) == 1


SHARED: list[tuple[str, list[dict[str, Any]]]] = [
    ("scalar_reader", [{"path": CURRENCY, "op": "==", "value": "USD"}, {"path": CURRENCY, "op": "contains", "value": "S"}]),
    ("scalar_reader", [{"path": CURRENCY, "op": "exists"}, {"not": {"path": CURRENCY, "op": "matches", "value": "^E"}}]),
    ("list_reader", [{"path": CATEGORIES, "op": "==", "value": "toys"}, {"count": CATEGORIES, "op": ">", "value": 1}]),
    ("list_reader", [{"sum": QUANTITIES, "op": ">", "value": 1}, {"path": QUANTITIES, "op": "exists"}]),
    ("document_reader", [{"path": "$..category", "op": "exists"}, {"count": "$..category", "op": ">", "value": 1}]),
    ("money_reader", [{"money": "$.order_placed.total", "op": op, "amount": "54.98", "currency": "USD"} for op in ("==", "<=")]),
]


@pytest.mark.parametrize(("reader", "both"), SHARED, ids=lambda each: each if isinstance(each, str) else "")
def test_what_one_rule_has_read_no_other_reads_again(reader: str, both: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rules that ask for the same path, in different ways."""
    made = getattr(paths, reader)
    reads: list[str] = []

    def counting(path: str) -> Any:
        read = made(path)
        if read is None:
            return None

        def count(where: Any) -> Any:
            reads.append(path)
            return read(where)

        return count

    monkeypatch.setattr(paths, reader, counting)
    topics = ("orders", "payments")
    rules = [
        samples.rule(id=f"r-{number}", when={"events": ["*"], "all": [condition]}, to=[{"topic": topics[number]}])
        for number, condition in enumerate(both)
    ]
    in_force = RuleSet(samples.parsed(each) for each in rules)
    assert in_force.route(samples.event("order_placed"), "order_placed").ordered == "orders;payments"
    assert len(reads) == 1
