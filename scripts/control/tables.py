"""Tables for people to read."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_OF_FILES: Final = 240


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> list[str]:
    """Lines of a table as wide as the terminal. `right`: the headings of columns of numbers."""
    form = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        form.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        form.add_row(*map(Text, row))  # as text: square brackets would be markup
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(form)
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]
