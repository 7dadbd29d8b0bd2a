"""The traffic generator's command line: `scripts/generate --bootstrap HOST:PORT --rate 2000 --ledger run.ledger`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from jobs.access import AccessError
from jobs.settings import Topics
from scripts import access
from scripts.shop.labels import LabelWriter
from scripts.shop.ledger import LedgerWriter
from scripts.shop.producer import Outcome, Plan, Traffic, connect
from scripts.shop.simulator import UNDISTURBED, Disturbances, Settings, Shop

TOPIC = "events"
_THINK_S = 1.5
_UNPACED_SESSIONS = 10_000


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    rate = float(text)
    if rate <= 0:
        raise argparse.ArgumentTypeError(f"must be 'max' or events per second above 0, not {text}")
    return rate


def _time_ms(text: str) -> int:
    """Milliseconds since the epoch, or an ISO time (UTC unless it says otherwise)."""
    if text.isdigit():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"neither milliseconds nor an ISO time: {text!r} ({error})") from error
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/generate", description="Simulates a busy web shop into a Kafka topic.")
    access.add_kafka(parser)
    parser.add_argument("--topic-prefix", default="", metavar="P", help=f"prepended to the topic {TOPIC!r}")
    parser.add_argument(
        "--rate", type=_rate, default=2000.0, metavar="N|max", help="events per second, or as fast as it goes (default 2000)"
    )
    parser.add_argument("--events", type=int, metavar="N", help="stop after so many events (copies not counted)")
    parser.add_argument("--for", type=float, dest="for_s", metavar="S", help="stop after so many seconds")
    parser.add_argument("--seed", type=int, help="the same seed and --start-time give the same bytes (default: a new one)")
    ledger = parser.add_mutually_exclusive_group(required=True)
    ledger.add_argument("--ledger", type=Path, metavar="PATH", help="write down every record that Kafka has confirmed")
    ledger.add_argument("--no-ledger", action="store_true", help="only to fill a topic")
    parser.add_argument("--sessions", type=int, metavar="N", help=f"visitors at a time (default: each acts every {_THINK_S} s)")
    parser.add_argument(
        "--fraud", type=float, default=0.0, metavar="SHARE",
        help="share of the visitors who are attackers, 0 to 1; which events were theirs is written beside the ledger (.labels.jsonl)",
    )  # fmt: skip
    parser.add_argument("--hot-session", type=float, default=0.0, metavar="SHARE", help="of the events that come from one session")
    parser.add_argument("--hot-category", type=float, default=0.0, metavar="SHARE", help="of what is looked at that is of one category")
    parser.add_argument("--compact", action="store_true", help="events of about 64 bytes, for comparison with other benchmarks")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--clock-offset-ms", type=int, default=0, metavar="MS", help="a producer whose clock is so wrong (default 0)")
    clock = parser.add_argument_group("simulated clock", "event time starts at --start-time instead of following the wall clock")
    clock.add_argument("--start-time", type=_time_ms, metavar="T", help="milliseconds since the epoch or an ISO time")
    speed = clock.add_mutually_exclusive_group()
    speed.add_argument(
        "--events-per-second-of-event-time",
        "--event-rate",
        type=float,
        dest="event_rate",
        metavar="N",
        help="how dense (default: --rate, or 2000)",
    )
    speed.add_argument("--speed", type=float, metavar="X", help="seconds of event time per second of --rate")
    faults = parser.add_argument_group("disturbances", "shares of the events, 0 to 1")
    default = Disturbances()
    faults.add_argument("--disorder", type=float, default=default.disorder, help="sent up to --disorder-ms late (default %(default)s)")
    faults.add_argument("--disorder-ms", type=int, default=default.disorder_max_ms, help="(default %(default)s)")
    faults.add_argument("--late", type=float, default=default.late, help="held back for --late-ms (default %(default)s)")
    faults.add_argument("--late-ms", type=int, nargs=2, default=(default.late_min_ms, default.late_max_ms), metavar=("MIN", "MAX"))
    faults.add_argument("--duplicates", type=float, default=default.duplicates, help="sent twice (default %(default)s)")
    faults.add_argument("--malformed", type=float, default=default.malformed, help="broken (default %(default)s)")
    faults.add_argument("--unknown", type=float, default=default.unknown, help="with a payload of a newer proto (default %(default)s)")
    faults.add_argument("--too-large", type=float, default=default.too_large, help="over a megabyte each (default %(default)s)")
    faults.add_argument("--clean", action="store_true", help="no disturbance at all")
    return parser


def _settings(args: argparse.Namespace, event_rate: float | None) -> Settings:
    if args.clean:
        disturbances = UNDISTURBED
    else:
        disturbances = Disturbances(
            disorder=args.disorder,
            disorder_max_ms=args.disorder_ms,
            late=args.late,
            late_min_ms=args.late_ms[0],
            late_max_ms=args.late_ms[1],
            duplicates=args.duplicates,
            malformed=args.malformed,
            unknown=args.unknown,
            too_large=args.too_large,
        )
    density = event_rate or args.rate
    sessions = args.sessions or (max(20, round(density * _THINK_S)) if density else _UNPACED_SESSIONS)
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4))
    start_ms = args.start_time if args.start_time is not None else time.time_ns() // 1_000_000
    return Settings(
        seed, start_ms, sessions, args.compact, args.fraud, args.hot_session, args.hot_category, disturbances
    )  # fmt: skip


def _event_rate(args: argparse.Namespace, parser: argparse.ArgumentParser) -> float | None:
    """Events per second of event time; None: event time is the wall clock."""
    if args.start_time is not None and args.clock_offset_ms:
        parser.error("--clock-offset-ms is of the wall clock, and --start-time of a simulated one")
    if args.start_time is None:
        if args.event_rate or args.speed:
            parser.error("--events-per-second-of-event-time and --speed need --start-time")
        return None
    if args.speed:
        if args.rate is None:
            parser.error("--speed needs a --rate that is not max")
        return float(args.rate / args.speed)
    return float(args.event_rate or args.rate or 2000.0)


def summary(outcome: Outcome, shop: Shop, settings: Settings, plan: Plan) -> dict[str, Any]:
    counts = shop.counts
    return {
        "topic": plan.topic,
        "sent": outcome.sent,
        "acked": outcome.acked,
        "failed": outcome.failed,
        "seconds": round(outcome.seconds, 3),
        "records_per_s": round(outcome.sent / outcome.seconds) if outcome.seconds else 0,
        "seed": settings.seed,
        "first_event_ms": outcome.first_event_ms,
        "last_event_ms": outcome.last_event_ms,
        "by_kind": counts.by_kind(),
        "malformed": {fault.name.lower(): count for fault, count in sorted(counts.faults.items())},
        "copies": counts.copies,
        "disordered": counts.disordered,
        "held_back": counts.held_back,
    }


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, Settings, float | None]:
    """The options, the shop that they describe, and its events per second of event time; exits with status 2 if they make none."""
    parser = _parser()
    args = parser.parse_args(argv)
    event_rate = _event_rate(args, parser)
    try:
        return args, _settings(args, event_rate), event_rate
    except ValueError as error:
        parser.error(str(error))


def run(argv: Sequence[str]) -> int:
    """0: everything was confirmed; 1: Kafka did not confirm some of it; 2: it could not start."""
    args, settings, event_rate = parse(argv)
    plan = Plan(args.topic_prefix + TOPIC, args.rate, args.events, args.for_s, settings.start_ms, event_rate, args.clock_offset_ms)
    stop = False

    def on_signal(number: int, frame: object) -> None:
        nonlocal stop
        stop = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        producer = connect(access.brokers(args, access.generator(Topics(args.topic_prefix))), plan.topic)
    except AccessError as error:
        print(f"generate: {error}", file=sys.stderr)
        return 2
    except KafkaException as error:
        print(f"generate: topic {plan.topic!r} at {args.bootstrap}: {error}", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        ledger = labels = None
        if args.ledger:
            meta = {"topic": plan.topic, "plan": asdict(plan), "settings": asdict(settings)}
            ledger = stack.enter_context(LedgerWriter(args.ledger, meta))
            if args.fraud:
                labels = stack.enter_context(LabelWriter(args.ledger))
        shop = Shop(settings)
        outcome = Traffic(producer, plan, shop, ledger, lambda: stop, labels).run()
    result = summary(outcome, shop, settings, plan)
    if args.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['topic']}: {outcome.acked:,} of {outcome.sent:,} records confirmed in {outcome.seconds:.1f} s "
            f"({result['records_per_s']:,}/s), {shop.counts.copies:,} of them copies, {shop.counts.held_back:,} held back, "
            f"{sum(shop.counts.faults.values()):,} malformed; seed {settings.seed}"
        )
    return 0 if outcome.acked == outcome.sent else 1


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
