"""The checker's command line: `scripts/verify --bootstrap HOST:PORT --rules rules --ledger run.ledger --wait 60`.

What came in is taken from the ledgers if all of them are complete, else from the input topic itself, of which the ledgers must
then be a part. Exit code: 0 all is well, 1 there are differences, 2 it could not be checked.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from confluent_kafka import Message
from rich.console import Console

from jobs.access import AccessError
from jobs.settings import Topics
from scripts import access
from scripts.checker.alerts import alert_findings
from scripts.checker.compare import compare
from scripts.checker.model import (
    DEAD_LETTERS,
    EVENTS,
    FRAUD_ALERTS,
    LATE,
    RECOMMENDATIONS,
    SALES,
    SALES_INSIGHTS,
    SALES_PARTS,
    USUAL_DESTINATIONS,
    Expectation,
    Output,
    Outputs,
    Problem,
    Report,
    Terms,
)
from scripts.checker.oracle import check_ledger, expect, with_faults
from scripts.checker.reader import TopicReader, UnreadableError
from scripts.checker.report import print_report
from scripts.checker.rules import Rule, RuleError, load_rules
from scripts.checker.validity import Limits
from scripts.shop.ledger import Entry, Ledger, LedgerError, read_ledger

_LENGTHS = ("totals_ms", "session_gap_ms", "session_step_ms", "payment_within_ms",
            "recommendation_window_ms", "recommendation_half_life_ms", "trending_half_life_ms")  # fmt: skip
_POLL_S = 0.5
_FOR_EVER_MS = 1 << 62
ROOT = Path(__file__).resolve().parents[2]


def _parser() -> argparse.ArgumentParser:
    default, limits = Terms(), Limits()
    parser = argparse.ArgumentParser(prog="scripts/verify", description="Compares all that the job wrote with what came in.")
    access.add_kafka(parser)
    parser.add_argument("--topic-prefix", default="", metavar="P", help="prepended to every topic")
    parser.add_argument("--rules", type=Path, default=ROOT / "rules", metavar="DIR", help="the rules in force (default: rules/)")
    parser.add_argument("--ledger", type=Path, action="append", default=[], metavar="PATH", help="of a generator; may be given again")
    parser.add_argument("--from-topic", action="store_true", help="take the input topic for what came in, also where a ledger is complete")
    parser.add_argument("--wait", type=float, default=0, metavar="S", help="keep reading for so long until all is there")
    parser.add_argument(
        "--settle", type=float, default=2, metavar="S", help="when all is there, look again after so long (with --wait; default 2)"
    )
    parser.add_argument(
        "--windows-closed", metavar="MS|all", help="windows and sessions ended by then must be out (default: by the end of the newest one)"
    )
    parser.add_argument("--guarantee", choices=("exactly-once", "at-least-once"), default="exactly-once")
    parser.add_argument("--lateness-ms", type=int, default=default.lateness_ms)
    parser.add_argument("--window-ms", type=int, default=default.window_ms)
    parser.add_argument("--slide-ms", type=int, default=default.slide_ms)
    parser.add_argument("--sales", action=argparse.BooleanOptionalAction, default=True, help="the job has the sales insights")
    for option, topic in SALES_PARTS.items():
        parser.add_argument(
            option, dest="switched_off", action="append_const", const=topic, default=[], help=f"the job does not write {topic}"
        )
    parser.add_argument(
        "--recommendations", action=argparse.BooleanOptionalAction, default=False, help="check recommendations and trends as well"
    )
    for name in _LENGTHS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(default, name))
    parser.add_argument("--max-clock-gap-ms", type=int, default=limits.max_clock_gap_ms)
    parser.add_argument("--max-event-bytes", type=int, default=limits.max_bytes)
    parser.add_argument(
        "--strict-late", action="store_true", help="no partition was ever idle: only what its own partition overtook may be late"
    )
    parser.add_argument("--examples", type=int, default=default.examples, metavar="N", help="of each kind of problem (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    return parser


@dataclass
class Check:
    """One verification: reads what is new, and compares again with all that was read so far."""

    rules: list[Rule]
    terms: Terms
    ledgers: list[Ledger]
    reader: TopicReader
    limits: Limits
    from_topic: bool
    until_ms: int | None
    inputs: list[Entry] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    expectation: Expectation | None = None
    report: Report | None = None

    def again(self) -> Report:
        """The newest report; compares only if something new was read."""
        came_in, came_out = self._read()
        if self.expectation is None or came_in:
            ledger = self._ledger_entries()
            entries = with_faults(self.inputs, ledger) if self.from_topic else ledger
            self.expectation = expect(entries, self.rules, self.limits)
            self.report = None
        if self.report is None or came_out:
            terms = replace(self.terms, now_ms=time.time_ns() // 1_000_000, until_ms=self.until_ms)
            report = compare(self.expectation, Outputs.of(self.outputs), terms)
            alerts = Outputs.of(self.outputs).of_topic(FRAUD_ALERTS)
            report.findings.extend(alert_findings(alerts, self.expectation.events))
            if self.from_topic:
                report.findings.extend(check_ledger(self._ledger_entries(), self.inputs))
            self.report = report
        return self.report

    def _ledger_entries(self) -> list[Entry]:
        return [entry for ledger in self.ledgers for entry in ledger.entries]

    def _read(self) -> tuple[bool, bool]:
        inputs, outputs = len(self.inputs), len(self.outputs)
        prefix = self.terms.topic_prefix
        for message in self.reader.read():
            topic = (message.topic() or "").removeprefix(prefix)
            if topic == EVENTS:
                self.inputs.append(_entry(message))
            else:
                self.outputs.append(_output(message, topic))
        return len(self.inputs) > inputs, len(self.outputs) > outputs


def _entry(message: Message) -> Entry:
    return Entry(message.partition() or 0, message.offset() or 0, message.timestamp()[1], message.key(), message.value())


def _output(message: Message, topic: str) -> Output:
    headers = cast(tuple[tuple[str, bytes | None], ...], tuple(message.headers() or ()))
    return Output(topic, message.partition() or 0, message.offset() or 0, message.timestamp()[1], message.key(), message.value(), headers)


def watch(again: Callable[[], Report], wait_s: float, settle_s: float) -> Report:
    """Repeats until all is well and still so after `settle_s`, or `wait_s` is over."""
    deadline_s = time.monotonic() + wait_s
    report = again()
    well_since_s = time.monotonic()
    while time.monotonic() < deadline_s and not (report.ok and time.monotonic() - well_since_s >= settle_s):
        time.sleep(_POLL_S)
        was_ok, report = report.ok, again()
        if not (was_ok and report.ok):
            well_since_s = time.monotonic()
    return report


def run(argv: Sequence[str]) -> int:
    parser = _parser()
    args = parser.parse_args(argv)
    if args.windows_closed not in (None, "all") and not args.windows_closed.isdigit():
        parser.error(f"--windows-closed: neither milliseconds nor 'all': {args.windows_closed!r}")
    try:
        report = _verify(args)
    except (LedgerError, RuleError, UnreadableError, AccessError, OSError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(report.to_json()))
    else:
        print_report(report, Console(width=None if sys.stdout.isatty() else 200))
    return 0 if report.ok else 2 if report.findings.kinds() == {Problem.ORACLE_DOUBT} else 1


def _verify(args: argparse.Namespace) -> Report:
    began_s = time.monotonic()
    rules = load_rules(args.rules)
    ledgers = [read_ledger(path) for path in args.ledger]
    from_topic = args.from_topic or not ledgers or not all(ledger.complete for ledger in ledgers)
    named = {topic for rule in rules for topic in rule.topics}
    needed = {LATE, DEAD_LETTERS, *named} | ({EVENTS} if from_topic else set())
    needed |= {SALES, *SALES_INSIGHTS} - {*args.switched_off} if args.sales else set()
    needed |= set(RECOMMENDATIONS) if args.recommendations else set()
    needs = replace(access.checker(Topics()), read=tuple(args.topic_prefix + topic for topic in sorted(needed)))
    reader = TopicReader(access.brokers(args, needs), {args.topic_prefix + topic for topic in needed | {FRAUD_ALERTS, *USUAL_DESTINATIONS}})
    if lacking := set(reader.missing) & {args.topic_prefix + topic for topic in needed}:
        raise UnreadableError(f"no such topics at {args.bootstrap}: {sorted(lacking)}")
    terms = Terms(
        lateness_ms=args.lateness_ms,
        window_ms=args.window_ms,
        slide_ms=args.slide_ms,
        sales=args.sales,
        switched_off=frozenset(args.switched_off),
        recommendations=args.recommendations,
        **{name: getattr(args, name) for name in _LENGTHS},
        exactly_once=args.guarantee == "exactly-once",
        strict_late=args.strict_late,
        topic_prefix=args.topic_prefix,
        examples=args.examples,
    )
    limits = Limits(args.max_clock_gap_ms, args.max_event_bytes)
    until_ms = None if args.windows_closed is None else _FOR_EVER_MS if args.windows_closed == "all" else int(args.windows_closed)
    check = Check(rules, terms, ledgers, reader, limits, from_topic, until_ms)
    try:
        report = watch(check.again, args.wait, args.settle)
    finally:
        reader.close()
    source = "the input topic" if from_topic else f"{len(ledgers)} ledger(s)"
    notes = [f"compared {len(check.outputs):,} outputs with {source} in {time.monotonic() - began_s:.1f} s"]
    if from_topic and ledgers and not all(ledger.complete for ledger in ledgers):
        notes.append("a ledger is incomplete (its generator was killed, or is still running): taken for a part of the input topic")
    return replace(report, notes=tuple(notes))


def main() -> None:
    # Millions of small objects that live until the end and hold no cycles: looking for cycles took a quarter of the time.
    gc.disable()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
