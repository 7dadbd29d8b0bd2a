"""scripts/millrace status, tail, dlq, late and doctor, and a real Prometheus, on one running job."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from confluent_kafka import Message

from scripts.control.main import main
from scripts.outputs.flink import FlinkRest, NoAnswer
from scripts.outputs.headers import headers as headers_of
from scripts.stack import Stack
from scripts.stack.paths import CONF
from scripts.stack.processes import free_port, start, stop
from tests.e2e.harness import Job, running_job, wait_until
from tests.metrics.test_alerts import EXPOSED
from tests.metrics.used import ALERTS, queries

pytestmark = pytest.mark.e2e

Run = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """It has read events of which some are late and some broken."""
    with running_job(stack, "operate", tmp_path_factory.mktemp("operate"), "--no-sales", "--no-recommendations") as running:
        running.generate("--rate", "500", "--for", "6", "--seed", "5", "--late", "0.05", "--malformed", "0.03")
        wait_until(lambda: len(running.read(running.topics.late)) > 20, "late events")
        wait_until(lambda: len(running.read(running.topics.dead_letters)) > 20, "dead letters")
        yield running


@pytest.fixture(scope="module")
def restarts(job: Job) -> int:
    """On a machine under load a job may restart while it starts: none is to come after that."""
    return job.restarts()


@pytest.fixture
def run(job: Job, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with --json; gives its exit code and what it printed."""

    def command(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        where = ("--json", "--bootstrap", job.stack.bootstrap, "--topic-prefix", job.topics.prefix)
        code = main([*arguments, *where])
        return code, json.loads(capsys.readouterr().out)

    return command


def headers(message: Message) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in headers_of(message)}


def marked(job: Job, topic: str, name: str, count: int) -> list[Message]:
    """The records of a topic that have a header of this name, once there are so many.

    A transaction that is committed is not to be read at once: its markers come behind the answer.
    """
    found: list[Message] = []

    def there() -> bool:
        found[:] = [each for each in job.read(topic) if headers(each).get(name)]
        return len(found) >= count

    wait_until(there, f"{count} records of {topic} with {name}")
    return found


def test_status_is_of_the_job_that_runs(job: Job, run: Run, restarts: int) -> None:
    code, shown = run("status", "--flink", job.stack.rest_url, "--group-id", "operate")
    assert (code, shown["problems"]) == (0, [])
    assert (shown["job"]["id"], shown["job"]["state"], shown["restarts"]) == (job.job_id, "RUNNING", restarts)
    assert shown["checkpoint"]["number"] > 0
    assert shown["late"]["total"] == len(job.read(job.topics.late))
    assert {"orders", "high-value-orders"} <= {rule["id"] for rule in shown["rules"]}
    assert shown["lag"] >= 0
    assert shown["watermark_lag_ms"] is not None


def test_doctor_finds_nothing_that_fails(job: Job, run: Run) -> None:
    code, shown = run("doctor", "--flink", job.stack.rest_url)
    assert code == 0, [each for each in shown if each["level"] == "fail"]
    texts = [each["text"] for each in shown]
    assert "transaction.version 2" in texts
    assert "transaction.max.timeout.ms 900,000" in texts
    assert any(each["level"] == "warn" and "fewer than three brokers" in each["text"] for each in shown)
    code, shown = run("doctor", "--flink", job.stack.rest_url, "--transaction-timeout-ms", "7200000")
    assert code == 1
    assert [each["text"] for each in shown if each["level"] == "fail"] == ["transaction.max.timeout.ms is 900,000, 7,200,000 is needed"]


