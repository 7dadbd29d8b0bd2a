"""docs/rules.md as data: its examples, its tables, and what they promise."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml
from google.protobuf.json_format import ParseDict
from shop.v1.events_pb2 import Event

from jobs.settings import Settings
from udfs.rules.language import Rule, parse_rule
from udfs.validation import UNKNOWN

PAGE: Final = Path(__file__).parents[2] / "docs" / "rules.md"
TEXT: Final = PAGE.read_text()
MASK_KEY: Final = b"secret"
TIME_MS: Final = 1_790_000_000_000

_FENCE: Final = re.compile(r"^```(\w+)(?: ([\w-]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"``(.+)``|`([^`]+)`")
_PROMISE: Final = re.compile(
    r"^# (matches|not|shadow|event|goes to|key|value|routes|fires|seconds|amounts|countries|users|devices): (.*)$", re.MULTILINE
)


@dataclass(frozen=True)
class Example:
    """A fenced block: ```yaml holds a whole rule, ```yaml KIND a part of one, ```yaml rules several."""

    line: int
    kind: str
    body: str

    def rules(self) -> list[Rule]:
        """The rules of the block; a part is put into a minimal rule for all events."""
        documents = list(yaml.safe_load_all(self.body))
        if self.kind == "key":
            documents = [_minimal() | each for each in documents]
        elif self.kind == "when":
            documents = [_minimal(when={"events": ["*"]} | each) for each in documents]
        elif self.kind == "to":
            documents = [_minimal(to=each) for each in documents]
        return [parse_rule(json.dumps(each, default=datetime.isoformat), Settings.destinations) for each in documents]

    def promises(self) -> list[tuple[str, str]]:
        """The comments that say what the example does: (what, the rest of the line)."""
        return _PROMISE.findall(self.body)


def _minimal(**changes: Any) -> dict[str, Any]:
    return {"id": "a-rule", "version": 1, "when": {"events": ["*"]}, "to": [{"topic": "orders"}]} | changes


def examples(language: str = "yaml") -> list[Example]:
    """All blocks of one language."""
    return [
        Example(TEXT[: found.start()].count("\n") + 1, found[2] or "", found[3])
        for found in _FENCE.finditer(TEXT)
        if found[1] == language
    ]  # fmt: skip


def event(fields: dict[str, Any]) -> tuple[Event, str]:
    """An event from some of its fields, with a valid envelope; and its type."""
    made = ParseDict({"event_id": "e-1", "session_id": "s-1", "event_time_ms": TIME_MS} | fields, Event())
    return made, made.WhichOneof("payload") or UNKNOWN


def section(title: str) -> str:
    """The text under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/rules.md has no section {title!r}"
    return found[1]


def table(title: str) -> list[list[str]]:
    """The rows of the tables under a heading, without their heads; `code` without its marks."""
    tables = re.findall(r"(?:^\|.*\n)+", section(title), re.MULTILINE)
    return [_cells(line) for rows in tables for line in rows.splitlines()[2:]]


def _cells(line: str) -> list[str]:
    cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    return [(found[1] or found[2]).strip() if (found := _CODE.fullmatch(cell)) else cell for cell in cells]
