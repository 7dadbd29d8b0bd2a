"""What one event costs, as `./scripts/bench --only costs` measured and wrote it down (costs.yaml; another machine's by --costs FILE)."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MEASURED: Final = Path(__file__).with_name("costs.yaml")
Insight = Literal["sales", "fraud", "recommendations"]


class CostsError(ValueError):
    """The file can't be read, or holds no costs of such a job."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Measured(_Strict):
    """Where the figures are from. `estimated`: fields of the jobs that nobody measured, which are there to have an order of magnitude."""

    command: str
    date: str
    machine: str
    estimated: tuple[str, ...] = ()


class Stream(_Strict):
    """What the events were like that were measured with. `order_share`: of the events, 0 to 1."""

    event_bytes: float = Field(gt=0)
    events_per_session: float = Field(gt=0)
    order_share: float = Field(gt=0, le=1)


class Job(_Strict):
    """What one event costs in one job: microseconds of CPU time, or bytes.

    `busiest_thread_us`: of the thread (or all Python stages together, which share one interpreter lock) that does most in a TaskManager.
    `shuffled_bytes`: from task to task. `output_bytes`: to Kafka, as stored. `id_state_bytes`, `session_state_bytes`: what checkpoints hold
    for an event that is remembered. `uploaded_bytes`: to the checkpoint storage, over all checkpoints of the run.
    """

    state_backend: Literal["rocksdb", "hashmap"]
    insights: frozenset[Insight]
    events_per_s: float = Field(gt=0)
    flink_cpu_us: float = Field(gt=0)
    kafka_cpu_us: float = Field(gt=0)
    busiest_thread_us: float = Field(gt=0)
    shuffled_bytes: float = Field(ge=0)
    output_bytes: float = Field(ge=0)
    id_state_bytes: float = Field(ge=0)
    session_state_bytes: float = Field(ge=0)
    uploaded_bytes: float = Field(ge=0)


class Costs(_Strict):
    """The whole file."""

    measured: Measured
    stream: Stream
    jobs: tuple[Job, ...]

    def job(self, state_backend: str, insights: frozenset[str]) -> Job:
        """The cheapest job measured that has at least these insights: what was not measured by itself is never planned too small.

        Raises:
            CostsError: none was measured with this state backend.
        """
        fitting = [job for job in self.jobs if job.state_backend == state_backend and job.insights >= insights]
        if not fitting:
            raise CostsError(f"no job with {state_backend} and {', '.join(sorted(insights)) or 'no insights'} was measured")
        return min(fitting, key=lambda job: (len(job.insights), job.flink_cpu_us))


def load(path: Path = MEASURED) -> Costs:
    """Reads a file of costs.

    Raises:
        CostsError: it can't be read, or is not of this form.
    """
    try:
        return Costs.model_validate(yaml.safe_load(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        raise CostsError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (OSError, yaml.YAMLError) as error:
        raise CostsError(f"{path}: {error}") from error
