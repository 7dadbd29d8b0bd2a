"""Reads rules from YAML files: the baseline that is in force before the first update, and what scripts/millrace works on."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from udfs.rules.language import MAX_DEPTH, InvalidRule, Rule, parse_rule, place_name

MAX_FILE_BYTES: Final = 10_000_000


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file of rules, and where; its text is one line."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass(frozen=True)
class RuleFile:
    """The rules of one or more files: in their order, each with its JSON text; and all faults found."""

    rules: dict[str, Rule]
    texts: dict[str, str]
    faults: tuple[Fault, ...]
    nodes: dict[str, tuple[str, yaml.Node]] = field(default_factory=dict)
    """Rule id -> the file and the node that it was read from."""

    def fault(self, rule_id: str, place: tuple[str | int, ...], what: str) -> Fault:
        """A remark on a place of a rule, with its line."""
        file, node = self.nodes[rule_id]
        return Fault(file, _line(node, place), f"{rule_id}: {_what(place, what)}")


class _Loader(yaml.SafeLoader):
    """YAML as rules need it: no aliases (a few lines of them can stand for gigabytes), no key twice, not too deep."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise _at(self.peek_event(), "aliases (*name) are not allowed in rules")
        if self.depth > MAX_DEPTH:
            raise _at(self.peek_event(), f"nested deeper than {MAX_DEPTH}")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                raise _at(node.value[index][0], f"the key {key!r} stands twice")
        return super().construct_mapping(node, deep)


def _at(where: Any, what: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=where.start_mark)


def load(
    folder: Path, allowed_topics: Collection[str], *, can_mask: bool = True, with_fraud: bool = True, can_order: bool = True
) -> dict[str, str]:
    """Reads and checks all *.yaml files of a folder; a file may hold several documents.

    Args:
        with_fraud: whether to take the rules that are fraud signals.
        can_order: whether rules may ask for the order of sessions.

    Returns:
        Rule id -> the rule as JSON text, the form in which it also travels over the rules topic.

    Raises:
        InvalidRule: names the file, the line and the first fault.
        OSError: the folder can't be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    found = read_files(sorted(folder.glob("*.yaml")), allowed_topics, can_mask=can_mask, can_order=can_order)
    if found.faults:
        raise InvalidRule(((), str(found.faults[0])))
    return {rule_id: text for rule_id, text in found.texts.items() if with_fraud or found.rules[rule_id].when.signal is None}


def read_files(paths: Iterable[Path], allowed_topics: Collection[str], *, can_mask: bool = True, can_order: bool = True) -> RuleFile:
    """Reads rules and checks them; faults do not stop it. Raises OSError for a file that can't be read."""
    rules: dict[str, Rule] = {}
    texts: dict[str, str] = {}
    nodes: dict[str, tuple[str, yaml.Node]] = {}
    faults: list[Fault] = []
    for path in paths:
        for node, raw in _documents(path, faults):
            try:
                text = json.dumps(raw, sort_keys=True, default=_json)
                rule = parse_rule(text, allowed_topics, can_mask=can_mask, can_order=can_order)
            except InvalidRule as error:
                found = [Fault(path.name, _line(node, place), _what(place, what)) for place, what in error.faults]
                faults += sorted(found, key=lambda each: each.line)
                continue
            except (TypeError, ValueError) as error:
                faults.append(Fault(path.name, _line(node, ()), f"is not a rule: {error}"))
                continue
            if rule.id in rules:
                faults.append(Fault(path.name, _line(node, ("id",)), f"id {rule.id!r} stands twice in these files"))
                continue
            rules[rule.id], texts[rule.id], nodes[rule.id] = rule, text, (path.name, node)
    return RuleFile(rules, texts, tuple(faults), nodes)


def _what(place: tuple[str | int, ...], what: str) -> str:
    return f"{place_name(place)} {what}" if place else what


def _documents(path: Path, faults: list[Fault]) -> Iterator[tuple[yaml.Node, Any]]:
    content = path.read_bytes()
    if len(content) > MAX_FILE_BYTES:
        faults.append(Fault(path.name, 1, f"the file has {len(content)} bytes, allowed are {MAX_FILE_BYTES}"))
        return
    try:
        loader = _Loader(content.decode("utf-8"))
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # or check_node had said so
            yield node, loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        faults.append(Fault(path.name, mark.line + 1 if mark else 1, error.problem or str(error)))
    except yaml.YAMLError as error:
        faults.append(Fault(path.name, 1, " ".join(str(error).split())))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        faults.append(Fault(path.name, line, f"not UTF-8: {error.reason}"))
    except RecursionError:
        faults.append(Fault(path.name, 1, "nested too deeply"))
    except ValueError as error:  # a value that YAML's own types refuse, such as the date 2026-13-01
        faults.append(Fault(path.name, 1, str(error)))


def _json(value: Any) -> str:
    """YAML has dates, JSON has not."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is not allowed here")


def _line(node: yaml.Node, place: tuple[str | int, ...]) -> int:
    """The line on which a place of the document stands, or the nearest that does."""
    line = node.start_mark.line + 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            entry = next(((key, value) for key, value in node.value if key.value == part), None)
            if entry is None:
                return line
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line
