"""The operators in Java are shipped as text: that they compile is shown without a cluster."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scripts.stack.paths import JAVA_HOME, ROOT

CODE = """
from pyflink.java_gateway import get_gateway
from jobs import java_operators
jvm = get_gateway().jvm
references, configuration = get_gateway().new_array(jvm.Object, 0), jvm.org.apache.flink.configuration.Configuration()
for name in ("KeepEventTime", "OrderSessions", "PackEvents", "UnpackRouted", "WithoutEventTime"):
    operator = jvm.org.apache.flink.table.runtime.generated.GeneratedOperator(name, java_operators.source(name), references, configuration)
    compiled = operator.compile(jvm.Thread.currentThread().getContextClassLoader())
    print(compiled.getSuperclass().getSimpleName(), *sorted(method.getName() for method in compiled.getDeclaredMethods()))
"""


@pytest.mark.thorough
def test_they_compile() -> None:
    # PyFlink's mini cluster, which other tests may have started in this process, leaves variables that forbid a gateway.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYFLINK_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False, cwd=ROOT,
        env={**plain, "JAVA_HOME": str(JAVA_HOME), "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    keep, order, pack, unpack, without = (line.split() for line in done.stdout.splitlines())
    assert {"AbstractStreamOperator", "initializeState", "processElement", "processWatermark", "snapshotState"} <= set(keep)
    assert {"AbstractStreamOperator", "initializeState", "processElement", "processWatermark", "snapshotState"} <= set(order)
    assert {"processElement", "processWatermark", "processWatermarkStatus", "prepareSnapshotPreBarrier", "finish"} <= set(pack)
    assert {"AbstractStreamOperator", "processElement"} <= set(unpack)
    assert {"processElement", "processWatermark", "processWatermarkStatus"} <= set(without)
