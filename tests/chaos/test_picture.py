"""The picture is XML, shows every fault, and needs nothing from elsewhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from scripts.chaos.picture import _nice, draw
from scripts.chaos.result import Done, Result, Timeline

SVG = "{http://www.w3.org/2000/svg}"


def picture(result: Result) -> ElementTree.Element:
    return ElementTree.fromstring(draw(result))


def sample() -> Result:
    line = Timeline(0, [100, 100, 100, 100], [0, 90, 0, 110], [None, 1_000, 2_000, 900])
    return Result("kills", 7, [Done(1, "<kafka-1>", 1_000, 2_000, 0, 0, 3_000), Done(2, "kafka-2", 2_500, 2_600, 0, 0)], timeline=line)


def test_faults_are_marked_from_begin_to_end() -> None:
    bands = {title: band for band in picture(sample()).iter(f"{SVG}rect") if (title := band.findtext(f"{SVG}title"))}
    assert set(bands) == {"1. <kafka-1>", "1. <kafka-1>: healthy after 1.0 s", "2. kafka-2"}
    first, healing = bands["1. <kafka-1>"], bands["1. <kafka-1>: healthy after 1.0 s"]
    assert float(first.attrib["x"]) + float(first.attrib["width"]) == float(healing.attrib["x"])


def test_a_curve_is_broken_where_nothing_was_seen() -> None:
    curves = [path.attrib["d"] for path in picture(sample()).iter(f"{SVG}path") if path.attrib.get("fill") == "none"]
    assert [curve.count("M") for curve in curves] == [1, 1, 1]
    assert [len(re.findall(r"[ML]", curve)) for curve in curves] == [4, 4, 3], "the age begins with the first output"


def test_it_is_self_contained() -> None:
    text = draw(sample())
    assert "href" not in text
    assert "<kafka-1>" not in text, "escaped"
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]


def test_a_run_without_any_output() -> None:
    empty = Result("x", 1, timeline=Timeline(0, [0], [0], [None]))
    assert picture(empty).tag == f"{SVG}svg"


def test_nice_numbers() -> None:
    assert [_nice(value) for value in (0.4, 1, 1.1, 5, 6, 99, 101, 2_001)] == [1, 1, 2, 5, 10, 100, 200, 5_000]
