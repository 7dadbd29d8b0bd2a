"""What is missing, stale or wrong, and how the page says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from scripts.dashboard_app.bounded import Now
from scripts.dashboard_app.flink import FlinkWatch, Task, WatermarkLag, choose, parse_job
from scripts.dashboard_app.panels import PANELS
from scripts.dashboard_app.state import DashboardState
from scripts.outputs.flink import Checkpoint, NoAnswer
from scripts.outputs.record import Offsets
from tests.dashboard_app.samples import ABOUT, ALL_SINKS, LATER, NOON_MS, TOPICS, job, minute, seen, window

ANSWERS = json.loads((Path(__file__).parent / "flink_answers.json").read_text())
"""Of a real job (Flink 2.3, parallelism 1, six of its insights were still to come), as Flink's REST interface gave them."""
JOB_ID = "133ab67de634e57eba6874d9f0bb67b1"
ASKED_MS = 1_795_504_179_000


def page(state: DashboardState, now: Now = LATER) -> dict[str, Any]:
    result: dict[str, Any] = orjson.loads(orjson.dumps(state.sections(now)))
    return result


# -- panels -------------------------------------------------------------------------------------------------------------------


def test_every_panel_says_what_it_waits_for() -> None:
    panels = page(seen())["panels"]
    assert panels["categories"]["note"] == "No sales window yet: the first closes about 10 s after the first order."
    assert {name: panel["note"] for name, panel in panels.items()} == {name: panel.waiting for name, panel in PANELS.items()}


def test_before_kafka_has_answered_nothing_else_is_claimed() -> None:
    panels = page(DashboardState(ABOUT, Now(0, NOON_MS)))["panels"]
    assert {panel["note"] for panel in panels.values()} == {"Waiting for the first answer of Kafka at 127.0.0.1:9092."}


def test_a_missing_topic_is_told() -> None:
    state = seen(offsets=Offsets(0, 0, (TOPICS.funnel,)))
    found = page(state)
    assert found["panels"]["funnel"]["note"] == "The topic funnel.by-category does not exist."
    assert found["panels"]["top"]["note"] == PANELS["top"].waiting
    assert found["status"]["banners"][0]["text"] == "These topics do not exist: funnel.by-category"


def test_an_insight_that_the_job_does_not_have_is_switched_off() -> None:
    found = page(seen(window("a", 100), job_view=job(sinks=frozenset({"sales_by_category", "rule_status"}))))["panels"]
    assert found["categories"] == {"note": "", "stale": False, "as_of_ms": NOON_MS, "off": False}
    assert found["alerts"]["note"] == "Switched off in the job that runs (--no-fraud)."
    assert found["users"]["note"] == "Switched off in the job that runs (--no-recommendations)."
    assert (found["rules"]["off"], found["alerts"]["off"]) == (False, True)


def test_data_of_an_insight_that_is_switched_off_now_are_marked() -> None:
    found = page(seen(window("a", 100), job_view=job(sinks=ALL_SINKS - {"sales_by_category"})))["panels"]["categories"]
    assert found == {"note": "Switched off in the job that runs (--no-sales).", "stale": True, "as_of_ms": NOON_MS, "off": True}


def test_data_grow_stale() -> None:
    state = seen(window("a", 100), minute(NOON_MS - 60_000, 1, 100))
    fresh, later, late = (page(state, Now(seconds, NOON_MS + seconds * 1_000))["panels"] for seconds in (60, 61, 181))
    assert [each["categories"]["stale"] for each in (fresh, later, late)] == [False, True, True]
    assert [each["minutes"]["stale"] for each in (fresh, later, late)] == [False, False, True]


# -- banners ------------------------------------------------------------------------------------------------------------------


def test_all_is_well() -> None:
    found = page(seen())["status"]
    assert found["banners"] == []
    assert found["job"]["url"] == f"http://127.0.0.1:8081/#/job/running/{job().job_id}/overview"


def test_kafka_is_away_and_comes_back() -> None:
    state = seen(window("a", 100))
    state.kafka_silent(Now(10, NOON_MS + 10_000))
    state.kafka_silent(Now(12, NOON_MS + 12_000))
    found = page(state, Now(22, NOON_MS + 22_000))
    assert found["status"]["banners"] == [
        {
            "name": "kafka",
            "level": "error",
            "text": "Kafka at 127.0.0.1:9092 does not answer",
            "since_ms": NOON_MS + 10_000,
            "as_of_ms": NOON_MS,
        }
    ]
    assert found["panels"]["funnel"]["note"] == "Kafka at 127.0.0.1:9092 does not answer."
    assert (found["health"]["lag"], found["categories"] is None) == (None, False)
    state.kafka_said(Offsets(100, 0), Now(30, NOON_MS + 30_000))
    assert page(state, Now(31, NOON_MS + 31_000))["status"]["banners"] == []


def test_flink_is_away() -> None:
    state = seen()
    state.flink_silent(Now(10, NOON_MS + 10_000))
    found = page(state, Now(11, NOON_MS + 11_000))
    banner = found["status"]["banners"][0]
    assert (banner["name"], banner["text"]) == ("flink", "Flink at http://127.0.0.1:8081 does not answer")
    assert (found["status"]["job"], found["health"]["checkpoint"], found["kpis"]["watermark_lag_ms"]) == (None, None, None)
    assert found["panels"]["funnel"]["note"] == PANELS["funnel"].waiting


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (job(state="RESTARTING"), "The job is RESTARTING: nothing new comes out until it runs again"),
        (job(checkpoint=None), "No checkpoint has completed: exactly-once outputs wait for one"),
        (job(checkpoint=Checkpoint(9, NOON_MS - 100_000, 5)), "The last checkpoint is old: exactly-once outputs wait for the next"),
        (job(others=2), "2 more jobs of this name run; shown is the newest. Choose with --job-id"),
    ],
)
def test_the_job_is_not_as_it_should_be(view: Any, text: str) -> None:
    assert [banner["text"] for banner in page(seen(job_view=view))["status"]["banners"]] == [text]


