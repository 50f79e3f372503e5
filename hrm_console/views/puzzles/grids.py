"""A coloured grid as rows of styled text: what a record holds -> `Grid` -> cells of a terminal.

record's value (row strings of digits, or anything else) -> `Grid`, at most 30 x 30; `Picture` -> rows of (text, style)
that the widget and the command line both show. Four scales: HALF packs two rows of cells into one character (▀ with
two colours; a cell is one column wide and so nearly square), WIDE gives a cell two columns and room for a mark, BIG
four columns and two rows, TALL one column and a letter. Without many colours the digit is written too, without any
colour or in ASCII the digit alone.
Theme-independent; no Textual, so that `hrm show` draws the same. Where the pictures go is boards.py's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import final

from hrm_console.charts.canvas import Row
from hrm_console.charts.chart import plain

MOST_SIDE = 30
HOLE = -1
DIGITS = bytes(max(0, code - ord("0")) if code <= ord("9") else 0 for code in range(256))
Grid = tuple[tuple[int, ...], ...]
Cell = tuple[int, int]
"""Row and column."""

COLOR_NAMES = ("black", "blue", "red", "green", "yellow", "grey", "pink", "orange", "azure", "maroon")
# ARC's ten colours, each the nearest of the 240 fixed colours of xterm (red: the nearest that is not coral), so that a
# 256-colour terminal shows what was meant. Of each index the colour for which rich finds it: grey 248 is #a8a8a8, for
# which it takes 247.
XTERM = (16, 32, 196, 41, 220, 248, 199, 208, 117, 88)
MANY = ("#000000", "#0087d7", "#ff0000", "#00d75f", "#ffd700", "#aaaaaa", "#ff00af", "#ff8700", "#87d7ff", "#870000")
SIXTEEN = (
    "black",
    "blue",
    "bright_red",
    "green",
    "bright_yellow",
    "white",
    "bright_magenta",
    "yellow",
    "bright_cyan",
    "red",
)
LIGHT = frozenset({3, 4, 5, 7, 8})
FRAME_STYLE = {"many": "#6c6c6c", "sixteen": "bright_black", "none": ""}
MASK_STYLE = {"many": "#ff8787 on #262626", "sixteen": "bright_red on black", "none": ""}
FRAMES = {False: "┌─┐│└┘", True: "+-+|++"}
WRONG, CHANGED = ("╳", "x"), ("•", "*")


@final
class Scale(Enum):
    """Columns of a cell, rows of text of a cell, and cells in a row of text, one over the other."""

    HALF = (1, 1, 2)
    TALL = (1, 1, 1)
    WIDE = (2, 1, 1)
    BIG = (4, 2, 1)


@final
@dataclass(frozen=True)
class Look:
    """What the terminal can: colors is "many", "sixteen" or "none"; ascii: no character beyond ASCII."""

    colors: str = "many"
    ascii: bool = False

    @property
    def small(self) -> Scale:
        """The smallest scale in which a grid can be read."""
        return Scale.TALL if self.ascii or self.colors == "none" else Scale.HALF

    @property
    def digits(self) -> bool:
        """Whether the colour's digit is written in its cell."""
        return self.ascii or self.colors != "many"


def look_of(color_system: str | None, markers: str) -> Look:
    """rich's name of the colour system and the setting console.markers -> the look."""
    if color_system is None:
        return Look("none", markers == "ascii")
    return Look("sixteen" if color_system == "standard" else "many", markers == "ascii")


def parse_grid(value: object) -> Grid:
    """Row strings of digits -> grid; rows are filled up to the longest with holes, and so is what is no digit."""
    if not isinstance(value, (list, tuple)):
        return ()
    rows = [_cells(row[:MOST_SIDE]) if isinstance(row, str) else () for row in value[:MOST_SIDE]]
    width = max(map(len, rows), default=0)
    return tuple(row + (HOLE,) * (width - len(row)) for row in rows) if width else ()


def _cells(row: str) -> tuple[int, ...]:
    if row.isascii() and row.isdigit():
        return tuple(row.encode("ascii").translate(DIGITS))  # a run keeps half a million cells
    return tuple(int(char) if char in "0123456789" else HOLE for char in row)


def grid_trouble(value: object) -> str:
    """What is not shown as it stands in the file; empty for a grid as it should be."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(row, str) for row in value):
        return "no grid"
    if len(value) > MOST_SIDE or any(len(row) > MOST_SIDE for row in value):
        return f"cut to {MOST_SIDE}x{MOST_SIDE}"
    if len({len(row) for row in value}) > 1 or any(HOLE in row for row in parse_grid(value)):
        return "with holes"
    return ""


def size_of(grid: Grid) -> tuple[int, int]:
    """Height and width."""
    return len(grid), len(grid[0]) if grid else 0


def size_words(grid: Grid) -> str:
    """3x5: rows and columns."""
    height, width = size_of(grid)
    return f"{height}x{width}" if grid else "empty"


def cell_of(grid: Grid, row: int, column: int) -> int:
    """A cell's colour; HOLE outside the grid."""
    height, width = size_of(grid)
    return grid[row][column] if 0 <= row < height and 0 <= column < width else HOLE


def differing(one: Grid, other: Grid) -> frozenset[Cell]:
    """Cells that differ, those that only one of the grids has among them."""
    (height, width), (rows, columns) = size_of(one), size_of(other)
    places = [(row, column) for row in range(max(height, rows)) for column in range(max(width, columns))]
    return frozenset(place for place in places if cell_of(one, *place) != cell_of(other, *place))


