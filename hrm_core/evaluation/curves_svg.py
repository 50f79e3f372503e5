"""A line chart as SVG, drawn by hand: no library is needed to show a few curves in a page.

Evaluation room: named series of (x, y) -> the text of an SVG file, the same for the same numbers. Gaps (None) break a
line; a guide is a dashed level, such as the best trivial score. Points are thinned to what 640 pixels can show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final
from xml.sax.saxutils import escape  # nosec B406 - it writes; nothing is parsed

from hrm_core.runs.text import clean

Points = Sequence[tuple[float, float | None]]

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 150, 34, 40
MOST_POINTS = 600
# Okabe and Ito (2008): told apart by most colour-blind people, and on light and dark grounds.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F")


@final
@dataclass(frozen=True)
class Curve:
    """One line; `group` chooses the colour, so that the seeds of an arm share one."""

    label: str
    points: Points
    group: int = 0


def draw(title: str, curves: Sequence[Curve], unit: str = "", guide: tuple[str, float] | None = None) -> str:
    """The chart. Without any finite point it says so, rather than showing an empty frame."""
    finite = [(x, y) for curve in curves for x, y in curve.points if y is not None and math.isfinite(y)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="11">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
        f'<text x="{LEFT}" y="20" font-size="14">{_text(title)}</text>\n'
    )
    if not finite:
        return head + f'<text x="{LEFT}" y="{HEIGHT // 2}">no points yet</text>\n</svg>\n'
    levels = [y for _, y in finite] + ([guide[1]] if guide is not None else [])
    frame = _Frame(
        min(x for x, _ in finite), max(x for x, _ in finite), min(0.0, *levels) if min(levels) > 0 else min(levels),
        max(levels),
    )  # fmt: skip
    parts = [head, *_axes(frame, unit)]
    if guide is not None:
        parts.append(_guide(frame, guide))
    parts += [_line(frame, curve) for curve in curves]
    parts += _legend(curves)
    return "".join(parts) + "</svg>\n"


@final
@dataclass(frozen=True)
class _Frame:
    """Data bounds -> pixels."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low or 1.0)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low or 1.0)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _text(text: str) -> str:
    return escape(clean(text))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within [low, high], about `count` of them."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _axes(frame: _Frame, unit: str) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value in ticks(frame.y_low, frame.y_high):
        y = frame.y(value)
        parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}" stroke="#dddddd"/>\n')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}{_text(unit)}</text>\n')
    for value in ticks(frame.x_low, frame.x_high):
        x = frame.x(value)
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{value:,.0f}</text>\n')
    parts.append(f'<line x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}" stroke="#333333"/>\n')
    parts.append(f'<text x="{(LEFT + right) // 2}" y="{bottom + 32}" text-anchor="middle">step</text>\n')
    return parts


def _guide(frame: _Frame, guide: tuple[str, float]) -> str:
    y, right = frame.y(guide[1]), WIDTH - RIGHT
    return (
        f'<line x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}" stroke="#333333" stroke-dasharray="5 4"/>\n'
        f'<text x="{LEFT + 6}" y="{y - 4}">{_text(guide[0])}</text>\n'
    )


def _line(frame: _Frame, curve: Curve) -> str:
    color = COLORS[curve.group % len(COLORS)]
    thin = max(1, math.ceil(len(curve.points) / MOST_POINTS))
    kept = [point for place, point in enumerate(curve.points) if place % thin == 0 or place == len(curve.points) - 1]
    parts: list[str] = []
    piece: list[str] = []
    for x, y in [*kept, (0.0, None)]:
        if y is not None and math.isfinite(y):
            piece.append(f"{frame.x(x)},{frame.y(y)}")
            continue
        if len(piece) == 1:
            x_text, y_text = piece[0].split(",")
            parts.append(f'<circle cx="{x_text}" cy="{y_text}" r="2" fill="{color}"/>\n')
        elif piece:
            parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.3" points="{" ".join(piece)}"/>\n')
        piece = []
    return "".join(parts)


def _legend(curves: Sequence[Curve]) -> list[str]:
    """A name for each colour, right of the lines."""
    names: dict[int, str] = {}
    for curve in curves:
        names.setdefault(curve.group, curve.label)
    return [
        f'<text x="{WIDTH - RIGHT + 6}" y="{TOP + 12 + 15 * place}" fill="{COLORS[group % len(COLORS)]}">'
        f"{_text(name[:24])}</text>\n"
        for place, (group, name) in enumerate(names.items())
    ]
