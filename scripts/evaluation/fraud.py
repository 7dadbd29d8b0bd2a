"""`scripts/evaluate fraud`: how much of the simulated fraud is found, and how much of what is found is fraud.

By attack: found if any alert is about one of its events. By alert: right if its event is part of an attack. By order: an order is
flagged if an alert is about it, or counts it as a part of a series (velocity, accounts); right if it is part of an attack. What was
flagged only after the last event of an attack counts as found: an order can be stopped before it is shipped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from jobs.baseline import load
from jobs.settings import Settings
from scripts.control.tables import table
from scripts.evaluation.detection import Detection
from scripts.shop import simulator
from scripts.shop.fraudsters import PATTERNS, Label
from scripts.shop.simulator import Record, Shop
from scripts.stack.paths import ROOT
from udfs.rules.language import parse_rule

_START_MS = 1_790_000_000_000
_VISITORS_PER_RATE = 1.5  # as the generator has it
_BATCH = 10_000
_SERIES = ("velocity", "accounts")


@dataclass
class Tally:
    """Counters of one or more runs; `by` pattern, `rule`: of the first reason of an alert."""

    events: int = 0
    orders: int = 0
    attacks: Counter[str] = field(default_factory=Counter)
    attacks_found: Counter[str] = field(default_factory=Counter)
    fraud_orders: Counter[str] = field(default_factory=Counter)
    fraud_orders_found: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    alerts_right: Counter[str] = field(default_factory=Counter)
    flagged_orders: int = 0
    flagged_orders_right: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def as_json(self) -> dict[str, Any]:
        found = {
            "events": self.events, "orders": self.orders,
            "attacks": {"recall": _ratio(self.attacks_found.total(), self.attacks.total()), "count": self.attacks.total()},
            "alerts": {"precision": _ratio(self.alerts_right.total(), self.alerts.total()), "count": self.alerts.total()},
            "orders_flagged": {
                "precision": _ratio(self.flagged_orders_right, self.flagged_orders),
                "recall": _ratio(self.fraud_orders_found.total(), self.fraud_orders.total()),
                "count": self.flagged_orders,
            },
        }  # fmt: skip
        found["patterns"] = {
            pattern: {
                "attacks": self.attacks[pattern], "attack_recall": _ratio(self.attacks_found[pattern], self.attacks[pattern]),
                "orders": self.fraud_orders[pattern], "order_recall": _ratio(self.fraud_orders_found[pattern], self.fraud_orders[pattern]),
            }
            for pattern in PATTERNS
        }  # fmt: skip
        found["rules"] = {
            rule: {"alerts": count, "precision": _ratio(self.alerts_right[rule], count)} for rule, count in sorted(self.alerts.items())
        }
        return found

    def lines(self) -> Iterator[str]:
        yield f"{self.events:,} events, {self.orders:,} orders, {self.fraud_orders.total():,} of them fraud"
        yield ""
        rows = [
            [pattern, f"{self.attacks[pattern]:,}", _percent(self.attacks_found[pattern], self.attacks[pattern]),
             f"{self.fraud_orders[pattern]:,}", _percent(self.fraud_orders_found[pattern], self.fraud_orders[pattern])]
            for pattern in PATTERNS
        ]  # fmt: skip
        rows.append(
            ["all", f"{self.attacks.total():,}", _percent(self.attacks_found.total(), self.attacks.total()),
             f"{self.fraud_orders.total():,}", _percent(self.fraud_orders_found.total(), self.fraud_orders.total())]
        )  # fmt: skip
        heads = ("pattern", "attacks", "found", "orders", "flagged")
        yield from table(heads, rows, right=heads[1:])
        yield ""
        rows = [[rule, f"{count:,}", _percent(self.alerts_right[rule], count)] for rule, count in sorted(self.alerts.items())]
        rows.append(["all", f"{self.alerts.total():,}", _percent(self.alerts_right.total(), self.alerts.total())])
        yield from table(("alerts by rule", "alerts", "right"), rows, right=("alerts", "right"))
        yield ""
        yield f"of {self.flagged_orders:,} orders flagged, {_percent(self.flagged_orders_right, self.flagged_orders)} were fraud"


def measure(seed: int, rules: Path, hours: float, rate: float, share: float, min_score: float) -> Tally:
    """One run of the simulated shop."""
    settings = Settings(fraud_min_score=min_score)
    texts = load(rules, settings.destinations)
    detection = Detection([parse_rule(text, settings.destinations) for text in texts.values()], settings)
    sessions = max(20, round(rate * _VISITORS_PER_RATE))
    shop = Shop(simulator.Settings(seed=seed, start_ms=_START_MS, sessions=sessions, fraud=share))
    events = int(hours * 3_600 * rate)
    alerts = list(detection.alerts(_records(shop, events, 1_000 / rate)))
    return tally(shop.labels, alerts, shop.counts.records, detection.orders)


def _records(shop: Shop, events: int, step_ms: float) -> Iterator[Record]:
    for begin in range(0, events, _BATCH):
        yield from shop.records(_START_MS + int(number * step_ms) for number in range(begin, min(begin + _BATCH, events)))
    yield from shop.drain()


def tally(labels: Iterable[Label], alerts: Iterable[dict[str, Any]], events: int, orders: Mapping[str, str]) -> Tally:
    """Compares alerts with labels. `orders`: event id -> order id of all orders."""
    by_event = {label.event_id: label for label in labels}
    found = Tally(events, len(orders))
    fraud_orders = {label.order_id: label for label in by_event.values() if label.kind == "order_placed"}
    found.attacks.update(pattern for _, pattern in {(label.attack, label.pattern) for label in by_event.values()})
    found.fraud_orders.update(label.pattern for label in fraud_orders.values())
    caught: set[tuple[int, str]] = set()
    flagged: set[str] = set()
    for alert in alerts:
        rule = alert["reasons"][0]["rule_id"]
        label = by_event.get(alert["event_id"])
        found.alerts[rule] += 1
        if label is not None:
            found.alerts_right[rule] += 1
            caught.add((label.attack, label.pattern))
        flagged |= {alert["order_id"]} - {""}
        for reason in alert["reasons"]:
            if reason["signal"] in _SERIES:
                flagged.update(orders[event_id] for event_id in reason["evidence"] if event_id in orders)
    found.attacks_found.update(pattern for _, pattern in caught)
    found.fraud_orders_found.update(label.pattern for order_id, label in fraud_orders.items() if order_id in flagged)
    found.flagged_orders = len(flagged)
    found.flagged_orders_right = len(flagged & fraud_orders.keys())
    return found


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def add_command(commands: Any) -> None:
    """Adds the command to an argparse subparsers object."""
    parser = commands.add_parser("fraud", help="precision and recall of fraud alerts", description=__doc__)
    parser.add_argument("--seeds", type=_seeds, default=[101, 102, 103], metavar="N,N", help="one run each (default: 101,102,103)")
    parser.add_argument("--rules", type=Path, default=ROOT / "rules", help="folder of rules (default: rules/)")
    parser.add_argument("--hours", type=float, default=4.0, help="of event time (default: 4)")
    parser.add_argument("--rate", type=float, default=100.0, help="events per second of event time (default: 100)")
    parser.add_argument("--fraud", type=float, default=0.002, metavar="SHARE", help="share of attackers (default: 0.002)")
    parser.add_argument("--min-score", type=float, default=Settings.fraud_min_score, help="of an alert, as --fraud-min-score of the job")
    parser.add_argument("--each", action="store_true", help="show each seed as well")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run)


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _run(options: argparse.Namespace) -> int:
    one = partial(
        measure, rules=options.rules, hours=options.hours, rate=options.rate, share=options.fraud, min_score=options.min_score
    )  # fmt: skip
    with ProcessPoolExecutor(2) as pool:
        tallies = dict(zip(options.seeds, pool.map(one, options.seeds), strict=True))
    total = sum(tallies.values(), Tally())
    if options.json:
        print(json.dumps({"all": total.as_json(), "seeds": {seed: each.as_json() for seed, each in tallies.items()}}))
        return 0
    for seed, each in tallies.items() if options.each else ():
        print(f"seed {seed}\n", *each.lines(), "", sep="\n")
    print(f"seeds {', '.join(map(str, tallies))}\n", *total.lines(), sep="\n", file=sys.stdout)
    return 0
