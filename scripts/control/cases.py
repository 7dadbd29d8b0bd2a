"""Tests of rules, written in YAML: an event goes in, and it is told which rules match and where it goes.

- name: an order over $1000 goes to fraud detection
  event: {order_placed: {total: {amount_minor: 100001, currency: USD}}}
  expect: {matched: [high-value-orders, orders], ordered: [orders], unordered: [fraud-detection]}
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.baseline import MAX_FILE_BYTES, Fault
from scripts.control.evaluate import Evaluator
from scripts.control.sources import event_of
from udfs.rules.language import Rule, place_name

_EXPECTED: Final = ("matched", "shadow", "ordered", "unordered")
_MOST_VALUES: Final = 1_000_000
"""In one file, all that its aliases stand for counted."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Expected(_Model):
    """What must come out, each in any order; what is left out is not looked at."""

    matched: list[str] | None = None
    shadow: list[str] | None = None
    ordered: list[str] | None = None
    unordered: list[str] | None = None


class Case(_Model):
    """One test. `before` are events that come before `event`, for rules that aggregate."""

    name: Annotated[str, Field(min_length=1)]
    rules: list[str] | None = None
    before: list[dict[str, Any]] = []
    event: dict[str, Any]
    expect: Expected


@dataclass(frozen=True)
class Failure:
    """A case whose outcome is not what it expects."""

    file: str
    line: int
    name: str
    expected: Mapping[str, list[str]]
    found: Mapping[str, list[str]]

    def lines(self) -> Iterator[str]:
        yield f"{self.file}:{self.line}: {self.name}"
        for key, wanted in self.expected.items():
            yield f"  {key}: expected {_listed(wanted)}, found {_listed(self.found[key])}"


@dataclass(frozen=True)
class Tested:
    """All that was tested. Faults: cases that can't be run."""

    passed: int
    failures: tuple[Failure, ...]
    faults: tuple[Fault, ...]

    @property
    def good(self) -> bool:
        return not self.failures and not self.faults


def run_cases(files: Iterable[Path], rules: Mapping[str, Rule]) -> Tested:
    """Runs the cases of all files; raises OSError for a file that can't be read."""
    passed = 0
    failures: list[Failure] = []
    faults: list[Fault] = []
    for path in files:
        for line, raw in _entries(path, faults):
            try:
                case = Case.model_validate(raw)
                failure = _run(case, rules, path.name, line)
            except ValidationError as error:
                faults += [Fault(path.name, line, _what(each)) for each in error.errors(include_url=False)]
            except ValueError as error:
                faults.append(Fault(path.name, line, str(error)))
            else:
                failures += [failure] if failure is not None else []
                passed += failure is None
    return Tested(passed, tuple(failures), tuple(faults))


def _run(case: Case, rules: Mapping[str, Rule], file: str, line: int) -> Failure | None:
    named = list(rules) if case.rules is None else case.rules
    unknown = [rule_id for rule_id in named if rule_id not in rules]
    if unknown:
        raise ValueError(f"rules has {', '.join(unknown)}, allowed are {', '.join(rules)}")
    expected = {key: wanted for key in _EXPECTED if (wanted := getattr(case.expect, key)) is not None}
    if not expected:
        raise ValueError(f"expect must have one of {', '.join(_EXPECTED)}")
    evaluator = Evaluator(rules[rule_id] for rule_id in named)
    for each in case.before:
        evaluator.outcome(event_of(each))
    outcome = evaluator.outcome(event_of(case.event))
    found = {key: list(getattr(outcome, key)) for key in expected}
    if all(sorted(wanted) == sorted(found[key]) for key, wanted in expected.items()):
        return None
    return Failure(file, line, case.name, expected, found)


def _entries(path: Path, faults: list[Fault]) -> Iterator[tuple[int, Any]]:
    """The cases of a file, each with its line."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if not isinstance(node, yaml.SequenceNode):
            faults.append(Fault(path.name, 1, "must be a list of cases: - {name: ..., event: {...}, expect: {...}}"))
            return
        if path.stat().st_size > MAX_FILE_BYTES or _values(node, {}) > _MOST_VALUES:
            faults.append(Fault(path.name, 1, f"must have at most {MAX_FILE_BYTES:,} bytes and {_MOST_VALUES:,} values, aliases counted"))
            return
        # Constructed as a whole: its parts one by one would lose what an anchor stands for.
        cases = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        faults.append(Fault(path.name, mark.line + 1 if mark else 1, error.problem or str(error)))
        return
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # not UTF-8, too
        faults.append(Fault(path.name, 1, " ".join(str(error).split())))
        return
    yield from zip((each.start_mark.line + 1 for each in node.value), cases, strict=True)


def _values(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node stands for; those of an alias of itself have no end."""
    if id(node) not in known:
        known[id(node)] = math.inf
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        inside = [each for pair in pairs for each in pair] or (node.value if isinstance(node, yaml.SequenceNode) else ())
        known[id(node)] = 1 + sum(_values(each, known) for each in inside)
    return known[id(node)]


def _what(fault: Any) -> str:
    place = place_name(fault["loc"])
    what = {"missing": "is missing", "extra_forbidden": "is not a key that is allowed here"}.get(fault["type"], fault["msg"])
    return f"{place} {what}" if place else f"is not a case: {what}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
