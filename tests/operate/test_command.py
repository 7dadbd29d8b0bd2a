"""The command line: what it takes, what it says, and what it prints where nobody sees colours."""

from __future__ import annotations

import subprocess

import pytest

from scripts.control.main import main
from scripts.control.output import CommandError
from scripts.operate import facts, tail
from scripts.operate.show import length
from scripts.operate.status import Status, lines
from scripts.outputs.flink import Checkpoint

NOW_MS = 1_795_520_000_000
NOBODY = ("--bootstrap", "127.0.0.1:1", "--flink", "http://127.0.0.1:1")


@pytest.mark.parametrize("command", ["status", "tail", "dlq list", "dlq show", "dlq replay", "late replay", "doctor", "completion"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert f"scripts/millrace {command}" in capsys.readouterr().out.split("xample", 1)[1]


def test_completion_is_a_script_that_bash_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    tried = 'COMP_WORDS=(millrace dlq re); COMP_CWORD=2; $(complete -p millrace | grep -o "_shtab[a-z_]*"); echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", f"{script}\n{tried}"], capture_output=True, text=True, check=True)
    assert done.stdout == "replay\n"


@pytest.mark.parametrize(
    ("text", "since_ms"),
    [("beginning", None), ("now", NOW_MS), ("90s", NOW_MS - 90_000), ("2h", NOW_MS - 7_200_000),
     ("2026-11-24T12:00:00Z", 1_795_521_600_000), ("2026-11-24T13:00:00+01:00", 1_795_521_600_000),
     ("2026-11-24T12:00", 1_795_521_600_000)],
)  # fmt: skip
def test_where_to_begin(text: str, since_ms: int | None) -> None:
    assert tail.since(text, NOW_MS) == since_ms


def test_where_to_begin_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(CommandError, match=r"--from is yesterday, must be beginning, now, so long ago \(90s, 10m, 2h, 1d\)"):
        tail.since("yesterday", NOW_MS)


@pytest.mark.parametrize(("ms", "text"), [(None, "-"), (5, "5 ms"), (10_000, "10 s"), (61_000, "1 min 1 s"), (7_380_000, "2 h 3 min")])
def test_lengths_of_time(ms: int | None, text: str) -> None:
    assert length(ms) == text


def test_doctor_without_kafka_and_flink(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(facts, "_TIMEOUT_MS", 200)
    assert main(["doctor", *NOBODY]) == 2
    printed = capsys.readouterr().out
    assert "fail kafka    Kafka at 127.0.0.1:1 does not answer" in printed
    assert "fail flink    " in printed
    assert "\x1b" not in printed, "no colours into a pipe"


def status(**changes: object) -> Status:
    view = {
        "events_per_s": 1234.5, "lag": 17, "watermark_lag_ms": 2_100, "checkpoint": Checkpoint(12, NOW_MS - 1_000, 90),
        "failed_checkpoints": 0, "restarts": 0, "late": {"total": 3},
        "dead_letters": {"total": 2, "by_reason": [{"reason": "malformed", "count": 2}]},
        "busiest": [{"task": "decode-and-route", "share": 0.31}], "backpressured": [], "events_course": [],
    }  # fmt: skip
    job = {"id": "abc", "state": "RUNNING", "started_ms": NOW_MS - 60_000}
    rules = [{"id": "a", "version": 1, "mode": "active", "to": ["x"]}, {"id": "b", "version": 2, "mode": "shadow", "to": ["x"]}]
    good = {"view": view, "problems": [], "job": job, "kafka_answers": True, "flink_answers": True, "rules": rules}
    return Status(**(good | changes))  # type: ignore[arg-type]


def test_status_in_words() -> None:
    assert [str(line) for line in lines(status(), NOW_MS)] == [
        "job            RUNNING, started 1 min 0 s ago, abc",
        "throughput     1,234 events/s in",
        "consumer lag   17 events behind the last checkpoint's offsets",
        "watermark lag  2,100 ms",
        "checkpoints    number 12 completed 1,000 ms ago, took 90 ms; 0 failed",
        "restarts       0",
        "late           3 in the last 30 minutes",
        "dead letters   2 in the last 30 minutes: malformed 2",
        "busiest task   decode-and-route 31%",
        "rules in force 2: 1 active, 1 shadow",
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({}, 0), ({"problems": [{"name": "job", "level": "error", "text": "The job is RESTARTING"}]}, 1), ({"job": None}, 1),
     ({"kafka_answers": False}, 2), ({"flink_answers": False, "job": None}, 2)],
)  # fmt: skip
def test_exit_code_of_status(changes: dict[str, object], code: int) -> None:
    assert status(**changes).exit_code == code