def test_tail_shows_events_and_results(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--json", "--bootstrap", job.stack.bootstrap, "--topic-prefix", job.topics.prefix)
    assert main(["tail", "orders", "--count", "3", *where]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["form"] for each in shown] == ["event"] * 3
    assert all(each["headers"]["event-id"] == each["value"]["event_id"] for each in shown)
    session = shown[0]["key"]
    assert main(["tail", "session-activity", "--from", "beginning", "--session", session, *where]) == 0
    assert {json.loads(line)["value"]["session_id"] for line in capsys.readouterr().out.splitlines()} == {session}
    assert main(["tail", "rules.status", "--count", "1", *where]) == 0
    assert json.loads(capsys.readouterr().out)["value"]["rule_id"]


def test_dead_letters_are_replayed_once_and_never_for_ever(job: Job, run: Run) -> None:
    topics = job.topics
    letters = job.read(topics.dead_letters)
    reasons = Counter(headers(each)["reason"] for each in letters)
    code, shown = run("dlq", "list")
    assert (code, {each["reason"]: each["count"] for each in shown}) == (0, reasons)

    reason, count = reasons.most_common(1)[0]
    one = next(each for each in letters if headers(each)["reason"] == reason)
    code, shown = run("dlq", "show", str(one.partition()), str(one.offset()))
    assert (code, shown["headers"]) == (0, headers(one))

    before = len(job.read(topics.events))
    code, shown = run("dlq", "replay", "--reason", reason)
    assert (code, shown["executed"], shown["replayed"]) == (0, False, {topics.events: count})
    assert len(job.read(topics.events)) == before, "a dry run writes nothing"

    code, shown = run("dlq", "replay", "--reason", reason, "--execute")
    assert (code, shown["replayed"], shown["refused"]) == (0, {topics.events: count}, [])
    replayed = marked(job, topics.events, "replays", count)
    chosen = [each for each in letters if headers(each)["reason"] == reason]
    assert sorted(each.value() or b"" for each in replayed) == sorted(each.value() or b"" for each in chosen)
    assert {headers(each)["replays"] for each in replayed} == {"1"}
    assert {headers(each)["origin-reason"] for each in replayed} == {reason}

    # They are as broken as before, and come back.
    wait_until(lambda: len(job.read(topics.dead_letters)) == len(letters) + count, "the dead letters of what was replayed")
    code, shown = run("dlq", "replay", "--reason", reason, "--max-replays", "1", "--execute")
    assert (code, shown["replayed"], shown["before"], len(shown["refused"])) == (1, {}, count, count)
    code, shown = run("dlq", "list")
    assert {each["reason"]: each["replayed"] for each in shown}[reason] == count


def test_late_events_are_brought_to_what_they_missed_once(job: Job, run: Run, restarts: int) -> None:
    topics = job.topics
    missed = {(name, headers(each)["event-id"]) for each in job.read(topics.late) for name in headers(each)["missed"].split(";") if name}
    assert missed
    wanted = Counter(topics.prefix + name for name, _ in missed)
    code, shown = run("late", "replay")
    assert (code, shown["replayed"], shown["refused"]) == (0, wanted, [])
    code, shown = run("late", "replay", "--execute")
    assert (code, shown["replayed"]) == (0, wanted)
    code, shown = run("late", "replay", "--execute")
    assert (code, shown["replayed"], shown["before"]) == (0, {}, len(missed)), "a second run does nothing"
    for destination, topic in topics.routed().items():
        due = sorted(event_id for name, event_id in missed if name == destination)
        arrived = marked(job, topic, "replayed", len(due))
        assert sorted(headers(each)["event-id"] for each in arrived) == due
        assert all(headers(each)["replayed"] == "late" for each in arrived)
    assert job.restarts() == restarts


@pytest.fixture
def prometheus(job: Job, tmp_path: Path) -> Iterator[FlinkRest]:
    """Scrapes the stack's processes each second; gives its interface (JSON over HTTP as Flink's)."""
    if (program := shutil.which("prometheus")) is None:
        pytest.skip("prometheus is not here: apt-get install prometheus")
    config = yaml.safe_load((CONF / "prometheus" / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ALERTS)]
    config["scrape_configs"][0]["file_sd_configs"] = [{"files": [str(job.stack.prometheus_targets)]}]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [program, f"--config.file={tmp_path / 'prometheus.yaml'}", f"--web.listen-address=127.0.0.1:{port}",
               f"--storage.tsdb.path={tmp_path / 'data'}"]  # fmt: skip
    running = start("prometheus", command, os.environ, tmp_path / "prometheus.log", attached=True)
    try:
        yield FlinkRest(f"http://127.0.0.1:{port}", timeout_s=10)
    finally:
        stop([running])


def test_prometheus_has_what_alerts_and_panels_ask_for(job: Job, prometheus: FlinkRest, restarts: int) -> None:
    operator = "flink_taskmanager_job_task_operator"

    def query(text: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = prometheus.get(f"/api/v1/query?query={quote(text)}")["data"]["result"]
        return found

    def scraped() -> bool:
        try:
            return len(query("up == 1")) == len(job.stack.metrics_ports) and bool(query(f"{operator}_millrace_events"))
        except NoAnswer:
            return False  # it is starting

    wait_until(scraped, "the first scrape")
    names = set(prometheus.get("/api/v1/label/__name__/values")["data"])
    assert names >= EXPOSED, EXPOSED - names
    assert not any("KafkaProducer" in name for name in names), "left out by flink-conf/config.yaml"
    for where, text in queries().items():
        assert prometheus.get(f"/api/v1/query?query={quote(text)}")["status"] == "success", where

    # A query that finds nothing is a panel that stays empty, and an alert that never fires.
    for labels in ('operator_name=~"late_events.*Writer"', 'operator_name=~"Deduplicate.*",task_name=~".*keep.event.time.*"'):
        metric = "numRecordsSend" if "late" in labels else "numRecordsIn"
        assert len(query(f"{operator}_{metric}{{{labels}}}")) == 2, "one for each subtask"
    letters = Counter(headers(each)["reason"] for each in job.read(job.topics.dead_letters))
    by_reason = query(f"sum by (reason) ({operator}_millrace_reason_deadLetters)")
    assert {each["metric"]["reason"]: int(each["value"][1]) for each in by_reason if each["value"][1] != "0"} == letters
    [sent] = query(f'sum({operator}_numRecordsSend{{operator_name=~"late_events.*Writer"}})')
    assert int(sent["value"][1]) == len(job.read(job.topics.late))
    assert "orders" in {each["metric"]["rule"] for each in query(f"{operator}_millrace_rule_matched")}
    firing = {each["labels"]["alertname"] for each in prometheus.get("/api/v1/alerts")["data"]["alerts"] if each["state"] == "firing"}
    assert firing == set()
    assert job.restarts() == restarts
