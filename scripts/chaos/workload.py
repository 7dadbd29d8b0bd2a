"""The load of a cell: generators with their ledgers, and a rule that is changed all the time."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from confluent_kafka import KafkaError, Message, Producer

from jobs.settings import Topics
from scripts.chaos.health import now_ms
from scripts.stack.paths import PYTHON
from scripts.stack.processes import Running, alive, kill, start, wait_until

RULE_ID: Final = "chaos-shadow"
_END_S: Final = 120


@dataclass
class Generators:
    """Starts and ends generators. Each has a seed and a ledger of its own."""

    bootstrap: str
    topics: Topics
    folder: Path
    seed: int
    ledgers: list[Path] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)

    def start(self, *options: str) -> Running:
        number = len(self.ledgers) + 1
        ledger = self.folder / f"ledger-{number}"
        command = [str(PYTHON), "-m", "scripts.shop.generate", "--bootstrap", self.bootstrap, "--topic-prefix", self.topics.prefix,
                   "--ledger", str(ledger), "--seed", str(self.seed + number), *options]  # fmt: skip
        generator = start(f"generator-{number}", command, os.environ, self.folder / f"generator-{number}.log", attached=True)
        wait_until(lambda: ledger.exists() and ledger.stat().st_size > 1_000, [generator], "the generator", 60)
        self.ledgers.append(ledger)
        self.running.append(generator)
        return generator

    def end(self, generator: Running, sign: signal.Signals = signal.SIGTERM) -> None:
        """SIGTERM: it sends what it holds back and closes its ledger. SIGKILL: it does not."""
        self.running.remove(generator)
        if sign is signal.SIGKILL or not alive(generator):
            kill(generator)
            return
        os.kill(generator.pid, sign)
        try:
            psutil.Process(generator.pid).wait(_END_S)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:  # Kafka is away: what is not acknowledged then stands as such in the ledger
            kill(generator)

    def end_all(self) -> None:
        for generator in list(self.running):
            self.end(generator)


def shadow_rule(version: int) -> dict[str, Any]:
    """A rule that matches half of the orders, and routes nothing."""
    return {
        "id": RULE_ID, "version": version, "enabled": True, "mode": "shadow",
        "when": {"events": ["order_placed"], "all": [{"path": "$.order_placed.total.amount_minor", "op": ">", "value": version % 10_000}]},
        "to": [{"topic": "fraud-detection", "order": "none"}],
    }  # fmt: skip


class RulePushes(threading.Thread):
    """Writes a new version of the shadow rule every `1 / per_second` seconds until `stop`."""

    def __init__(self, bootstrap: str, topics: Topics, per_second: float) -> None:
        super().__init__(name="rule-pushes", daemon=True)
        self._topic, self._pause_s = topics.rules, 1 / per_second
        self._ended = threading.Event()
        self.written = 0
        self.last_version = 0
        # Versions grow from run to run, and from second to second.
        self._first = now_ms() // 1_000 % 2_000_000_000
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "message.timeout.ms": 300_000, "linger.ms": 0,
             "reconnect.backoff.max.ms": 1_000, "log_level": 0}
        )  # fmt: skip

    def run(self) -> None:
        version = self._first
        while not self._ended.wait(self._pause_s):
            version += 1
            value = json.dumps(shadow_rule(version)).encode()
            self._producer.produce(self._topic, value, RULE_ID, on_delivery=self._delivered(version))
            self._producer.poll(0)

    def _delivered(self, version: int) -> Any:
        def note(error: KafkaError | None, _: Message) -> None:
            if error is None:
                self.written += 1
                self.last_version = max(self.last_version, version)

        return note

    def stop(self) -> None:
        """Ends it; all that was pushed is acknowledged then, or never will be."""
        self._ended.set()
        self.join()
        self._producer.flush(60)
