"""The order of each session: our own operator (OrderSessions.java) in the place of the one that Flink plans for OVER.

SQL still says what is computed, and Flink still generates the code that counts. Only the operator around that code is another: with
RocksDB, eight accesses to the state for each event were half of the CPU time of routing, and two are enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pyflink.java_gateway import get_gateway

from jobs import java_operators
from jobs.operators import Operator
from jobs.settings import Settings

_REPLACED: Final = "RowTimeUnboundedPrecedingOverFunctionV2"


def install(graph: Iterable[Operator], settings: Settings) -> None:
    """Replaces the operator that orders sessions in a finished graph (`operators.all_of`); its state stays where it was.

    That is, its uid, and the names and types of its state.

    Raises:
        RuntimeError: there is not exactly one; a Flink that plans OVER in another way has another state, too.
    """
    candidates = (each.transformation for each in graph if each.kind == "OneInputTransformation" and each.name.startswith("OverAggregate"))
    found = [each for each in candidates if _orders_rows(each)]
    if len(found) != int(settings.order):
        raise RuntimeError(f"this Flink plans OVER in another way: {len(found)} operators of {_REPLACED}, expected {int(settings.order)}")
    for transformation in found:
        function = _function(transformation)
        gateway = get_gateway()
        references = gateway.new_array(gateway.jvm.Object, 6)
        for index, name in enumerate(("genAggsHandler", "accTypes", "inputFieldTypes", "rowTimeIdx")):
            references[index] = _field(function, name).get(function)
        references[4], references[5] = settings.memory_ms, settings.order_heap_bytes
        _field(transformation, "operatorFactory").set(transformation, java_operators.factory("OrderSessions", references))


def _orders_rows(transformation: Any) -> bool:
    function = _function(transformation)
    return (
        function is not None and function.getClass().getSimpleName() == _REPLACED and bool(_field(function, "isRowsWindow").get(function))
    )


def _function(transformation: Any) -> Any:
    """The function (Java) inside an operator; None if it has none."""
    factory = transformation.getOperatorFactory()
    return factory.getUserFunction() if factory.getClass().getSimpleName() == "SimpleUdfStreamOperatorFactory" else None


def _field(of: Any, name: str) -> Any:
    """A private field of an object (Java), to be read or set: nothing else gives what is in a planned operator."""
    field = of.getClass().getDeclaredField(name)
    field.setAccessible(True)
    return field
