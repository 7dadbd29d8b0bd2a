"""The short cells of the matrix (scripts/millrace chaos), with a fixed seed: one thing after the other is killed.

They also judge recovery by the clock, with two minutes of which the busiest machine so far took 38 s. MILLRACE_TEST_ALL=1 runs all: the
JobManager's death takes three minutes, and test_high_availability.py has one too; that of the leading broker wants output while it lasts,
which two cores that everything shares may not give.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.chaos.model import Cell, Shape, by_shape, choose, load
from scripts.chaos.report import problems
from scripts.chaos.run import Ground, Runner
from scripts.stack import Stack

pytestmark = pytest.mark.e2e

SEED = 1
DECIDE = ("taskmanager-kill",)
SHARED = Shape(short_lived=True)
"""What the stack of all tests is."""
CELLS = [
    pytest.param(cell, id=cell.name, marks=[] if cell.name in DECIDE else [pytest.mark.unproven])
    for cell in by_shape(choose(load(), "short"))
]


class Borrowed(Ground):
    """The stack of all tests: a TaskManager that is killed leaves it as good as new."""

    def down(self) -> None:
        """Others need it still."""


@pytest.fixture(scope="module")
def on_shared(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(Borrowed(tmp_path_factory.mktemp("chaos"), SHARED, stack), SEED, None, print)


@pytest.fixture(scope="module")
def on_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """On stacks of which anything may be killed."""
    ground = Ground(tmp_path_factory.mktemp("chaos"))
    yield Runner(ground, SEED, None, print)
    ground.down()


def small(cell: Cell) -> Cell:
    """What is killed is no broker: one is enough, and without the JVM's second compiler two cores are quicker done. At half of the rate,
    slow ones have read what came meanwhile before the next fault."""
    if cell.checks.output_during:
        return cell
    stack = cell.stack.model_copy(update={"brokers": 1, "short_lived": True})
    return cell.model_copy(update={"stack": stack, "workload": cell.workload.model_copy(update={"rate": 500})})


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_is_lost_or_doubled(on_shared: Runner, on_own: Runner, cell: Cell) -> None:
    result = (on_shared if cell.name in DECIDE else on_own).run(small(cell))
    assert result.checks, result.failure
    assert problems(result) == []
