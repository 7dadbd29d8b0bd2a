"""docs/security.md: its table of ACLs is what the programs ask for, and the tests it names are there."""

from __future__ import annotations

import re

from jobs.access import Needs, of_job
from jobs.settings import Settings, Topics
from scripts import access
from scripts.stack.paths import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NEEDS = {
    "the job": of_job(Settings()),
    "`scripts/generate`": access.generator(Topics()),
    "`scripts/verify`": access.checker(Topics()),
    "`rules list, history, diff, export`": access.rules_reader(Topics()),
    "`rules push, rollback, pause, resume, promote, delete`": access.rules_author(Topics()),
    "`rules explain, dry-run`": access.rules_tester(Topics()),
    "`scripts/dashboard`": access.dashboard(Topics()),
    "`scripts/warehouse`": access.warehouse(Topics()),
}
HEADINGS = ("Program", "READ on topics", "WRITE on topics", "DESCRIBE on topics", "Groups", "WRITE on transactional ids that begin with")


def acl_table() -> str:
    """The table as it must stand in the page."""

    def cell(names: tuple[str, ...]) -> str:
        return ", ".join(f"`{name}`" for name in names)

    def row(program: str, needs: Needs) -> tuple[str, ...]:
        groups = [f"READ on {cell(needs.groups)}"] * bool(needs.groups) + [f"DESCRIBE on {cell(needs.lag_of)}"] * bool(needs.lag_of)
        return program, cell(needs.read), cell(needs.write), cell(needs.describe), ", ".join(groups), cell(needs.transactions)

    rows = [HEADINGS, ("---",) * len(HEADINGS), *(row(program, needs) for program, needs in NEEDS.items())]
    return "\n".join(f"| {' | '.join(each)} |".replace("|  |", "| |").replace("|  |", "| |") for each in rows)


def test_the_acls_are_those_that_the_programs_ask_for() -> None:
    assert acl_table() in PAGE, f"the page must hold\n{acl_table()}"


def test_every_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?", PAGE))
    assert len(named) > 10
    for path, function in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in text, (path, function)


def test_a_right_that_is_missing_is_asked_for_in_no_other_place() -> None:
    """Each program that reads also names its group, without which Kafka refuses it."""
    assert [program for program, needs in NEEDS.items() if needs.read and not needs.groups] == []
