"""`scripts/millrace job` under load: an upgrade, a failed one, parallelism 2, 4 and 2; nothing is lost, doubled or left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from jobs.shipping import copy_release
from scripts.control.main import main
from scripts.stack import Stack
from scripts.stack.paths import ROOT
from tests.e2e.harness import FEW_WINDOWS, Job, header, running_job, wait_until
from tests.e2e.task_managers import task_managers

pytestmark = pytest.mark.e2e

_LOAD = ("--rate", "300", "--for", "900", "--seed", "77", "--disorder", "0.2", "--duplicates", "0.02", "--malformed", "0.02")


def changed_code(folder: Path, file: str, before: str, after: str) -> Path:
    """A copy of this checkout's job with one change."""
    copy_release(ROOT, folder)
    path = folder / file
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    return folder


def command(job: Job, capsys: pytest.CaptureFixture[str], *arguments: str, fails: bool = False) -> Any:
    """Runs a command as a program would; returns what it printed, or if it is to fail, what it said."""
    own, dashes, behind = (arguments, (), ()) if "--" not in arguments else _parted(arguments)
    capsys.readouterr()
    code = main(["job", *own, "--flink", job.stack.rest_url, "--json", *dashes, *behind])
    printed = capsys.readouterr()
    assert code == int(fails), printed.err
    return printed.err if fails else json.loads(printed.out)


def _parted(arguments: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    at = arguments.index("--")
    return arguments[:at], ("--",), arguments[at + 1 :]


def malformed(job: Job) -> list[Message]:
    """Dead letters that the change of code alters."""
    return [each for each in job.read(job.topics.dead_letters) if b"not a shop.v1.Event" in header(each, "detail")]


def test_code_and_size_change_under_load(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledgers").mkdir()
    new = changed_code(tmp_path / "new", "udfs/validation.py", '"not a shop.v1.Event', '"NEW: not a shop.v1.Event')
    broken = changed_code(tmp_path / "broken", "udfs/router.py", "        settings = self._settings\n", "        raise ValueError(7)\n")

    def managers() -> set[int]:
        return {each.pid for each in stack.processes if each.name.startswith("taskmanager")}

    def new_code_answers(since: int) -> bool:
        found = [b"NEW: not" in header(each, "detail") for each in malformed(job)[since:]]
        return any(found)

    with running_job(stack, "changed", tmp_path / "ledgers", *FEW_WINDOWS) as job:
        with job.generating(*_LOAD) as ledger:
            first, managers_before = job.job_id, managers()
            (listed,) = [each for each in command(job, capsys, "list") if each["job_id"] == first]
            assert (listed["state"], listed["parallelism"]) == ("RUNNING", 2)
            path = command(job, capsys, "savepoint", "--job", first)["savepoint"]
            assert Path(path.removeprefix("file:"), "_metadata").is_file()
            assert stack.job_state(first) == "RUNNING"
            wait_until(lambda: len(malformed(job)) > 0, "a dead letter of the old code")

            job.job_id = command(job, capsys, "upgrade", "--job", first, "--from-dir", str(new))["job_id"]
            wait_until(lambda: new_code_answers(0), "a dead letter of the new code")
            assert managers() == managers_before, "no TaskManager was started anew"
            assert "runs the code of" in command(job, capsys, "upgrade", "--from-dir", str(new), fails=True)
            assert "5 slots are needed" in command(job, capsys, "rescale", "5", fails=True)

            with task_managers(stack, 4):
                job.job_id = command(job, capsys, "rescale", "4")["job_id"]
                assert "Rolled back" in (said := command(job, capsys, "upgrade", "--from-dir", str(broken), fails=True))
                assert "<class 'ValueError'>: 7" in said
                (job.job_id,) = (each["job_id"] for each in command(job, capsys, "list") if each["state"] == "RUNNING")
                before = len(malformed(job))
                wait_until(lambda: new_code_answers(before), "the rolled back code")
                stopped = command(job, capsys, "stop")
            # Two TaskManagers are gone again. What is started without a word would be another job beside the one that was stopped.
            anew = ("--", "--bootstrap", stack.bootstrap, "--group-id", "changed")
            assert "--from latest" in command(job, capsys, "start", *anew, fails=True)
            options = ("--", "--group-id", "changed", "--parallelism", "2")
            started = command(job, capsys, "start", "--from", "latest", "--from-dir", str(new), *options)
            assert started["from"] == stopped["savepoint"]
            job.job_id = started["job_id"]
        job.verify(ledger)
