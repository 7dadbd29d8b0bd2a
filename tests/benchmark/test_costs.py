"""What the measurement prints is what the planner reads; Flink's answers are canned, as its REST interface gives them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.benchmark import costs, throughput
from scripts.benchmark.throughput import Throughput
from scripts.planning.costs import load
from scripts.stack import Stack

ANSWERS: dict[str, Any] = {
    "/jobs/j": {"vertices": [
        {"id": "d", "name": "Deduplicate(keep=FirstRow)", "metrics": {"write-bytes": 300_000}},
        {"id": "o", "name": "OverAggregate", "metrics": {"write-bytes": 100_000}},
    ]},
    "/jobs/j/checkpoints": {"latest": {"completed": {"id": 7, "checkpointed_size": 50_000}}},
    "/jobs/j/checkpoints/details/7": {"tasks": {"d": {"state_size": 80_000}, "o": {"state_size": 20_000}}},
    "/jobs/j/vertices/o/subtasks/metrics?get=numRecordsIn&agg=sum": [{"id": "numRecordsIn", "sum": 1_000.0}],
}  # fmt: skip
THREADS = {
    "taskmanager: Deduplicate": 30.0, "taskmanager: decode-and-rout": 20.0, "taskmanager: detect-signals": 15.0, "kafka: data-plane": 8.0,
    "kafka: other": 2.0, "jobmanager: x": 40.0,
}  # fmt: skip


def test_the_file_is_one_that_can_be_planned_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(stack: Stack, events: int, group_id: str, *options: str, watch: Any) -> Throughput:
        watch("j")
        for topic in ("orders-0", "__transaction_state-0", "events-0"):
            (tmp_path / "kafka" / topic).mkdir(parents=True, exist_ok=True)
            with (tmp_path / "kafka" / topic / "0.log").open("ab") as segment:
                segment.write(b"x" * 90_000)
        return Throughput(10_000, 110.0, THREADS)

    monkeypatch.setattr(throughput, "measure", measure)
    stack: Any = SimpleNamespace(rest=ANSWERS.__getitem__, workdir=tmp_path)
    costs.run(stack, 1_000, "a machine", ["--no-heartbeat"])
    file = tmp_path / "mine.yaml"
    file.write_text(capsys.readouterr().out)
    found = load(file)
    assert (found.measured.machine, found.measured.estimated) == ("a machine", ())
    assert [(job.state_backend, tuple(job.insights)) for job in found.jobs if len(job.insights) < 2] == [
        (backend, insights) for backend, insights in costs.JOBS if len(insights) < 2
    ]
    job = found.job("rocksdb", frozenset())
    assert (job.flink_cpu_us, job.kafka_cpu_us) == (100, 10)
    assert job.busiest_thread_us == 35, "Python's stages together, and not the JobManager"
    assert (job.shuffled_bytes, job.output_bytes) == (400, 90)
    assert (job.id_state_bytes, job.session_state_bytes, job.uploaded_bytes) == (80, 20, 50)
