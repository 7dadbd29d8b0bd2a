"""Commands that change nothing: lint, test, explain, dry-run, diff, schema."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from shop.v1.events_pb2 import Event

from jobs.baseline import RuleFile
from jobs.settings import Settings, Topics
from scripts import access
from scripts.control.cases import run_cases
from scripts.control.differences import differences
from scripts.control.dry_run import dry_run
from scripts.control.explain import explain
from scripts.control.in_force import add_baseline, in_force_of
from scripts.control.lint import lint
from scripts.control.output import CommandError, add_command, destinations, emit
from scripts.control.reading import read_last, read_record
from scripts.control.sources import RULES, event_type, made_on_demand, plural, read_event, read_rules, valid_rules, yaml_files
from udfs.rules.language import schema
from udfs.validation import InvalidEvent, decode

SCHEMA: Final = RULES / "rule.schema.json"
TESTS: Final = RULES / "tests"


def add_commands(commands: Any) -> None:
    """Adds the commands to an argparse subparsers object; each sets `run`, a function of the options that returns the exit code."""
    _add_lint(commands)
    _add_test(commands)
    _add_explain(commands)
    _add_dry_run(commands)
    _add_diff(commands)
    _add_schema(commands)


# -- lint ------------------------------------------------------------------------------------------------------------------------


def _add_lint(commands: Any) -> None:
    parser = add_command(
        commands, "lint", _lint, "check rules",
        "Prints a line file:line: field what is allowed for each fault, and warns of what is allowed but hardly meant.\n"
        "Exit code 1 if there is a fault.\n\nExample: scripts/millrace rules lint --strict rules/",
    )  # fmt: skip
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default: rules/)")
    parser.add_argument("--strict", action="store_true", help="exit code 1 for warnings too")


def _lint(options: argparse.Namespace) -> int:
    allowed = destinations(options)
    found = read_rules(options.paths, allowed)
    new = made_on_demand(found.rules.values(), allowed)
    findings = lint(found, datetime.now(UTC))
    lines = [str(each) for each in findings.faults] + [f"{each.file}:{each.line}: warning: {each.what}" for each in findings.warnings]
    lines += [f"{topic}: by a pattern of --destinations, the job makes the topic if it is missing" for topic in new]
    counts = f"{plural(len(findings.faults), 'fault')}, {plural(len(findings.warnings), 'warning')}"
    result = {
        "rules": list(found.rules),
        "faults": [vars(each) for each in findings.faults],
        "warnings": [vars(each) for each in findings.warnings],
        "topics_by_pattern": list(new),
    }
    emit(options, result, [*lines, f"{plural(len(found.rules), 'valid rule')}, {counts}"])
    return 1 if findings.faults or (options.strict and findings.warnings) else 0


# -- test ------------------------------------------------------------------------------------------------------------------------


def _add_test(commands: Any) -> None:
    parser = add_command(
        commands, "test", _test, "run the tests of rules",
        "A file of tests is a list of {name, event, expect: {matched, shadow, ordered, unordered}}; events are in the field names of\n"
        "proto/shop/v1/events.proto. `rules` names the rules that count (default: all), `before` holds events that come first.\n"
        "Exit code 1 if a test fails.\n\nExample: scripts/millrace rules test rules/tests/baseline.yaml",
    )  # fmt: skip
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders of tests (default: rules/tests/)")
    _add_rules(parser)


def _test(options: argparse.Namespace) -> int:
    rules = valid_rules(options.rules, destinations(options)).rules
    try:
        tested = run_cases(yaml_files(options.paths, TESTS), rules)
    except OSError as error:
        raise CommandError(str(error)) from error
    lines = [str(each) for each in tested.faults] + [line for each in tested.failures for line in each.lines()]
    bad = len(tested.failures) + len(tested.faults)
    result = {
        "passed": tested.passed,
        "failures": [vars(each) for each in tested.failures],
        "faults": [vars(each) for each in tested.faults],
    }
    emit(options, result, [*lines, f"{tested.passed} passed, {bad} failed"])
    return 0 if tested.good else 1


# -- explain ---------------------------------------------------------------------------------------------------------------------


def _add_explain(commands: Any) -> None:
    parser = add_command(
        commands, "explain", _explain, "say which rules match an event, and why", kafka=True,
        more="The event comes from a file, JSON in the field names of proto/shop/v1/events.proto or the bytes of a record (*.bin, *.pb),\n"
        "or from a topic.\n\nExample: scripts/millrace rules explain --event event.json\n"
        "Example: scripts/millrace rules explain --topic events --partition 0 --offset 42 --in-force",
    )  # fmt: skip
    parser.set_defaults(needs=access.rules_tester)
    parser.add_argument("--event", metavar="FILE", help="file of the event; -: standard input")
    parser.add_argument("--topic", help="topic of the event, with its prefix")
    parser.add_argument("--partition", type=int, help="its partition")
    parser.add_argument("--offset", type=int, help="its offset")
    _add_rules(parser)
    parser.add_argument("--in-force", action="store_true", help="explain the rules in force, and not those of --rules")
    add_baseline(parser)


def _explain(options: argparse.Namespace) -> int:
    from_topic = (options.topic, options.partition, options.offset)
    if (options.event is None) == (None in from_topic) or (options.event is not None and from_topic != (None, None, None)):
        raise CommandError("explain needs either --event, or all of --topic, --partition and --offset")
    if options.event is not None:
        event = read_event(options.event)
        value, record_time_ms = event.SerializeToString(), event.event_time_ms
    else:
        record = read_record(options.bootstrap, *from_topic)
        value, record_time_ms = record.value or b"", record.time_ms
    try:
        decode(value, record_time_ms, Settings.max_clock_gap_ms, Settings.max_event_bytes)
        invalid = None
    except InvalidEvent as error:
        invalid = str(error)
        if options.event is None:
            emit(options, {"dead_letter": invalid}, [f"a dead letter: {invalid}"])
            return 0
    _explain_event(options, Event.FromString(value), invalid)
    return 0


def _explain_event(options: argparse.Namespace, event: Event, invalid: str | None) -> None:
    """A file may hold part of an event, enough for the rules; what the job would say to it is said first."""
    rules = [rule for rule, _ in in_force_of(options).values()] if options.in_force else _rules(options).rules.values()
    explained, outcome = explain(rules, event)
    others = len(rules) - len(explained)
    result = {
        "event_id": event.event_id, "type": event_type(event), "dead_letter": invalid, "rules": [each.as_json() for each in explained],
        "ordered": outcome.ordered, "unordered": outcome.unordered,
    }  # fmt: skip
    lines = [f"event {event.event_id}, {event_type(event)}"]
    if invalid is not None:
        lines.append(f"the job would make it a dead letter: {invalid}")
    lines += [line for each in explained for line in each.lines()]
    lines += [f"{plural(others, 'rule')} for other types of events"] if others else []
    emit(options, result, [*lines, f"goes to: {outcome}"])


# -- dry-run ---------------------------------------------------------------------------------------------------------------------


def _add_dry_run(commands: Any) -> None:
    parser = add_command(
        commands, "dry-run", _dry_run, "try rules on the last events of a topic", kafka=True,
        more="Evaluates the rules in force, and these rules in place of those of the same ids, over the same events. Nothing is sent.\n\n"
        "Example: scripts/millrace rules dry-run candidate.yaml --last 50000",
    )  # fmt: skip
    parser.set_defaults(needs=access.rules_tester)
    parser.add_argument("candidate", type=Path, metavar="PATH", help="file or folder of the rules to try")
    parser.add_argument("--against", type=Path, metavar="PATH", help="compare with these rules, and not with those in force")
    parser.add_argument("--last", type=_positive, default=10_000, metavar="N", help="how many events (default: 10000)")
    parser.add_argument("--topic", help="topic of the events, with its prefix (default: the job's input)")
    add_baseline(parser)


def _dry_run(options: argparse.Namespace) -> int:
    candidate = valid_rules([options.candidate], destinations(options)).rules
    if options.against is not None:
        before = valid_rules([options.against], destinations(options)).rules
    else:
        before = {rule_id: rule for rule_id, (rule, _) in in_force_of(options).items()}
    stale = [
        f"note: {rule.id} has version {rule.version}, and {before[rule.id].version} is in force: push it with a higher one"
        for rule in candidate.values()
        if rule.id in before and rule.version <= before[rule.id].version and repr(rule) != repr(before[rule.id])
    ]
    topic = options.topic or Topics(prefix=options.topic_prefix).events
    effect = dry_run(read_last(options.bootstrap, topic, options.last), before, before | candidate)
    emit(options, effect.as_json() | {"notes": stale}, [*effect.lines(), *stale])
    return 0


# -- diff ------------------------------------------------------------------------------------------------------------------------


def _add_diff(commands: Any) -> None:
    parser = add_command(
        commands, "diff", _diff, "compare rules in files with those in force", kafka=True,
        more="In force is what the job started with (--baseline), overlaid by the topic of rules. Exit code 1 if they differ.\n\n"
        "Example: scripts/millrace rules diff rules/ --baseline /srv/millrace/rules",
    )  # fmt: skip
    parser.add_argument("path", nargs="?", type=Path, default=RULES, metavar="PATH", help="file or folder (default: rules/)")
    add_baseline(parser)


def _diff(options: argparse.Namespace) -> int:
    files = valid_rules([options.path], destinations(options))
    found = differences(in_force_of(options), {rule_id: (rule, files.texts[rule_id]) for rule_id, rule in files.rules.items()})
    lines = [line for each in found for line in each.lines()]
    emit(options, [each.as_json() for each in found], lines or [f"no difference: {plural(len(files.rules), 'rule')}"])
    return 1 if found else 0


# -- schema ----------------------------------------------------------------------------------------------------------------------


def _add_schema(commands: Any) -> None:
    parser = add_command(
        commands, "schema", _schema, "write rules/rule.schema.json, by which editors complete and check rules",
        "It is made from the models that check the rules, and has to be written again when they change.\n\n"
        "Example: scripts/millrace rules schema --check",
    )  # fmt: skip
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the file is not what would be written")


def _schema(options: argparse.Namespace) -> int:
    wanted = schema_text()
    is_fresh = SCHEMA.is_file() and SCHEMA.read_text(encoding="utf-8") == wanted
    if not (is_fresh or options.check):
        SCHEMA.write_text(wanted, encoding="utf-8")
    verdict = (
        "is as the rule language has it" if is_fresh else "is not fresh: scripts/millrace rules schema" if options.check else "written"
    )
    emit(options, {"file": str(SCHEMA), "fresh": is_fresh or not options.check}, [f"{SCHEMA.name} {verdict}"])
    return 1 if options.check and not is_fresh else 0


def schema_text() -> str:
    """What rules/rule.schema.json must hold."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


# -- what several commands share -------------------------------------------------------------------------------------------------


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rules", type=Path, nargs="+", default=[], metavar="PATH", help="the rules, files or folders (default: rules/)")


def _rules(options: argparse.Namespace) -> RuleFile:
    return valid_rules(options.rules, destinations(options))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"is {text}, must be at least 1")
    return number
