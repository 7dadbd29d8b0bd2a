"""The Java reference: the same tasks as Flink SQL, with decoding and rules in a Java function. What Flink can do here without Python.

Its tables, sinks and Flink options are those of the job (jobs/tables.py, jobs/main.py), so that only the way between them differs.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Final

from jobs import sales, tables
from jobs.main import configuration
from jobs.settings import Settings
from jobs.sql import headers
from scripts.benchmark.peers import environments
from scripts.benchmark.peers.tasks import Task
from scripts.stack import Stack, StackError
from scripts.stack.paths import FLINK_HOME, JAVA_HOME, ROOT, STATE

_SOURCES: Final = Path(__file__).with_name("java")
_BUILT: Final = STATE / "peers" / "reference"
_ECJ: Final = "org.eclipse.jdt:ecj:3.40.0"  # a Java compiler that needs no JDK
_PROTOBUF: Final = "com.google.protobuf:protobuf-java:4.26.1"  # the one of protoc 26.1


def build() -> Path:
    """Compiles java/ and the protobuf code; returns the jar. Raises StackError with the compiler's words."""
    jar = _BUILT / "reference.jar"
    sources = [*_SOURCES.glob("*.java"), ROOT / "proto" / "shop" / "v1" / "events.proto"]
    if jar.is_file() and all(jar.stat().st_mtime > each.stat().st_mtime for each in sources):
        return jar
    protoc = environments.ensure("protoc") / "bin" / "protoc"
    compiler, protobuf = _maven(_ECJ), _maven(_PROTOBUF)
    generated, classes = _BUILT / "generated", _BUILT / "classes"
    for folder in (generated, classes):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    _run(str(protoc), "-I", str(ROOT / "proto"), f"--java_out={generated}", "shop/v1/events.proto")
    class_path = os.pathsep.join(map(str, (protobuf, *sorted((FLINK_HOME / "lib").glob("*.jar")))))
    _run(str(JAVA_HOME / "bin" / "java"), "-jar", str(compiler), "-17", "-nowarn", "-proc:none", "-cp", class_path, "-d", str(classes),
         *map(str, _SOURCES.glob("*.java")), str(generated))  # fmt: skip
    with zipfile.ZipFile(jar, "w") as target, zipfile.ZipFile(protobuf) as library:
        for name in library.namelist():
            if name.startswith("com/") and not name.endswith("/"):
                target.writestr(name, library.read(name))
        for path in sorted(classes.rglob("*.class")):
            target.write(path, path.relative_to(classes))
    return jar


def submit(stack: Stack, task: Task, settings: Settings) -> str:
    """Starts the reference; returns the job's id."""
    jar, script = build(), stack.workdir / "reference.sql"
    script.write_text("\n--\n".join(statements(task, settings)))
    options = [f"-D{key}={value}" for key, value in configuration(settings).to_dict().items()]
    output = stack.flink("run", "--detached", *options, "--class", "millrace.reference.Reference", str(jar), str(script))
    found = re.search(r"JobID ([0-9a-f]{32})", output)
    if found is None:
        raise StackError(f"flink run named no job: {output[-300:]}")
    return found.group(1)


def statements(task: Task, settings: Settings) -> list[str]:
    """The SQL of a task: tables, views, INSERTs."""
    events, _ = tables.sources(settings)
    wanted = [("ordered_routes", task.routes and task.ordered), ("instant_routes", task.routes), ("sales_by_category", task.sales)]
    sinks = [ddl for ddl in (*tables.sinks(settings), *sales.sinks(settings)) for name, used in wanted if used and f" TABLE {name} " in ddl]
    # One reader needs no sharing: a view is part of its query.
    shared = "SHARE events_here AS events_once" if len(sinks) > 1 else "CREATE TEMPORARY VIEW events_once AS SELECT * FROM events_here"
    made = [events, *sinks, _DECODED, _DISTINCT if task.distinct else _AS_THEY_CAME, shared]
    if task.routes:
        destinations = "unordered" if task.ordered else "ARRAY_CONCAT(ordered, unordered)"
        made.append(_routes("instant_routes", "events_once", destinations, settings, headers(event_id="event_id")))
    if task.routes and task.ordered:
        made.append(_NUMBERED)
        numbered = headers(event_id="event_id", session_seq="CAST(session_seq AS STRING)")
        made.append(_routes("ordered_routes", "numbered", "ordered", settings, numbered))
    if task.sales:
        made += [_SOLD, sales._by_category(settings)]
    return made


_DECODED: Final = """
CREATE TEMPORARY VIEW decoded AS
SELECT d.session_id, d.event_id, d.ordered, d.unordered, d.lines, `value` AS payload, record_time AS event_time, PROCTIME() AS arrival
FROM events, LATERAL TABLE(decode_event(`value`)) AS d(session_id, event_id, ordered, unordered, lines)"""
_AS_THEY_CAME: Final = """
CREATE TEMPORARY VIEW events_here AS
SELECT session_id, event_id, ordered, unordered, lines, payload, event_time FROM decoded"""
_DISTINCT: Final = """
CREATE TEMPORARY VIEW events_here AS
SELECT session_id, event_id, ordered, unordered, lines, payload, event_time FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY arrival) AS copy FROM decoded) WHERE copy = 1"""
_NUMBERED: Final = """
CREATE TEMPORARY VIEW numbered AS
SELECT session_id, event_id, ordered, payload, event_time,
       COUNT(*) OVER (PARTITION BY session_id ORDER BY event_time ROWS UNBOUNDED PRECEDING) AS session_seq
FROM events_once"""
_SOLD: Final = """
CREATE TEMPORARY VIEW sold AS
SELECT category, product_id, currency, quantity, amount_minor, `first`, event_time
FROM events_once CROSS JOIN UNNEST(lines) AS line(category, product_id, currency, quantity, amount_minor, `first`)"""


def _routes(sink: str, source: str, destinations: str, settings: Settings, header: str) -> str:
    return f"""
INSERT INTO {sink}
SELECT '{settings.topic_prefix}' || destination, session_id, payload, {header}, event_time
FROM (SELECT *, {destinations} AS targets FROM {source}) CROSS JOIN UNNEST(targets) AS target(destination)"""


def _maven(coordinates: str) -> Path:
    import jgo  # noqa: PLC0415  (half a second, and needed once)

    os.environ.setdefault("JAVA_HOME", str(JAVA_HOME))
    logging.getLogger("jgo").setLevel(logging.ERROR)
    artifact = coordinates.split(":")[1]
    try:
        found = sorted(Path(jgo.build(coordinates, cache_dir=STATE / "jgo").path).rglob(f"{artifact}-*.jar"))
    except Exception as error:  # as in scripts/stack/jars.py
        raise StackError(f"{coordinates} could not be fetched ({error})") from error
    return found[0]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"{Path(command[0]).name}: {(done.stdout + done.stderr).strip()[-600:]}")
