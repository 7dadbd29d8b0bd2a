"""The cells as data: what is in the files, and what a wrong file is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.chaos.model import Cell, FaultFileError, Kill, Target, Traffic, by_shape, choose, load, read
from scripts.shop.generate import parse

CELLS = load()


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_the_matrix_has_what_it_must() -> None:
    assert len(choose(CELLS, "all")) >= 12
    kinds = {cell.fault.kind for cell in CELLS.values()}
    assert kinds == {"kill", "pause", "rolling-restart", "network", "checkpoint-folder", "traffic", "none"}
    killed = {target for cell in CELLS.values() if isinstance(cell.fault, Kill) for target in cell.fault.targets}
    assert killed >= {Target.TASK_MANAGER, Target.JOB_MANAGER, Target.PYTHON_WORKER, Target.BROKER_LEADER, Target.BROKER_FOLLOWER}


def test_the_long_run_has_at_least_20_kills() -> None:
    assert CELLS["many-kills"].fault.times >= 20
    assert not CELLS["many-kills"].matrix


def test_choosing() -> None:
    assert {cell.name for cell in choose(CELLS, "short")} == {"taskmanager-kill", "jobmanager-kill", "broker-leader-kill"}
    assert [cell.name for cell in choose(CELLS, "poison,calm")] == ["poison", "calm"]
    with pytest.raises(FaultFileError, match="no such fault: rain; there are broker-follower-kill, "):
        choose(CELLS, "calm,rain")


def test_cells_of_one_shape_stand_together() -> None:
    names = [cell.name for cell in by_shape(choose(CELLS, "calm,broker-leader-kill,poison,broker-leader-pause"))]
    assert names == ["calm", "poison", "broker-leader-kill", "broker-leader-pause"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "x.yaml: no YAML"),
        ("7", "x.yaml: the file: Input should be a valid dictionary"),
        ("name: x\ndescription: d\n", "x.yaml: fault: Field required"),
        ("name: x\ndescription: d\nfault: {kind: rain}\n", "x.yaml: fault: Input tag 'rain' .* expected tags: 'kill', 'pause'"),
        ("name: x\ndescription: d\nfault: {kind: kill, target: moon}\n", "fault.kill.target"),
        ("name: x\ndescription: d\nfault: {kind: kill, target: kafka, tims: 2}\n", "fault.kill.tims: Extra inputs are not permitted"),
        ("name: x\ndescription: d\nfault: {kind: pause, target: kafka, for_s: [5]}\n", "fault.pause.for_s: .*must be \\[from, to\\]"),
        ("name: x\ndescription: d\nfault: {kind: pause, target: kafka, for_s: [5, 4]}\n", "must ascend: \\[5, 4\\]"),
        ("name: x\ndescription: d\nfault: {kind: network, target: kafka, for_s: [5, 5], loss: 1}\n", "needs stack.wires: true"),
        ("name: x\ndescription: d\nfault: {kind: network, target: jobmanager, for_s: [5, 5]}\n", "fault.network.target"),
        ("name: x\ndescription: d\nfault: {kind: checkpoint-folder, state: full, for_s: [5, 5]}\n", "needs stack.checkpoint_mb"),
        ("name: x\ndescription: d\nfault: {kind: kill, target: python-worker}\n", "needs stack.python_mode: process"),
        ("name: x\ndescription: d\nfault: {kind: rolling-restart}\n", "needs stack.brokers: 3"),
        ("name: y\ndescription: d\nfault: {kind: none}\n", "name: is 'y', must be the file's, 'x'"),
        ("name: x\ndescription: d\nstack: {brokers: 2}\nfault: {kind: none}\n", "stack.brokers: Input should be 1 or 3"),
    ],
)
def test_a_wrong_file_is_told_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FaultFileError, match=message):
        read(write(tmp_path, "x", text))


def test_a_minimal_cell(tmp_path: Path) -> None:
    cell = read(write(tmp_path, "x", "name: x\ndescription: d\nfault: {kind: kill, target: [kafka, broker]}\n"))
    assert isinstance(cell, Cell)
    assert isinstance(cell.fault, Kill)
    assert cell.fault.targets == (Target.KAFKA, Target.BROKER)
    assert (cell.stack.brokers, cell.stack.needs_namespaces, cell.matrix, cell.short) == (1, False, True, False)


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_the_generators_take_their_options(cell: Cell) -> None:
    """A cell whose traffic can't be made would be found out minutes later."""
    more = cell.fault.options if isinstance(cell.fault, Traffic) else ()
    for options in (("--rate", f"{cell.workload.rate:g}", *cell.workload.options), more):
        parse(["--bootstrap", "127.0.0.1:1", "--ledger", "ledger", *options])
