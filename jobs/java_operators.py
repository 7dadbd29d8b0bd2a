"""Small Java operators of our own, for what PyFlink has no operator for and Python would take a crossing for.

Each is a file beside this one, shipped as text and compiled by Flink where it runs, as the planner's own operators are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway

WHOLE_METHODS: Final = {"table.generated-code.max-length": "64000"}
"""Flink splits generated classes that are longer (by default: than 4,000 characters) where they have long methods, so that none is over the
8,000 bytes that the JVM compiles. Planning takes a sixth longer then, and what were local variables become fields. At 64,000 characters
it is not needed: the densest class of this job has a byte in its longest method for each ten of its characters (docs/performance.md)."""


def apply(stream: DataStream, class_name: str, name: str, j_type: Any = None) -> DataStream:
    """The stream behind the operator `class_name`.

    Args:
        class_name: of the operator, and of the file that it is in.
        name: of the operator in the graph, also its uid.
        j_type: TypeInformation (Java) of what comes out; None: the type of what goes in.
    """
    gateway = get_gateway()
    flink = gateway.jvm.org.apache.flink.streaming.api
    j_stream = stream._j_data_stream
    environment = j_stream.getExecutionEnvironment()
    transformation = flink.transformations.OneInputTransformation(
        j_stream.getTransformation(), name, factory(class_name, gateway.new_array(gateway.jvm.Object, 0)), j_type or j_stream.getType(),
        j_stream.getParallelism(), False,  # as what is before it, so that nothing is dealt out anew, and out of its order
    )  # fmt: skip
    transformation.setUid(name)
    environment.addOperator(transformation)
    return DataStream(flink.datastream.DataStream(environment, transformation))


def factory(class_name: str, references: Any) -> Any:
    """What makes the operator `class_name` where it runs; its constructor is given `references` (Java: Object[]), serialized."""
    jvm = get_gateway().jvm
    runtime = jvm.org.apache.flink.table.runtime
    configuration = jvm.org.apache.flink.configuration.Configuration()
    for key, value in WHOLE_METHODS.items():
        configuration.setString(key, value)
    operator = runtime.generated.GeneratedOperator(class_name, source(class_name), references, configuration)
    return runtime.operators.CodeGenOperatorFactory(operator)


def source(class_name: str) -> str:
    """The text of an operator."""
    return Path(__file__).with_name(f"{class_name}.java").read_text()
