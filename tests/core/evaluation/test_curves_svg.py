"""Curves as SVG: well-formed whatever the names, gaps kept, round ticks, few points where there are many."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from hrm_core.evaluation.curves_svg import HEIGHT, WIDTH, Curve, draw, ticks


def parse(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def coordinates(line: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.attrib["points"].split())]


def test_a_line_stays_in_the_picture_and_rises_upwards() -> None:
    root = parse(draw("t", [Curve("a", [(0.0, 0.0), (10.0, 1.0)])], guide=("trivial", 0.5)))
    (line,) = root.findall("{*}polyline")
    (x0, y0), (x1, y1) = coordinates(line)
    assert 0 < x0 < x1 < WIDTH and 0 < y1 < y0 < HEIGHT


def test_gaps_break_a_line_and_lone_points_are_dots() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, math.nan), (4.0, 1.0)]
    root = parse(draw("t", [Curve("a", points)]))
    assert len(root.findall("{*}polyline")) == 1 and len(root.findall("{*}circle")) == 1


def test_names_cannot_break_the_file() -> None:
    root = parse(draw("<&\x1b]\"'", [Curve("</svg>", [(0.0, 1.0), (1.0, 1.0)])]))
    said = {text.text for text in root.findall("{*}text")}
    assert "</svg>" in said and not any("\x1b" in (text or "") for text in said)


def test_many_points_are_thinned_but_the_last_stays() -> None:
    root = parse(draw("t", [Curve("a", [(float(x), float(x % 7)) for x in range(100_000)])]))
    (line,) = root.findall("{*}polyline")
    assert len(coordinates(line)) < 700
    assert coordinates(line)[-1][0] == max(x for x, _ in coordinates(line))


def test_nothing_to_draw_is_said() -> None:
    assert "no points yet" in draw("t", [Curve("a", [(0.0, None)])])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.0, 1000.0, [0, 200, 400, 600, 800, 1000]), (3.0, 3.0, [3.0])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)
