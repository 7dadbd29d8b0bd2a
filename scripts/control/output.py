"""What all commands share: how they print, fail, and find the destinations that rules may name."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from typing import Any

from jobs.settings import Settings, Topics
from scripts.access import add_kafka
from udfs.rules.destinations import Destinations


class CommandError(Exception):
    """Ends a command with one line on standard error."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def add_common(parser: argparse.ArgumentParser, *, kafka: bool = False) -> None:
    """Options that several commands have. With `kafka`: where the brokers are, and the prefix of the topics."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument(
        "--destinations", default=",".join(Settings.destinations), metavar="TOPICS",
        help="topics that rules may name, by commas, as the job's --destinations has them (default: %(default)s)",
    )  # fmt: skip
    if kafka:
        add_kafka(parser, "127.0.0.1:9092")
        parser.add_argument("--topic-prefix", default="", metavar="PREFIX", help="the job's --topic-prefix (default: none)")


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], what: str, more: str, *, kafka: bool = False
) -> argparse.ArgumentParser:
    """Adds a command `name` that calls `run`: `what` it does in a few words, `more` in its --help; with the options of `add_common`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what}.\n\n{more}", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common(parser, kafka=kafka)
    parser.set_defaults(run=run)
    return parser


def destinations(options: argparse.Namespace) -> Destinations:
    """The topics that rules may name."""
    return Topics(getattr(options, "topic_prefix", ""), tuple(part for part in options.destinations.split(",") if part)).allowed()


def emit(options: argparse.Namespace, result: Any, lines: Iterable[str]) -> None:
    """Prints `result` as JSON if asked to, else the lines."""
    if options.json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        for line in lines:
            print(line)
