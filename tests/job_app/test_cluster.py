"""What Flink says of its jobs, read: which are ours, what they can go on from, which one is meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.settings import OPTIONS, RELEASE
from scripts.control.output import CommandError
from scripts.job_app.cluster import JobInfo, Restorable, last_ended, newest, option, parse, running


def info(job_id: str, state: str = "RUNNING", ended_ms: int = -1, *options: str) -> JobInfo:
    return JobInfo(job_id, state, 0, ended_ms, 2, options, "r", None)


def test_a_job_is_read_from_flinks_answers() -> None:
    options = ["--topic-prefix=a b.", "--group-id=g", "--group-id=h"]
    told = {OPTIONS: json.dumps(options), RELEASE: "abc"}
    overview = {"jid": "1", "state": "FINISHED", "start-time": 5, "end-time": 9, "name": "millrace"}
    found = parse(overview, {"execution-config": {"job-parallelism": 4, "user-config": told}}, {"latest": {}})
    assert found == JobInfo("1", "FINISHED", 5, 9, 4, tuple(options), "abc", None)
    assert (found.ended, found.group_id, found.topic_prefix) == (True, "h", "a b.")


def test_a_job_of_others_is_none_of_ours() -> None:
    assert parse({"jid": "1"}, {"execution-config": {"user-config": {"a": "b"}}}, {}) is None


CHECKPOINT = {"external_path": "file:/c/chk-7", "trigger_timestamp": 70}
SAVEPOINT = {"external_path": "s3://b/savepoint-8", "trigger_timestamp": 80}


@pytest.mark.parametrize(
    ("latest", "expected"),
    [
        ({"completed": CHECKPOINT, "savepoint": SAVEPOINT}, Restorable("s3://b/savepoint-8", "savepoint", 80)),
        ({"completed": CHECKPOINT | {"trigger_timestamp": 81}, "savepoint": SAVEPOINT}, Restorable("file:/c/chk-7", "checkpoint", 81)),
        ({"completed": CHECKPOINT, "savepoint": None}, Restorable("file:/c/chk-7", "checkpoint", 70)),
        ({"completed": {"external_path": "<checkpoint-not-externally-addressable>", "trigger_timestamp": 1}}, None),
        ({}, None),
    ],
)
def test_the_youngest_is_what_a_job_goes_on_from(latest: dict[str, Any], expected: Restorable | None) -> None:
    assert newest({"latest": latest}) == expected


def test_the_last_value_of_an_option_counts() -> None:
    assert option(("--a=1", "--ab=2", "--a=3=4"), "--a") == "3=4"
    assert option(("--ab=2",), "--a") is None


def test_the_only_running_job_is_meant() -> None:
    assert running([info("a1"), info("b1", "FINISHED", 9)], None).job_id == "a1"
    assert running([info("a1"), info("a2")], "a2").job_id == "a2"


@pytest.mark.parametrize(("job_id", "exit_code", "said"), [(None, 2, "Name it with --job"), ("a", 2, "a1 .group g"), ("c", 1, "no job c")])
def test_else_it_must_be_named(job_id: str | None, exit_code: int, said: str) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        running([info("a1", "RUNNING", -1, "--group-id=g"), info("a2")], job_id)
    assert refused.value.exit_code == exit_code


def test_the_job_that_ended_last() -> None:
    found = [info("a", "FAILED", 5, "--group-id=g"), info("b", "FINISHED", 7), info("c")]
    assert [each and each.job_id for each in (last_ended(found, None), last_ended(found, "g"), last_ended(found, "x"))] == ["b", "a", None]
