"""Where the grids of a puzzle go: pictures, room, look -> rows of styled text, a page at a time.

The test is always there, on the first page; above it stand as many demonstrations as fit, and the others are on
further pages. The scale is the largest with which the test fits and the most demonstrations do. Pictures of a group
stay side by side where the width allows it; what is too high for the room is scrolled by the widget. No Textual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from hrm_console.charts.canvas import Row
from hrm_console.views.puzzles.grids import Look, Picture, Scale, draw

Group = tuple[Picture, ...]
Band = list[Picture | None]
"""Pictures beside each other; None is the wider gap between two groups."""
Size = Literal["auto", "small", "large"]
SIZES: tuple[Size, ...] = ("auto", "small", "large")
GAP, GROUP_GAP = 2, 4


@final
@dataclass(frozen=True)
class Board:
    """rows: what is drawn; shown: which demonstrations, from 0; page of how many pages; scale of the test's grids."""

    rows: list[Row]
    shown: range
    page: int
    pages: int
    scale: Scale


def bands(groups: Sequence[Group], scale: Scale, width: int) -> list[Band]:
    """Groups beside each other as far as the width allows, the pictures of one that is too wide on several bands."""
    found: list[Band] = []
    used = 0
    for group in groups:
        extents = [picture.extent(scale)[0] for picture in group]
        whole = sum(extents) + GAP * (len(group) - 1)
        if found and used + GROUP_GAP + whole <= width:
            found[-1].append(None)
            used += GROUP_GAP
            found[-1] += group
            used += whole
            continue
        for at, (picture, extent) in enumerate(zip(group, extents, strict=True)):
            if at == 0 or used + GAP + extent > width:
                found.append([picture])
                used = extent
            else:
                found[-1].append(picture)
                used += GAP + extent
    return found


def height_of(found: Sequence[Band], scale: Scale) -> int:
    """Rows that the bands take."""
    return sum(max(picture.extent(scale)[1] for picture in band if picture is not None) for band in found)


def _most(groups: Sequence[Group], scale: Scale, width: int, height: int) -> int:
    """How many of the first groups fit."""
    for count in range(len(groups), 0, -1):
        if height_of(bands(groups[:count], scale, width), scale) <= height:
            return count
    return 0


def _widest(groups: Sequence[Group], scale: Scale) -> int:
    return max((picture.extent(scale)[0] for group in groups for picture in group), default=0)


def arrange(
    demonstrations: Sequence[Group],
    test: Group,
    width: int,
    height: int,
    look: Look,
    *,
    size: Size = "auto",
    page: int = 0,
    letters: bool = False,
) -> Board:
    """One page of a puzzle. `letters`: there are letters to be read, so a cell needs a character of its own."""
    small = Scale.TALL if letters else look.small
    options = {
        "small": [(small, small)],
        "large": [(Scale.WIDE, Scale.WIDE), (Scale.BIG, Scale.BIG)],
        "auto": [
            (small, small),
            (small, Scale.WIDE),
            (Scale.WIDE, Scale.WIDE),
            (Scale.WIDE, Scale.BIG),
            (Scale.BIG, Scale.BIG),
        ],
    }[size]

    def merit(option: tuple[Scale, Scale]) -> tuple[bool, int, int, int]:
        of_demonstrations, of_test = option
        wide_enough = max(_widest(demonstrations, of_demonstrations), _widest([test], of_test)) <= width
        needed = height_of(bands([test], of_test, width), of_test)
        fitting = _most(demonstrations, of_demonstrations, width, height - needed)
        return wide_enough, min(0, height - needed), fitting, options.index(option)

    chosen, scale = max(options, key=merit)
    pages = _pages(demonstrations, chosen, width, height, height_of(bands([test], scale, width), scale))
    page = page % len(pages)
    rows = band_rows(bands([demonstrations[at] for at in pages[page]], chosen, width), chosen, look)
    if page == 0:
        rows += band_rows(bands([test], scale, width), scale, look)
    return Board(rows, pages[page], page, len(pages), scale)


def _pages(groups: Sequence[Group], scale: Scale, width: int, height: int, taken: int) -> list[range]:
    """Which demonstrations are on which page; on the first the test takes `taken` rows."""
    first = _most(groups, scale, width, height - taken)
    pages = [range(first)]
    while pages[-1].stop < len(groups):
        start = pages[-1].stop
        pages.append(range(start, start + max(1, _most(groups[start:], scale, width, height))))
    return pages


def band_rows(found: Sequence[Band], scale: Scale, look: Look) -> list[Row]:
    """The bands as rows, each picture at the top of its band."""
    rows: list[Row] = []
    for band in found:
        parts = [None if picture is None else draw(picture, scale, look) for picture in band]
        extents = [0 if picture is None else picture.extent(scale)[0] for picture in band]
        for y in range(max(len(part) for part in parts if part is not None)):
            row: Row = []
            gap = 0
            for part, extent in zip(parts, extents, strict=True):
                if part is None:
                    gap = GROUP_GAP
                    continue
                if gap:
                    row.append((" " * gap, ""))
                row += part[y] if y < len(part) else [(" " * extent, "")]
                gap = GAP
            rows.append(row)
    return rows
