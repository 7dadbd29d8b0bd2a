"""Runs cells: the stack, the job, the load, the faults, then the checks."""

from __future__ import annotations

import json
import random
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from jobs.settings import Topics
from scripts.chaos import result as results
from scripts.chaos.actors import Actor, Job
from scripts.chaos.health import Watch, now_ms, restarts
from scripts.chaos.model import Cell, Kill, Pause, Shape
from scripts.chaos.namespaces import Volume, Wires, inside
from scripts.chaos.readers import Flow, SteadyReader, differences, read_later
from scripts.chaos.result import Done, Result, Timeline
from scripts.chaos.schedule import plan
from scripts.chaos.workload import RULE_ID, Generators, RulePushes
from scripts.stack import Stack, StackError
from scripts.stack.paths import PYTHON, ROOT

IDLE_MS, CHECKPOINT_MS = 3_000, 1_000
# What the job and the checker must agree on, as options of both. Short, so that windows and sessions end within a cell.
AGREED = (
    "--window-ms", "10000", "--slide-ms", "2000", "--lateness-ms", "1000", "--totals-ms", "5000",
    "--session-gap-ms", "4000", "--session-step-ms", "500", "--payment-within-ms", "8000",
)  # fmt: skip
# A heartbeat time-out that is short against a fault, so that a pause is one: Flink's default is 50 s.
_FLINK = {"heartbeat.interval": "2000", "heartbeat.timeout": "8000"}
_VERIFY_S = 150
_RULE_S = 60
_MOMENT_S = 60
_WARM_S = 120

Say = Callable[[str], None]


@dataclass
class Ground:
    """The stack that cells run on, with its wires and its volume; built anew when a cell needs another one."""

    folder: Path
    shape: Shape | None = None
    stack: Stack | None = None
    wires: Wires | None = None
    volume: Volume | None = None
    _built: int = 0

    def ready(self, shape: Shape) -> Stack:
        """A stack of this shape: the one that runs, if it fits and nothing of it is gone."""
        if self.stack is not None and self.shape == shape:
            return self.stack
        self.down()
        self._built += 1
        workdir = self.folder / f"stack-{self._built}"
        self.shape = shape
        if shape.wires:
            self.wires = Wires(shape.brokers, workdir / "logs")
            self.wires.up()
        if shape.checkpoint_mb:
            self.volume = Volume(workdir / "checkpoints", shape.checkpoint_mb)
            self.volume.mount()
        hosts = self.wires.hosts if self.wires else ()
        prefix = tuple(self.wires.prefix(holder) for holder in self.wires.processes) if self.wires else ()
        self.stack = Stack(
            workdir, shape.parallelism, shape.python_mode, _FLINK, brokers=shape.brokers, broker_hosts=hosts, broker_prefix=prefix,
            standbys=shape.standbys, short_lived=shape.short_lived,
        )
        self.stack.up()
        return self.stack

    def down(self) -> None:
        """Ends all of it."""
        if self.stack is not None:
            self.stack.down()
        if self.wires is not None:
            self.wires.down()
        if self.volume is not None:
            self.volume.unmount()
        self.stack, self.wires, self.volume, self.shape = None, None, None, None


@dataclass
class Runner:
    """Runs one cell after the other; `say` is told what happens."""

    ground: Ground
    seed: int
    for_s: float | None
    say: Say
    namespaces_missing: str | None = None
    _number: int = field(default=0)

    def run(self, cell: Cell) -> Result:
        """Never raises for what goes wrong in a cell: that is its result."""
        result = Result(cell.name, self.seed)
        if cell.stack.needs_namespaces and not inside():
            result.skipped = self.namespaces_missing or "needs namespaces of its own"
            return result
        self._number += 1
        folder = self.ground.folder / cell.name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            stack = self.ground.ready(cell.stack)
            with _job(stack, cell, f"chaos{self._number}") as job:
                self._cell(cell, job, folder, result)
        except Exception as error:  # whatever it is: the other cells must still run, and this one be reported
            result.failure = f"{type(error).__name__}: {error}"
            (folder / "failure.txt").write_text(traceback.format_exc())
        if result.failure:
            self.ground.down()  # nobody knows what state it is in
        return result

    def _cell(self, cell: Cell, job: Job, folder: Path, result: Result) -> None:
        stack, load, bootstrap = job.stack, cell.workload, job.stack.bootstrap
        randomness = random.Random(f"{self.seed}/{cell.name}/generators")
        generators = Generators(bootstrap, job.topics, folder, randomness.randrange(2**31))
        options = ("--rate", f"{load.rate:g}", *load.options)
        reader = SteadyReader(bootstrap, job.topics)
        reader.start()
        watch = Watch(lambda: stack.rest_url, lambda: job.id, lambda: stack.processes)
        pushes = RulePushes(bootstrap, job.topics, load.rules_per_s) if load.rules_per_s else None
        start_ms, given_up_before = now_ms(), _given_up(stack)
        try:
            generators.start(*options)
            if pushes is not None:
                pushes.start()
            time.sleep(load.warm_s)
            _wait_for_output(reader)
            actor = Actor(job, cell.fault, generators, options, self.ground.wires, self.ground.volume)
            if isinstance(cell.fault, Kill | Pause) and cell.fault.at == "commit":
                actor.moment = lambda: _wait_for_checkpoint(job)
            self._acts(cell, actor, reader, watch, result.acts)
            self.say(f"{cell.name}: healthy after {results.seconds(result.acts[-1].healthy_s)}")
            time.sleep(load.after_s)
            generators.end_all()
            if pushes is not None:
                pushes.stop()
                result.rule_pushes = pushes.written
            lacking = _rule_lacking(reader, pushes, stack.parallelism)
            if cell.checks.drain:
                stack.flink("stop", "--drain", "--savepointPath", (stack.workdir / "savepoints").as_uri(), job.id)
            result.verified = _verify(bootstrap, job.topics, generators.ledgers)
            later = read_later(bootstrap, job.topics)
            reader.wait_for(later)
            found = differences(reader.log, later)
        finally:
            generators.end_all()
            watch.stop()
            reader.stop()
            result.timeline = timeline(reader.flow, start_ms, now_ms())
            result.restarts = restarts(watch.samples)
            result.given_up = _given_up(stack) - given_up_before
            result.largest_mb = dict(sorted(watch.largest_mb.items()))
            results.heal(result.acts, watch.samples)
        result.checks = results.judge(cell, result, found, lacking)

    def _acts(self, cell: Cell, actor: Actor, reader: SteadyReader, watch: Watch, done: list[Done]) -> None:
        acts = plan(cell, self.seed, self.for_s)
        for act in acts:
            time.sleep(act.after_s)
            before, begun_ms = reader.came_out(), now_ms()
            try:
                what = actor.begin(act)
                self.say(f"{cell.name}: {act.number}. {cell.fault.kind} {what} for {act.for_s:g} s")
                time.sleep(act.for_s)
            finally:
                after = reader.came_out()
                actor.end()
            done.append(Done(act.number, what, begun_ms, now_ms(), before, after))
            if cell.fault.each_healed or act.number == len(acts):
                done[-1].healthy_ms = watch.wait_healthy(done[-1].ended_ms, cell.checks.healthy_within_s)


