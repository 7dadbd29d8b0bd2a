"""One job on the shared stack, with topics of its own, and what a test does to it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import Message, Producer
from shop.v1.events_pb2 import Event, OrderPlaced

from jobs.settings import Topics
from scripts.checker.model import SALES_PARTS
from scripts.checker.reader import TopicReader
from scripts.outputs.headers import headers
from scripts.stack import Stack
from scripts.stack.paths import ROOT

WINDOW_MS, SLIDE_MS, LATENESS_MS, IDLE_MS = 10_000, 2_000, 1_000, 3_000
# What the job and the checker must agree on, as options of both.
AGREED = (
    "--window-ms", str(WINDOW_MS), "--slide-ms", str(SLIDE_MS), "--lateness-ms", str(LATENESS_MS), "--totals-ms", "5000",
    "--session-gap-ms", "4000", "--session-step-ms", "500", "--payment-within-ms", "8000",
)  # fmt: skip

RULES_ONLY = ("--no-sales", "--no-recommendations")
"""Options of a job whose rules are looked at: half of the time until it runs is for the windows."""
FEW_WINDOWS = ("--no-totals", "--no-top-products", "--no-funnel", "--no-fraud", "--no-recommendations")
"""Options of a job with one sliding window and the sessions, where it matters what becomes of windows, and not of which."""
_OFF = ("--no-sales", *SALES_PARTS)


@dataclass
class Job:
    """A running job and its topics.

    `options`: of jobs/main.py, but for --parallelism. `parallelism`: 0 is the stack's.
    """

    stack: Stack
    topics: Topics
    job_id: str
    folder: Path
    options: tuple[str, ...] = ()
    parallelism: int = 0
    _read: dict[str, tuple[TopicReader, list[Message]]] = field(default_factory=dict, repr=False)

    def generate(self, *options: str) -> Path:
        """Runs the generator to its end; returns the ledger."""
        ledger, arguments = self._generator(*options)
        _run(*arguments)
        return ledger

    @contextmanager
    def generating(self, *options: str) -> Iterator[Path]:
        """The generator runs while the block does."""
        ledger, arguments = self._generator(*options)
        generator = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: ledger.exists() and ledger.stat().st_size > 10_000, "the generator's first events")
            yield ledger
        finally:
            generator.terminate()
            assert generator.wait(timeout=60) == 0

    def _generator(self, *options: str) -> tuple[Path, tuple[str, ...]]:
        """A new ledger, and the generator's module and arguments."""
        ledger = self.folder / f"ledger-{len(list(self.folder.iterdir()))}"
        where = ("--bootstrap", self.stack.bootstrap, "--topic-prefix", self.topics.prefix, "--ledger", str(ledger))
        return ledger, ("scripts.shop.generate", *where, *options)

    def verify(self, ledger: Path | None, rules: Path = ROOT / "rules", from_topic: bool = False, options: Sequence[str] = ()) -> None:
        """All that must have come out has come out, once, in order, and every window is right.

        Without a ledger, or with `from_topic`, the input topic says what came in. `rules`: folder of the rules in force.
        """
        truth = ["--rules", str(rules), *([] if ledger is None else ["--ledger", str(ledger)])]
        truth += ["--from-topic"] if ledger is None or from_topic else []
        truth += [option for option in self.options if option in _OFF]
        _run("scripts.checker.verify", "--bootstrap", self.stack.bootstrap, "--topic-prefix", self.topics.prefix, *truth, *AGREED,
             "--windows-closed", "all", "--wait", "120", *options)  # fmt: skip

    def stop(self) -> str:
        """Stops the job; returns its savepoint."""
        return self.stack.stop_with_savepoint(self.job_id)

    def restore(self, savepoint: str, parallelism: int) -> None:
        """Starts the job from a savepoint."""
        self.parallelism = parallelism
        self.job_id = self.stack.submit(*self.options, "--parallelism", str(parallelism), savepoint=savepoint)
        self.stack.wait_running(self.job_id)

    def restarts(self) -> int:
        """How often Flink has restarted the job; waits until Flink has an answer, which it has some seconds after the start."""
        found: list[Any] = []
        path = f"/jobs/{self.job_id}/metrics?get=numRestarts"

        def answered() -> bool:
            found[:] = self.stack.rest(path)
            return bool(found)

        wait_until(answered, "the number of restarts")
        return int(found[0]["value"])

    def produce(self, topic: str, key: bytes | None, value: bytes | None, time_ms: int = 0) -> None:
        """Writes one record and waits until it is acknowledged."""
        producer = Producer({"bootstrap.servers": self.stack.bootstrap})
        producer.produce(topic, value, key, timestamp=time_ms or now_ms())
        assert producer.flush(30) == 0

    def push_rule(self, rule: dict[str, Any]) -> list[dict[str, Any]]:
        """Pushes a rule, and waits until every subtask has answered; returns the answers."""
        sent_ms = now_ms()
        self.produce(self.topics.rules, rule["id"].encode(), json.dumps(rule).encode())
        return self.statuses(rule["id"], sent_ms)

    def statuses(self, rule_id: str, since_ms: int) -> list[dict[str, Any]]:
        """The answers of all subtasks to the last update of a rule."""
        answers: list[dict[str, Any]] = []

        def complete() -> bool:
            found = [json.loads(message.value() or b"{}") for message in self.read(self.topics.rule_status)]
            answers[:] = [
                each for each in found if each["rule_id"] == rule_id and each["time_ms"] >= since_ms and each["status"] != "counted"
            ]
            return len(answers) >= (self.parallelism or self.stack.parallelism)

        wait_until(complete, f"the status of rule {rule_id}")
        return answers

    def routed_ids(self, destination: str) -> list[str]:
        """The event ids that came out at a destination, in the order of its partitions."""
        return [header(message, "event-id").decode() for message in self.read(self.topics.routed()[destination])]

    def read(self, topic: str) -> list[Message]:
        """All records of a topic that are committed now. Kept for the next time: a test that waits asks again and again."""
        if topic not in self._read:
            reader = TopicReader(self.stack.bootstrap, [topic])
            assert not reader.missing, f"there is no topic {topic}"
            self._read[topic] = reader, []
        reader, found = self._read[topic]
        found += reader.read()
        return list(found)

    def close(self) -> None:
        """Ends its consumers."""
        for reader, _ in self._read.values():
            reader.close()
        self._read.clear()


