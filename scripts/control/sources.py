"""Where commands get rules and events from: files, standard input."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from shop.v1.events_pb2 import Event

from jobs.baseline import RuleFile, read_files
from scripts.control.output import CommandError
from scripts.stack.paths import ROOT
from udfs.rules.destinations import Destinations
from udfs.rules.language import Rule
from udfs.validation import UNKNOWN

RULES: Final = ROOT / "rules"
TEST_TIME_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: when an event of a rule test happens that does not say so, that the tests give the same every day."""

_RAW: Final = (".bin", ".pb")


def yaml_files(paths: Sequence[Path], otherwise: Path) -> list[Path]:
    """The files, with *.yaml of what is a folder; `otherwise` if there are none. Raises CommandError."""
    found: list[Path] = []
    for path in paths or (otherwise,):
        if path.is_dir():
            inside = sorted(path.glob("*.yaml"))
            if not inside:
                raise CommandError(f"{path} has no *.yaml")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise CommandError(f"{path}: there is no such file or folder")
    return list(dict.fromkeys(found))


def read_rules(paths: Sequence[Path], destinations: Collection[str]) -> RuleFile:
    """Reads rules with all their faults; raises CommandError for what can't be read at all."""
    try:
        return read_files(yaml_files(paths, RULES), destinations)
    except OSError as error:
        raise CommandError(str(error)) from error


def valid_rules(paths: Sequence[Path], destinations: Collection[str]) -> RuleFile:
    """As read_rules; raises CommandError for a fault too."""
    found = read_rules(paths, destinations)
    if found.faults:
        more = f" (and {len(found.faults) - 1} more, see: scripts/millrace rules lint)" if len(found.faults) > 1 else ""
        raise CommandError(f"{found.faults[0]}{more}", 1)
    return found


def read_event(where: str) -> Event:
    """An event from a file, or from standard input if `where` is "-": JSON, or the bytes of a record.

    Raises:
        CommandError: it can't be read, or is not an event.
    """
    try:
        content = sys.stdin.buffer.read() if where == "-" else Path(where).read_bytes()
    except OSError as error:
        raise CommandError(str(error)) from error
    is_raw = where.endswith(_RAW) or (where == "-" and not content.lstrip().startswith(b"{"))
    try:
        return Event.FromString(content) if is_raw else event_of(json.loads(content), time.time_ns() // 1_000_000)
    except DecodeError as error:
        raise CommandError(f"{where}: not the bytes of a shop.v1.Event: {error}") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{where}: {error}") from error


def event_of(raw: Any, time_ms: int = TEST_TIME_MS) -> Event:
    """An event from JSON in the field names of proto/shop/v1/events.proto.

    Args:
        raw: event_id, session_id and event_time_ms may be left out.
        time_ms: when it happens, if it does not say so.

    Raises:
        ValueError: says in one line what is not an event.
    """
    if not isinstance(raw, dict):
        raise ValueError('an event is a mapping such as {"order_placed": {...}}')
    defaults = {"event_id": "event-1", "session_id": "session-1", "event_time_ms": time_ms}
    given = {"eventId": "event_id", "sessionId": "session_id", "eventTimeMs": "event_time_ms"}  # the other names in protobuf's JSON
    named = {given.get(name, name): value for name, value in raw.items()}
    try:
        return ParseDict(defaults | named, Event())
    except (ParseError, TypeError, AttributeError) as error:  # the last two from values of a form that it does not expect
        raise ValueError(f"is not an event: {' '.join(str(error).split())}") from error


def event_type(event: Event) -> str:
    """The name of its payload, or "unknown"."""
    return event.WhichOneof("payload") or UNKNOWN


def made_on_demand(rules: Iterable[Rule], allowed: Destinations) -> tuple[str, ...]:
    """The topics of rules that only a pattern allows: the job makes those that are missing."""
    return allowed.made_on_demand(destination.topic for rule in rules for destination in rule.to)


def concerns(rule: Rule, kind: str) -> bool:
    """Whether the rule is about events of this type."""
    return kind in rule.when.events or "*" in rule.when.events


def plural(number: int, what: str) -> str:
    """2 events, 1 event."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def table(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines in columns; the first is left-aligned, the others right-aligned."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))] if texts else []
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in texts
    ]
