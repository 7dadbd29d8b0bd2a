"""The measure of recommendations: by hand, and that the job's way beats popularity where there is something to learn, and only there."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from scripts.evaluation import main
from scripts.evaluation.interactions import Interaction, simulated
from scripts.evaluation.learning import Learner, Lengths
from scripts.evaluation.recommendations import measure
from scripts.evaluation.state_size import grow, size

JOB, POPULARITY = "neighbours of the last product (the job)", "popularity"


def look(session_id: str, product: str, time_s: float) -> Interaction:
    return Interaction(session_id, "V", ((product, "toys"),), round(time_s * 1000))


def test_by_hand() -> None:
    """Learned: b after a, twice; x is the most popular. Asked: what comes after a is b, of which x was not the neighbour.

    Hits: the job has b in the first place, popularity has it in the second (x, b, without a).
    """
    log = [look("1", "a", 0), look("1", "b", 1), look("2", "a", 2), look("2", "b", 3), *(look(f"x-{each}", "x", 4) for each in range(4))]
    log += [look("t", "a", 98), look("t", "a", 99), look("t", "b", 100)]
    found = measure(log, Lengths())
    assert found.questions == 1
    assert found.rates() == {
        "popularity": (1.0, 0.5),
        "trending in the category": (1.0, 0.5),
        "neighbours of the last product (the job)": (1.0, 1.0),
        "neighbours of the last products": (1.0, 1.0),
    }


@pytest.mark.thorough
def test_the_job_beats_popularity_on_the_simulated_shop() -> None:
    rates = measure(simulated(seed=1, events=60_000, rate=500), Lengths()).rates()
    assert rates[JOB][0] > 2 * rates[POPULARITY][0]
    assert rates[JOB][1] > 2 * rates[POPULARITY][1]


@pytest.mark.thorough
def test_where_there_is_nothing_to_learn_nothing_is_gained() -> None:
    rng = random.Random(1)
    log = [look(f"s-{rng.randrange(300)}", f"p-{min(rng.randrange(200), rng.randrange(200))}", number / 100) for number in range(20_000)]
    rates = measure(log, Lengths()).rates()
    assert rates[JOB][0] < 1.1 * rates[POPULARITY][0]


def test_a_product_of_the_test_is_not_learned_from() -> None:
    learned = measure([look("1", "a", 0), look("1", "b", 1), look("2", "c", 90), look("2", "d", 100)], Lengths())
    assert (learned.questions, learned.rates()[JOB]) == (1, (0.0, 0.0))


@pytest.mark.thorough
def test_state_is_bounded_and_forgotten() -> None:
    """Two collections of 800 products; of the first one nothing is left when the second is twice as old as the memory."""
    sizes = [size(learner) for _, learner in grow(60_000, rate=100, renewed_every=30_000, memory_ms=120_000, seed=1, steps=6)]
    products, most, largest, *_ = zip(*sizes, strict=True)
    assert max(most) == 50
    assert max(largest) < 6_000
    assert max(products) > 800
    assert products[-1] <= 800


def test_the_order_of_lines_in_an_order_does_not_matter() -> None:
    ways = []
    for items in ((("a", "t"), ("b", "t")), (("b", "t"), ("a", "t"))):
        learner = Learner()
        learner.learn(Interaction("s", "O", items, 0))
        learner.close()
        ways.append({name: product.packed() for name, product in learner.products.items()})
    assert ways[0] == ways[1]
    assert set(ways[0]) == {"a", "b"}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr("sys.argv", ["evaluate", "recommendations", *arguments])
    with pytest.raises(SystemExit) as left:
        main.main()
    return left.value.code


@pytest.mark.thorough
def test_the_command_on_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{event.session_id},,{event.items[0][0]},{event.items[0][1]},view,{event.time_ms}" for event in simulated(1, 20_000, 500)
             if event.kind == "V"]  # fmt: skip
    (tmp_path / "log.csv").write_text("session_id,user_id,item,category,event,time\n" + "\n".join(lines))
    assert run(monkeypatch, "--csv", str(tmp_path / "log.csv"), "--json") == 0
    ((name, found),) = json.loads(capsys.readouterr().out).items()
    assert name == str(tmp_path / "log.csv")
    assert found["questions"] > 1_000
    assert found["rates"][JOB][0] > found["rates"][POPULARITY][0]


def test_the_command_on_a_broken_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.csv").write_text("session_id,user_id,item,category,event,time\ns,u,a,t,view,then\n")
    assert run(monkeypatch, "--csv", str(tmp_path / "log.csv")) == 2
    assert "line 2, column time: 'then'" in capsys.readouterr().err