@contextmanager
def running_job(stack: Stack, name: str, folder: Path, *options: str) -> Iterator[Job]:
    """Submits a job with topics of its own; cancels it at the end."""
    topics = Topics(prefix=f"{name}.")
    stack.create_topics(topics)
    options = (
        "--topic-prefix", topics.prefix, "--group-id", name, *AGREED, "--idle-ms", str(IDLE_MS), "--checkpoint-interval-ms", "1000",
        *options,
    )  # fmt: skip
    job = Job(stack, topics, stack.submit(*options), folder, options)
    try:
        stack.wait_running(job.job_id)
        yield job
    finally:
        stack.cancel(job.job_id)
        job.close()


def rules_folder(folder: Path, *changed: dict[str, Any], without: tuple[str, ...] = ()) -> Path:
    """Makes a folder of the rules in rules/, with some changed, added or left out."""
    rules = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "rules").glob("*.yaml")}
    rules |= {rule["id"]: rule for rule in changed}
    folder.mkdir()
    (folder / "rules.yaml").write_text(yaml.safe_dump_all(rule for rule_id, rule in rules.items() if rule_id not in without))
    return folder


def header(message: Message, name: str) -> bytes:
    """The value of a header that must be there."""
    value = dict(headers(message))[name]
    assert value is not None, name
    return value


def order(amount_minor: int, session_id: str = "s-1", event_id: str = "") -> Event:
    """A valid order of now, for one toy."""
    event = Event(event_id=event_id or f"e-{random.random()}", session_id=session_id, event_time_ms=now_ms())
    event.order_placed.CopyFrom(OrderPlaced(order_id="o-1"))
    event.order_placed.total.amount_minor, event.order_placed.total.currency = amount_minor, "USD"
    line = event.order_placed.lines.add(product_id="p-1", category="toys", quantity=1)
    line.unit_price.CopyFrom(event.order_placed.total)
    return event


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not after {seconds:.0f} s"
        time.sleep(0.2)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _run(module: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{module} {' '.join(arguments)}\n{done.stdout[:6000]}\n{done.stderr[-3000:]}"
