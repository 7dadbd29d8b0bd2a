"""What a schema may not do to those who wrote and read an earlier one: as `buf breaking` has it (its categories WIRE and FILE, in part)."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet


def breaking_changes(released: FileDescriptorSet, now: FileDescriptorSet) -> list[str]:
    """Each change that breaks bytes on the topic, or code, rules and queries that name fields; none: it only added."""
    old, new = _messages(released), _messages(now)
    found = [f"message {name} is gone" for name in old.keys() - new.keys()]
    for name in sorted(old.keys() & new.keys()):
        found += _of_message(name, old[name], new[name])
    old_enums, new_enums = _enums(released), _enums(now)
    found += [f"enum {name} is gone" for name in old_enums.keys() - new_enums.keys()]
    for name in sorted(old_enums.keys() & new_enums.keys()):
        found += _of_enum(name, old_enums[name], new_enums[name])
    return found


def _of_message(name: str, old: DescriptorProto, new: DescriptorProto) -> Iterator[str]:
    fields = {field.number: field for field in new.field}
    for was in old.field:
        now = fields.get(was.number)
        if now is None:
            if not _reserved(new, was):
                yield f"{name}.{was.name} = {was.number} is gone: write `reserved {was.number}; reserved \"{was.name}\";` in its place"
            continue
        if now.name != was.name:
            yield f"{name}: field {was.number} was {was.name}, now it is {now.name}: rules and queries name fields; take a new number"
        if (now.type, now.type_name) != (was.type, was.type_name):
            yield f"{name}.{was.name} = {was.number} was {_type(was)}, now it is {_type(now)}: take a new field"
        if now.label != was.label or now.proto3_optional != was.proto3_optional:
            yield f"{name}.{was.name} = {was.number} was {_label(was)}, now it is {_label(now)}"
        if _oneof(old, was) != _oneof(new, now):
            yield f"{name}.{was.name} = {was.number} was in {_oneof(old, was) or 'no oneof'}, now it is in {_oneof(new, now) or 'none'}"
    for each in old.reserved_range:
        for field in new.field:
            if each.start <= field.number < each.end:
                yield f"{name}.{field.name} = {field.number}: this number is reserved, since an earlier field had it"
    for field in new.field:
        if field.name in old.reserved_name:
            yield f"{name}.{field.name}: this name is reserved, since an earlier field had it"


def _of_enum(name: str, old: EnumDescriptorProto, new: EnumDescriptorProto) -> Iterator[str]:
    values = {value.number: value.name for value in new.value}
    for was in old.value:
        if values.get(was.number) != was.name:
            yield f"{name}.{was.name} = {was.number} is {values.get(was.number, 'gone')}"


def _reserved(message: DescriptorProto, field: FieldDescriptorProto) -> bool:
    in_range = any(each.start <= field.number < each.end for each in message.reserved_range)
    return in_range and field.name in message.reserved_name


def _messages(files: FileDescriptorSet) -> dict[str, DescriptorProto]:
    def nested(prefix: str, message: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
        name = f"{prefix}.{message.name}"
        yield name, message
        for each in message.nested_type:
            yield from nested(name, each)

    return dict(pair for file in files.file for message in file.message_type for pair in nested(file.package, message))


def _enums(files: FileDescriptorSet) -> dict[str, EnumDescriptorProto]:
    top = {f"{file.package}.{enum.name}": enum for file in files.file for enum in file.enum_type}
    return top | {f"{name}.{enum.name}": enum for name, message in _messages(files).items() for enum in message.enum_type}


def _oneof(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    return message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") and not field.proto3_optional else ""


def _type(field: FieldDescriptorProto) -> str:
    return field.type_name.lstrip(".") or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _label(field: FieldDescriptorProto) -> str:
    return "optional" if field.proto3_optional else FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
