"""Flink's REST interface."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final

_MAX_ANSWER_BYTES: Final = 8 << 20


class NoAnswer(RuntimeError):
    """Flink is not there, too slow, does not know what it was asked for, or is not Flink."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last one that completed, when it did (ms since the epoch), and how long it took."""

    number: int
    completed_ms: int
    duration_ms: int


class FlinkRest:
    """Asks with short timeouts: a view that waits for an answer shows nothing else meanwhile."""

    def __init__(self, rest_url: str, timeout_s: float = 2.0) -> None:
        self.url = rest_url.rstrip("/")
        self._timeout_s = timeout_s
        # Without the environment's proxy, which knows nothing of this machine's ports.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> Any:
        """The JSON document at `path`; raises NoAnswer."""
        try:
            with self._opener.open(self.url + path, timeout=self._timeout_s) as answer:
                return json.loads(answer.read(_MAX_ANSWER_BYTES))
        except (OSError, HTTPException, ValueError) as error:
            raise NoAnswer(f"{self.url}{path}: {error!r}") from error


def last_checkpoint(checkpoints: Mapping[str, Any]) -> Checkpoint | None:
    """The answer of /jobs/<id>/checkpoints; None before the first has completed.

    Raises:
        KeyError, TypeError, ValueError: the answer is not Flink's.
    """
    completed = checkpoints["latest"]["completed"]
    return completed and Checkpoint(int(completed["id"]), int(completed["latest_ack_timestamp"]), int(completed["end_to_end_duration"]))


def restarts(metrics: list[Mapping[str, Any]]) -> int | None:
    """The answer of /jobs/<id>/metrics?get=numRestarts; None if Flink has nothing to say of it. Raises as `last_checkpoint`."""
    return next((int(metric["value"]) for metric in metrics if metric["id"] == "numRestarts"), None)
