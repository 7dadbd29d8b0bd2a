"""Today's schema breaks nothing of the released one: docs/schema-evolution.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet
from shop.v1 import events_pb2

from tests.udfs.schema_changes import breaking_changes

RELEASED: Final = Path(__file__).parents[2] / "proto" / "shop" / "v1" / "events.released.binpb"


def today() -> FileDescriptorSet:
    found = FileDescriptorSet()
    events_pb2.DESCRIPTOR.CopyToProto(found.file.add())
    return found


def released() -> FileDescriptorSet:
    return FileDescriptorSet.FromString(RELEASED.read_bytes())


def test_the_schema_breaks_nothing_that_was_released() -> None:
    assert breaking_changes(released(), today()) == []


def test_what_is_added_is_released_too() -> None:
    """Else a number that producers use already could be given away."""
    assert breaking_changes(today(), released()) == [], "run scripts/protoc --release once the change may be relied upon"


def _message(files: FileDescriptorSet, name: str) -> DescriptorProto:
    return next(each for each in files.file[0].message_type if each.name == name)


def _field(files: FileDescriptorSet, message: str, name: str) -> FieldDescriptorProto:
    return next(each for each in _message(files, message).field if each.name == name)


def _remove(files: FileDescriptorSet, *, reserve: bool = False) -> None:
    source = _message(files, "Source")
    at = next(index for index, each in enumerate(source.field) if each.name == "ip")
    del source.field[at]
    if reserve:
        source.reserved_range.add(start=4, end=5)
        source.reserved_name.append("ip")


def _set(message: str, field: str, **values: Any) -> Callable[[FileDescriptorSet], None]:
    def change(files: FileDescriptorSet) -> None:
        for name, value in values.items():
            setattr(_field(files, message, field), name, value)

    return change


def _out_of_oneof(files: FileDescriptorSet) -> None:
    _field(files, "Event", "user_signed_in").ClearField("oneof_index")


def _drop_message(files: FileDescriptorSet) -> None:
    messages = files.file[0].message_type
    del messages[[each.name for each in messages].index("UserSignedIn")]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_remove, "shop.v1.Source.ip = 4 is gone: write `reserved 4;"),
        (_set("Source", "ip", name="address"), "field 4 was ip, now it is address"),
        (_set("Source", "ip", number=9), "shop.v1.Source.ip = 4 is gone"),
        (_set("Money", "amount_minor", type=FieldDescriptorProto.TYPE_STRING), "was int64, now it is string"),
        (_set("OrderPlaced", "total", type_name=".shop.v1.LineItem"), "was shop.v1.Money, now it is shop.v1.LineItem"),
        (_set("OrderPlaced", "lines", label=FieldDescriptorProto.LABEL_OPTIONAL), "was repeated, now it is optional"),
        (_set("Source", "ip", proto3_optional=True), "now it is optional"),
        (_out_of_oneof, "was in payload, now it is in none"),
        (_drop_message, "message shop.v1.UserSignedIn is gone"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_breaks_is_found(change: Callable[[FileDescriptorSet], None], found: str) -> None:
    changed = today()
    change(changed)
    (fault,) = breaking_changes(today(), changed)
    assert found in fault


def test_what_is_added_or_reserved_breaks_nothing() -> None:
    changed = today()
    optional_text = {"type": FieldDescriptorProto.TYPE_STRING, "label": FieldDescriptorProto.LABEL_OPTIONAL}
    _message(changed, "Source").field.add(name="city", number=6, **optional_text)
    changed.file[0].message_type.add(name="AnotherPayload")
    _remove(changed, reserve=True)
    assert breaking_changes(today(), changed) == []


def test_what_was_reserved_stays_so() -> None:
    earlier, changed = today(), today()
    _remove(earlier, reserve=True)
    found = breaking_changes(earlier, changed)
    assert any("number is reserved" in each for each in found)
    assert any("name is reserved" in each for each in found)
