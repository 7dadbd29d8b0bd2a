"""Pictures (SVG) of what was measured, legible on a light page and on a dark one. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

TEXT: Final = "#7d8590"
COLOURS: Final = ("#2f81f7", "#d29922", "#db61a2")
"""Of lines, in the order in which they are named."""
_PANEL_WIDTH, _PANEL_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 270, 190, 48, 12, 54, 34


def document(width: int, height: int, title: str, heading: str, parts: Sequence[str]) -> str:
    """A whole picture of these parts. `title`: for who can't see it; `heading`: its first line."""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        text(0, 16, heading),
        *parts,
        "</svg>",
    ]) + "\n"  # fmt: skip


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """A line of text. `anchor`: which end of it is at x, "start", "middle" or "end"."""
    aligned = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}"{aligned} fill="{TEXT}">{escape(words)}</text>'


def legend(x: int, y: int, colours: Mapping[str, str], step: int) -> list[str]:
    """What each colour stands for, side by side."""
    parts = []
    for index, (name, colour) in enumerate(colours.items()):
        parts.append(f'<rect x="{x + step * index}" y="{y}" width="10" height="10" fill="{colour}"/>')
        parts.append(text(x + step * index + 15, y + 9, name))
    return parts


@dataclass(frozen=True)
class Panel:
    """Lines over the same places. `lines`: name -> a value for each place, NaN where there is none."""

    title: str
    lines: Mapping[str, Sequence[float]]


def curves(heading: str, places: Sequence[str], panels: Sequence[Panel], below: str) -> str:
    """Panels side by side, each with a scale of its own from 0 on. `places`: what stands below each point; `below`: below all of them."""
    parts = [part for index, panel in enumerate(panels) for part in _panel(panel, index * _PANEL_WIDTH, places)]
    height = _TOP + _PANEL_HEIGHT + _BOTTOM
    return document(_PANEL_WIDTH * len(panels), height, heading, heading, [*parts, text(_LEFT, height - 2, below)])


def _panel(panel: Panel, x: int, places: Sequence[str]) -> list[str]:
    values = [value for line in panel.lines.values() for value in line if not math.isnan(value)]
    top = _round_up(max(values, default=1.0))
    left, right, bottom = x + _LEFT, x + _PANEL_WIDTH - _RIGHT, _TOP + _PANEL_HEIGHT
    step = (right - left) / len(places)
    across = [round(left + step * (index + 0.5), 1) for index in range(len(places))]
    colours = dict(zip(panel.lines, COLOURS, strict=False))
    parts = [text(left, 36, panel.title), *(legend(left, 42, colours, 60) if len(colours) > 1 else [])]
    for tick in (0.0, top / 2, top):
        y = round(bottom - tick / top * (_PANEL_HEIGHT - 10), 1)
        parts.append(f'<path d="M{left} {y}H{right}" stroke="{TEXT}" stroke-opacity="0.35"/>')
        parts.append(text(left - 6, y + 4, f"{tick:,g}", "end"))
    parts += [text(place, bottom + 15, label, "middle") for place, label in zip(across, places, strict=True)]
    for name, line in panel.lines.items():
        points = [
            (place, round(bottom - value / top * (_PANEL_HEIGHT - 10), 1))
            for place, value in zip(across, line, strict=True) if not math.isnan(value)
        ]  # fmt: skip
        if points:
            path = "L".join(f"{place} {y}" for place, y in points)
            parts.append(f'<path d="M{path}" fill="none" stroke="{colours[name]}" stroke-width="2"><title>{escape(name)}</title></path>')
        parts += [f'<circle cx="{place}" cy="{y}" r="3" fill="{colours[name]}"/>' for place, y in points]
    return parts


def _round_up(value: float) -> float:
    """The next number of few digits, so that it and its half can be read."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10) if step * power >= value * (1 - 1e-9))
