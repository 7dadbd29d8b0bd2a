"""The command line. (Imports PyFlink, which takes seconds: the one unit test that does.)"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from jobs import command_line, main
from jobs.settings import OPTIONS, Guarantee, RecommendTo, Settings, StateBackend

TLS = str(Path(__file__).with_name("tls.properties"))

OTHER: dict[str, tuple[str, Any]] = {
    # setting: argument, and what arrives. None of these values is the default.
    "bootstrap": ("kafka-1:9092,kafka-2:9092", "kafka-1:9092,kafka-2:9092"),
    "topic_prefix": ("test.", "test."),
    "destinations": ("a,b,,c,", ("a", "b", "c")),
    "group_id": ("other", "other"),
    "kafka_config": (TLS, TLS),
    "kafka_property": ("ssl.cipher.suites=a,b=c", ("ssl.cipher.suites=a,b=c",)),
    "flink_property": ("pipeline.object-reuse=false", ("pipeline.object-reuse=false",)),
    "rules": ("/etc/rules", "/etc/rules"),
    "start": ("latest-offset", "latest-offset"),
    "guarantee": ("at-least-once", Guarantee.AT_LEAST_ONCE),
    "state_backend": ("hashmap", StateBackend.HASHMAP),
    "dead_letter_share_limit": ("0.5", 0.5),
    "fraud_min_score": ("12.5", 12.5),
    "recommend_to": ("users", RecommendTo.USERS),
    "mask_key_file": ("/etc/mask-key", "/etc/mask-key"),
    "window_ms": ("600000", 600_000),
    "slide_ms": ("20000", 20_000),
    "parallelism": ("4", 4),
    "python_mode": ("thread", "thread"),
}


def other_value(option: dataclasses.Field[Any]) -> tuple[list[str], Any]:
    """The arguments that give a setting another value than its default, and that value."""
    name = option.name.replace("_", "-")
    if isinstance(option.default, bool):
        return [f"--no-{name}" if option.default else f"--{name}"], not option.default
    if option.name in OTHER:
        text, arrives = OTHER[option.name]
        return [f"--{name}", text], arrives
    assert isinstance(option.default, int), f"{option.name} stands in OTHER"
    return [f"--{name}", str(option.default + 1)], option.default + 1


NEEDED: dict[str, tuple[str, ...]] = {"order": ("sales", "fraud", "recommendations")}
"""Switch -> other switches without which it can't be off."""


