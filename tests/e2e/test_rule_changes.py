"""Rules changed by scripts/millrace, on a real job: what is in force, what is refused, and what the history says."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import KafkaException, Producer
from shop.v1.events_pb2 import Event

from scripts.control import plans
from scripts.control.log import State, read_state
from scripts.control.main import main
from scripts.control.output import CommandError
from scripts.control.writing import Author, carry_out
from scripts.stack import Stack
from scripts.stack.paths import ROOT
from tests.e2e.harness import RULES_ONLY, Job, order, running_job, wait_until
from udfs.rules.language import parse_rule

pytestmark = pytest.mark.e2e

TOPICS = ("orders", "payments", "session-activity", "fraud-detection")


@dataclass
class Control:
    """scripts/millrace rules on one job."""

    job: Job
    folder: Path

    def start(self, command: str, *options: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-m", "scripts.control.main", *self._arguments(command, *options)]
        return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, command: str, *options: str, code: int = 0) -> str:
        """Its output; of a command that fails, what it says of that. In this process: most of another's time would be imports."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            ended = main(self._arguments(command, *options))
        assert ended == code, f"{command} {options}: exit code {ended}\n{out.getvalue()}\n{err.getvalue()}"
        return out.getvalue() if not code else out.getvalue() + err.getvalue()

    def _arguments(self, command: str, *options: str) -> list[str]:
        return ["rules", command, "--bootstrap", self.job.stack.bootstrap, "--topic-prefix", self.job.topics.prefix, *options]

    def json(self, command: str, *options: str, code: int = 0) -> Any:
        return json.loads(self.run(command, "--json", *options, code=code))

    def file(self, *rules: dict[str, Any]) -> str:
        path = self.folder / f"{len(list(self.folder.iterdir()))}.yaml"
        path.write_text(yaml.safe_dump_all(rules))
        return str(path)

    def listed(self, rule_id: str) -> dict[str, Any] | None:
        return next((rule for rule in self.json("list") if rule["id"] == rule_id), None)

    def history(self, rule_id: str) -> list[tuple[str, int, int]]:
        return [(each["action"], each["version"], each["previous_version"]) for each in self.json("history", rule_id)]

    def version(self, rule_id: str) -> int | None:
        listed = self.listed(rule_id)
        return listed["version"] if listed else None


@pytest.fixture(scope="module")
def job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    with running_job(stack, "changes", tmp_path_factory.mktemp("changes"), "--rule-counters-ms", "500", *RULES_ONLY) as running:
        yield running


@pytest.fixture
def control(job: Job, tmp_path: Path) -> Control:
    return Control(job, tmp_path)


def rule(rule_id: str, version: int, over: int = 0, **keys: Any) -> dict[str, Any]:
    return {
        "id": rule_id, "version": version,
        "when": {"events": ["order_placed"], "all": [{"path": "$.order_placed.total.amount_minor", "op": ">", "value": over}]},
        "to": [{"topic": "payments", "order": "none"}],
    } | keys  # fmt: skip


def test_a_push_is_in_force_and_the_same_push_changes_nothing(control: Control) -> None:
    pushed = control.file(rule("first", 1), rule("second", 1))
    given = control.json("push", pushed, "--as", "jane", "--reason", "to begin with")
    assert [(each["rule_id"], each["in_force"], len(each["subtasks"])) for each in given["changes"]] == [
        ("first", True, 2), ("second", True, 2),
    ]  # fmt: skip
    again = control.json("push", pushed)
    assert (again["changes"], list(again["unchanged"])) == ([], ["first", "second"])
    assert "second: unchanged" in control.run("push", pushed)

    assert "in force after" in control.run("push", control.file(rule("first", 2, over=7)))
    assert "second: unchanged" in control.run("push", control.file(rule("first", 3, over=8), rule("second", 1)))
    refused = control.run("push", control.file(rule("first", 2, over=9)), code=1)
    assert "first has version 2 and differs from version 3, which is in force" in refused
    assert "push version 4, before 3" in control.run("push", "--bump", control.file(rule("first", 2, over=9)))
    assert control.history("first") == [("push", 1, 0), ("push", 2, 1), ("push", 3, 2), ("push", 4, 3)]
    assert control.history("second") == [("push", 1, 0)]
    (first,) = control.json("history", "second")
    assert (first["who"], first["reason"], first["rule"]) == ("jane", "to begin with", rule("second", 1))


