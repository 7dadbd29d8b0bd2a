"""An event as a plain document, the form that JSONPath works on."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


def to_document(message: Message) -> dict[str, Any]:
    """Turns a protobuf message into a dict in proto field names.

    Unlike json_format.MessageToDict, 64-bit integers stay integers (JSON would make them strings, and comparisons
    with numbers wrong), and scalars are there with their defaults. Message fields and oneof members are there only if set.
    """
    document: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        is_message = field.type == FieldDescriptor.TYPE_MESSAGE
        if field.label == FieldDescriptor.LABEL_REPEATED:
            values = getattr(message, field.name)
            document[field.name] = [to_document(value) for value in values] if is_message else list(values)
        elif field.has_presence:
            if message.HasField(field.name):
                value = getattr(message, field.name)
                document[field.name] = to_document(value) if is_message else value
        else:
            document[field.name] = getattr(message, field.name)
    return document
