"""The job as Flink's REST interface tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from scripts.demo_app.state import JobStatus
from scripts.outputs.flink import FlinkRest, NoAnswer, last_checkpoint, restarts


class FlinkJob:
    """One job of one cluster."""

    def __init__(self, rest_url: str, job_id: str) -> None:
        self._rest = FlinkRest(rest_url)
        self._job = f"/jobs/{quote(job_id, safe='')}"

    def status(self) -> JobStatus:
        """Raises NoAnswer."""
        get, job = self._rest.get, self._job
        try:
            return parse_status(get(job), get(f"{job}/checkpoints"), get(f"{job}/metrics?get=numRestarts"))
        except (ValueError, TypeError, KeyError) as error:
            raise NoAnswer(f"{self._rest.url}{job}: {error!r}") from error


def parse_status(job: Mapping[str, Any], checkpoints: Mapping[str, Any], metrics: list[Mapping[str, Any]]) -> JobStatus:
    """The answers of /jobs/<id>, /jobs/<id>/checkpoints and /jobs/<id>/metrics?get=numRestarts in one.

    Raises:
        KeyError, TypeError, ValueError: the answer is not Flink's.
    """
    return JobStatus(str(job["state"]), last_checkpoint(checkpoints), restarts(metrics))
