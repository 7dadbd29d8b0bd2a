"""Flink's REST answers, from a server of our own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from scripts.demo_app.flink import FlinkJob, parse_status
from scripts.demo_app.state import JobStatus
from scripts.outputs.flink import Checkpoint, NoAnswer

JOB = {"jid": "ab", "state": "RUNNING", "vertices": []}
COMPLETED = {"id": 42, "status": "COMPLETED", "trigger_timestamp": 1_000, "latest_ack_timestamp": 1_045, "end_to_end_duration": 45}
CHECKPOINTS = {"counts": {"completed": 42}, "latest": {"completed": COMPLETED, "failed": None}}
RESTARTS: list[Mapping[str, Any]] = [{"id": "numRestarts", "value": "3"}]


def test_the_three_answers_in_one() -> None:
    assert parse_status(JOB, CHECKPOINTS, RESTARTS) == JobStatus("RUNNING", Checkpoint(42, 1_045, 45), 3)
    assert parse_status(JOB, {"latest": {"completed": None}}, []) == JobStatus("RUNNING")


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Its address, and what it answers by path; 404 for anything else."""
    answers: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in answers else 404)
            self.end_headers()
            self.wfile.write(answers.get(self.path, b"{}"))

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", answers
    http.shutdown()
    thread.join()
    http.server_close()


def test_asks_for_one_job_past_any_proxy(server: tuple[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    url, answers = server
    answers["/jobs/ab"] = json.dumps(JOB).encode()
    answers["/jobs/ab/checkpoints"] = json.dumps(CHECKPOINTS).encode()
    answers["/jobs/ab/metrics?get=numRestarts"] = json.dumps(RESTARTS).encode()
    assert FlinkJob(url + "/", "ab").status() == JobStatus("RUNNING", Checkpoint(42, 1_045, 45), 3)
    with pytest.raises(NoAnswer, match="404"):
        FlinkJob(url, "another").status()


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"{}", b'{"state": "RUNNING"}', b"null"])
def test_an_answer_that_is_not_flinks(server: tuple[str, dict[str, bytes]], answer: bytes) -> None:
    url, answers = server
    answers |= dict.fromkeys(("/jobs/ab", "/jobs/ab/checkpoints", "/jobs/ab/metrics?get=numRestarts"), answer)
    with pytest.raises(NoAnswer):
        FlinkJob(url, "ab").status()


def test_nobody_there() -> None:
    with pytest.raises(NoAnswer):
        FlinkJob("http://127.0.0.1:1", "ab").status()
