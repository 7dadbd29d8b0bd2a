"""Compiles conditions to closures.

A predicate takes the values of one event: `values[0]` is the event, `values[1]` its document once a rule has asked for it,
`values[2]` what else rules have asked for and others can use, and from 3 on stand the scalars that the rules of its type
compare, read once for all of them.
tests/udfs/rules/interpreter.py is the plain reading of the same language that random tests compare this with.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

from udfs.documents import to_document
from udfs.rules import paths
from udfs.rules.condition_forms import All, AnyOf, Comparison, Condition, Contains, Count, Exists, Matches, Membership, Money, Not, Sum
from udfs.rules.language import When
from udfs.rules.paths import MISSING
from udfs.rules.patterns import PatternSet, compiled
from udfs.rules.values import minor_units

EVENT, DOCUMENT, SHARED, FIRST_SCALAR = 0, 1, 2, 3
Values = list[Any]
Predicate = Callable[[Values], bool]
_Test = Callable[[Any], bool]
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
# Slots of scalars, by path: written out, since a call per operator is a third of a comparison's cost.
_SLOT_COMPARE: Final[dict[str, Callable[[int, Any], Predicate]]] = {
    "==": lambda slot, wanted: lambda values: values[slot] is not MISSING and values[slot] == wanted,
    "!=": lambda slot, wanted: lambda values: values[slot] is not MISSING and values[slot] != wanted,
    "<": lambda slot, wanted: lambda values: values[slot] is not MISSING and values[slot] < wanted,
    "<=": lambda slot, wanted: lambda values: values[slot] is not MISSING and values[slot] <= wanted,
    ">": lambda slot, wanted: lambda values: values[slot] is not MISSING and values[slot] > wanted,
    ">=": lambda slot, wanted: lambda values: values[slot] is not MISSING and values[slot] >= wanted,
}


class Slots:
    """Which scalars of an event are read for a set of predicates, and where they stand in `values`."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._patterns: dict[str, PatternSet] = {}
        self.readers: list[Callable[[Any], Any]] = []

    def of(self, path: str) -> int:
        """The slot of a scalar path."""
        if path not in self._slots:
            self._slots[path] = FIRST_SCALAR + len(self.readers)
            self.readers.append(paths.scalar_reader(path))
        return self._slots[path]

    def values(self, event: Any) -> Values:
        """The values of one event."""
        return [event, None, {}, *[read(event) for read in self.readers]]

    def patterns(self, path: str) -> PatternSet:
        """All patterns that the text of a scalar path is matched with."""
        return self._patterns.setdefault(path, PatternSet())