def needed(option: dataclasses.Field[Any]) -> tuple[list[str], dict[str, Any]]:
    """Arguments that must go along with another value of the option, and what they lead to."""
    names = NEEDED.get(option.name, ())
    return [f"--no-{name}" for name in names], dict.fromkeys(names, False)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error that these arguments lead to: one line below the usage, and exit status 2."""
    with pytest.raises(SystemExit) as left:
        main.parse(arguments)
    assert left.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    usage, *lines = printed.err.splitlines()
    assert usage == "usage: flink run -py jobs/main.py [options], see --help"
    assert len(lines) == 1, printed.err
    return lines[0]


def test_no_arguments_are_the_defaults() -> None:
    assert main.parse([]) == Settings()


@pytest.mark.parametrize("option", dataclasses.fields(Settings), ids=lambda option: option.name)
def test_every_setting_can_be_given(option: dataclasses.Field[Any]) -> None:
    arguments, arrives = other_value(option)
    more, changes = needed(option)
    assert arrives != option.default
    assert main.parse(arguments + more) == dataclasses.replace(Settings(), **changes | {option.name: arrives})


def test_all_settings_at_once() -> None:
    others = {option.name: other_value(option) for option in dataclasses.fields(Settings)}
    arguments = [argument for words, _ in others.values() for argument in words]
    assert main.parse(arguments) == Settings(**{name: arrives for name, (_, arrives) in others.items()})


@pytest.mark.parametrize("option", dataclasses.fields(Settings), ids=lambda option: option.name)
def test_settings_go_back_into_arguments(option: dataclasses.Field[Any]) -> None:
    """So that a job can be started again as it was."""
    more, _ = needed(option)
    settings = main.parse(other_value(option)[0] + more)
    arguments = command_line.arguments(settings)
    assert len(arguments) == 1 + len(more)
    assert main.parse(arguments) == settings


def test_the_defaults_need_no_argument() -> None:
    assert command_line.arguments(Settings()) == []


def test_a_job_tells_its_options() -> None:
    settings = Settings(topic_prefix="a b.", kafka_property=("security.protocol=SSL", "ssl.cipher.suites=a,b=c"))
    assert main.parse(json.loads(main.parameters(settings)[OPTIONS])) == settings


def test_what_is_said_of_flink_stands_over_the_choice_of_the_job() -> None:
    chosen = main.configuration(Settings()).to_dict()
    assert chosen["pipeline.object-reuse"] == "true"
    other = Settings(flink_property=("pipeline.object-reuse=false", "state.backend.rocksdb.use-bloom-filter=false"))
    changed = {"pipeline.object-reuse": "false", "state.backend.rocksdb.use-bloom-filter": "false"}
    assert main.configuration(other).to_dict() == chosen | changed


def test_what_is_forgotten_is_merged_away_as_soon() -> None:
    chosen = main.configuration(Settings(memory_ms=5_000)).to_dict()
    merged = chosen["state.backend.rocksdb.compaction.filter.periodic-compaction-time"]
    assert (merged, chosen["table.exec.state.ttl"]) == ("5000ms", "5000ms")


def test_properties_are_given_one_by_one() -> None:
    arguments = ["--kafka-property", "acks=1", "--kafka-property", "ssl.cipher.suites=a,b"]
    assert main.parse(arguments).kafka_property == ("acks=1", "ssl.cipher.suites=a,b")


@pytest.mark.parametrize("arguments", [["--heartbeat", "--no-bounded"], ["--window-ms=300000"]])
def test_defaults_can_be_spelled_out(arguments: list[str]) -> None:
    assert main.parse(arguments) == Settings()


def test_help_names_every_option(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")  # no line breaks within a value
    with pytest.raises(SystemExit) as left:
        main.parse(["--help"])
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in dataclasses.fields(Settings):
        assert f" --{option.name.replace('_', '-')}" in text
    assert "(default: orders,payments,session-activity,fraud-detection)" in text
    assert "{exactly-once,at-least-once}" in text


@pytest.mark.parametrize(
    ("arguments", "option", "fault"),
    [
        (["--window-ms", "0"], "--window-ms", "is 0, must be > 0"),
        (["--slide-ms", "7000"], "--slide-ms", "must divide window_ms (300000)"),
        (["--window-ms", "five"], "--window-ms", "'five'"),
        (["--dead-letter-share-limit", "2"], "--dead-letter-share-limit", "must be in (0, 1]"),
        (["--dead-letter-share-limit", "x"], "--dead-letter-share-limit", "'x'"),
        (["--guarantee", "at-most-once"], "--guarantee", "'at-most-once'"),
        (["--state-backend", "disk"], "--state-backend", "'disk'"),
        (["--start", "yesterday"], "--start", "'earliest-offset', 'latest-offset', 'group-offsets'"),
        (["--python-mode", "x"], "--python-mode", "'cluster', 'thread', 'process'"),
        (["--destinations", ""], "--destinations", "must name at least one topic"),
        (["--kafka-property", "acks"], "--kafka-property", "'acks', must be key=value"),
        (["--kafka-property", "acks=1", "--kafka-property", "=1"], "--kafka-property", "'=1', must be key=value"),
        (["--parallelism"], "--parallelism", "expected one argument"),
        (["--no-such-option"], "--no-such-option", "unrecognized"),
        (["--para", "2"], "--para", "unrecognized"),
    ],
)
def test_a_bad_value_is_refused(arguments: list[str], option: str, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(arguments, capsys)
    assert option in error
    assert fault in error


def test_rules_that_cannot_be_read_end_the_start_with_one_line(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(SystemExit) as left:
        main.main(["--rules", str(missing)])
    assert left.value.code == f"--rules {missing}: {missing} is not a folder"


def test_a_bad_rule_ends_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("id: A\n")
    with pytest.raises(SystemExit) as left:
        main.main(["--rules", str(tmp_path)])
    assert str(left.value.code).startswith(f"--rules {tmp_path}: bad.yaml:1: id is 'A', must match")
