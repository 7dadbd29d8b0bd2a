"""The sizing model: by hand on round costs, in the right direction for every input, and the measured machine's own figures come out."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scripts.control.main import main
from scripts.planning import costs
from scripts.planning.costs import Costs, CostsError, Job, Measured, Stream
from scripts.planning.model import Load, make

ALL = frozenset({"sales", "fraud", "recommendations"})
ROUTING: dict[str, Any] = {
    "state_backend": "rocksdb", "insights": frozenset(), "events_per_s": 20_000, "flink_cpu_us": 50, "kafka_cpu_us": 10,
    "busiest_thread_us": 20, "shuffled_bytes": 400, "output_bytes": 200, "id_state_bytes": 50, "session_state_bytes": 10,
    "uploaded_bytes": 100,
}  # fmt: skip
WHOLE = ROUTING | {"insights": ALL, "events_per_s": 10_000, "flink_cpu_us": 100, "busiest_thread_us": 40, "session_state_bytes": 30}
ROUND = Costs(
    measured=Measured(command="c", date="d", machine="m"),
    stream=Stream(event_bytes=200, events_per_session=10, order_share=0.04),
    jobs=(Job(**ROUTING), Job(**WHOLE), Job(**ROUTING | {"state_backend": "hashmap", "flink_cpu_us": 30})),
)
LOAD = Load(1_000_000)


def test_by_hand() -> None:
    plan = make(replace(LOAD, utilisation=0.5, outage_s=600, catch_up_s=1_200, replication=2), ROUND)
    assert {figure.name: figure.value for figure in plan.figures} == pytest.approx(
        {
            "capacity": 2_000_000,  # 1 / 0.5 is more than 1 + 600 / 1200
            "flink_cpu_per_event": 100,
            "flink_cores": 200,
            "task_managers": 200,
            "task_managers_at_least": 80,
            "cores_per_task_manager": 1,
            "partitions": 400,
            "max_parallelism": 4_096,  # 400 x 8 = 3200
            "checkpoint_full": 3_600 * (1_000_000 * 50 + 100_000 * 300) / 1e9,
            "state_per_task_manager": 288 / 200,
            "checkpoint_upload": 100,
            "broker_cores": 40,
            "kafka_traffic": 2 * (200 * 2 + 200 + 200 * 2),
            "brokers": 10,  # 10 by traffic (2000 MB/s at 200), 10 by CPU (40 cores / (8 x 0.5))
            "kafka_disk": 1_000_000 * 400 * 2 * 86_400 / 1e12,
            "network_per_task_manager": 2 * (200 + 200 + 400 * 199 / 200) / 200,
            "transactions": 14 * 200 / 2,
        }
    )


def test_an_outage_can_ask_for_more_than_the_utilisation() -> None:
    assert make(replace(LOAD, outage_s=1_800, catch_up_s=600), ROUND)["capacity"] == 4_000_000


SIZES = ("flink_cores", "task_managers", "partitions", "brokers", "checkpoint_full", "checkpoint_upload", "kafka_traffic", "kafka_disk")


@pytest.mark.parametrize("insights", [frozenset(), frozenset({"fraud"}), ALL], ids=len)
def test_more_events_never_need_less(insights: frozenset[str]) -> None:
    plans = [make(Load(10.0**power, insights=insights), ROUND) for power in range(2, 8)]
    for fewer, more in pairwise(plans):
        assert all(fewer[size] <= more[size] for size in SIZES)
        assert fewer["flink_cores"] * 10 == pytest.approx(more["flink_cores"])


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({"event_bytes": 2_000}, "flink_cores"), ({"event_bytes": 2_000}, "kafka_disk"), ({"sessions_per_s": 1e6}, "checkpoint_full"),
        ({"order_share": 0.2}, "flink_cores"), ({"order_share": 0.2}, "task_managers"), ({"memory_s": 86_400}, "checkpoint_full"),
        ({"utilisation": 0.3}, "task_managers"), ({"outage_s": 7_200}, "flink_cores"), ({"replication": 5}, "kafka_traffic"),
        ({"retention_s": 864_000}, "kafka_disk"), ({"growth": 5}, "partitions"), ({"broker_cores": 2}, "brokers"),
        ({"broker_mb_per_s": 50}, "brokers"), ({"checkpoint_s": 1}, "transactions"),
    ],
    ids=str,
)  # fmt: skip
def test_every_input_counts(change: dict[str, float], size: str) -> None:
    assert make(replace(LOAD, **change), ROUND)[size] > make(LOAD, ROUND)[size]  # type: ignore[arg-type]


def test_smaller_events_are_not_planned_cheaper_than_measured_in_cpu() -> None:
    small, usual = make(replace(LOAD, event_bytes=64), ROUND), make(LOAD, ROUND)
    assert small["flink_cores"] == usual["flink_cores"]
    assert small["kafka_disk"] < usual["kafka_disk"]


def test_what_was_not_measured_is_planned_as_the_next_larger_job() -> None:
    plan = make(replace(LOAD, insights=frozenset({"fraud"})), ROUND)
    assert plan["flink_cpu_per_event"] == 100
    assert any("not measured by themselves" in note for note in plan.notes)
    assert make(replace(LOAD, insights=frozenset()), ROUND)["flink_cpu_per_event"] == 50
    with pytest.raises(CostsError, match="no job with hashmap and fraud was measured"):
        make(replace(LOAD, insights=frozenset({"fraud"}), state_backend="hashmap"), ROUND)


def test_the_heap_is_written_as_a_whole_at_each_checkpoint() -> None:
    plan = make(replace(LOAD, insights=frozenset(), state_backend="hashmap", checkpoint_s=10), ROUND)
    assert plan["checkpoint_upload"] == pytest.approx(plan["checkpoint_full"] * 1_000 / 10)


@pytest.mark.parametrize(
    "wrong",
    [{"events_per_s": 0}, {"utilisation": 0}, {"utilisation": 1.1}, {"order_share": 2}, {"growth": 0.5}, {"event_bytes": -1}],
    ids=str,
)
def test_impossible_loads(wrong: dict[str, float]) -> None:
    with pytest.raises(CostsError, match="must be"):
        replace(LOAD, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("job", costs.load().jobs, ids=lambda job: "-".join((job.state_backend, *sorted(job.insights))))
def test_the_measured_machine_comes_out(job: Job) -> None:
    """At its own rate (less what rounding takes) and with nothing to spare: one TaskManager, one broker, no more cores than it had."""
    asked = Load(0.98 * job.events_per_s, insights=job.insights, state_backend=job.state_backend)
    plan = make(replace(asked, utilisation=1, outage_s=0, replication=1, growth=1), costs.load())
    assert plan["task_managers"] == 1
    assert plan["flink_cores"] + plan["broker_cores"] <= 2.0
    assert plan["brokers"] == 1


def test_what_is_measured_is_measured_whole() -> None:
    """More insights never cost less than routing alone."""
    found = costs.load()
    for backend in {job.state_backend for job in found.jobs if job.insights == ALL}:
        assert found.job(backend, frozenset()).flink_cpu_us < found.job(backend, ALL).flink_cpu_us


# -- the command ------------------------------------------------------------------------------------------------------------------------


def test_people_see_each_number_with_its_formula(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--events-per-s", "2e6"]) == 0
    printed = capsys.readouterr().out
    assert "For 2,000,000 events/s" in printed
    assert "task managers" in printed
    assert "what one slot was seen to do, rounded up" in printed
    assert f"Costs: {costs.load().measured.command}" in printed.replace("\n", " ")


def test_programs_get_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--events-per-s", "2e5", "--insights", "none", "--state-backend", "hashmap", "--memory", "10", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plan"].keys() == found["formulas"].keys()
    assert found["load"]["memory_s"] == 600
    assert found["load"]["insights"] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [("jobs: [", "expected"), ("measured: {}", "measured.command: Field required"), (None, "No such file")],
    ids=["no YAML", "not all", "none"],
)
def test_costs_that_can_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, told: str) -> None:
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    assert main(["plan", "--events-per-s", "1", "--costs", str(file)]) == 2
    assert told in capsys.readouterr().err


def test_an_unknown_insight(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["plan", "--events-per-s", "1", "--insights", "sale"])
    assert left.value.code == 2
    assert "sale: there are sales, fraud, recommendations" in capsys.readouterr().err
