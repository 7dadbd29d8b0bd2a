"""The operator that keeps event time: it is Java as text, so at least that it compiles is shown without a cluster."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scripts.stack.paths import JAVA_HOME, ROOT

CODE = """
from pyflink.java_gateway import get_gateway
from jobs import event_time
jvm = get_gateway().jvm
references, configuration = get_gateway().new_array(jvm.Object, 0), jvm.org.apache.flink.configuration.Configuration()
source = event_time._SOURCE.read_text()
operator = jvm.org.apache.flink.table.runtime.generated.GeneratedOperator(event_time._CLASS, source, references, configuration)
compiled = operator.compile(jvm.Thread.currentThread().getContextClassLoader())
print(compiled.getSuperclass().getSimpleName(), sorted(method.getName() for method in compiled.getDeclaredMethods()))
"""


@pytest.mark.thorough
def test_it_compiles() -> None:
    # PyFlink's mini cluster, which other tests may have started in this process, leaves variables that forbid a gateway.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYFLINK_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False, cwd=ROOT,
        env={**plain, "JAVA_HOME": str(JAVA_HOME), "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("AbstractStreamOperator ['initializeState', 'processElement', 'processWatermark', 'snapshotState', ")
