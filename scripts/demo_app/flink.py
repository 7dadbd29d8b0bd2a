"""The job as Flink's REST interface tells of it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import quote

from scripts.demo_app.state import Checkpoint, JobStatus

_MAX_ANSWER_BYTES: Final = 8 << 20


class NoAnswer(RuntimeError):
    """Flink is not there, too slow, or does not know the job."""


class FlinkRest:
    """Asks with short timeouts: a view that waits for an answer shows nothing else meanwhile."""

    def __init__(self, rest_url: str, job_id: str, timeout_s: float = 2.0) -> None:
        self._job = f"{rest_url.rstrip('/')}/jobs/{quote(job_id, safe='')}"
        self._timeout_s = timeout_s
        # Without the environment's proxy, which knows nothing of this machine's ports.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def status(self) -> JobStatus:
        """Raises NoAnswer."""
        try:
            return parse_status(self._get(""), self._get("/checkpoints"), self._get("/metrics?get=numRestarts"))
        except (OSError, HTTPException, ValueError, TypeError, KeyError) as error:
            raise NoAnswer(f"{self._job}: {error!r}") from error

    def _get(self, path: str) -> Any:
        with self._opener.open(self._job + path, timeout=self._timeout_s) as answer:
            return json.loads(answer.read(_MAX_ANSWER_BYTES))


def parse_status(job: Mapping[str, Any], checkpoints: Mapping[str, Any], metrics: list[Mapping[str, Any]]) -> JobStatus:
    """The answers of /jobs/<id>, /jobs/<id>/checkpoints and /jobs/<id>/metrics?get=numRestarts in one.

    Raises:
        KeyError, TypeError, ValueError: the answer is not Flink's.
    """
    completed = checkpoints["latest"]["completed"]
    checkpoint = completed and Checkpoint(
        int(completed["id"]), int(completed["latest_ack_timestamp"]), int(completed["end_to_end_duration"])
    )
    restarts = next((int(metric["value"]) for metric in metrics if metric["id"] == "numRestarts"), None)
    return JobStatus(str(job["state"]), checkpoint, restarts)