def test_what_the_job_rejects_is_taken_back(control: Control) -> None:
    control.run("push", control.file(rule("masking", 1)))
    masked = rule("masking", 2, to=[{"topic": "payments", "mask": ["user_id"]}])
    told = control.run("push", control.file(masked, masked | {"id": "also-masking"}), code=1)
    assert "needs the job's --mask-key-file (subtask 0, 1 of 2)" in told
    assert "masking: taken back, what was in force is so again as version 3" in told
    assert control.version("masking") == 3
    assert control.listed("also-masking") is None
    assert control.history("masking") == [("push", 1, 0), ("push", 2, 1), ("withdraw", 3, 2)]
    assert control.history("also-masking") == [("push", 2, 0), ("withdraw", 2, 2)]
    assert "needs the job's --mask-key-file" in control.json("history", "masking")[-1]["reason"]
    assert "needs a higher version" in control.run("push", control.file(rule("also-masking", 2)), code=1)
    control.run("push", control.file(rule("masking", 4, over=5), rule("also-masking", 3)))
    assert (control.version("masking"), control.version("also-masking")) == (4, 3)


def test_the_life_of_a_rule(control: Control) -> None:
    control.run("push", control.file(rule("living", 1, mode="shadow")))
    for command, mode in (("pause", "paused"), ("resume", "shadow"), ("promote", "active"), ("pause", "paused"), ("resume", "active")):
        assert "in force after" in control.run(command, "living", "--reason", "a test")
        listed = control.listed("living")
        assert listed is not None
        assert listed["mode"] == mode
    assert "only a rule in mode shadow" in control.run("promote", "living", code=1)
    assert "push version 7" in control.run("push", "--bump", control.file(rule("living", 1, over=5)))
    assert "rollback version 8, before 7: in force" in control.run("rollback", "living", "--to", "1")
    listed = control.listed("living")
    assert listed is not None
    assert (listed["version"], listed["mode"]) == (8, "shadow")

    assert "deleted after" in control.run("delete", "living")
    assert control.listed("living") is None
    assert "there is no rule living in force" in control.run("delete", "living", code=1)
    assert "which was deleted" in control.run("push", control.file(rule("living", 8)), code=1)
    assert "in force after" in control.run("rollback", "living", "--to", "7")
    assert [action for action, _, _ in control.history("living")] == [
        "push", "pause", "resume", "promote", "pause", "resume", "push", "rollback", "delete", "rollback",
    ]  # fmt: skip


def test_a_rule_of_the_baseline(control: Control) -> None:
    assert "in force after" in control.run("pause", "session-activity")
    assert "in force after" in control.run("rollback", "session-activity", "--to", "1")
    assert "deleted after" in control.run("delete", "session-activity")
    assert control.listed("session-activity") is None
    assert "which was deleted" in control.run("push", "rules/session-activity.yaml", "--no-test", code=1)
    assert "push version 4" in control.run("push", "rules/session-activity.yaml", "--bump")
    assert control.run("push", "rules").count("unchanged") == len(list((ROOT / "rules").glob("*.yaml")))


def test_an_export_is_what_is_in_force(control: Control, tmp_path: Path) -> None:
    control.run("push", control.file(rule("exported", 1, description="größer")))
    control.run("export", str(tmp_path / "all"))
    assert yaml.safe_load((tmp_path / "all" / "exported.yaml").read_text("utf-8")) == rule("exported", 1, description="größer")
    unchanged = control.json("push", str(tmp_path / "all"))
    assert unchanged["changes"] == []
    assert set(unchanged["unchanged"]) == {each["id"] for each in control.json("list")}


def test_counters_appear_in_the_list(control: Control, job: Job) -> None:
    control.run("push", control.file(rule("counted", 1, over=500, mode="shadow")))
    producer = Producer({"bootstrap.servers": job.stack.bootstrap, "partitioner": "murmur2_random"})

    def send(*events: Event) -> None:
        for event in events:
            producer.produce(job.topics.events, event.SerializeToString(), event.session_id.encode(), timestamp=event.event_time_ms)
        assert producer.flush(30) == 0

    send(*[order(100 * number, session_id=f"counted-{number}") for number in range(1, 11)])

    def counted() -> bool:
        # Counters go out with events: every 64th looks at the clock. These have no rule's conditions to be counted by.
        noise = [order(1, session_id=f"noise-{number}") for number in range(300)]
        for event in noise:
            event.ClearField("order_placed")
            event.product_viewed.product_id = "p-1"
        send(*noise)
        listed = control.listed("counted")
        counters = listed["counters"] if listed else None
        return counters is not None and (counters["evaluated"], counters["matched"], counters["shadow_matched"]) == (10, 0, 5)

    wait_until(counted, "counters: 10 evaluated, 5 of them matches in shadow")