def comparable(found: Any, wanted: Any) -> bool:
    """Whether two values are of one kind: both texts, both numbers, or both booleans."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return isinstance(found, bool) and isinstance(wanted, bool)
    if isinstance(found, str) or isinstance(wanted, str):
        return isinstance(found, str) and isinstance(wanted, str)
    return isinstance(found, int | float) and isinstance(wanted, int | float)


def conjunction(predicates: Iterable[Predicate]) -> Predicate:
    """True if all of them are; of none, always."""
    each = tuple(predicates)
    if not each:
        return lambda _: True
    if len(each) == 1:
        return each[0]
    if len(each) == 2:
        first, second = each
        return lambda values: first(values) and second(values)
    return lambda values: all(predicate(values) for predicate in each)


def compile_when(when: When, slots: Slots) -> list[Predicate]:
    """The conditions of a rule, all of which must hold; its event types are left to the caller."""
    found = [compile_condition(condition, slots) for condition in when.all or ()]
    if when.any is not None:
        found.append(_disjunction(when.any, slots))
    if when.not_ is not None:
        found.append(_negation(when.not_, slots))
    return found


def compile_condition(condition: Condition, slots: Slots) -> Predicate:
    """Compiles one condition, with all conditions in it."""
    match condition:
        case All():
            return conjunction(compile_condition(each, slots) for each in condition.all)
        case AnyOf():
            return _disjunction(condition.any, slots)
        case Not():
            return _negation(condition.not_, slots)
        case Money():
            return _money(condition)
        case Count():
            read, compare, wanted = _reader(condition.count), _COMPARE[condition.op], condition.value
            return lambda values: compare(len(read(values)), wanted)
        case Sum():
            read, compare, limit = _reader(condition.sum), _COMPARE[condition.op], condition.value
            return lambda values: compare(sum(each for each in read(values) if comparable(each, 0)), limit)
        case Exists():
            return _exists(condition, slots)
        case _:
            return _comparison(condition, slots)


def _disjunction(conditions: Iterable[Condition], slots: Slots) -> Predicate:
    each = tuple(compile_condition(condition, slots) for condition in conditions)
    return lambda values: any(predicate(values) for predicate in each)


def _negation(condition: Condition, slots: Slots) -> Predicate:
    holds = compile_condition(condition, slots)
    return lambda values: not holds(values)


def _money(condition: Money) -> Predicate:
    read, compare, currency = paths.money_reader(condition.money), _COMPARE[condition.op], condition.currency
    wanted = minor_units(condition.amount, currency)
    key = ("money", condition.money)

    def holds(values: Values) -> bool:
        amounts: list[tuple[str, int]] | None = values[SHARED].get(key)
        if amounts is None:
            amounts = values[SHARED][key] = [(money.currency, money.amount_minor) for money in read(values[EVENT])]
        for found_currency, amount in amounts:  # noqa: SIM110  (a generator costs more than the comparison)
            if found_currency == currency and compare(amount, wanted):
                return True
        return False

    return holds


def _exists(condition: Exists, slots: Slots) -> Predicate:
    if paths.is_scalar(condition.path):
        slot = slots.of(condition.path)
        return lambda values: values[slot] is not MISSING
    read = _reader(condition.path)
    return lambda values: bool(read(values))


def _comparison(condition: Comparison | Membership | Contains | Matches, slots: Slots) -> Predicate:
    if paths.is_scalar(condition.path):
        slot = slots.of(condition.path)
        if isinstance(condition, Comparison):
            kind = paths.kind_of(condition.path)
            assert kind is not None
            if not comparable(kind(), condition.value):
                return lambda _: False
            return _SLOT_COMPARE[condition.op](slot, condition.value)
        if isinstance(condition, Matches):
            return _pattern(condition, slots)
        holds = _test(condition)
        return lambda values: values[slot] is not MISSING and holds(values[slot])
    read, holds = _reader(condition.path), _test(condition)
    if condition.every:

        def every(values: Values) -> bool:
            found = read(values)
            return bool(found) and all(holds(each) for each in found)

        return every
    return lambda values: any(holds(each) for each in read(values))


def _pattern(condition: Matches, slots: Slots) -> Predicate:
    """One of the patterns of a scalar path, which are searched together."""
    slot, patterns = slots.of(condition.path), slots.patterns(condition.path)
    number = patterns.add(condition.value)

    def holds(values: Values) -> bool:
        found = values[SHARED].get(patterns)
        if found is None:
            text = values[slot]
            found = values[SHARED][patterns] = patterns.search(text) if isinstance(text, str) else frozenset()
        return number in found

    return holds


def _test(condition: Comparison | Membership | Contains | Matches) -> _Test:
    """What one found value must fulfil."""
    wanted = condition.value
    match condition:
        case Comparison():
            compare = _COMPARE[condition.op]
            return lambda found: comparable(found, wanted) and compare(found, wanted)
        case Membership():
            # By kind and value, since 1 and true are the same key of a set.
            members = frozenset((isinstance(each, bool), each) for each in condition.value)
            return lambda found: isinstance(found, str | int | float) and (isinstance(found, bool), found) in members
        case Contains():
            part = condition.value
            return lambda found: isinstance(found, str) and part in found
        case Matches():
            search = compiled(condition.value).search
            return lambda found: isinstance(found, str) and search(found) is not None


def _reader(path: str) -> Callable[[Values], list[Any]]:
    """How to read all values that a path finds; once for all rules."""
    walk = paths.list_reader(path)
    look = paths.document_reader(path) if walk is None else None

    def read(values: Values) -> list[Any]:
        found: list[Any] | None = values[SHARED].get(path)
        if found is None:
            if walk is not None:
                found = walk(values[EVENT])
            else:
                if values[DOCUMENT] is None:
                    values[DOCUMENT] = to_document(values[EVENT])
                assert look is not None
                found = look(values[DOCUMENT])
            values[SHARED][path] = found
        return found

    return read
