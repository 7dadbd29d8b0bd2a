"""The schedule: the same seed, the same acts; another one, others; all within what the file says."""

from __future__ import annotations

import pytest

from scripts.chaos.model import Cell, Target, load
from scripts.chaos.schedule import picked, plan

CELLS = load()
KILLS = Cell.model_validate(
    {
        "name": "kills", "description": "", "fault":
        {"kind": "kill", "target": ["taskmanager", "broker"], "times": 50, "every_s": [5, 9], "down_s": [1, 2]},
    }
)  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_the_seed_decides(name: str) -> None:
    assert plan(CELLS[name], 7) == plan(CELLS[name], 7)
    assert plan(CELLS[name], 7) != plan(CELLS[name], 8)
    assert len(plan(CELLS[name], 7)) == CELLS[name].fault.times


def test_what_is_drawn_is_within_the_ranges() -> None:
    acts = plan(KILLS, 1)
    assert [act.number for act in acts] == list(range(1, 51))
    assert all(5 <= act.after_s <= 9 and 1 <= act.for_s <= 2 and 0 <= act.pick < 1 for act in acts)
    assert {act.target for act in acts} == {Target.TASK_MANAGER, Target.BROKER}
    assert len({act.after_s for act in acts}) > 20


def test_two_cells_do_not_share_their_draws() -> None:
    assert plan(KILLS, 1) != plan(KILLS.model_copy(update={"name": "others"}), 1)


def test_for_so_long() -> None:
    acts = plan(KILLS, 1, for_s=60)
    assert acts == plan(KILLS, 1)[: len(acts)], "a longer schedule begins as the shorter one does"
    assert 50 < sum(act.after_s + act.for_s for act in acts) <= 60
    assert len(plan(KILLS, 1, for_s=0)) == 1, "one fault at least"


def test_picking() -> None:
    assert [picked(["a", "b", "c"], pick) for pick in (0, 0.33, 0.34, 0.99)] == ["a", "a", "b", "c"]