def recolored(grid: Grid, colors: tuple[int, ...] | None) -> Grid:
    """Every colour c as colors[c]."""
    if colors is None:
        return grid
    return tuple(tuple(colors[cell] if cell != HOLE else HOLE for cell in row) for row in grid)


@final
@dataclass(frozen=True)
class Picture:
    """One grid to be drawn, or a mask (cells of 1 where something is to be seen).

    letters and marks are written in their cells at the scales that have room: one letter, up to two marks.
    """

    title: str
    grid: Grid
    mask: bool = False
    letters: Mapping[Cell, str] = field(default_factory=dict)
    marks: Mapping[Cell, str] = field(default_factory=dict)

    def extent(self, scale: Scale) -> tuple[int, int]:
        """Width and height in characters, with title and frame."""
        height, width = size_of(self.grid)
        columns, tall, packed = scale.value
        return max(width * columns + 2, len(self.title)), -(-height * tall // packed) + 3


def mask_of(cells: frozenset[Cell], *grids: Grid) -> Grid:
    """A grid as large as the largest of `grids` in each direction, with 1 in these cells."""
    height = max((size_of(grid)[0] for grid in grids), default=0)
    width = max((size_of(grid)[1] for grid in grids), default=0)
    return tuple(tuple(int((row, column) in cells) for column in range(width)) for row in range(height))


def draw(picture: Picture, scale: Scale, look: Look) -> list[Row]:
    """Title, frame and cells: rows of exactly the picture's extent."""
    width, _ = picture.extent(scale)
    corner = FRAMES[look.ascii]
    body = _half_rows(picture, look) if scale is Scale.HALF else _cell_rows(picture, scale, look)
    inner = size_of(picture.grid)[1] * scale.value[0]
    style, spare = FRAME_STYLE[look.colors], " " * (width - inner - 2)
    rows: list[Row] = [[(plain(picture.title).ljust(width), "")]]
    rows.append([(corner[0] + corner[1] * inner + corner[2] + spare, style)])
    rows += [[(corner[3], style), *row, (corner[3] + spare, style)] for row in body]
    rows.append([(corner[4] + corner[1] * inner + corner[5] + spare, style)])
    return rows


def _half_rows(picture: Picture, look: Look) -> list[Row]:
    """Two rows of cells in each row: the upper in the foreground, the lower behind it."""
    height, width = size_of(picture.grid)
    rows: list[Row] = []
    for top in range(0, height, 2):
        pairs = [
            (cell_of(picture.grid, top, column), cell_of(picture.grid, top + 1, column)) for column in range(width)
        ]
        if picture.mask:
            glyphs = "".join(" ▄▀█"[2 * (upper == 1) + (lower == 1)] for upper, lower in pairs)
            rows.append([(glyphs, MASK_STYLE[look.colors])])
        else:
            rows.append(_joined([_half_cell(*pair, look.colors) for pair in pairs]))
    return rows


@lru_cache(1024)
def _half_cell(upper: int, lower: int, colors: str) -> tuple[str, str]:
    names = MANY if colors == "many" else SIXTEEN
    if upper == HOLE:
        return (" ", "") if lower == HOLE else ("▄", names[lower])
    return ("▀", names[upper]) if lower == HOLE else ("▀", f"{names[upper]} on {names[lower]}")


def _cell_rows(picture: Picture, scale: Scale, look: Look) -> list[Row]:
    """One row of cells in each row, one or two characters a cell."""
    columns, tall, _ = scale.value
    digits = look.digits and (look.colors == "none" or not picture.letters)  # letters among digits are hard to find
    rows: list[Row] = []
    for at, cells in enumerate(picture.grid):
        if picture.mask:
            seen, unseen = ("x", ".") if look.ascii else ("█", "·")
            text = "".join(seen * columns if cell == 1 else unseen.ljust(columns) for cell in cells)
            below = "".join((seen if cell == 1 else " ") * columns for cell in cells)
            rows += [[(line, MASK_STYLE[look.colors])] for line in [text, *[below] * (tall - 1)]]
            continue
        row: Row = []
        for column, cell in enumerate(cells):
            letter, mark = picture.letters.get((at, column), ""), picture.marks.get((at, column), "")
            row.append((_characters(cell, letter, mark, columns, digits), _cell_style(cell, look.colors, bool(mark))))
        rows.append(_joined(row))
        rows += [[(" " * len(text), style) for text, style in rows[-1]] for _ in range(tall - 1)]
    return rows


def _characters(cell: int, letter: str, mark: str, columns: int, digits: bool) -> str:
    """What is written in a cell: letter or digit, then the mark. With room for one only: letter, mark, digit."""
    first = letter or ("?" if cell == HOLE else str(cell) if digits else "")
    if columns == 1:
        return (letter or mark[:1] or first or " ")[:1]
    return (first + mark)[:2].ljust(columns)


@lru_cache(128)
def _cell_style(cell: int, colors: str, marked: bool) -> str:
    if colors == "none" or cell == HOLE:
        return "reverse" if marked else ""
    names = MANY if colors == "many" else SIXTEEN
    ink = ("#000000" if colors == "many" else "black") if cell in LIGHT else ("#ffffff" if colors == "many" else "")
    return f"{'bold ' * marked}{ink or 'bright_white'} on {names[cell]}"


def _joined(row: Row) -> Row:
    """Neighbours of one style as one."""
    joined: Row = []
    for text, style in row:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    return joined
