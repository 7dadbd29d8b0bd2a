"""Commands that read or change the rules in force: push, list, history, rollback, pause, resume, promote, delete, export."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from scripts import access
from scripts.control import plans
from scripts.control.answers import report, wait_for_answers
from scripts.control.cases import run_cases
from scripts.control.in_force import add_baseline, in_force_of
from scripts.control.log import COUNTERS, Entry, State, following, read_audit, read_counters, read_state
from scripts.control.output import CommandError, add_command, destinations, emit
from scripts.control.reading import existing_topics
from scripts.control.sources import made_on_demand, plural, valid_rules
from scripts.control.tables import table
from scripts.control.writing import Author, carry_out, who
from udfs.rules.language import Rule, parse_rule


def add_commands(commands: Any) -> None:
    """Adds the commands to an argparse subparsers object; each sets `run`, a function of the options that returns the exit code."""
    _add_push(commands)
    _add_list(commands)
    _add_history(commands)
    _add_one(commands, "rollback", _rollback, "bring an earlier version back, as a new one",
             "Takes it from the history, or from the baseline.\n\nExample: scripts/millrace rules rollback card-testing --to 1",
             ).add_argument("--to", type=int, required=True, metavar="VERSION", help="the version to bring back")  # fmt: skip
    _add_one(
        commands,
        "pause",
        _pause,
        "take a rule out of use for a while",
        "It keeps its place and history, and is not evaluated.\n\nExample: scripts/millrace rules pause card-testing --reason 'too many'",
    )
    _add_one(
        commands,
        "resume",
        _resume,
        "end a pause",
        "The rule gets the mode back that it had before.\n\nExample: scripts/millrace rules resume card-testing",
    )
    _add_one(
        commands,
        "promote",
        _promote,
        "let a rule in shadow mode route",
        "Its mode becomes active; refused if it is not shadow.\n\nExample: scripts/millrace rules promote card-testing",
    )
    _add_one(commands, "delete", _delete, "delete a rule",
             "Its history stays, and rollback brings it back.\n\nExample: scripts/millrace rules delete card-testing")  # fmt: skip
    _add_export(commands)


# -- commands that change rules ------------------------------------------------------------------------------------------------


def _add_push(commands: Any) -> None:
    parser = _command(
        commands, "push", _push, "bring rules from files into force",
        "Checks them, runs the tests in the folder `tests` beside them, compares them with the rules in force, writes all that\n"
        "differ in one transaction, and waits until every subtask of the job has answered. What is in force already stays\n"
        "untouched, so the same push twice changes nothing. A version that is not higher than the one in force is refused.\n"
        "Exit code 1: refused, nothing is in force. 2: no answer from the job.\n\n"
        "Example: scripts/millrace rules push rules/ --reason 'limits for the holidays'",
    )  # fmt: skip
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders of rules")
    parser.add_argument("--bump", action="store_true", help="where a higher version is needed, take the next one by itself")
    parser.add_argument("--no-test", action="store_true", help="do not run the tests beside the rules")
    _add_writing(parser)


def _push(options: argparse.Namespace) -> int:
    topics = destinations(options)
    files = valid_rules(options.paths, topics)
    if not options.no_test:
        for folder in dict.fromkeys(path if path.is_dir() else path.parent for path in options.paths):
            _run_tests(folder, topics)
    return _carry_out(options, plans.push(files.rules, files.texts, topics, bump=options.bump))


def _run_tests(folder: Path, topics: Collection[str]) -> None:
    """The tests of a folder concern all of its rules; raises CommandError for one that fails."""
    tests = sorted((folder / "tests").glob("*.yaml"))
    if not tests:
        return
    tested = run_cases(tests, valid_rules([folder], topics).rules)
    if not tested.good:
        first = str(tested.faults[0]) if tested.faults else "; ".join(tested.failures[0].lines())
        bad = len(tested.faults) + len(tested.failures)
        raise CommandError(f"{plural(bad, 'test')} of the rules in {folder} failed, nothing was written: {first}", 1)


def _rollback(options: argparse.Namespace) -> int:
    return _carry_out(options, plans.rollback(options.id, options.to, destinations(options)))


def _pause(options: argparse.Namespace) -> int:
    return _carry_out(options, plans.pause(options.id, destinations(options)))


def _resume(options: argparse.Namespace) -> int:
    return _carry_out(options, plans.resume(options.id, destinations(options)))


def _promote(options: argparse.Namespace) -> int:
    return _carry_out(options, plans.promote(options.id, destinations(options)))


def _delete(options: argparse.Namespace) -> int:
    return _carry_out(options, plans.delete(options.id))


def _carry_out(options: argparse.Namespace, plan: plans.Plan) -> int:
    """Writes, waits, takes back what the job rejects, and says so."""
    author = Author(options.who, options.reason)
    allowed = destinations(options)
    existing = existing_topics(options.bootstrap) if allowed.has_patterns else frozenset()

    def read() -> State:
        return read_state(options.bootstrap, options.topic_prefix, options.baseline, allowed)

    with following(options.bootstrap, options.topic_prefix) as statuses:
        written = carry_out(options.bootstrap, options.topic_prefix, plan, author, read)
        answers = wait_for_answers(statuses, written.planned.changes, options.wait)
        withdrawn: tuple[plans.Change, ...] = ()
        if rejected := answers.rejected(written.planned.changes):
            undo = plans.withdraw(rejected, written.before, allowed)
            reason = Author(author.who, f"rejected by the job: {'; '.join(answers.reasons())}"[:1_000])
            withdrawn = carry_out(options.bootstrap, options.topic_prefix, undo, reason, read).planned.changes
            wait_for_answers(statuses, tuple(change for change in withdrawn if change.text is not None), options.wait)
    result, lines, code = report(written, answers, withdrawn, waited=options.wait > 0)
    named = [parse_rule(change.text, allowed) for change in written.planned.changes if change.text is not None]
    new = [topic for topic in made_on_demand(named, allowed) if options.topic_prefix + topic not in existing]
    lines = [*lines, *(f"{topic}: there was no such topic, the job makes it" for topic in new)]
    emit(options, result | {"new_topics": new}, lines)
    return code


# -- commands that read --------------------------------------------------------------------------------------------------------


def _add_list(commands: Any) -> None:
    parser = _command(
        commands, "list", _list, "show the rules in force, with their counters",
        "The counters are those of the version in force, summed over the subtasks; the job reports them every few seconds, and\n"
        "those that grow only. In force is what the job started with (--baseline), overlaid by the topic of rules.\n\n"
        "Example: scripts/millrace rules list",
    )  # fmt: skip
    add_baseline(parser)


def _list(options: argparse.Namespace) -> int:
    in_force = in_force_of(options)
    counters = read_counters(options.bootstrap, options.topic_prefix, in_force)
    rules = sorted((rule for rule, _ in in_force.values()), key=lambda rule: (-rule.priority, rule.id))
    result = [_listed(rule) | {"counters": counters.get(rule.id)} for rule in rules]
    rows = [[*map(_cell, _listed(rule).values()), *_counted(counters.get(rule.id))] for rule in rules]
    headings = (
        "id",
        "version",
        "mode",
        "enabled",
        "priority",
        "events",
        "destinations",
        "owner",
        "evaluated",
        "matched",
        "shadow",
        "errors",
    )
    emit(options, result, table(headings, rows, right=("version", "priority", "evaluated", "matched", "shadow", "errors")))
    return 0


def _listed(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id, "version": rule.version, "mode": rule.mode, "enabled": rule.enabled, "priority": rule.priority,
        "events": list(rule.when.events), "destinations": [each.topic for each in rule.to], "owner": rule.owner,
    }  # fmt: skip


def _counted(counters: dict[str, int] | None) -> list[str]:
    return [f"{counters[name]:,}" if counters else "-" for name in COUNTERS if name != "time_us"]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _add_history(commands: Any) -> None:
    parser = _command(
        commands, "history", _history, "show who changed which rule, when and why",
        "Exit code 1 if there is no change of the rule. With --json, each change has the whole rule.\n\n"
        "Example: scripts/millrace rules history card-testing",
    )  # fmt: skip
    parser.add_argument("id", nargs="?", metavar="ID", help="of this rule only")


def _history(options: argparse.Namespace) -> int:
    entries = [each for each in read_audit(options.bootstrap, options.topic_prefix) if options.id in (None, each.rule_id)]
    if options.id is not None and not entries:
        raise CommandError(f"nobody has changed a rule {options.id} yet", 1)
    headings = ("time", "who", "action", "rule", "version", "before", "reason")
    rows = [_entry_row(each) for each in entries]
    emit(options, [vars(each) for each in entries], table(headings, rows, right=("version", "before")))
    return 0


def _entry_row(entry: Entry) -> list[str]:
    time = datetime.fromtimestamp(entry.time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    before = str(entry.previous_version or "-")
    return [time, entry.who, entry.action, entry.rule_id, str(entry.version or "-"), before, " ".join(entry.reason.split())]


def _add_export(commands: Any) -> None:
    parser = _command(
        commands, "export", _export, "write the rules in force as YAML",
        "To standard output as one YAML stream, or to one file ID.yaml for each rule; other files of the folder stay.\n\n"
        "Example: scripts/millrace rules export /tmp/rules",
    )  # fmt: skip
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="made if it is missing (default: standard output)")
    add_baseline(parser)


def _export(options: argparse.Namespace) -> int:
    rules = {rule_id: _in_order(json.loads(text)) for rule_id, (_, text) in sorted(in_force_of(options).items())}
    documents = {rule_id: yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=120) for rule_id, raw in rules.items()}
    if options.folder is None:
        emit(options, list(rules.values()), ["---\n".join(documents.values()).removesuffix("\n")])
        return 0
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        for rule_id, document in documents.items():
            (options.folder / f"{rule_id}.yaml").write_text(document, encoding="utf-8")
    except OSError as error:
        raise CommandError(str(error)) from error
    others = sorted(path.name for path in options.folder.glob("*.yaml") if path.stem not in documents)
    if others:
        print(f"note: {options.folder} also has {', '.join(others)}, which are not of this export", file=sys.stderr)
    result = {"folder": str(options.folder), "rules": list(documents), "others": others}
    emit(options, result, [f"{plural(len(documents), 'rule')} in {options.folder}"])
    return 0


def _in_order(raw: dict[str, Any]) -> dict[str, Any]:
    """The keys of a rule as the reference has them, and not by the alphabet."""
    return {name: raw[name] for name in Rule.model_fields if name in raw}


# -- what several commands share -----------------------------------------------------------------------------------------------


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], what: str, more: str) -> argparse.ArgumentParser:
    return add_command(commands, name, run, what, more, kafka=True)


def _add_one(commands: Any, name: str, run: Callable[[argparse.Namespace], int], what: str, more: str) -> argparse.ArgumentParser:
    """A command that changes one rule."""
    parser = _command(commands, name, run, what, more)
    parser.add_argument("id", metavar="ID", help="id of the rule")
    _add_writing(parser)
    return parser


def _add_writing(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(needs=access.rules_author)
    add_baseline(parser)
    parser.add_argument(
        "--as", dest="who", default=who(), metavar="WHO", help="who makes the change, for the history (default: %(default)s)"
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the history")
    parser.add_argument(
        "--wait", type=_seconds, default=30.0, metavar="SECONDS", help="how long to wait for the job (default: 30); 0: do not wait"
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"is {text}, must be 0 to 86400")
    return seconds
