"""What is set on the operators of the finished graph, which SQL gives no way to say: ids, and how long output waits."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyflink.datastream import StreamExecutionEnvironment

_PHYSICAL: Final = (
    "OneInputTransformation", "TwoInputTransformation", "MultipleInputTransformation",
    "PythonBroadcastStateTransformation", "PythonKeyedBroadcastStateTransformation",
    "SourceTransformation", "LegacySourceTransformation", "SinkTransformation", "LegacySinkTransformation",
)  # fmt: skip
_NUMBERED: Final = re.compile(r"\[\d+\]:?|\$(cor|UNNEST_ROWS\$|\w*source\$)\d+")


@dataclass(frozen=True, slots=True)
class Operator:
    """A transformation of the graph, and what it says of itself, which is asked for once: each question is a round trip to Java.

    Attributes:
        transformation: the Java object.
        kind: name of its class.
        inputs: ids of the transformations before it.
    """

    transformation: Any
    id: int
    kind: str
    name: str
    inputs: tuple[int, ...]

    @property
    def physical(self) -> bool:
        """Whether it becomes an operator, and is not only the way to one, as a partitioning is."""
        return self.kind in _PHYSICAL


def assign_uids(graph: Iterable[Operator]) -> None:
    """Gives every operator without a uid one that stays the same, so that a savepoint fits the job after a change elsewhere in it.

    Flink maps state to operators by their uid. Operators behind SQL have none of their own: Flink numbers them through the whole
    job, so that one insight switched off would change the ids of all others, and no state would be restored. Here an id says what
    the operator does (its kind and a digest of its description), so it changes only with the operator itself, whose state would
    not fit then either.
    """
    seen: Counter[str] = Counter()
    for each in graph:
        if each.physical and each.transformation.getUid() is None:
            uid = _uid(each.name, each.transformation.getDescription() or "")
            seen[uid] += 1
            each.transformation.setUid(uid if seen[uid] == 1 else f"{uid}-{seen[uid]}")


def flush_rarely(graph: Sequence[Operator], but_to: Collection[str], every_ms: int) -> None:
    """Lets output of operators that do not lead to the sinks `but_to` wait for up to `every_ms` in its buffer.

    A thread for each task flushes its buffers at the pace of the buffer timeout. Insights are most of the tasks, and no one waits
    for them by the millisecond: at the pace of the routes they cost a machine more than their work does.
    """
    urgent: set[int] = set()
    for each in reversed(graph):  # each stands behind its inputs
        if each.id in urgent or _NUMBERED.sub("", each.name) in but_to:
            urgent.update((each.id, *each.inputs))
    for each in graph:
        if each.physical and each.id not in urgent:
            each.transformation.setBufferTimeout(every_ms)


def _uid(name: str, description: str) -> str:
    name, what = (_NUMBERED.sub("", text) for text in (name, description))
    return f"{name}-{hashlib.sha256(what.encode()).hexdigest()[:8]}"


def all_of(env: StreamExecutionEnvironment) -> list[Operator]:
    """The finished graph, each operator behind its inputs."""
    unread = {each.getId(): each for each in env._j_stream_execution_environment.getTransformations()}
    ends = list(unread)
    known: dict[int, Operator] = {}
    while unread:
        number, transformation = unread.popitem()
        inputs = {each.getId(): each for each in transformation.getInputs()}
        known[number] = Operator(transformation, number, transformation.getClass().getSimpleName(), transformation.getName(), tuple(inputs))
        unread |= {each: inputs[each] for each in inputs.keys() - known.keys()}
    return _behind_inputs(known, ends)


def _behind_inputs(graph: Mapping[int, Operator], ends: Sequence[int]) -> list[Operator]:
    """Depth first from the last end on, and not any topological order: which of two equal operators `assign_uids` numbers depends on it."""
    found: dict[int, Operator] = {}
    waiting = list(ends)
    while waiting:
        operator = graph[waiting.pop()]
        if missing := [each for each in operator.inputs if each not in found]:
            waiting += [operator.id, *missing]
        else:
            found[operator.id] = operator
    return list(found.values())
