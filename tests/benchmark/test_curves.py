"""Latency against a setting: what is asked of the job, the table, the picture."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from jobs import command_line
from jobs.settings import Guarantee, Settings
from scripts.benchmark import drawing
from scripts.benchmark.curves import SECONDS, SETTINGS, Point, Setting, header, line, picture
from scripts.benchmark.latency import Latency

LATENESS, CHECKPOINT = SETTINGS["lateness"], SETTINGS["checkpoint"]


def point(value: int, late: float = math.nan) -> Point:
    latencies = Latency("x", "none", 40_000, 26.4, 41, 77), Latency("x", "session", 39_000, 2_079, 2_142, 2_214)
    return Point(value, latencies, 150.6, 0.9991, late)


def of_job(words: tuple[str, ...]) -> Settings:
    return command_line.parse(Settings, words, prog="job", description="")


@pytest.mark.parametrize("name", SETTINGS)
def test_each_value_is_one_that_the_job_takes_and_the_default_is_one_of_them(name: str) -> None:
    setting = SETTINGS[name]
    assert setting.default in setting.values
    assert list(setting.values) == sorted(set(setting.values))
    jobs = [of_job(setting.of(value)) for value in setting.values]
    assert len(set(jobs)) == len(jobs)


@pytest.mark.parametrize("name", ["lateness", "checkpoint", "buffer", "watermark"])
def test_the_default_is_that_of_the_job(name: str) -> None:
    assert of_job(SETTINGS[name].of(SETTINGS[name].default)) == Settings()


def test_longer_points_than_checkpoint_intervals() -> None:
    assert [SECONDS * 1_000 % value for value in CHECKPOINT.values] == [0] * len(CHECKPOINT.values)
    assert CHECKPOINT.guarantee == Guarantee.EXACTLY_ONCE


def test_a_row_for_each_value() -> None:
    assert line(CHECKPOINT, point(500)) == "| 500 | 26 | 41 | 77 | 2,079 | 2,142 | 2,214 | 151 | 99.9% |"
    assert line(LATENESS, point(2_000, 0.0018)) == "| **2,000** | 26 | 41 | 77 | 2,079 | 2,142 | 2,214 | 151 | 99.9% | 0.18% |"
    assert line(LATENESS, Point(0, reason="no slot")).startswith("| 0 | not measured: no slot |")


@pytest.mark.parametrize("setting", [LATENESS, CHECKPOINT])
def test_rows_are_as_long_as_the_header(setting: Setting) -> None:
    rows = *header(setting).splitlines(), line(setting, point(1)), line(setting, Point(1, reason="no"))
    assert len({row.count("|") for row in rows}) == 1


def test_the_picture_has_a_panel_for_each_thing_and_no_point_where_nothing_was_measured() -> None:
    points = [point(0, 0.2), Point(250, reason="<failed>"), point(500, 0.1)]
    drawn = ElementTree.fromstring(picture(LATENESS, points, 2_000))
    name = "{http://www.w3.org/2000/svg}"
    texts = [each.text for each in drawn.iter(f"{name}text")]
    for title in ("Latency at once, ms", "Latency in session order, ms", "CPU time, us/event", "Late events, % (usual disorder)"):
        assert title in texts
    assert [texts.count(place) for place in ("0", "250", "500")] == [8, 4, 4]  # 0 is each panel's scale, too
    assert len(list(drawn.iter(f"{name}circle"))) == 2 * (3 + 3 + 1 + 1)
    assert len([each for each in drawn.iter(f"{name}path") if each.get("fill") == "none"]) == 8


def test_points_stand_where_their_values_are() -> None:
    drawn = ElementTree.fromstring(drawing.curves("t", ["a", "b", "c"], [drawing.Panel("p", {"l": [0, 5, 10]})], "x"))
    heights = [float(each.get("cy", "")) for each in drawn.iter("{http://www.w3.org/2000/svg}circle")]
    assert heights[0] - heights[1] == heights[1] - heights[2] > 0
    assert "10" in [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("values", [[], [math.nan], [0.0, 0.0]])
def test_nothing_to_draw_is_drawn(values: list[float]) -> None:
    places = [str(index) for index in range(len(values))] or ["a"]
    line_of = values or [math.nan]
    assert ElementTree.fromstring(drawing.curves("t", places, [drawing.Panel("p", {"l": line_of})], "x")) is not None