@contextmanager
def _job(stack: Stack, cell: Cell, name: str) -> Iterator[Job]:
    """The job with topics of its own; cancelled at the end."""
    topics = Topics(prefix=f"{name}.")
    stack.create_topics(topics, cell.workload.partitions)
    options = (
        "--topic-prefix", topics.prefix, "--group-id", name, *AGREED, "--idle-ms", str(IDLE_MS),
        "--checkpoint-interval-ms", str(CHECKPOINT_MS), *cell.workload.job,
    )  # fmt: skip
    job = Job(stack, topics, options)
    job.submit()
    try:
        stack.wait_running(job.id, 120)
        yield job
    finally:
        with suppress(OSError, StackError):
            if stack.job_state(job.id) not in ("FINISHED", "CANCELED", "FAILED"):
                stack.cancel(job.id)


def _wait_for_output(reader: SteadyReader) -> None:
    """The fault is to hit a job that works, also where a busy machine takes long to warm up."""
    deadline = time.monotonic() + _WARM_S
    while not reader.came_out():
        if time.monotonic() > deadline:
            raise RuntimeError(f"no output in {_WARM_S} s before the first fault")
        time.sleep(0.2)


def _wait_for_checkpoint(job: Job) -> None:
    """Returns within about a millisecond of the completion of the next checkpoint: its transactions are not committed yet."""
    before = job.stack.newest_checkpoint(job.id)
    number = 0 if before is None else int(before.name.removeprefix("chk-"))
    folder = job.stack.workdir / "checkpoints" / job.id
    deadline = time.monotonic() + _MOMENT_S
    while time.monotonic() < deadline:
        if any((folder / f"chk-{number + ahead}" / "_metadata").exists() for ahead in (1, 2, 3)):
            return
        time.sleep(0.0005)
    raise RuntimeError(f"no checkpoint was completed in {_MOMENT_S} s")


def _given_up(stack: Stack) -> int:
    """How many transactions TaskManagers say they could not commit: what was in them is lost."""
    logs = (stack.workdir / "logs").glob("taskmanager-*.log")
    return sum(log.read_text(errors="replace").count("Unable to commit transaction") for log in logs)


def _rule_lacking(reader: SteadyReader, pushes: RulePushes | None, parallelism: int) -> str:
    """Waits until the last rule is in force on all subtasks; else says what is lacking."""
    if pushes is None:
        return ""
    deadline = time.monotonic() + _RULE_S
    while lacking := results.last_in_force(list(reader.rule_answers), RULE_ID, pushes.last_version, parallelism):
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    return lacking


def _verify(bootstrap: str, topics: Topics, ledgers: Sequence[Path]) -> dict[str, object]:
    """The checker's report, once all is there or after some minutes."""
    given = [part for ledger in ledgers for part in ("--ledger", str(ledger))]
    command = [str(PYTHON), "-m", "scripts.checker.verify", "--bootstrap", bootstrap, "--topic-prefix", topics.prefix, *given,
               *AGREED, "--windows-closed", "all", "--wait", str(_VERIFY_S), "--json"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        raise RuntimeError(f"the checker could not check: {done.stderr.strip()[-300:]}")
    report: dict[str, object] = json.loads(done.stdout)
    return report


def timeline(flow: Flow, start_ms: int, end_ms: int) -> Timeline:
    """The flow by second. The age of what is newest grows while nothing is committed."""
    line = Timeline(start_ms)
    newest_ms: int | None = None
    for second in range(start_ms // 1000, end_ms // 1000 + 1):
        if second in flow.newest_ms:
            newest_ms = max(newest_ms or 0, flow.newest_ms[second])
        line.came_in.append(flow.came_in[second])
        line.came_out.append(flow.came_out[second])
        line.age_ms.append(None if newest_ms is None else max(0, (second + 1) * 1000 - newest_ms))
    return line