def test_of_two_pushes_at_once_the_newer_version_wins(control: Control) -> None:
    """Whoever is first. The older one is either in force for a while before the newer one, or refused."""
    for round_number in range(1, 6, 2):
        older, newer = round_number, round_number + 1
        files = [control.file(rule("contested", version, over=version)) for version in (older, newer)]
        processes = [control.start("push", path) for path in files]
        (_, reason), (_, error) = (process.communicate(timeout=120) for process in processes)
        assert processes[1].returncode == 0, error
        assert control.version("contested") == newer
        versions = [version for _, version, _ in control.history("contested")]
        if processes[0].returncode == 0:
            assert versions[-2:] == [older, newer]
        else:
            assert older not in versions
            assert f"contested has version {older} and differs from version {newer}, which is in force" in reason


def test_who_is_fenced_off_plans_again(job: Job) -> None:
    """Another push comes between reading and writing: the older version is then refused, and nowhere to be seen."""
    prefix, bootstrap = job.topics.prefix, job.stack.bootstrap
    reads = 0

    def read() -> State:
        return read_state(bootstrap, prefix, ROOT / "rules", TOPICS)

    def push(version: int) -> plans.Plan:
        text = json.dumps(rule("fenced", version, over=version))
        return plans.push({"fenced": parse_rule(text, TOPICS)}, {"fenced": text}, TOPICS, bump=False)

    def read_while_another_one_pushes() -> State:
        nonlocal reads
        reads += 1
        state = read()
        if reads == 2:  # within the transaction
            assert carry_out(bootstrap, prefix, push(3), Author("other", ""), read).planned.changes
        return state

    with pytest.raises(CommandError, match="fenced has version 2 and differs from version 3, which is in force") as refused:
        carry_out(bootstrap, prefix, push(2), Author("one", ""), read_while_another_one_pushes)
    assert refused.value.exit_code == 1
    assert [entry.version for entry in read().audit if entry.rule_id == "fenced"] == [3]


def test_the_job_takes_nothing_of_a_transaction_that_was_aborted(control: Control, job: Job) -> None:
    producer = Producer({"bootstrap.servers": job.stack.bootstrap, "transactional.id": f"{job.topics.prefix}millrace-rules-control"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(job.topics.rules, json.dumps(rule("aborted", 1)), "aborted")
    assert producer.flush(30) == 0
    control.run("push", control.file(rule("behind-it", 1)))  # fences it off, and is in force: the job has passed the aborted one
    with pytest.raises(KafkaException):
        producer.commit_transaction(30)

    def told() -> set[str]:
        return {json.loads(message.value() or b"{}")["rule_id"] for message in job.read(job.topics.rule_status)}

    wait_until(lambda: "behind-it" in told(), "the checkpoint with the answer")
    assert "aborted" not in told()
    assert control.listed("aborted") is None


def test_no_job_answers(stack: Stack, job: Job, tmp_path: Path) -> None:
    """A prefix that no job reads: the topics are there, and the change is written for a job to come."""
    lonely = Control(Job(stack, type(job.topics)(prefix="lonely."), "", tmp_path), tmp_path)
    stack.create_topics(lonely.job.topics)
    pushed = lonely.file(rule("unheard", 1))
    assert "no job answers" in lonely.run("push", pushed, "--wait", "1", code=2)
    assert "unheard: unchanged" in lonely.run("push", pushed, "--wait", "1")
    assert "not waited for" in lonely.run("push", lonely.file(rule("unheard", 2, over=3)), "--wait", "0")
    missing = Control(Job(stack, type(job.topics)(prefix="missing."), "", tmp_path), tmp_path)
    assert "there is no topic missing.rules" in missing.run("list", code=2)


def test_the_job_never_failed(job: Job) -> None:
    assert job.restarts() == 0
