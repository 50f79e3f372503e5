"""Charts and grids of runs as SVG text, and as PNG where the package for it is there.

Interchange room: rows of runs -> curves beside the best trivial predictor; a prediction -> its input, target and answer
as coloured cells. The chart itself is drawn by `evaluation.curves_svg`. Nothing in an SVG comes from a file but
numbers, colours and cleaned names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, final
from xml.sax.saxutils import escape  # nosec B406 - it writes; nothing is parsed

from hrm_core.data.draw import PALETTE
from hrm_core.errors import UserError
from hrm_core.evaluation.curves_svg import Curve, draw
from hrm_core.runs.files import Row, items, mapping, number, string
from hrm_core.runs.reader import best_trivial
from hrm_core.runs.text import clean

CELL: Final = 12
GAP: Final = 28
MOST_SIDE: Final = 30
FONTS: Final = ("DejaVu Sans", "Liberation Sans", "Noto Sans", "Arial", "Helvetica", "FreeSans")


@final
@dataclass(frozen=True)
class RunRows:
    """What of a run is drawn: its name and its rows, the full validations alone."""

    name: str
    metrics: Sequence[Row]
    full: Sequence[Row]


def loss_chart(runs: Sequence[RunRows]) -> str:
    """Training loss of each run."""
    return draw("Training loss", [Curve(run.name, _points(run.metrics), group) for group, run in enumerate(runs)])


def val_loss_chart(runs: Sequence[RunRows]) -> str:
    """Loss of each run's full validations."""
    curves = [Curve(run.name, _points(run.full), group) for group, run in enumerate(runs)]
    return draw("Loss of full validations", curves)


def metric_chart(runs: Sequence[RunRows], metric: str) -> str:
    """A metric of every full validation in percent; dashed, the best trivial predictor's of the first run with one."""
    curves, guide = [], None
    for group, run in enumerate(runs):
        values = [(_step(row), number(mapping(row, "metrics"), metric)) for row in run.full]
        curves.append(
            Curve(run.name, [(step, None if value is None else 100 * value) for step, value in values], group)
        )
        trivial = best_trivial(run.full[-1], metric) if run.full else None
        guide = guide or (None if trivial is None else (f"trivial ({trivial[0]})", 100 * trivial[1]))
    return draw(f"{metric}, full validations", curves, " %", guide)


def _points(rows: Sequence[Row]) -> list[tuple[float, float | None]]:
    return [(_step(row), number(row, "loss")) for row in rows]


def _step(row: Row) -> float:
    return number(row, "step") or 0.0


def grids_svg(record: Row) -> str:
    """A prediction: input, target and what the model answered, side by side."""
    titles = (("input", "input"), ("target", "target"), ("predicted", "answer"))
    grids = [(title, cells_of(items(record, key))) for key, title in titles]
    height = max((len(rows) for _, rows in grids), default=0) * CELL + 24
    parts, left = [], 4
    for title, rows in grids:
        width = max(len(rows[0]) if rows else 0, 4) * CELL
        parts.append(f'<text x="{left}" y="13">{title}</text>\n')
        if not rows:
            parts.append(f'<text x="{left}" y="33" fill="#7F7F7F">empty</text>\n')
        for place, row in enumerate(rows):
            for column, color in enumerate(row):
                parts.append(
                    f'<rect x="{left + column * CELL}" y="{20 + place * CELL}" width="{CELL}" height="{CELL}" '
                    f'fill="{PALETTE[color]}" stroke="#555555" stroke-width="0.5"/>\n'
                )
        left += width + GAP
    label = escape(f"{clean(string(record, 'task', 80) or '')}, {'right' if record.get('exact') is True else 'wrong'}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left} {height}" width="{left}" height="{height}" '
        f'font-family="sans-serif" font-size="11">\n<title>{label}</title>\n'
        f'<rect width="{left}" height="{height}" fill="#ffffff"/>\n' + "".join(parts) + "</svg>\n"
    )


def cells_of(rows: Sequence[object]) -> list[list[int]]:
    """Rows of digits -> colours; what is no such row ends the grid."""
    grid: list[list[int]] = []
    for row in rows[:MOST_SIDE]:
        if not isinstance(row, str) or not row.isascii() or not row.isdigit() or len(row) > MOST_SIDE:
            break
        grid.append([int(cell) for cell in row])
    return grid


def to_png(svg: str) -> bytes:
    """The picture as PNG at twice its size; without words where the machine has no font. UserError without the package
    for it."""
    render = _renderer()
    return bytes(render(svg_string=svg, zoom=2.0, sans_serif_family=font_family() or FONTS[0]))


def _renderer() -> Callable[..., Any]:
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise UserError("--png needs the package resvg-py; install it with `pip install resvg-py`.") from None
    render: Callable[..., Any] = svg_to_bytes
    return render


@cache
def font_family() -> str | None:
    """The first of the usual fonts that this machine has: with it a letter leaves a mark."""
    render = _renderer()
    frame = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{}</svg>'
    letter = '<text y="8" font-size="9" font-family="sans-serif">X</text>'
    blank = bytes(render(svg_string=frame.format("")))
    for family in FONTS:
        if bytes(render(svg_string=frame.format(letter), sans_serif_family=family)) != blank:
            return family
    return None
