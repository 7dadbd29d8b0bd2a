"""What each candidate is asked to do, the same for all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.settings import Topics

PREFIX: Final = "peers."
DESTINATIONS: Final = Topics.destinations
WINDOW_MS: Final = 300_000
SLIDE_MS: Final = 10_000
RULES: Final = Path(__file__).with_name("rules")


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        routes: events go to the destinations that rules/ names.
        ordered: all but fraud-detection in the order of each session, by event time.
        sales: sums by category and currency in sliding windows of 5 minutes by 10 seconds.
        distinct: the first copy of each event only. The input has no copies: it is work all the same.
        rules: folder of millrace's rules for it.
        switches: what millrace does by default, and the task does not ask for.
    """

    name: str
    routes: bool
    ordered: bool
    sales: bool
    rules: Path
    switches: tuple[str, ...]
    distinct: bool = False


_BARE: Final = ("--no-fraud", "--no-recommendations")
_ONE_WINDOW: Final = ("--no-totals", "--no-top-products", "--no-funnel", "--no-closed-sessions")
_ALL: Final = (
    Task("route", True, False, False, RULES / "route", (*_BARE, "--no-sales", "--no-order", "--no-deduplication")),
    Task("route+order", True, True, False, Path("rules"), (*_BARE, "--no-sales", "--no-deduplication")),
    Task("sales", False, False, True, RULES / "none", (*_BARE, *_ONE_WINDOW, "--no-order", "--no-deduplication")),
    Task("all", True, True, True, Path("rules"), (*_BARE, *_ONE_WINDOW), distinct=True),
)
TASKS: Final = {task.name: task for task in _ALL}
