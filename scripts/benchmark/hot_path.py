"""A process of its own that runs what Python does for every event, and says how much CPU time it takes: a pass for each line it is sent.

`hot_path.py FILE`: FILE has the rules, the destinations and batches of events (pickled by regression.py). Which code runs is said by
PYTHONPATH, so that the same program measures today's code and an older one; so it uses no more of udfs/ than has been there for long.
"""

from __future__ import annotations

import gc
import pickle
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import udfs.batches  # noqa: F401 - code of before it takes events one by one, and can't be compared
from udfs.router import EventRouter, RouterSettings


class Quiet:
    """Stands for Flink's runtime and metrics: takes every call and does nothing."""

    def __getattr__(self, name: str) -> Quiet:
        return self

    def __call__(self, *arguments: Any, **more: Any) -> Quiet:
        return self


class Context(Quiet):
    """No rule has been pushed."""

    def get_broadcast_state(self, descriptor: Any) -> dict[str, str]:
        return {}


def main() -> None:
    rules, destinations, packed = pickle.loads(Path(sys.argv[1]).read_bytes())  # written by our own parent process
    settings = RouterSettings(
        baseline_rules=rules, destinations=destinations, max_clock_gap_ms=3_600_000, max_event_bytes=1_000_000,
        dead_letter_share_limit=1.0,
    )  # fmt: skip
    stage = EventRouter(settings)
    stage.open(Quiet())  # type: ignore[arg-type]
    context: Any = Context()
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.process_time_ns()
        for batch in packed:
            deque(stage.process_element(batch, context), maxlen=0)
        print(time.process_time_ns() - begin, flush=True)


if __name__ == "__main__":
    main()
