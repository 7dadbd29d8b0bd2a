"""The command line of scripts/warehouse: no password gets in, and none gets out."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from scripts.warehouse_app.main import Backoff, parse

URL = "postgresql://shop@db:5433/sales"


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as left:
        parse(arguments)
    assert left.value.code == 2
    _usage, line = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("database", [URL, "host=db port=5433 dbname=sales user=shop"])
def test_a_database_is_named_as_for_psql(database: str) -> None:
    found = conninfo_to_dict(parse(["--database", database]).conninfo)
    assert {name: found[name] for name in ("host", "port", "dbname", "user")} == {
        "host": "db", "port": "5433", "dbname": "sales", "user": "shop",
    }  # fmt: skip


def test_a_server_that_does_not_answer_does_not_hold_the_process() -> None:
    found = conninfo_to_dict(parse(["--database", URL]).conninfo)
    assert {"connect_timeout", "keepalives_idle", "tcp_user_timeout"} <= found.keys()


def test_what_the_url_says_goes_before() -> None:
    found = conninfo_to_dict(parse(["--database", URL + "?connect_timeout=3&sslmode=verify-full"]).conninfo)
    assert (found["connect_timeout"], found["sslmode"]) == ("3", "verify-full")


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://shop:hush@db/sales",
        "postgresql://shop@db/sales?password=hush",
        "host=db password=hush",
        "host=db password='hush'",
        "host=db sslpassword=hush",
    ],
)
def test_a_password_on_the_command_line_is_refused_and_not_repeated(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(["--database", database], capsys)
    assert "--database must not hold a password" in error
    assert "PGPASSFILE" in error
    assert "hush" not in error


@pytest.mark.parametrize("arguments", [[], ["--database", ""], ["--database", "nonsense hush"], ["--database", "postgresql://a:hush@[/x"]])
def test_what_names_no_database_is_refused_and_not_repeated(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(arguments, capsys)
    assert "--database must be postgresql://USER@HOST:PORT/DATABASE" in error
    assert "hush" not in error


@pytest.mark.parametrize("option", ["--batch-rows", "--flush-ms", "--max-backoff-ms"])
def test_numbers_are_positive(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{option} is 0, must be > 0" in refused(["--database", URL, option, "0"], capsys)


def test_kafka_properties_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("# of the cluster\nsecurity.protocol=SSL\n")
    properties = parse(["--database", URL, "--kafka-config", str(path)]).brokers.librdkafka()
    assert properties == {"bootstrap.servers": "localhost:9092", "security.protocol": "SSL"}


def test_a_bad_line_of_that_file_is_named_and_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "client.properties"
    path.write_text("security.protocol=SSL\nhush\n")
    error = refused(["--database", URL, "--kafka-config", str(path)], capsys)
    assert "line 2 is not KEY=VALUE" in error
    assert "hush" not in error


def test_a_missing_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such file" in refused(["--database", URL, "--kafka-config", str(tmp_path / "missing")], capsys)


def test_the_waits_double_up_to_the_longest_and_begin_anew() -> None:
    backoff = Backoff(0.25, 1.5)
    assert [backoff.next_s() for _ in range(5)] == [0.25, 0.5, 1.0, 1.5, 1.5]
    backoff.reset()
    assert backoff.next_s() == 0.25
