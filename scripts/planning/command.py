"""`scripts/millrace plan`: how large a cluster must be for so many events a second."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from scripts.control.output import CommandError, emit
from scripts.planning import model
from scripts.planning.costs import MEASURED, CostsError, load
from scripts.planning.model import Load, Plan

_INSIGHTS: Final = ("sales", "fraud", "recommendations")
_DEFAULT: Final = Load(1)


def add_commands(groups: Any) -> None:
    """Adds `plan` to the groups of scripts/millrace."""
    what = "say how large a cluster must be"
    parser = groups.add_parser("plan", help=what, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.description = (
        "Says how large a cluster must be.\n\n"
        "Cores, TaskManagers, partitions, brokers, network, state and checkpoints for a load, from costs that scripts/bench measured.\n"
        "Each number comes with its formula; docs/sizing.md says what the model can't know. Nothing is asked of Kafka or Flink.\n\n"
        "Examples: scripts/millrace plan --events-per-s 2e6\n"
        "          scripts/millrace plan --events-per-s 2e5 --insights none --state-backend hashmap --memory 10 --json | jq .plan.brokers"
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")

    def number(name: str, help_: str, default: float | None = None, metavar: str = "N") -> None:
        shown = "" if default is None else f" (default: {default:g})"
        parser.add_argument(name, type=float, default=default, metavar=metavar, help=help_ + shown)

    parser.add_argument("--events-per-s", type=float, required=True, metavar="N", help="at the busiest time of the day")
    number("--event-bytes", "mean size of an event (default: as measured)")
    names = f"of {', '.join(_INSIGHTS)} (default: all)"
    parser.add_argument("--insights", default="all", type=_insights, metavar="A,B|all|none", help=names)
    parser.add_argument("--state-backend", choices=("rocksdb", "hashmap"), default=_DEFAULT.state_backend, help="(default: %(default)s)")
    number("--sessions-per-s", "sessions that begin in a second (default: as many for each event as measured)")
    number("--order-share", "share of the events that are orders, 0 to 1 (default: as measured)")
    number("--memory", "the job's --memory-ms, in minutes", _DEFAULT.memory_s / 60, "MIN")
    number("--checkpoint", "time between checkpoints, in seconds", _DEFAULT.checkpoint_s, "S")
    number("--utilisation", "share of the capacity that the load may use, 0 to 1", _DEFAULT.utilisation)
    number("--outage", "an outage of so many minutes...", _DEFAULT.outage_s / 60, "MIN")
    number("--catch-up", "...must be caught up within so many", _DEFAULT.catch_up_s / 60, "MIN")
    number("--growth", "partitions for so many times the load", _DEFAULT.growth)
    parser.add_argument("--replication", type=int, default=_DEFAULT.replication, metavar="N", help="of the topics (default: %(default)s)")
    number("--retention", "how long topics are kept, in hours", _DEFAULT.retention_s / 3600, "H")
    number("--broker-cores", "cores of a broker", _DEFAULT.broker_cores)
    number("--broker-mb-per-s", "MB/s that a broker's disk and network take", _DEFAULT.broker_mb_per_s)
    parser.add_argument("--costs", type=Path, default=MEASURED, metavar="FILE", help="your machine's, by scripts/bench --only costs")


def _insights(text: str) -> frozenset[str]:
    names = frozenset(_INSIGHTS if text == "all" else () if text == "none" else text.split(","))
    if unknown := names - set(_INSIGHTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: there are {', '.join(_INSIGHTS)}")
    return names


def run(options: argparse.Namespace) -> int:
    """0: planned; 2: wrong usage, or costs that can't be read."""
    try:
        plan = model.make(
            Load(
                options.events_per_s, options.event_bytes, options.insights, options.state_backend, options.sessions_per_s,
                options.order_share, options.memory * 60, options.checkpoint, options.utilisation, options.outage * 60,
                options.catch_up * 60, options.replication, options.retention * 3600, options.growth, options.broker_cores,
                options.broker_mb_per_s,
            ),
            load(options.costs),
        )  # fmt: skip
    except CostsError as error:
        raise CommandError(str(error)) from error
    if options.json:
        emit(options, plan.as_json(), ())
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(_table(plan))
        print("\n".join(f"- {note}" for note in plan.notes))
    return 0


def _table(plan: Plan) -> Table:
    table = Table(title=f"For {plan.load.events_per_s:,.0f} events/s", title_justify="left")
    table.add_column("what")
    table.add_column("how much", justify="right", no_wrap=True)
    table.add_column("because")
    for figure in plan.figures:
        table.add_row(figure.name.replace("_", " "), f"{_shown(figure.value)} {figure.unit}".strip(), figure.formula)
    return table


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"
