"""Stable operator ids, so that a savepoint fits the job after a change elsewhere in it.

Flink maps state to operators by their uid. Operators behind SQL have none of their own: Flink numbers them through the whole
job, so that one insight switched off would change the ids of all others, and no state would be restored. Here an id says what
the operator does (its kind and a digest of its description), so it changes only with the operator itself, whose state would not
fit then either.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from pyflink.datastream import StreamExecutionEnvironment

_PHYSICAL: Final = ("OneInputTransformation", "TwoInputTransformation", "MultipleInputTransformation", "SourceTransformation",
                    "LegacySourceTransformation", "SinkTransformation", "LegacySinkTransformation")  # fmt: skip
_NUMBERED: Final = re.compile(r"\[\d+\]:?|\$(cor|UNNEST_ROWS\$|\w*source\$)\d+")


def assign(env: StreamExecutionEnvironment) -> None:
    """Gives every operator of the job that has no uid one. To be called when the graph is complete."""
    seen: Counter[str] = Counter()
    for operator in _operators(env):
        if operator.getUid() is None and operator.getClass().getSimpleName() in _PHYSICAL:
            uid = _uid(operator.getName(), operator.getDescription() or "")
            seen[uid] += 1
            operator.setUid(uid if seen[uid] == 1 else f"{uid}-{seen[uid]}")


def _uid(name: str, description: str) -> str:
    name, what = (_NUMBERED.sub("", text) for text in (name, description))
    return f"{name}-{hashlib.sha256(what.encode()).hexdigest()[:8]}"


def _operators(env: StreamExecutionEnvironment) -> Iterator[Any]:
    """All transformations (Java objects), each behind its inputs."""
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
        yield operator
