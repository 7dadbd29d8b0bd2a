"""How the operating commands print: tables and colours in a terminal, plain text into a pipe, JSON for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

Line = str | Text


def emit(options: argparse.Namespace, result: Any, lines: Iterable[Line]) -> None:
    """Prints `result` as JSON if asked to, else the lines; Console leaves colours out where nobody can see them."""
    if options.json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line if isinstance(line, Text) else Text(line))


def labelled(label: str, value: str, style: str = "", width: int = 15) -> Text:
    """A line of a label and a value."""
    return Text.assemble((f"{label:<{width}}", "dim"), (value, style))


def time_of(time_ms: int | None) -> str:
    """A time in UTC, to the second."""
    return "-" if time_ms is None else datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def length(ms: float | None) -> str:
    """A length of time in its two largest units."""
    if ms is None:
        return "-"
    if ms < 10_000:
        return f"{ms:,.0f} ms"
    seconds = int(ms / 1000)
    for unit, of, part in (("d", 86_400, "h"), ("h", 3_600, "min"), ("min", 60, "s")):
        if seconds >= of:
            smaller = {"h": 3_600, "min": 60, "s": 1}[part]
            return f"{seconds // of} {unit} {seconds % of // smaller} {part}"
    return f"{seconds} s"