def test_there_is_no_job() -> None:
    state = seen()
    state.flink_said(None, LATER)
    found = page(state)
    assert found["status"]["banners"][0]["text"] == "No job named millrace is known to Flink at http://127.0.0.1:8081"
    assert found["panels"]["funnel"]["note"] == "No job runs that would write this."


# -- Flink --------------------------------------------------------------------------------------------------------------------


class Rest:
    """Answers from a file."""

    url = "http://flink"

    def get(self, path: str) -> Any:
        if path not in ANSWERS:
            raise NoAnswer(path)
        return ANSWERS[path]


def test_the_answers_of_a_real_job_in_one() -> None:
    view = FlinkWatch(Rest()).ask(ASKED_MS)  # type: ignore[arg-type]
    assert view is not None
    assert (view.job_id, view.state, view.restarts, view.failed_checkpoints) == (JOB_ID, "RUNNING", 0, 2)
    assert view.checkpoint == Checkpoint(15, 1_795_504_178_657, 91)
    assert view.sinks == {
        "dead_letters",
        "rule_status",
        "instant_routes",
        "late_events",
        "sales_by_category",
        "ordered_routes",
        "heartbeat",
    }
    assert view.watermark_ms == 1_795_504_176_761
    by_name = {task.name: task for task in view.tasks}
    assert by_name["decode-and-route"] == Task("decode-and-route", None, 0.125, 0.0)
    assert by_name["clock"].busy is None


def test_tasks_are_asked_every_five_seconds_and_anew_for_another_job() -> None:
    rest = Rest()
    asked: list[str] = []
    answers = rest.get

    def get(path: str) -> Any:
        asked.append(path)
        return answers(path)

    rest.get = get  # type: ignore[method-assign]
    watch = FlinkWatch(rest)  # type: ignore[arg-type]
    numbers = []
    for now_ms in (0, 2_000, 4_999, 5_000, 7_000):
        asked.clear()
        view = watch.ask(ASKED_MS + now_ms)
        assert view is not None
        assert view.watermark_ms == 1_795_504_176_761
        numbers.append(sum("/vertices/" in path for path in asked))
    assert numbers == [11, 0, 0, 11, 0]


def test_a_job_that_is_asked_for_by_id() -> None:
    assert FlinkWatch(Rest(), "another").ask(ASKED_MS) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [None, [], {}, {"jobs": [{}]}, {"jobs": [{"name": "millrace", "jid": "x", "state": "RUNNING"}]}])
def test_an_answer_that_is_not_flinks(answer: Any) -> None:
    rest = Rest()
    rest.get = lambda path: answer  # type: ignore[method-assign]
    with pytest.raises(NoAnswer, match="not what Flink answers"):
        FlinkWatch(rest).ask(ASKED_MS)  # type: ignore[arg-type]


def test_the_job_that_runs_is_chosen_else_the_last_one() -> None:
    def a(jid: str, state: str, start: int, name: str = "millrace") -> dict[str, Any]:
        return {"jid": jid, "name": name, "state": state, "start-time": start}

    jobs = [a("old", "CANCELED", 1), a("runs", "RESTARTING", 2), a("failed", "FAILED", 3), a("foreign", "RUNNING", 9, "other")]
    assert choose({"jobs": jobs}, None) == ("runs", 0)
    assert choose({"jobs": [*jobs, a("also", "RUNNING", 5)]}, None) == ("also", 1)
    assert choose({"jobs": [jobs[0], jobs[2]]}, None) == ("failed", 0)
    assert choose({"jobs": jobs}, "old") == ("old", 0)
    assert choose({"jobs": [jobs[3]]}, None) == (None, 0)


def test_a_watermark_of_the_end_of_time_is_none() -> None:
    metrics: list[list[Mapping[str, Any]]] = [[{"id": "currentInputWatermark", "min": str(2**63 - 1)}]]
    vertices = {"jid": "x", "state": "FINISHED", "start-time": 1, "vertices": [{"name": "a -> b"}]}
    view = parse_job(vertices, {"latest": {"completed": None}, "counts": {"failed": 0}}, [], metrics, 0, NOON_MS)
    assert (view.watermark_ms, view.tasks[0].name, view.restarts) == (None, "a", None)


# s:           0     4     5    24   25
# watermark:  -2                          (unchanged: Flink has not asked its tasks again)
# lag:         2     2     2     2   27
def test_a_watermark_that_was_sampled_long_ago_does_not_grow_by_itself() -> None:
    lag = WatermarkLag()
    assert lag.lag_ms(0) is None
    for second in (0, 4):
        lag.observe(NOON_MS - 2_000, NOON_MS + second * 1_000)
    assert [lag.lag_ms(NOON_MS + second * 1_000) for second in (0, 5, 19, 25)] == [2_000, 2_000, 2_000, 27_000]
    lag.observe(NOON_MS + 23_000, NOON_MS + 26_000)
    assert lag.lag_ms(NOON_MS + 27_000) == 3_000
    lag.observe(None, NOON_MS + 28_000)
    assert lag.lag_ms(NOON_MS + 28_000) is None
