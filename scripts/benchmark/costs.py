"""What an event costs here, job by job, the file that `scripts/millrace plan` plans with (scripts/planning/costs.py says what is in it)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import yaml
from shop.v1.events_pb2 import Event

from scripts.benchmark import throughput
from scripts.shop.simulator import UNDISTURBED, Settings, Shop
from scripts.stack import Stack

INSIGHTS: Final = ("sales", "fraud", "recommendations")
JOBS: Final = (
    ("rocksdb", ()), ("rocksdb", ("sales",)), ("rocksdb", ("fraud",)), ("rocksdb", ("recommendations",)), ("rocksdb", INSIGHTS),
    ("hashmap", ()), ("hashmap", INSIGHTS),
)  # fmt: skip
"""State backend and insights of what is measured."""
_START_MS: Final = 1_793_491_200_000
_PYTHON: Final = ("decode-and-rout", "aggregate-by-ru", "detect-signals", "make-alerts", "recommend", "keep-trends")
"""Threads of Python's stages, as the kernel names them: in a TaskManager they take turns, since they share one interpreter lock."""


def run(stack: Stack, events: int, machine: str, options: Iterable[str]) -> None:
    """Prints the file. Behind a run of the whole job that does not count, while the JVM still compiles."""
    options = tuple(options)
    measure(stack, events, "warm-up", *JOBS[4], options)
    head = {"command": f"./scripts/bench --only costs --events {events}", "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine}
    print(_yaml({"measured": head, "stream": stream(events)}) + "jobs:", flush=True)
    for number, (backend, insights) in enumerate(JOBS):
        print(_yaml([measure(stack, events, str(number), backend, insights, options)]), end="", flush=True)


def measure(stack: Stack, events: int, name: str, backend: str, insights: Iterable[str], options: Iterable[str]) -> dict[str, Any]:
    """One job at parallelism 1 in thread mode, over the prefilled topic."""
    off = [f"--no-{insight}" for insight in INSIGHTS if insight not in insights]
    last: dict[str, Any] = {}

    def watch(job_id: str) -> None:
        job = stack.rest(f"/jobs/{job_id}")
        last["shuffled"] = sum(vertex["metrics"]["write-bytes"] for vertex in job["vertices"])
        last["ids"] = {vertex["id"] for vertex in job["vertices"] if vertex["name"].startswith("Deduplicate")}
        last["checkpoints"] = stack.rest(f"/jobs/{job_id}/checkpoints")
        latest = last["checkpoints"]["latest"]["completed"]
        if latest:
            tasks = stack.rest(f"/jobs/{job_id}/checkpoints/details/{latest['id']}")["tasks"]
            last["state"] = {vertex: task["state_size"] for vertex, task in tasks.items()}
            last["uploaded"] = last.get("uploaded", {}) | {latest["id"]: latest["checkpointed_size"]}
        last["events"] = throughput.ordered_events(stack, job_id)

    before = _on_disk(stack)
    set_up = ("--parallelism", "1", "--python-mode", "thread", "--state-backend", backend)
    found = throughput.measure(stack, events, f"costs-{name}", *set_up, *off, *options, watch=watch)
    threads = {name: us for name, us in found.cpu_us_by_thread.items() if name.startswith("taskmanager: ")}
    python = sum(us for name, us in threads.items() if name.removeprefix("taskmanager: ") in _PYTHON)
    kafka = sum(us for name, us in found.cpu_us_by_thread.items() if name.startswith("kafka: "))
    done = max(1, last["events"])
    ids = sum(size for vertex, size in last.get("state", {}).items() if vertex in last["ids"])
    return {
        "state_backend": backend,
        "insights": list(insights),
        "events_per_s": round(found.events_per_s),
        "flink_cpu_us": round(found.cpu_us_per_event - kafka, 1),
        "kafka_cpu_us": round(kafka, 1),
        "busiest_thread_us": round(max(python, *threads.values()), 1),
        "shuffled_bytes": round(last["shuffled"] / done),
        "output_bytes": round((_on_disk(stack) - before) / events),
        "id_state_bytes": round(ids / done),
        "session_state_bytes": round((sum(last.get("state", {}).values()) - ids) / done),
        "uploaded_bytes": round(sum(last.get("uploaded", {}).values()) / done),
    }


def stream(events: int) -> dict[str, Any]:
    """What the prefilled stream is like, so that another one can be compared with it."""
    shop = Shop(Settings(seed=1, start_ms=_START_MS, sessions=3_000, disturbances=UNDISTURBED))
    made = shop.records(_START_MS + number // 2 for number in range(events))
    kinds = [Event.FromString(record.value or b"").WhichOneof("payload") for record in made]
    return {
        "event_bytes": round(sum(len(record.value or b"") for record in made) / len(made)),
        "events_per_session": round(len(made) / len({record.key for record in made}), 1),
        "order_share": round(kinds.count("order_placed") / len(made), 3),
    }


def _on_disk(stack: Stack) -> int:
    """Bytes of all topics but the input and Kafka's own, as they are stored (compressed)."""
    outputs = (folder for folder in (stack.workdir / "kafka").glob("*-[0-9]*") if not folder.name.startswith(("events-", "__")))
    return sum(segment.stat().st_size for folder in outputs for segment in folder.glob("*.log"))


def _yaml(what: Any) -> str:
    text: str = yaml.safe_dump(what, sort_keys=False, width=140)
    return text
