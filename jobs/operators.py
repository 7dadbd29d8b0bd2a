"""What is set on the operators of the finished graph, which SQL gives no way to say: ids, and how long output waits."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from pyflink.datastream import StreamExecutionEnvironment

_PHYSICAL: Final = (
    "OneInputTransformation", "TwoInputTransformation", "MultipleInputTransformation",
    "PythonBroadcastStateTransformation", "PythonKeyedBroadcastStateTransformation",
    "SourceTransformation", "LegacySourceTransformation", "SinkTransformation", "LegacySinkTransformation",
)  # fmt: skip
_NUMBERED: Final = re.compile(r"\[\d+\]:?|\$(cor|UNNEST_ROWS\$|\w*source\$)\d+")


def assign_uids(graph: Iterable[Any]) -> None:
    """Gives every operator without a uid one that stays the same, so that a savepoint fits the job after a change elsewhere in it.

    Flink maps state to operators by their uid. Operators behind SQL have none of their own: Flink numbers them through the whole
    job, so that one insight switched off would change the ids of all others, and no state would be restored. Here an id says what
    the operator does (its kind and a digest of its description), so it changes only with the operator itself, whose state would
    not fit then either.
    """
    seen: Counter[str] = Counter()
    for operator in graph:
        if operator.getUid() is None and operator.getClass().getSimpleName() in _PHYSICAL:
            uid = _uid(operator.getName(), operator.getDescription() or "")
            seen[uid] += 1
            operator.setUid(uid if seen[uid] == 1 else f"{uid}-{seen[uid]}")


def flush_rarely(graph: Sequence[Any], but_to: Collection[str], every_ms: int) -> None:
    """Lets output of operators that do not lead to the sinks `but_to` wait for up to `every_ms` in its buffer.

    A thread for each task flushes its buffers at the pace of the buffer timeout. Insights are most of the tasks, and no one waits
    for them by the millisecond: at the pace of the routes they cost a machine more than their work does.
    """
    urgent: set[int] = set()
    for operator in reversed(graph):  # each stands behind its inputs
        if operator.getId() in urgent or _NUMBERED.sub("", operator.getName()) in but_to:
            urgent.add(operator.getId())
            urgent.update(each.getId() for each in operator.getInputs())
    for operator in graph:
        if operator.getId() not in urgent and operator.getClass().getSimpleName() in _PHYSICAL:
            operator.setBufferTimeout(every_ms)


def _uid(name: str, description: str) -> str:
    name, what = (_NUMBERED.sub("", text) for text in (name, description))
    return f"{name}-{hashlib.sha256(what.encode()).hexdigest()[:8]}"


def all_of(env: StreamExecutionEnvironment) -> list[Any]:
    """All transformations (Java objects), each behind its inputs. It asks Java a thousand times: walk once, for all who need it."""
    found: list[Any] = []
    seen: set[int] = set()
    waiting = list(env._j_stream_execution_environment.getTransformations())
    while waiting:
        operator = waiting.pop()
        if operator.getId() in seen:
            continue
        inputs = [each for each in operator.getInputs() if each.getId() not in seen]
        if inputs:
            waiting += [operator, *inputs]
            continue
        seen.add(operator.getId())
        found.append(operator)
    return found
