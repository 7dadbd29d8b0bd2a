"""Records of a topic, decoded, as lines or JSON. Pure but for reading."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from rich.text import Text

from jobs.settings import Topics
from scripts.control.output import CommandError
from scripts.control.reading import Record, read_last, scan
from scripts.operate.decode import decode, is_json, session_of, shown_headers
from scripts.operate.show import Line, time_of
from udfs.kafka_client import Brokers

BEGINNING: Final = "beginning"
NOW: Final = "now"
_AGO: Final = re.compile(r"(\d+)(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LAST: Final = 10


def since(text: str, now_ms: int) -> int | None:
    """Where to begin, in milliseconds since the epoch; None: at the beginning.

    Args:
        text: "beginning", "now", so long ago ("90s", "10m", "2h", "1d"), or a time by ISO 8601, UTC unless it says otherwise.

    Raises:
        CommandError: it is nothing of these.
    """
    if text == BEGINNING:
        return None
    if text == NOW:
        return now_ms
    if found := _AGO.fullmatch(text):
        return now_ms - int(found[1]) * _SECONDS[found[2]] * 1_000
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--from is {text}, must be beginning, now, so long ago (90s, 10m, 2h, 1d) or an ISO 8601 time") from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000)


def records(
    bootstrap: Brokers | str, topic: str, since_ms: int | None, *, begins: bool, count: int | None, follow: bool, session: str | None
) -> Iterator[Record]:
    """The records that were asked for.

    Args:
        begins: whether `since_ms` says where to begin; else the last ones are read, `count` of them or ten.
        session: only records of this session.
    """
    if begins or follow:
        found: Iterator[Record] = scan(bootstrap, topic, since_ms, follow=follow)
    else:
        last = count or _LAST
        found = scan(bootstrap, topic) if session is not None else iter(read_last(bootstrap, topic, last))
    if session is not None:
        found = (record for record in found if session_of(record) == session)
        if not begins and not follow:
            found = iter(sorted(found, key=lambda record: record.time_ms)[-last:])
    return islice(found, count)


def as_json(record: Record, topic: str, topics: Topics) -> dict[str, Any]:
    """For programs: one object for each record."""
    content = decode(record.value, as_json=is_json(topic, topics))
    return {
        "topic": topic, "partition": record.partition, "offset": record.offset, "time_ms": record.time_ms,
        "key": record.key.decode(errors="replace"), "headers": shown_headers(record),
        "form": content.form, "value": content.content, "problem": content.problem,
    }  # fmt: skip


def lines(record: Record, topic: str, topics: Topics) -> list[Line]:
    """For people: where it is, its headers, its content on one line."""
    content = decode(record.value, as_json=is_json(topic, topics))
    place = f"{topic}[{record.partition}]@{record.offset}"
    key = record.key.decode(errors="replace")
    shown: list[Line] = [Text.assemble((f"{time_of(record.time_ms)}  {place}", "cyan"), (f"  {key}" if key else "", "bold"))]
    if record.headers:
        shown.append(Text.assemble(("  headers  ", "dim"), "  ".join(f"{name}={value}" for name, value in shown_headers(record).items())))
    if content.form == "none":
        shown.append(Text("  no value", "dim"))
    elif content.form in ("event", "json"):
        value = without_empty(content.content) if content.form == "event" else content.content
        shown.append(Text("  " + json.dumps(value, ensure_ascii=False)))
    else:
        shown.append(Text(f"  {content.content}"))
    if content.problem:
        shown.append(Text(f"  {content.problem}", "yellow"))
    return shown


def without_empty(content: Any) -> Any:
    """An event without the fields that are not set: protobuf gives each its default."""
    if isinstance(content, dict):
        return {name: without_empty(value) for name, value in content.items() if value not in ("", 0, [], {}, None)}
    return [without_empty(each) for each in content] if isinstance(content, list) else content
