"""The way from Python to Java while the job is built (Py4J): fewer questions, since each is a round trip between two processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from py4j.java_gateway import JavaClass, JavaMember, JavaPackage, JVMView
from pyflink.java_gateway import get_gateway


def quicken() -> None:
    """Halves the questions: what a name stands for is asked once, and Java is not told of each object that Python has let go.

    Py4J asks for every step of `jvm.org.apache.flink…`, each time anew: a third of all questions. A fifth were the releases: the objects
    go when this process ends, which builds one job and is gone after seconds.
    """
    get_gateway()._gateway_client.gateway_property.enable_memory_management = False
    for kind, constant in ((JVMView, object), (JavaPackage, object), (JavaClass, JavaMember)):  # of a class, fields may change
        kind.__getattr__ = remembered(kind.__getattr__, constant)  # type: ignore[method-assign]


def remembered(ask: Callable[[Any, str], Any], constant: type) -> Callable[[Any, str], Any]:
    """A `__getattr__` that asks once for what is a `constant`, and each time for all else."""

    def __getattr__(self: Any, name: str) -> Any:
        found = ask(self, name)
        if isinstance(found, constant):
            vars(self)[name] = found
        return found

    return __getattr__
