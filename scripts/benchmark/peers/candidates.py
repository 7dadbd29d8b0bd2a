"""Who does the tasks, with which guarantee, and why some of them can't do some."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jobs.settings import Guarantee, Settings, StateBackend
from scripts.benchmark.peers import environments, reference
from scripts.benchmark.peers.stream import PARTITIONS, Stream
from scripts.benchmark.peers.tasks import SLIDE_MS, WINDOW_MS, Task
from scripts.stack import Stack
from scripts.stack.paths import ROOT
from scripts.stack.processes import Running, free_port, start, stop

EXACTLY_ONCE: Final = "exactly-once"
AT_LEAST_ONCE: Final = "at-least-once"
COMMIT_MS: Final = 2_000
"""Between two checkpoints, commits or snapshots of whatever kind."""
WORKERS: Final = 2
Engine = AbstractContextManager[list[Running]]
_PROGRAMS: Final = Path(__file__).with_name("programs")


@dataclass(frozen=True)
class Run:
    """One run of one candidate. `name` is new each time: a consumer group, and part of transactional ids."""

    stack: Stack
    stream: Stream
    task: Task
    name: str
    bound_ms: int
    guarantee: str
    backend: str


@dataclass(frozen=True)
class Candidate:
    """One row of the table.

    Attributes:
        guarantee: what it really gives, as it is started here.
        start: runs it, and yields the processes whose CPU time and memory are its own.
        cannot: task -> why it is not measured there.
        beyond: task -> what it does that the task does not ask for.
        backend: where Flink keeps its state.
        part: it takes one event in so many, since all would take it many minutes.
    """

    name: str
    guarantee: str
    start: Callable[[Run], Engine]
    cannot: dict[str, str] = field(default_factory=dict)
    beyond: dict[str, str] = field(default_factory=dict)
    backend: str = ""
    part: int = 1

    @property
    def own(self) -> bool:
        """Whether it is millrace."""
        return self.start is _millrace

    @property
    def key(self) -> str:
        """How the command line names it."""
        return self.name.lower().replace(" ", "-").replace(",", "")


def flink_processes(stack: Stack) -> list[Running]:
    """JobManager and TaskManagers."""
    return [each for each in stack.processes if not each.name.startswith("kafka")]


def brokers(stack: Stack) -> list[Running]:
    return [each for each in stack.processes if each.name.startswith("kafka")]


@contextmanager
def _flink_job(stack: Stack, job_id: str) -> Iterator[list[Running]]:
    try:
        yield flink_processes(stack)
    finally:
        stack.cancel(job_id)


def _millrace(run: Run) -> Engine:
    job_id = run.stack.submit(
        "--topic-prefix", run.stream.prefix, "--group-id", run.name, "--no-heartbeat", "--rules", str(run.task.rules),
        "--lateness-ms", str(run.bound_ms), "--guarantee", run.guarantee, "--state-backend", run.backend,
        "--checkpoint-interval-ms", str(COMMIT_MS), *run.task.switches,
    )  # fmt: skip
    return _flink_job(run.stack, job_id)


def _java(run: Run) -> Engine:
    settings = Settings(
        bootstrap=run.stack.bootstrap, topic_prefix=run.stream.prefix, group_id=run.name, heartbeat=False, lateness_ms=run.bound_ms,
        guarantee=Guarantee(run.guarantee), state_backend=StateBackend(run.backend), checkpoint_interval_ms=COMMIT_MS,
    )  # fmt: skip
    return _flink_job(run.stack, reference.submit(run.stack, run.task, settings))


def _pure_pyflink(run: Run) -> Engine:
    command = ("run", "--detached", "-py", str(_PROGRAMS / "pyflink_keyed.py"), *_arguments(run, 0))
    output = run.stack.flink(*command)
    return _flink_job(run.stack, output.split("JobID ")[-1].split()[0])


def _program(environment: str, script: str) -> Callable[[Run], Engine]:
    """Starts the workers of a program in its own environment."""

    @contextmanager
    def running(run: Run) -> Iterator[list[Running]]:
        python = environments.ensure(environment) / "bin" / "python"
        addresses = ";".join(f"127.0.0.1:{free_port()}" for _ in range(WORKERS))
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FLINK_"))} | {
            "PYTHONPATH": f"{_PROGRAMS}{os.pathsep}{ROOT / 'proto'}", "PEER_ADDRESSES": addresses,
        }  # fmt: skip
        processes = []
        try:
            for worker in range(WORKERS):
                name = f"{environment}-{worker}"
                log = run.stack.workdir / "logs" / f"{run.name}-{worker}.log"
                processes.append(start(name, [str(python), str(_PROGRAMS / script), *_arguments(run, worker)], variables, log, True))
            yield processes
        finally:
            stop(processes)
            shutil.rmtree(_state(run), ignore_errors=True)

    return running


def _state(run: Run) -> Path:
    return run.stack.workdir / "peers" / run.name


def _arguments(run: Run, worker: int) -> list[str]:
    """For programs/common.py."""
    given = {
        "bootstrap": run.stack.bootstrap, "prefix": run.stream.prefix, "group": run.name, "task": run.task.name,
        "guarantee": run.guarantee, "worker": worker, "workers": WORKERS, "partitions": PARTITIONS,
        "bound-ms": run.bound_ms, "window-ms": WINDOW_MS, "slide-ms": SLIDE_MS, "commit-ms": COMMIT_MS, "state": _state(run),
    }  # fmt: skip
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


_NO_STATE = "a loop has no state that outlives it: it would be an engine of its own"
_PLAIN = {"route+order": _NO_STATE, "sales": _NO_STATE, "all": _NO_STATE}
_BOTH = {"all": "measured task by task only"}
_FAUST = {
    "route+order": "no timers by event time: nothing lets go of what waits",
    "sales": "windowed tables tell each change and no final result",
    "all": "see route+order and sales",
}
_PATHWAY = {
    "route+order": "orders within a batch only (sort_by), and a batch is what came in a time of the clock",
    "all": "see route+order",
}
_ALWAYS = "validates, sends what is broken to dead letters, and takes new rules while it runs"
_LATE = "splits off what is late"
_MILLRACE = {
    "route": _ALWAYS,
    "route+order": f"{_ALWAYS}; {_LATE}, numbers sessions",
    "sales": f"{_ALWAYS}; {_LATE}",
    "all": f"{_ALWAYS}; {_LATE}, numbers sessions",
}
_NUMBERS = "numbers sessions"
_JAVA = {"route+order": _NUMBERS, "all": _NUMBERS}
_KEYED = {"route": "the same as millrace but for the order", "sales": "not written: the order alone shows it", **_BOTH}


def _candidates() -> list[Candidate]:
    flink = [
        Candidate(f"{name}, {backend}", EXACTLY_ONCE, start_, beyond=beyond, backend=backend)
        for backend in ("hashmap", "rocksdb")
        for name, start_, beyond in (("millrace", _millrace, _MILLRACE), ("Java reference", _java, _JAVA))
    ]
    plain, quix = _program("plain", "plain.py"), _program("quix", "quix.py")
    faust = _program("faust", "faust_app.py")
    return [
        *flink,
        Candidate("plain loop, transactions", EXACTLY_ONCE, plain, _PLAIN),
        Candidate("plain loop", AT_LEAST_ONCE, plain, _PLAIN),
        Candidate("Quix Streams, exactly-once", EXACTLY_ONCE, quix, _BOTH),
        Candidate("Quix Streams", AT_LEAST_ONCE, quix, _BOTH),
        Candidate("Bytewax", AT_LEAST_ONCE, _program("bytewax", "bytewax_flow.py"), _BOTH, {"route+order": "orders whole partitions"}),
        Candidate("Faust, exactly-once", EXACTLY_ONCE, faust, _FAUST, part=20),
        Candidate("Faust", AT_LEAST_ONCE, faust, _FAUST, part=20),
        Candidate("Pathway", AT_LEAST_ONCE, _program("pathway", "pathway_app.py"), _PATHWAY),
        Candidate("PyFlink keyed function", EXACTLY_ONCE, _pure_pyflink, _KEYED, backend="hashmap", part=4),
    ]


CANDIDATES: Final = {each.key: each for each in _candidates()}
