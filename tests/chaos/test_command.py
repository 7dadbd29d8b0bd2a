"""`scripts/millrace chaos`, as far as it goes without a stack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.chaos import namespaces
from scripts.chaos.model import Cell, load
from scripts.chaos.result import Check, Done, Result, Timeline
from scripts.chaos.run import Runner
from scripts.control.main import main


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "--list", "--faults", "calm,taskmanager-kill", "--seed", "3"]) == 0
    first = capsys.readouterr().out
    assert "taskmanager-kill (short)\n    kill -9 of a TaskManager" in first
    assert "    1. after " in first
    assert main(["chaos", "--list", "--faults", "calm,taskmanager-kill", "--seed", "3"]) == 0
    assert capsys.readouterr().out == first, "the same seed, the same schedule"


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [Cell.model_validate(each) for each in listed] == [cell for cell in load().values() if cell.matrix]


def test_an_unknown_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "--faults", "rain"]) == 2
    assert "millrace: no such fault: rain; there are " in capsys.readouterr().err


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[Result]:
    """What the cells come to, one after the other, instead of running them."""
    waiting: list[Result] = []
    monkeypatch.setattr(Runner, "run", lambda _, cell: waiting.pop(0))
    monkeypatch.setattr(namespaces, "missing", lambda: "there is no program unshare")
    return waiting


def good(name: str) -> Result:
    verified = {"ok": True, "events": 5, "late": 0, "problems": []}
    return Result(name, 3, [Done(1, "x", 0, 1, 0, 0, 2)], [Check("all is well", True, "")], Timeline(0, [1], [1], [5]), verified)


def test_a_run(outcomes: list[Result], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes += [good("calm"), Result("network-delay", 3, skipped="there is no program unshare")]
    assert main(["chaos", "--faults", "calm,network-delay", "--seed", "3", "--report", str(tmp_path / "report")]) == 0
    output = capsys.readouterr()
    assert "seed 3" in output.err
    assert "network-delay: skipped: there is no program unshare" in output.out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["seed"], report["ok"], [cell["cell"] for cell in report["cells"]]) == (3, True, ["calm", "network-delay"])
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["calm.svg", "report.json", "report.md"]
    assert "| calm | 1 | 5 |" in (tmp_path / "report" / "report.md").read_text()


def test_a_failure_is_the_exit_code(outcomes: list[Result], capsys: pytest.CaptureFixture[str]) -> None:
    bad = good("calm")
    bad.checks.append(Check("both readers saw the same", False, "orders[0]: …"))
    outcomes += [bad, good("poison")]
    assert main(["chaos", "--faults", "calm,poison", "--seed", "3", "--json"]) == 1
    output = capsys.readouterr()
    assert "calm: FAILED: both readers saw the same: orders[0]: …" in output.err
    assert "logs and ledgers: " in output.err
    assert [cell["ok"] for cell in json.loads(output.out)["cells"]] == [False, True]


def test_the_seed_that_was_drawn_stays_when_the_program_moves_into_namespaces(
    outcomes: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Moved(Exception):
        pass

    def enter(arguments: list[str]) -> None:
        raise Moved(arguments)

    monkeypatch.setattr(namespaces, "missing", lambda: None)
    monkeypatch.setattr(namespaces, "enter", enter)
    with pytest.raises(Moved) as moved:
        main(["chaos", "--faults", "network-delay", "--for", "9", "--json", "--report", "r"])
    module, *again = moved.value.args[0][1:]
    assert module == "scripts.control.main"
    assert again[:4] == ["chaos", "--faults", "network-delay", "--seed"]
    assert again[4].isdigit()
    assert again[5:] == ["--for", "9.0", "--json", "--report", "r"]


def test_a_cell_that_breaks_is_a_result(tmp_path: Path) -> None:
    class Broken:
        folder = tmp_path
        stopped = False

        def ready(self, _: object) -> None:
            raise KeyError("nobody thought of this")

        def down(self) -> None:
            self.stopped = True

    ground = Broken()
    result = Runner(ground, 1, None, print).run(load()["calm"])  # type: ignore[arg-type]
    assert (result.ok, result.failure, ground.stopped) == (False, "KeyError: 'nobody thought of this'", True)
    assert "nobody thought of this" in (tmp_path / "calm" / "failure.txt").read_text()

