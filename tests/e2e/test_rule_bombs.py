"""Whatever is written to the topic of rules, the job refuses it and goes on: no event is lost, late or doubled for it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from scripts.checker.reader import TopicReader
from scripts.stack import Stack
from scripts.stack.paths import ROOT
from tests.e2e.harness import RULES_ONLY, Job, running_job, wait_until
from udfs.rules.rulebook import MAX_RULES

pytestmark = pytest.mark.e2e

MANY = 20_000
"""Rules, four times as many as are allowed. Each of the others costs as much to refuse, so that more of them only take longer."""


def bomb(rule_id: str, condition: dict[str, Any] | None = None, **keys: Any) -> tuple[str, bytes]:
    when = {"events": ["*"], "all": [condition or {"path": "$.user_id", "op": "exists"}]}
    rule = {"id": rule_id, "version": 1, "mode": "shadow", "when": when, "to": [{"topic": "orders"}]} | keys
    return rule_id, json.dumps(rule).encode()


def path(text: str, op: str = "exists", **value: Any) -> dict[str, Any]:
    return {"path": text, "op": op, **value}


BOMBS: dict[str, tuple[tuple[str, bytes], str]] = {
    "large": (bomb("large", description="x" * 900_000), "the rule has 900"),
    "deep": (("deep", b'{"id":' + b"[" * 1_000 + b"]" * 1_000 + b"}"), "the rule is nested 1001 deep"),
    "never ending": (("never-ending", b'{"id": "' + b"[" * 1_000), "not JSON: "),
    "back references": (bomb("back", path("$.user_id", "matches", value=r"(a+)\1")), "when.all[0].value is "),
    "repetitions": (bomb("repeated", path("$.user_id", "matches", value="(((a{100}){100}){100})")), "when.all[0].value is "),
    "operator": (bomb("operator", path("$.user_id", "exec", value="1")), "when.all[0].op is 'exec'"),
    "finds nothing": (bomb("nothing", path("$.order_placed.totl")), "when.all[0].path is "),
    "finds everything": (bomb("everything", path("$..*")), "when.all[0].path is "),
    "loop over the input": (bomb("loop", to=[{"topic": "events"}]), "to[0].topic is 'events', a topic of the job itself"),
    "loop over the rules": (bomb("rules", to=[{"topic": "rules"}]), "to[0].topic is 'rules', a topic of the job itself"),
    "two ids": ((bomb("one")[0], bomb("another")[1]), "id is 'another', the record's key 'one'"),
    "key twice": (("twice", b'{"id": "twice", "id": "twice"}'), "not JSON: the key 'id' stands twice"),
    "no UTF-8": (("no-utf-8", b'{"id": "\xff\xfe'), "not JSON: "),
    "no text": (("no-text", bytes(range(256)) * 40), "not JSON: "),
}


def test_bombs_are_refused_and_the_job_goes_on(stack: Stack, tmp_path: Path) -> None:
    """Also far more rules than are allowed. A generator runs all the time; all that counts in the end is in shadow mode."""
    with running_job(stack, "bombs", tmp_path, *RULES_ONLY) as job:
        answers = Answers(job)
        with job.generating("--rate", "300", "--for", "900", "--seed", "51", "--duplicates", "0.01") as ledger:
            producer = Producer({"bootstrap.servers": stack.bootstrap, "message.max.bytes": 20_000_000, "linger.ms": 20})
            for (key, value), _ in BOMBS.values():
                producer.produce(job.topics.rules, value, key.encode())
            refused: list[KafkaError | None] = []
            huge = bomb("huge", description="x" * 10_000_000)[1]
            producer.produce(job.topics.rules, huge, b"huge", on_delivery=lambda error, _: refused.append(error))
            for number in range(MANY):
                key, value = bomb(f"load-{number}", path("$.product_viewed.product_id", "==", value=f"p-{number}"))
                producer.produce(job.topics.rules, value, key.encode())
                producer.poll(0)
            backtracking = bomb("backtracking", path("$.user_id", "matches", value="^(a+)+$"))  # in RE2: linear
            for key, value in (("load-0", b""), bomb("load-1", version=2**31 - 1), backtracking):
                producer.produce(job.topics.rules, value, key.encode())
            assert producer.flush(120) == 0
            assert [error.code() for error in refused if error] == [KafkaError.MSG_SIZE_TOO_LARGE], "10 MB: Kafka itself refuses it"
            wait_until(lambda: len(answers.to("backtracking")) == 2, "the answer to the last rule", 300)
        job.verify(ledger)
        assert job.restarts() == 0

        for key, begin in ((key, begin) for (key, _), begin in BOMBS.values()):
            told = answers.to(key)
            assert [each["status"] for each in told] == ["rejected"] * 2, told
            assert all(each["reason"].startswith(begin) for each in told), told
        assert answers.to("huge") == []
        assert {each["status"] for each in answers.to("backtracking")} == {"accepted"}
        assert answers.to("load-1")[-1]["version"] == 2**31 - 1, "a gap between versions is none"
        many = Counter((each["status"], each["reason"]) for each in answers.all if each["rule_id"].startswith("load-"))
        too_many = MANY - (MAX_RULES - len(list((ROOT / "rules").glob("*.yaml"))))
        assert many["rejected", f"{MAX_RULES} rules are in force, more are not allowed"] == 2 * too_many, "the baseline counts too"


class Answers:
    """What the job says to updates of rules, read as it comes: the topic is long here."""

    def __init__(self, job: Job) -> None:
        self.all: list[dict[str, Any]] = []
        self._reader = TopicReader(job.stack.bootstrap, [job.topics.rule_status])

    def to(self, rule_id: str) -> list[dict[str, Any]]:
        """The answers to one rule so far."""
        found = [json.loads(message.value() or b"{}") for message in self._reader.read()]
        self.all += [each for each in found if each["status"] != "counted" and each["reason"] != "in force at start"]
        return [each for each in self.all if each["rule_id"] == rule_id]
