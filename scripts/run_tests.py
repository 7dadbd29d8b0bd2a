"""`scripts/test [style | unit] [pytest options]`: checks the code's style, its types and the generated code, then runs the tests.

`style`: only the checks. Without `unit`: all tests, with the real Kafka and Flink that they start themselves on free ports.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from scripts import vulnerabilities
from scripts.benchmark import regression
from scripts.stack import StackError, jars
from scripts.stack.paths import ROOT

_UNIT: Final = ("-m", "not thorough and not integration and not e2e", "--hypothesis-profile=quick", "--numprocesses=auto",
                "--dist=loadfile", "--maxprocesses=4")  # fmt: skip
"""A file's tests in one process, since they share what they prepare. More than a few processes only collect the same tests more often."""
_PROTO: Final = "shop/v1/events.proto"


def main() -> None:
    arguments = sys.argv[1:]
    unit = arguments[:1] == ["unit"]
    _step("style (ruff)", ["ruff", "check", "--quiet", "."])
    _step("types (mypy)", ["mypy", "--no-error-summary"])
    _generated_code_is_fresh()
    if arguments == ["style"]:
        return
    if not unit:
        _costs_no_more()
    if unit:
        arguments = [*_UNIT, *arguments[1:]]
    else:
        try:
            jars.ensure()
        except StackError as error:
            sys.exit(f"millrace: {error}")
    sys.stdout.flush()
    with nullcontext() if unit else vulnerabilities.beside():
        code = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=_environment(), check=False).returncode
    sys.exit(code)


def _costs_no_more() -> None:
    """What Python does for every event must take no more CPU time than a commit ago."""
    try:
        verdict = regression.check()
    except regression.NotComparable as reason:
        print(f"millrace: CPU time per event not compared with the commit before: {reason}")
        return
    print(f"millrace: {verdict.line}")
    if not verdict.ok:
        sys.exit("millrace: the code has become slower")


def _environment() -> dict[str, str]:
    """This one's, in which compiled code is kept: without, pytest rewrites the assertions of all tests each time, for three seconds."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _step(what: str, command: list[str]) -> None:
    if subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode != 0:
        sys.exit(f"millrace: {what} failed")


def _generated_code_is_fresh() -> None:
    """The protobuf code in the repository must be what today's schema gives."""
    with tempfile.TemporaryDirectory() as folder:
        _step("protoc", ["grpc_tools.protoc", "-I", "proto", f"--python_out={folder}", f"--pyi_out={folder}", _PROTO])
        for path in Path(folder).rglob("*.py*"):
            if path.read_bytes() != (ROOT / "proto" / path.relative_to(folder)).read_bytes():
                sys.exit(f"millrace: {path.name} is not what {_PROTO} gives: run scripts/protoc")


if __name__ == "__main__":
    main()
