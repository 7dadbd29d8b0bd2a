"""Flink's command line in a JVM that stays.

A new JVM takes ten seconds of CPU time to plan a job for the first time, most of it to load and compile the planner's own code. Who submits
many jobs to one cluster, as the tests do, has all but the first of them in half of the time. What runs is the same, `CliFrontend` with the
same arguments; `flink run` in a JVM of its own, as users start it, is what the tests of `scripts/millrace job` run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from py4j.java_gateway import GatewayParameters, JavaGateway
from py4j.protocol import Py4JJavaError, Py4JNetworkError

from scripts.stack.errors import StackError
from scripts.stack.paths import FLINK_HOME, JAVA_HOME

_FOLDERS: Final = {f"FLINK_{name.upper()}_DIR": str(FLINK_HOME / name) for name in ("bin", "lib", "opt", "plugins")}

_FAILED: Final = 31


def environment(of_scripts: Mapping[str, str]) -> dict[str, str]:
    """The environment of `command`: what Flink's scripts are given, and what they add to it."""
    return {**of_scripts, **_FOLDERS}


def command(conf: Path, log: Path, jvm_options: Sequence[str]) -> list[str]:
    """Runs the JVM in the foreground; the first line that it prints is the port for `CommandLine`.

    Args:
        conf: folder of config.yaml.
        log: of Flink's client.
    """
    logging = (f"-Dlog.file={log}", f"-Dlog4j.configurationFile=file:{conf / 'log4j-cli.properties'}")
    jars = sorted((FLINK_HOME / "lib").glob("*.jar"), key=lambda jar: (jar.name.startswith("flink-dist-"), jar.name))  # as Flink's scripts
    return [str(JAVA_HOME / "bin" / "java"), *jvm_options, *logging, "-cp", ":".join(map(str, (*jars, conf))),
            "org.apache.flink.api.python.shaded.py4j.GatewayServer", "0"]  # fmt: skip


class CommandLine:
    """The command line of one cluster, in such a JVM. One command at a time.

    Args:
        conf: folder of config.yaml.
        output: a file for what the last command has said.
    """

    def __init__(self, port: int, conf: Path, output: Path) -> None:
        # Without memory management: else Python tells a JVM that is long gone, when it ends itself, what it no longer needs.
        self._gateway: Any = JavaGateway(gateway_parameters=GatewayParameters(port=port, enable_memory_management=False))
        self._conf, self._output = conf, output

    def run(self, arguments: Sequence[str], folder: Path) -> tuple[int, str]:
        """Runs a command; returns its exit status and what it said.

        Args:
            folder: where the program is that `-py` names.

        Raises:
            StackError: the JVM is gone.
        """
        named = [str(folder / each) if before == "-py" else each for before, each in zip(("", *arguments), arguments, strict=False)]
        try:
            return self._run(named), self._output.read_text()
        except Py4JNetworkError as error:
            raise StackError(f"the JVM of Flink's command line is gone: {error}") from error

    def _run(self, arguments: Sequence[str]) -> int:
        jvm = self._gateway.jvm
        said = jvm.java.io.PrintStream(str(self._output))
        jvm.java.lang.System.setOut(said)
        jvm.java.lang.System.setErr(said)
        front_end = jvm.org.apache.flink.client.cli.CliFrontend
        configuration = jvm.org.apache.flink.configuration.GlobalConfiguration.loadConfiguration(str(self._conf))
        j_arguments = self._gateway.new_array(jvm.String, len(arguments))
        for index, argument in enumerate(arguments):
            j_arguments[index] = argument
        try:
            of_cluster = front_end.loadCustomCommandLines(configuration, str(self._conf))
            return int(front_end(configuration, of_cluster).parseAndRun(j_arguments))
        except Py4JJavaError:  # the program has failed, and has said why: Flink's own `main` ends with 31 then
            return _FAILED
        finally:
            said.close()
