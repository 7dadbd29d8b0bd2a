"""Event time survives a restore: an operator that keeps the watermark in checkpoints.

Flink's checkpoints hold no watermarks. Each restore begins without one, so the first records behind it would all be punctual, however
late: ordered behind younger events of their session that are out already, and lost for windows that are closed (SQL's windows do remember
their watermark, and drop such rows silently). Found by `scripts/millrace chaos` (broker-leader-kill, seed 1).

PyFlink has no operator of this kind, and Python would cost each event a crossing. So it is a small Java operator, shipped as text and
compiled by Flink where it runs, as the planner's own operators are.
"""

from __future__ import annotations

from pathlib import Path

from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway

_CLASS = "KeepEventTime"
_SOURCE = Path(__file__).with_name(f"{_CLASS}.java")


def kept(stream: DataStream) -> DataStream:
    """The same stream; after a restore its watermark goes on from where it was in the checkpoint."""
    gateway = get_gateway()
    jvm = gateway.jvm
    runtime = jvm.org.apache.flink.table.runtime
    no_references = gateway.new_array(jvm.Object, 0)
    configuration = jvm.org.apache.flink.configuration.Configuration()
    operator = runtime.generated.GeneratedOperator(_CLASS, _SOURCE.read_text(), no_references, configuration)
    j_stream = stream._j_data_stream
    environment = j_stream.getExecutionEnvironment()
    transformation = jvm.org.apache.flink.streaming.api.transformations.OneInputTransformation(
        j_stream.getTransformation(), "keep-event-time", runtime.operators.CodeGenOperatorFactory(operator), j_stream.getType(),
        environment.getParallelism(), False,
    )  # fmt: skip
    transformation.setUid("keep-event-time")
    environment.addOperator(transformation)
    return DataStream(jvm.org.apache.flink.streaming.api.datastream.DataStream(environment, transformation))
