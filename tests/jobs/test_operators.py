"""The graph as it is read from Java: each operator behind its inputs, and every question asked once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from jobs.operators import Operator, all_of, assign_uids, flush_rarely


@dataclass
class Transformation:
    """What Java's `Transformation` says, and how often it was asked."""

    id: int
    name: str = "Calc[7]"
    inputs: tuple[Transformation, ...] = ()
    uid: str | None = None
    kind: str = "OneInputTransformation"
    asked: Counter[str] = field(default_factory=Counter)
    buffer_timeout: int | None = None

    def getId(self) -> int:
        return self.id

    def getInputs(self) -> tuple[Transformation, ...]:
        self.asked["inputs"] += 1
        return self.inputs

    def getName(self) -> str:
        self.asked["name"] += 1
        return self.name

    def getClass(self) -> Transformation:
        self.asked["class"] += 1
        return self

    def getSimpleName(self) -> str:
        return self.kind

    def getDescription(self) -> str:
        return f"{self.name}: what it does"

    def getUid(self) -> str | None:
        return self.uid

    def setUid(self, uid: str) -> None:
        self.uid = uid

    def setBufferTimeout(self, milliseconds: int) -> None:
        self.buffer_timeout = milliseconds


@dataclass
class Environment:
    """A StreamExecutionEnvironment with these sinks."""

    sinks: list[Transformation]

    @property
    def _j_stream_execution_environment(self) -> Environment:
        return self

    def getTransformations(self) -> list[Transformation]:
        return self.sinks


def diamond() -> tuple[Any, list[Transformation]]:
    """A source, two ways from it, and a sink behind both; one of the ways has a sink of its own, too."""
    source = Transformation(1, "Source: events", kind="SourceTransformation")
    left, right = Transformation(2, inputs=(source,)), Transformation(3, inputs=(source,), kind="PartitionTransformation")
    both = Transformation(4, "orders: Writer", (left, right))
    own = Transformation(5, "sales: Writer", (right,))
    return Environment([both, own]), [source, left, right, both, own]


def test_each_operator_stands_behind_its_inputs_once() -> None:
    env, transformations = diamond()
    graph = all_of(env)
    at = {each.id: index for index, each in enumerate(graph)}
    assert sorted(at) == [1, 2, 3, 4, 5]
    assert len(graph) == 5
    assert all(at[before] < at[each.id] for each in graph for before in each.inputs)
    assert [each.transformation for each in sorted(graph, key=lambda each: each.id)] == transformations


def test_java_is_asked_once_for_each() -> None:
    env, transformations = diamond()
    all_of(env)
    assert [each.asked for each in transformations] == [Counter(inputs=1, name=1, **{"class": 1})] * 5


def test_uids_are_of_what_an_operator_does_and_differ() -> None:
    env, (source, left, right, both, own) = diamond()
    left.name, both.name, own.uid = "Calc[12]", "Calc[99]", "given"
    assign_uids(all_of(env))
    assert source.uid is not None
    assert source.uid.startswith("Source: events-")
    assert left.uid is not None
    assert both.uid == f"{left.uid}-2", "the number that Flink gave it is none of its own"
    assert (right.uid, own.uid) == (None, "given"), "a partitioning is no operator"


def test_only_what_leads_to_urgent_sinks_is_flushed_at_once() -> None:
    env, (source, left, right, both, own) = diamond()
    flush_rarely(all_of(env), but_to=["orders: Writer"], every_ms=100)
    assert [each.buffer_timeout for each in (source, left, right, both)] == [None] * 4
    assert own.buffer_timeout == 100


def test_physical() -> None:
    kinds = ("OneInputTransformation", "PartitionTransformation", "SinkTransformation", "UnionTransformation")
    assert [Operator(None, 1, kind, "", ()).physical for kind in kinds] == [True, False, True, False]
