"""The cells of the matrix: data files under faults/, checked by pydantic. Pure; reads files and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError, model_validator

FAULTS: Final = Path(__file__).parent / "faults"


class FaultFileError(ValueError):
    """Says which file, which field, and what is allowed there."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Model):
    """A range in seconds from which the schedule draws; written [from, to]."""

    low: NonNegativeFloat
    high: NonNegativeFloat

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: Any) -> Any:
        if isinstance(value, list):
            if len(value) != 2:
                raise ValueError("must be [from, to], two numbers of seconds")
            return {"low": value[0], "high": value[1]}
        return value

    @model_validator(mode="after")
    def _ascending(self) -> Span:
        if self.high < self.low:
            raise ValueError(f"must ascend: [{self.low:g}, {self.high:g}]")
        return self


class Target(StrEnum):
    """Which process. Among several that fit, the seed decides."""

    TASK_MANAGER = "taskmanager"
    TASK_MANAGERS = "taskmanagers"
    """All of them."""
    JOB_MANAGER = "jobmanager"
    """The one that leads."""
    PYTHON_WORKER = "python-worker"
    BROKER = "broker"
    BROKER_LEADER = "broker-leader"
    """Leads the most partitions of the events."""
    BROKER_FOLLOWER = "broker-follower"
    """Leads the fewest partitions of the events: none, if there are fewer partitions than brokers."""
    KAFKA = "kafka"
    """All brokers."""
    GENERATOR = "generator"


Moment = Literal["any", "commit"]
"""When a process is hit. "commit": just when a checkpoint is complete, and its transactions are not yet committed: the moment from which
it takes most to recover."""


class _Repeated(_Model):
    """`times` faults; the first `every_s` after the warm-up, each next one so long after the end of the one before."""

    times: PositiveInt = 1
    every_s: Span = Span(low=6, high=10)
    each_healed: bool = True
    """The next one waits until the job is healthy again."""


class Kill(_Repeated):
    """SIGKILL (or SIGTERM) to a process, which is started again `down_s` later."""

    kind: Literal["kill"]
    target: Target | tuple[Target, ...]
    down_s: Span = Span(low=0.5, high=3)
    signal: Literal["KILL", "TERM"] = "KILL"
    at: Moment = "any"

    @property
    def targets(self) -> tuple[Target, ...]:
        return self.target if isinstance(self.target, tuple) else (self.target,)


class Pause(_Repeated):
    """SIGSTOP to a process, SIGCONT `for_s` later: it holds its connections and answers nobody."""

    kind: Literal["pause"]
    target: Target
    for_s: Span
    at: Moment = "any"


class RollingRestart(_Repeated):
    """SIGTERM to one broker after the other, each started again, and waited for until its replicas are in sync."""

    kind: Literal["rolling-restart"]
    down_s: Span = Span(low=0.5, high=2)


class Network(_Repeated):
    """The wire to a broker is cut, or loses and delays packets, for `for_s`. `delay_ms` is added to each round trip."""

    kind: Literal["network"]
    target: Literal[Target.BROKER, Target.BROKER_LEADER, Target.BROKER_FOLLOWER, Target.KAFKA]
    for_s: Span
    delay_ms: NonNegativeFloat = 0
    loss: Annotated[float, Field(ge=0, le=1)] = 0


class CheckpointFolder(_Repeated):
    """The checkpoints' file system is read-only, or full, for `for_s`."""

    kind: Literal["checkpoint-folder"]
    state: Literal["read-only", "full"]
    for_s: Span


class Traffic(_Repeated):
    """A second generator with these options for `for_s`: broken events, a wrong clock, a burst."""

    kind: Literal["traffic"]
    options: tuple[str, ...]
    for_s: Span


class Calm(_Repeated):
    """No fault: what the others are compared with."""

    kind: Literal["none"]
    for_s: Span = Span(low=15, high=15)


Fault = Annotated[Kill | Pause | RollingRestart | Network | CheckpointFolder | Traffic | Calm, Field(discriminator="kind")]


class Shape(_Model):
    """The stack that a cell runs on; cells of the same shape may share one."""

    brokers: Literal[1, 3] = 1
    parallelism: PositiveInt = 2
    python_mode: Literal["thread", "process"] = "thread"
    standbys: int = 0
    """JobManagers beside the one that leads. Then nobody submits the job again when that dies."""
    wires: bool = False
    """Each broker is a host of its own: a network namespace behind a wire."""
    checkpoint_mb: int = 0
    """Size of a file system of its own for the checkpoints; 0: none."""
    short_lived: bool = False
    """Without the JVMs' second compiler."""

    @property
    def needs_namespaces(self) -> bool:
        return self.wires or self.checkpoint_mb > 0

    def key(self) -> str:
        """Equal for shapes that may share a stack."""
        return self.model_dump_json()


