"""The command line of status, tail, dlq, late, doctor, completion. Exit codes as of all commands: 0 done, 1 a finding, 2 no connection."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Any

import shtab
from rich.text import Text

from jobs.settings import Settings, Topics
from scripts import access
from scripts.control.in_force import add_baseline, in_force_of
from scripts.control.output import CommandError, add_command
from scripts.control.reading import Record, read_places, read_record, scan
from scripts.control.sources import plural
from scripts.control.writing import who
from scripts.dashboard_app.flink import FlinkWatch
from scripts.dashboard_app.state import About
from scripts.operate import checks, dead_letters, facts, late, status, tail
from scripts.operate.replay import Plan, carry_out, read_ledger
from scripts.operate.show import Line, emit, labelled, time_of
from scripts.outputs.flink import FlinkRest, NoAnswer
from udfs.router import read_mask_key

_SHOWN = 20
_NEEDS = {
    "_status": access.status, "_tail": access.nothing, "_dlq_list": access.replayer, "_dlq_show": access.replayer,
    "_dlq_replay": access.replayer, "_late_replay": access.replayer, "_doctor": access.nothing,
}  # fmt: skip
"""What Kafka must grant, by command. `tail` reads whatever topic it is told, and doctor says itself what it lacks."""


def add_commands(groups: Any, parser: argparse.ArgumentParser) -> None:
    """Adds the commands to the groups of scripts/millrace; `parser` is that of the whole command line."""
    _add_status(groups)
    _add_tail(groups)
    _add_dlq(groups)
    _add_late(groups)
    _add_doctor(groups)
    completion = groups.add_parser("completion", help="print a script that completes commands and options with TAB", allow_abbrev=False)
    completion.description = 'Prints a script for the shell.\n\nExample: eval "$(./scripts/millrace completion bash)"'
    completion.formatter_class = argparse.RawDescriptionHelpFormatter
    completion.add_argument("shell", choices=("bash", "zsh"))
    completion.set_defaults(run=lambda options: _completion(options, parser))


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], what: str, more: str, *, flink: bool = False
) -> argparse.ArgumentParser:
    parser = add_command(commands, name, run, what, more, kafka=True)
    if flink:
        parser.add_argument("--flink", default="http://127.0.0.1:8081", metavar="URL", help="Flink's REST interface (default: %(default)s)")
        parser.add_argument("--job-id", metavar="ID", help="this job only (default: the newest one named millrace)")
    parser.set_defaults(needs=_NEEDS[run.__name__])
    return parser


def _completion(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    parser.prog = "millrace"  # shells look a program up by the last part of its path
    print(shtab.complete(parser, options.shell))
    return 0


# -- status, tail --------------------------------------------------------------------------------------------------------------


def _add_status(groups: Any) -> None:
    parser = _command(
        groups, "status", _status, "show how the job is now",
        "Job, throughput, lag, watermark, checkpoints, restarts, late events and dead letters of the last half hour, rules in force.\n"
        "Exit code 1 if something is not as it should be, 2 if Kafka or Flink does not answer.\n\n"
        "Example: scripts/millrace status\n         scripts/millrace status --json | jq .lag", flink=True,
    )  # fmt: skip
    parser.add_argument("--group-id", default=Settings.group_id, help="the job's --group-id, for its lag (default: %(default)s)")
    add_baseline(parser)
    parser.add_argument("--sample", type=float, default=3.0, metavar="SECONDS", help="how long to look (default: 3)")


def _status(options: argparse.Namespace) -> int:
    about = About(str(options.bootstrap), options.flink.rstrip("/"), options.topic_prefix)
    found = status.observe(about, options.bootstrap, options.group_id, FlinkWatch(FlinkRest(options.flink), options.job_id), options.sample)
    if found.kafka_answers:
        in_force = in_force_of(options)
        found = found.with_rules(status.rules_view(in_force))
    emit(options, found.as_json(), status.lines(found, time.time_ns() // 1_000_000))
    return found.exit_code


def _add_tail(groups: Any) -> None:
    parser = _command(
        groups, "tail", _tail, "show records of a topic, decoded",
        "Events (the input, destinations, late events, dead letters) are protobuf and shown by their fields, results are JSON; what is\n"
        "broken is shown as far as it can be read. Only committed records. With --json: one object for each line.\n"
        "Without --from and --follow: the last ten. Exit code 1 if there is none.\n\n"
        "Examples: scripts/millrace tail orders\n"
        "          scripts/millrace tail events --from 10m --session s-42\n"
        "          scripts/millrace tail fraud.alerts --follow --json | jq .value.score",
    )  # fmt: skip
    parser.add_argument("topic", metavar="TOPIC", help="without the prefix")
    parser.add_argument("--from", dest="begin", metavar="WHEN", help="beginning, now, so long ago (90s, 10m, 2h, 1d), or an ISO 8601 time")
    parser.add_argument("--count", type=int, metavar="N", help="so many: the last ones, or with --from or --follow the first ones")
    parser.add_argument("--follow", action="store_true", help="wait for more, until Ctrl-C (default for --from: now)")
    parser.add_argument("--session", metavar="ID", help="only of this session")


def _tail(options: argparse.Namespace) -> int:
    topics, topic = Topics(options.topic_prefix), options.topic_prefix + options.topic
    begin = options.begin or (tail.NOW if options.follow else None)
    since_ms = tail.since(begin, time.time_ns() // 1_000_000) if begin else None
    found = 0
    for record in tail.records(options.bootstrap, topic, since_ms, begins=begin is not None, count=options.count, follow=options.follow,
                               session=options.session):  # fmt: skip
        found += 1
        if options.json:
            print(json.dumps(tail.as_json(record, topic, topics), ensure_ascii=False), flush=True)
        else:
            emit(options, None, tail.lines(record, topic, topics))
    return 0 if found else 1


# -- dead letters ----------------------------------------------------------------------------------------------------------------


def _add_dlq(groups: Any) -> None:
    group = groups.add_parser("dlq", help="look at dead letters, and replay them", allow_abbrev=False)
    commands = group.add_subparsers(title="commands", required=True, metavar="COMMAND")
    parser = _command(
        commands, "list", _dlq_list, "count dead letters by reason",
        "With --reason: the last ones of it, each with its place, for `dlq show`.\n\n"
        "Example: scripts/millrace dlq list --from 1h\n         scripts/millrace dlq list --reason missing-field",
    )  # fmt: skip
    parser.add_argument("--reason", metavar="R", help="list those of this reason")
    parser.add_argument("--count", type=int, default=_SHOWN, metavar="N", help="with --reason: so many of the last (default: 20)")
    _add_from(parser)
    parser = _command(
        commands, "show", _dlq_show, "show one dead letter, as far as it can be read",
        "Also where it came from. Exit code 1 if there is no such record.\n\nExample: scripts/millrace dlq show 0 12",
    )  # fmt: skip
    parser.add_argument("partition", type=int, metavar="PARTITION", help="of the topic of dead letters")
    parser.add_argument("offset", type=int, metavar="OFFSET", help="there")
    parser = _command(
        commands, "replay", _dlq_replay, "write dead letters to `events` once more",
        "For records that the job would take now, after its schema or a limit has changed. Without --execute nothing is written.\n"
        "Each record is replayed once, in a transaction with a note in `events.replays`: a second run does nothing. Its header `replays`\n"
        "counts, and headers origin-… name where it first came from; one that came back --max-replays times is refused (exit code 1).\n"
        "Its timestamp stays, so an old event comes out late: see `late replay`.\n\n"
        "Example: scripts/millrace dlq replay --reason too-large\n         scripts/millrace dlq replay --reason too-large --execute",
    )  # fmt: skip
    parser.add_argument("--reason", action="append", required=True, metavar="R", help="only dead letters of this reason; may be repeated")
    parser.add_argument("--max-replays", type=int, default=3, metavar="N", help="refuse what was replayed so often (default: 3)")
    parser.add_argument("--unknown-origin", action="store_true", help="also what is no longer in events: how often is not known then")
    _add_from(parser)
    _add_executing(parser)


def _dlq_list(options: argparse.Namespace) -> int:
    topics = Topics(options.topic_prefix)
    found = list(scan(options.bootstrap, topics.dead_letters, _since(options)))
    if options.reason is None:
        reasons = dead_letters.by_reason(topics.dead_letters, found, read_ledger(options.bootstrap, topics))
        lines: list[Line] = [
            Text.assemble((f"{each.count:>9,}  ", "bold"), (each.reason, "yellow"), f"  last {time_of(each.last_ms)}: {each.last_detail}",
                          f"  ({each.replayed:,} replayed)" if each.replayed else "")
            for each in reasons
        ]  # fmt: skip
        emit(options, [asdict(each) for each in reasons], lines or ["no dead letters"])
        return 0
    of = [record for record in found if dead_letters.reason_of(record) == options.reason]
    last = sorted(of, key=lambda record: record.time_ms)[-options.count :]
    result = [tail.as_json(record, topics.dead_letters, topics) for record in last]
    emit(options, result, [
        Text.assemble((f"{record.partition} {record.offset}", "cyan"), f"  {time_of(record.time_ms)}  {record.header('detail') or ''}")
        for record in last
    ] or [f"no dead letter of reason {options.reason}"])  # fmt: skip
    return 0 if last else 1


def _dlq_show(options: argparse.Namespace) -> int:
    topics = Topics(options.topic_prefix)
    record = read_record(options.bootstrap, topics.dead_letters, options.partition, options.offset)
    shown = tail.as_json(record, topics.dead_letters, topics)
    value = tail.without_empty(shown["value"]) if shown["form"] == "event" else shown["value"]
    told = {
        "reason": dead_letters.reason_of(record),
        "detail": record.header("detail") or "",
        "time": time_of(record.time_ms),
        "origin": f"{record.header('topic')}[{record.header('partition')}]@{record.header('offset')}",
        "bytes": f"{len(record.value or b''):,}",
    }
    lines: list[Line] = [labelled(name, text, width=12) for name, text in told.items()]
    lines.append(json.dumps(value, indent=2, ensure_ascii=False) if shown["form"] == "event" else str(value))
    if shown["problem"]:
        lines.append(Text(shown["problem"], "yellow"))
    emit(options, shown, lines)
    return 0


def _dlq_replay(options: argparse.Namespace) -> int:
    topics = Topics(options.topic_prefix)
    found = scan(options.bootstrap, topics.dead_letters, _since(options))
    chosen = [record for record in found if dead_letters.reason_of(record) in options.reason]
    places = {place for record in chosen if (place := dead_letters.origin_of(record)) is not None}
    origins = read_places(options.bootstrap, topics.events, places) if places else {}

    def make_plan(done: Collection[str]) -> Plan:
        return dead_letters.plan(topics.dead_letters, topics.events, chosen, origins, done, most_replays=options.max_replays,
                                 unknown_origin=options.unknown_origin)  # fmt: skip

    return _replay(options, topics, make_plan, "dead letter")


# -- late events -----------------------------------------------------------------------------------------------------------------


def _add_late(groups: Any) -> None:
    group = groups.add_parser("late", help="bring late events where they were to go", allow_abbrev=False)
    commands = group.add_subparsers(title="commands", required=True, metavar="COMMAND")
    parser = _command(
        commands, "replay", _late_replay, "write late events to the ordered destinations that they missed",
        "Those that the header `missed` names, in the form that the rules in force give them, with the headers event-id, late-by-ms and\n"
        "replayed, and without session-seq: they stand behind younger events. Without --execute nothing is written. Each event is\n"
        "written once to each destination, in a transaction with a note in `events.replays`: a second run does nothing.\n"
        "Exit code 1 if something is refused.\n\n"
        "Example: scripts/millrace late replay --from 2h\n         scripts/millrace late replay --from 2h --to orders --execute",
    )  # fmt: skip
    parser.add_argument("--to", action="append", metavar="DESTINATION", help="only to this one; may be repeated (default: all)")
    parser.add_argument("--mask-key-file", default="", metavar="FILE", help="the job's, where a rule masks fields")
    add_baseline(parser)
    _add_from(parser)
    _add_executing(parser)


def _late_replay(options: argparse.Namespace) -> int:
    topics = Topics(options.topic_prefix)
    try:
        mask_key = read_mask_key(options.mask_key_file)
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    in_force = in_force_of(options)
    rules = [rule for rule, _ in in_force.values()]
    found: list[Record] = list(scan(options.bootstrap, topics.late, _since(options)))

    def make_plan(done: Collection[str]) -> Plan:
        return late.plan(topics, found, rules, done, mask_key=mask_key, only=options.to)

    return _replay(options, topics, make_plan, "late event")


# -- what both replays share -------------------------------------------------------------------------------------------------------


def _add_from(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="begin", default=tail.BEGINNING, metavar="WHEN",
                        help="records since: beginning, so long ago (90s, 10m, 2h, 1d), or a time (default: beginning)")  # fmt: skip


def _add_executing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--execute", action="store_true", help="write; without it, only say what would be written")
    parser.add_argument("--as", dest="who", default=who(), metavar="WHO", help="who replays, for the ledger (default: %(default)s)")


def _since(options: argparse.Namespace) -> int | None:
    return tail.since(options.begin, time.time_ns() // 1_000_000)


def _replay(options: argparse.Namespace, topics: Topics, make_plan: Callable[[Collection[str]], Plan], what: str) -> int:
    if options.execute:
        plan = carry_out(options.bootstrap, topics, options.who, make_plan)
    else:
        plan = make_plan(read_ledger(options.bootstrap, topics))
    by_topic: dict[str, int] = {}
    for item in plan.items:
        by_topic[item.topic] = by_topic.get(item.topic, 0) + 1
    verb = "replayed" if options.execute else "would be replayed (--execute does it)"
    style = "green" if options.execute else ""
    lines: list[Line] = [Text(f"{topic}: {plural(count, what)} {verb}", style) for topic, count in by_topic.items()]
    if not by_topic:
        lines.append("nothing to replay")
    if plan.already:
        lines.append(f"{plural(plan.already, what)} replayed before")
    lines += [Text.assemble(("refused: ", "yellow"), f"{each.record}: {each.why}") for each in plan.refused[:_SHOWN]]
    if len(plan.refused) > _SHOWN:
        lines.append(f"… and {len(plan.refused) - _SHOWN:,} more refused, all with --json")
    result = {"executed": options.execute, "replayed": by_topic, "before": plan.already, "refused": [asdict(each) for each in plan.refused]}
    emit(options, result, lines)
    return 1 if plan.refused else 0


# -- doctor ------------------------------------------------------------------------------------------------------------------------


def _add_doctor(groups: Any) -> None:
    parser = _command(
        groups, "doctor", _doctor, "check the machine, the brokers and Flink against what the job needs",
        "One line for each check: ok, warn or fail, with what to do. Give the settings that the job is started with.\n"
        "Exit code 1 if a check fails, 2 if Kafka or Flink does not answer.\n\n"
        "Example: scripts/millrace doctor --bootstrap kafka-1:9092 --flink http://jobmanager:8081", flink=True,
    )  # fmt: skip
    for name in ("transaction_timeout_ms", "max_event_bytes", "parallelism"):
        option, default = f"--{name.replace('_', '-')}", getattr(Settings, name)
        parser.add_argument(option, type=int, default=default, metavar="N", help=f"the job's (default: {default})")


def _doctor(options: argparse.Namespace) -> int:
    named = tuple(part for part in options.destinations.split(",") if part)
    try:
        settings = Settings(topic_prefix=options.topic_prefix, destinations=named, transaction_timeout_ms=options.transaction_timeout_ms,
                            max_event_bytes=options.max_event_bytes, parallelism=options.parallelism)  # fmt: skip
    except ValueError as error:
        raise CommandError(str(error)) from error
    first = str(options.bootstrap).split(",")[0]
    machine = facts.machine({"Kafka": first, "Flink web UI": options.flink, "dashboard": "127.0.0.1:8080"})
    found = list(checks.machine(machine, local=facts.is_local(first) and facts.is_local(options.flink)))
    unreachable = False
    try:
        brokers = facts.brokers(options.bootstrap)
        found += [*checks.brokers(brokers, settings), *checks.topics(brokers, settings, made_later=frozenset({settings.topics.replays}))]
    except CommandError as error:
        unreachable = True
        found.append(checks.Check("kafka", checks.FAIL, str(error), "is it started (scripts/up), and --bootstrap right?"))
    try:
        cluster = facts.flink(options.flink)
        job = FlinkWatch(FlinkRest(options.flink), options.job_id).ask(time.time_ns() // 1_000_000)
        found += checks.flink(cluster, settings, {"state": job.state} if job else None)
    except (CommandError, NoAnswer) as error:
        unreachable = True
        found.append(checks.Check("flink", checks.FAIL, str(error), "is it started (scripts/up), and --flink right?"))
    styles = {checks.OK: "green", checks.WARN: "yellow", checks.FAIL: "bold red"}
    lines: list[Line] = []
    for each in found:
        lines.append(Text.assemble((f"{each.level:<5}", styles[each.level]), (f"{each.area:<9}", "dim"), each.text))
        if each.advice:
            lines.append(Text.assemble(" " * 14, ("→ ", "dim"), each.advice))
    counts = {level: sum(each.level == level for each in found) for level in styles}
    lines.append(", ".join(f"{count} {level}" for level, count in counts.items()))
    emit(options, [asdict(each) for each in found], lines)
    if unreachable:
        return 2
    return 1 if counts[checks.FAIL] else 0
