"""JSONPaths over an event: which ones are allowed, and how each is read the cheapest way.

Three kinds, told apart when a rule is compiled:
- a plain path to one scalar (`$.order_placed.total.currency`) reads protobuf fields (about 0.2 us);
- a plain path through lists (`$.order_placed.lines[*].category`) walks protobuf fields too;
- any other runs jsonpath-ng over the event as a document (tens of us), which is made once per event for all rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from jsonpath_ng import jsonpath
from jsonpath_ng.ext import filter as jsonpath_filter
from jsonpath_ng.ext import parse as parse_jsonpath
from shop.v1.events_pb2 import Event

MISSING: Final = object()
"""What a scalar path finds in an event that does not have its message."""

_PLAIN: Final = re.compile(r"\$(\.[a-z_][a-z0-9_]*(\[\*\])?)+")
_ALLOWED: Final = (
    jsonpath.Root, jsonpath.This, jsonpath.Child, jsonpath.Fields, jsonpath.Index, jsonpath.Slice, jsonpath.Wildcard, jsonpath.Descendants,
    jsonpath_filter.Filter, jsonpath_filter.Expression, jsonpath_filter.Or,
)  # fmt: skip
_FILTER_OPERATORS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "!", None})
_Step = tuple[str, bool]


def check(path: str) -> None:
    """Raises ValueError, with what is allowed, for a path that is no JSONPath, that could be costly, or that is a mistake:
    it names what no event has, or nothing at all."""
    if _PLAIN.fullmatch(path):
        _require_in_schema(_split(path))
        return
    if not path.startswith("$"):
        raise ValueError("must be a JSONPath that starts with $, such as $.order_placed.total.amount_minor")
    # A path with several descents visits an event's nodes once for each pair of them: on a large event that takes seconds.
    if path.count("..") > 1:
        raise ValueError("has more than one '..', one is allowed")
    nodes = list(_nodes(_parsed(path)))
    names = {name for node in nodes if isinstance(node, jsonpath.Fields) for name in node.fields} - {"*"}
    if not names:
        raise ValueError("finds everything, it must name a field")
    if not names <= _names(Event.DESCRIPTOR):
        raise ValueError(f"finds nothing, no event has a field {min(names - _names(Event.DESCRIPTOR))!r}")
    for node in nodes:
        if type(node) not in _ALLOWED:  # not isinstance: jsonpath-ng's functions, such as `sorted`, are kinds of This
            raise ValueError(f"uses {type(node).__name__.lower()}, which is not allowed; see docs/rules.md for what is")
        if isinstance(node, jsonpath_filter.Expression) and node.op not in _FILTER_OPERATORS:
            raise ValueError(f"has the filter operator {node.op}, allowed are == != < <= > >= (for patterns: op: matches)")


def _require_in_schema(steps: list[_Step]) -> None:
    """Raises ValueError if the steps lead nowhere."""
    descriptor = Event.DESCRIPTOR
    for name, is_list in steps:
        field = descriptor.fields_by_name.get(name) if descriptor is not None else None
        if field is None:
            allowed = ", ".join(descriptor.fields_by_name) if descriptor is not None else "no fields"
            raise ValueError(f"finds nothing, there is no {name!r}: allowed are {allowed}")
        if is_list != (field.label == field.LABEL_REPEATED):
            raise ValueError(f"must have {name} without [*], it is no list" if is_list else f"must have {name}[*], it is a list")
        descriptor = field.message_type


@cache
def _names(descriptor: Descriptor) -> frozenset[str]:
    """Names of all fields of a message and of the messages in it."""
    below = (_names(field.message_type) for field in descriptor.fields if field.message_type is not None)
    return frozenset(descriptor.fields_by_name).union(*below)


@lru_cache(maxsize=10_000)
def _parsed(path: str) -> Any:
    try:
        return parse_jsonpath(path)
    except Exception as error:  # a foreign parser on a user's text: whatever it raises, the answer is the same
        raise ValueError(f"must be a JSONPath: {' '.join(str(error).split())}") from None


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for name in ("left", "right", "target", "expressions"):
        below = getattr(node, name, None)
        if isinstance(below, jsonpath.JSONPath | jsonpath_filter.Expression):
            yield from _nodes(below)
        elif isinstance(below, list | tuple):
            for each in below:
                yield from _nodes(each)


def is_money(path: str) -> bool:
    """Whether the path leads to amounts of money."""
    return _PLAIN.fullmatch(path) is not None and all(
        _resolved([*_split(path), (name, False)]) is not None for name in ("amount_minor", "currency")
    )


def money_reader(path: str) -> Callable[[Any], list[Any]]:
    """How to read a path to money: event -> all shop.v1.Money found."""
    return _walk(_split(path))


def _split(path: str) -> list[_Step]:
    return [(name.removesuffix("[*]"), name.endswith("[*]")) for name in path.split(".")[1:]]


def _steps(path: str) -> tuple[list[_Step], FieldDescriptor] | None:
    """A plain path as (field, is it a list) steps and its last field, if the schema has it and it ends at a scalar."""
    if not _PLAIN.fullmatch(path):
        return None
    return _resolved(_split(path))


def _resolved(steps: list[_Step]) -> tuple[list[_Step], FieldDescriptor] | None:
    descriptor = Event.DESCRIPTOR
    field = None
    for name, is_list in steps:
        field = descriptor.fields_by_name.get(name) if descriptor is not None else None
        if field is None or (field.label == field.LABEL_REPEATED) != is_list:
            return None
        descriptor = field.message_type
    return None if field is None or field.message_type is not None else (steps, field)


def is_scalar(path: str) -> bool:
    """Whether the path leads to one scalar field of the schema."""
    found = _steps(path)
    return found is not None and not any(is_list for _, is_list in found[0])


def is_field(name: str) -> bool:
    """Whether dotted names lead to a field of the schema, through messages that are not lists."""
    descriptor = Event.DESCRIPTOR
    *parents, last = name.split(".")
    for parent in parents:
        field = descriptor.fields_by_name.get(parent) if descriptor is not None else None
        if field is None or field.label == field.LABEL_REPEATED:
            return False
        descriptor = field.message_type
    return descriptor is not None and last in descriptor.fields_by_name


def is_text_field(name: str) -> bool:
    """Whether dotted names lead to one text."""
    found = _resolved([(part, False) for part in name.split(".")])
    return found is not None and found[1].cpp_type == FieldDescriptor.CPPTYPE_STRING


def kind_of(path: str) -> type | None:
    """What a plain path finds: bool, int, float or str; None if only a look into the event can tell."""
    found = _steps(path)
    if found is None:
        return None
    return {FieldDescriptor.CPPTYPE_STRING: str, FieldDescriptor.CPPTYPE_BOOL: bool, FieldDescriptor.CPPTYPE_DOUBLE: float,
            FieldDescriptor.CPPTYPE_FLOAT: float}.get(found[1].cpp_type, int)  # fmt: skip


def scalar_reader(path: str) -> Callable[[Any], Any]:
    """How to read a scalar path: event -> its value, or MISSING."""
    found = _steps(path)
    assert found is not None, path
    *parents, leaf = (name for name, _ in found[0])

    def read(event: Any) -> Any:
        for parent in parents:
            if not event.HasField(parent):
                return MISSING
            event = getattr(event, parent)
        return getattr(event, leaf)

    return read


def list_reader(path: str) -> Callable[[Any], list[Any]] | None:
    """How to read a plain path through lists: event -> all values found. None: only jsonpath-ng can."""
    found = _steps(path)
    if found is None:
        return None
    return _walk(found[0])


def _walk(steps: list[_Step]) -> Callable[[Any], list[Any]]:
    def read(event: Any) -> list[Any]:
        here = [event]
        for name, is_list in steps:
            if is_list:
                here = [each for message in here for each in getattr(message, name)]
            else:
                here = [getattr(message, name) for message in here if _has(message, name)]
        return here

    return read


def _has(message: Any, name: str) -> bool:
    return not message.DESCRIPTOR.fields_by_name[name].has_presence or message.HasField(name)


def document_reader(path: str) -> Callable[[dict[str, Any]], list[Any]]:
    """How to read any path: document (udfs.documents) -> all values found."""
    find = _parsed(path).find

    def read(document: dict[str, Any]) -> list[Any]:
        try:
            return [match.value for match in find(document)]
        except Exception:
            # jsonpath-ng's filters raise on some documents. A rule must never stop the job, and what a path can't reach
            # is not there.
            return []

    return read
