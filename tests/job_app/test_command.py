"""The command line of `scripts/millrace job`, without a cluster: what it refuses, and what it must not say."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from jobs.shipping import copy_release
from scripts.control.main import main
from scripts.control.output import CommandError
from scripts.job_app.changes import Start, check_options
from scripts.job_app.command import split
from scripts.stack import releases
from scripts.stack.flink import innermost
from scripts.stack.paths import ROOT


def test_options_of_the_job_stand_behind_two_dashes() -> None:
    own, behind = split(["job", "rescale", "4", "--", "--a", "1", "--no-sales", "--b=x y", "--kafka-property", "k=v=w", "--c", "-1"])
    assert own == ["job", "rescale", "4"]
    assert behind == ("--a=1", "--no-sales", "--b=x y", "--kafka-property=k=v=w", "--c=-1")
    assert split(["rules", "lint", "--", "file"]) == (["rules", "lint", "--", "file"], ())


@pytest.mark.parametrize("command", ["list", "savepoint", "stop", "start", "rescale", "upgrade"])
def test_every_command_explains_itself_by_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["job", command, "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert f"scripts/millrace job {command}" in text
    assert "example" in text


@pytest.mark.parametrize("arguments", [["stop", "--", "--parallelism=2"], ["rescale"], ["rescale", "x"], ["no"], ["list", "--from", "x"]])
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["job", *arguments])
    assert left.value.code == 2


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["list"], ["stop"], ["rescale", "2"]):
        assert main(["job", *arguments, "--flink", "http://127.0.0.1:1"]) == 2
        assert "http://127.0.0.1:1" in capsys.readouterr().err


def test_the_command_that_goes_on_can_be_typed(tmp_path: Path) -> None:
    options = ("--group-id=a b", "--kafka-property=acks=all")
    typed = Start(tmp_path, options, "file:/x y/savepoint-1").command(("http://host:1", "http://host:2"))
    words = shlex.split(typed.split("&& ")[1])
    assert words[:3] == ["./scripts/millrace", "job", "start"]
    assert split(words[1:])[1] == options
    assert words[words.index("--flink") + 1] == "http://host:1,http://host:2"
    assert words[words.index("--from") + 1] == "file:/x y/savepoint-1"
    assert words[words.index("--from-dir") + 1] == str(tmp_path)


@pytest.mark.thorough
def test_code_that_does_not_take_the_options_is_refused_before_anything_is_stopped(tmp_path: Path) -> None:
    check_options(ROOT, ("--parallelism=4",))
    with pytest.raises(CommandError, match=r"does not start: .*--nonsense=1") as refused:
        check_options(ROOT, ("--nonsense=1",))
    assert refused.value.exit_code == 1
    copy_release(ROOT, tmp_path)
    (tmp_path / "udfs" / "router.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(CommandError, match="nothing_of_this_name"):
        check_options(tmp_path, ())


def test_releases_are_kept_found_and_forgotten(tmp_path: Path) -> None:
    checkout, kept = tmp_path / "checkout", tmp_path / "kept"
    copy_release(ROOT, checkout)
    names = []
    for number in range(12):
        (checkout / "rules" / "orders.yaml").write_text(f"# {number}")
        names.append(releases.keep(checkout, kept))
    assert releases.keep(checkout, kept) == names[-1], "twice is once"
    assert {path.name for path in kept.iterdir()} == set(names[-10:])
    assert releases.find(names[-1], kept) == kept / names[-1]
    assert releases.find(names[0], kept) is None
    shutil.rmtree(kept / names[-1] / "jobs")
    assert releases.find(names[-1], kept) is None, "not what was submitted"


def test_of_a_stack_trace_the_first_cause_is_told() -> None:
    trace = "java.lang.A: outer\n\tat x\nCaused by: B: middle\n\tat y\nCaused by: java.lang.C: no such thing\n\tat z\n\t... 3 more"
    assert innermost(trace) == "java.lang.C: no such thing"
    assert innermost("java.lang.A: outer\n\tat x") == "java.lang.A: outer"
