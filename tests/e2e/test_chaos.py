"""The short cells of the matrix (scripts/millrace chaos), with a fixed seed: three brokers, and one thing after the other is killed.

They also judge progress and recovery, by the clock: not on two cores that everything shares. MILLRACE_TEST_ALL=1 runs them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.chaos.model import Cell, choose, load
from scripts.chaos.report import problems
from scripts.chaos.run import Ground, Runner

pytestmark = [pytest.mark.e2e, pytest.mark.unproven]

SEED = 1


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    ground = Ground(tmp_path_factory.mktemp("chaos"))
    yield Runner(ground, SEED, None, print)
    ground.down()


@pytest.mark.parametrize("cell", choose(load(), "short"), ids=lambda cell: cell.name)
def test_nothing_is_lost_or_doubled(runner: Runner, cell: Cell) -> None:
    result = runner.run(cell)
    assert result.checks, result.failure
    assert problems(result) == []
