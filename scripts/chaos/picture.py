"""A cell as a picture (SVG): records per second in and out, the age of the newest output, and the faults. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from scripts.chaos.result import Result

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _PANEL, _GAP = 860, 392, 64, 12, 40, 140, 36
# Dark enough on white, light enough on black: the picture has no background of its own.
_IN, _OUT, _AGE, _FAULT, _HEALING, _TEXT, _GRID = "#7f8c9b", "#2f81f7", "#d9822b", "#d1242f", "#d9822b", "#7d8590", "#7d859040"


def draw(result: Result) -> str:
    """The picture of a cell that ran; it needs nothing but itself."""
    line = result.timeline
    assert line is not None
    seconds = max(1, len(line.came_in) - 1)
    rates = _Panel(_TOP, seconds, _nice(max([1, *line.came_in, *line.came_out])))
    ages = _Panel(_TOP + _PANEL + _GAP, seconds, _nice(max([1.0, *(age / 1000 for age in line.age_ms if age is not None)])))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(result.cell)}, seed {result.seed}: {escape(result.outcome)}</title>",
        *_faults(result, rates),
        *rates.axes("records/s"),
        *rates.curve([float(each) for each in line.came_in], _IN),
        *rates.curve([float(each) for each in line.came_out], _OUT),
        *ages.axes("age of newest output, s"),
        *ages.curve([None if age is None else age / 1000 for age in line.age_ms], _AGE),
        *ages.seconds(),
        *_legend(result),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Panel:
    """One diagram: seconds across, values from 0 to `top_value` upwards."""

    def __init__(self, top: float, seconds: int, top_value: float) -> None:
        self._top, self._seconds, self._top_value = top, seconds, top_value

    def x(self, second: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * min(max(second, 0), self._seconds) / self._seconds, 1)

    def _y(self, value: float) -> float:
        return round(self._top + _PANEL * (1 - value / self._top_value), 1)

    def axes(self, title: str) -> list[str]:
        parts = [_text(_LEFT, self._top - 8, title)]
        for share in (0, 0.5, 1):
            value = self._top_value * share
            parts.append(f'<path d="M{_LEFT} {self._y(value)}H{_WIDTH - _RIGHT}" stroke="{_GRID}"/>')
            parts.append(_text(_LEFT - 6, self._y(value) + 4, f"{value:,.10g}", "end"))
        return parts

    def seconds(self) -> list[str]:
        step = int(_nice(self._seconds / 8))
        return [_text(self.x(at), self._top + _PANEL + 18, f"{at} s", "middle") for at in range(0, self._seconds + 1, max(1, step))]

    def curve(self, values: Sequence[float | None], colour: str) -> list[str]:
        """A line, broken where there is no value."""
        path, pen = [], "M"
        for second, value in enumerate(values):
            if value is None:
                pen = "M"
                continue
            path.append(f"{pen}{self.x(second)} {self._y(value)}")
            pen = "L"
        return [f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'] if path else []


def _faults(result: Result, panel: _Panel) -> list[str]:
    """A red band from begin to end of each fault, and a lighter one until the job was healthy."""
    assert result.timeline is not None
    parts, height = [], 2 * _PANEL + _GAP
    for act in result.acts:
        begun, ended = (panel.x((at - result.timeline.start_ms) / 1000) for at in (act.begun_ms, act.ended_ms))
        label = escape(f"{act.number}. {act.what}")
        if act.healthy_ms is not None:
            healed = panel.x((act.healthy_ms - result.timeline.start_ms) / 1000)
            parts.append(_band(ended, healed, height, _HEALING, 0.15, f"{label}: healthy after {act.healthy_s:.1f} s"))
        parts.append(_band(begun, max(ended, begun + 2), height, _FAULT, 0.35, label))
    return parts


def _band(begin: float, end: float, height: float, colour: str, opacity: float, label: str) -> str:
    width = round(max(0.0, end - begin), 1)
    shape = f'x="{begin}" y="{_TOP}" width="{width}" height="{height}" fill="{colour}" opacity="{opacity}"'
    return f"<rect {shape}><title>{label}</title></rect>"


def _legend(result: Result) -> list[str]:
    entries = (("events in", _IN), ("committed out", _OUT), ("fault", _FAULT), ("until healthy", _HEALING))
    parts = [_text(_LEFT, 14, f"{result.cell}, seed {result.seed}: {result.outcome}")]
    for index, (name, colour) in enumerate(entries):
        at = _WIDTH - _RIGHT - 110 * (len(entries) - index)
        parts.append(f'<rect x="{at}" y="5" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(at + 15, 14, name))
    return parts


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}" fill="{_TEXT}" text-anchor="{anchor}">{escape(text)}</text>'


def _nice(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, … at or above."""
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if step * factor >= value:
                return step * factor
        step *= 10
