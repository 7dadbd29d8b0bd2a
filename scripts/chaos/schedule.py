"""What happens when, drawn from a seed: the same cell and seed give the same schedule. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import assert_never

from scripts.chaos.model import Calm, Cell, CheckpointFolder, Fault, Kill, Network, Pause, RollingRestart, Span, Target, Traffic


@dataclass(frozen=True)
class Act:
    """One fault of a schedule.

    Attributes:
        after_s: seconds after the end of the act before, or of the warm-up.
        target: of which process; None if the fault is of none.
        pick: 0 <= pick < 1: of several that fit, which.
        for_s: how long it lasts.
        seed: of what the act itself draws, such as which packets are lost.
    """

    number: int
    after_s: float
    target: Target | None
    pick: float
    for_s: float
    seed: int


def plan(cell: Cell, seed: int, for_s: float | None = None) -> tuple[Act, ...]:
    """The acts of a cell, in order: as many as the cell says, or as fit into `for_s` seconds, but one at least."""
    randomness = random.Random(f"{seed}/{cell.name}")
    if for_s is None:
        return tuple(_act(cell.fault, number, randomness) for number in range(1, cell.fault.times + 1))
    acts = [_act(cell.fault, 1, randomness)]
    while True:
        act = _act(cell.fault, len(acts) + 1, randomness)
        if sum(each.after_s + each.for_s for each in (*acts, act)) > for_s or act.after_s + act.for_s <= 0:
            return tuple(acts)
        acts.append(act)


def _act(fault: Fault, number: int, randomness: random.Random) -> Act:
    # Always the same draws in the same order: a longer schedule begins as the shorter one does.
    after_s = _draw(fault.every_s, randomness)
    choice, pick = randomness.random(), randomness.random()
    for_s = _draw(_length(fault), randomness)
    return Act(number, after_s, _target(fault, choice), round(pick, 4), for_s, randomness.getrandbits(32))


def _length(fault: Fault) -> Span:
    match fault:
        case Kill() | RollingRestart():
            return fault.down_s
        case Pause() | Network() | CheckpointFolder() | Traffic() | Calm():
            return fault.for_s
    assert_never(fault)


def _target(fault: Fault, choice: float) -> Target | None:
    match fault:
        case Kill():
            return fault.targets[int(choice * len(fault.targets))]
        case Pause() | Network():
            return fault.target
        case RollingRestart():
            return Target.KAFKA
        case CheckpointFolder() | Traffic() | Calm():
            return None
    assert_never(fault)


def _draw(span: Span, randomness: random.Random) -> float:
    return round(randomness.uniform(span.low, span.high), 2)


def picked(candidates: list[str], pick: float) -> str:
    """Of several candidates the one that the schedule means."""
    return candidates[int(pick * len(candidates))]