class Workload(_Model):
    """The steady traffic. `partitions` of the events and of each destination; `rules`: pushes of a shadow rule per second."""

    rate: PositiveFloat = 1000
    partitions: PositiveInt = 4
    options: tuple[str, ...] = ("--late", "0.005", "--late-ms", "3000", "8000", "--duplicates", "0.01", "--malformed", "0.005")
    warm_s: PositiveFloat = 8
    after_s: PositiveFloat = 8
    """So long the traffic goes on once all is healthy again."""
    rules_per_s: NonNegativeFloat = 1
    job: tuple[str, ...] = ()
    """Options of the job over those that all cells have."""


class Checks(_Model):
    """What must hold, besides: nothing lost, doubled, reordered or altered, for either reader."""

    healthy_within_s: PositiveFloat = 120
    """From the end of the fault until all tasks run and two checkpoints have been completed."""
    recovered_within_s: PositiveFloat | None = None
    """The same from the begin of the fault, so that it may be over before what was killed is started again."""
    output_during: bool = False
    """Committed output must appear while the fault lasts."""
    same_job: bool = False
    """Flink must not restart the job."""
    max_rss_mb: dict[Literal["taskmanager", "jobmanager", "kafka"], PositiveInt] = {}
    """The most memory that a process may hold (resident)."""
    loss_reported: bool = False
    """The cell breaks a condition of the promise: what is lost must at least be in Flink's log as a transaction given up."""
    drain: bool = False
    """The job is drained at the end: event time goes to its end, for events that carry times of the future."""


class Cell(_Model):
    """One cell of the matrix."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    description: str
    short: bool = False
    """Part of the short matrix."""
    matrix: bool = True
    """Part of `all`."""
    stack: Shape = Shape()
    workload: Workload = Workload()
    fault: Fault
    checks: Checks = Checks()

    @model_validator(mode="after")
    def _fits(self) -> Cell:
        if self.fault.kind == "network" and not self.stack.wires:
            raise ValueError("fault.kind network needs stack.wires: true")
        if self.fault.kind == "checkpoint-folder" and not self.stack.checkpoint_mb:
            raise ValueError("fault.kind checkpoint-folder needs stack.checkpoint_mb")
        targets = self.fault.targets if isinstance(self.fault, Kill) else ()
        if Target.PYTHON_WORKER in targets and self.stack.python_mode != "process":
            raise ValueError("fault.target python-worker needs stack.python_mode: process")
        if isinstance(self.fault, RollingRestart) and self.stack.brokers != 3:
            raise ValueError("fault.kind rolling-restart needs stack.brokers: 3")
        return self


def load(folder: Path = FAULTS) -> dict[str, Cell]:
    """All cells, by name, in the order of their names.

    Raises:
        FaultFileError: a file is not YAML, not a cell, or not named after its cell.
    """
    return {cell.name: cell for cell in (read(path) for path in sorted(folder.glob("*.yaml")))}


def read(path: Path) -> Cell:
    """One cell; raises FaultFileError."""
    try:
        raw = yaml.safe_load(path.read_text())
        cell = Cell.model_validate(raw)
    except yaml.YAMLError as error:
        raise FaultFileError(f"{path.name}: no YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in error.errors())
        raise FaultFileError(f"{path.name}: {problems}") from error
    if cell.name != path.stem:
        raise FaultFileError(f"{path.name}: name: is {cell.name!r}, must be the file's, {path.stem!r}")
    return cell


def choose(cells: dict[str, Cell], names: str) -> list[Cell]:
    """The cells that `names` says: "all", "short", or names with commas; raises FaultFileError for an unknown one."""
    if names == "all":
        return [cell for cell in cells.values() if cell.matrix]
    if names == "short":
        return [cell for cell in cells.values() if cell.short]
    wanted = [name for name in names.split(",") if name]
    if unknown := [name for name in wanted if name not in cells]:
        raise FaultFileError(f"no such fault: {', '.join(unknown)}; there are {', '.join(cells)}")
    return [cells[name] for name in wanted]


def by_shape(cells: Iterable[Cell]) -> list[Cell]:
    """Cells of the same shape stand together, so that they share a stack; else in their order."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.stack.key(), []).append(cell)
    return [cell for group in groups.values() for cell in group]


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "the file"
