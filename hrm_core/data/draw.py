"""A puzzle in the terminal. Dataset and task name -> coloured grids, or digits where there is no colour.

Cells are two spaces wide where input and output then fit side by side, else half blocks, two rows in a line; grids that
are still too wide stand one above the other. What a puzzle looks like in the console is drawn there, from predictions.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import final

import torch
from rich.console import Console
from rich.style import Style
from rich.text import Text

from hrm_core.data.dataset import Dataset
from hrm_core.data.descriptors import SYMMETRIES
from hrm_core.data.families import family_names
from hrm_core.data.grids import Grid
from hrm_core.data.lanes import LanePairs
from hrm_core.errors import UserError
from hrm_core.runs.text import clean

# The colours in which ARC is published, from 0 to 9.
PALETTE = ("#000000", "#0074d9", "#ff4136", "#2ecc40", "#ffdc00", "#aaaaaa", "#f012be", "#ff851b", "#7fdbff", "#870c25")
BACKGROUND = tuple(Style(bgcolor=color) for color in PALETTE)
HALF = tuple(tuple(Style(color=top, bgcolor=bottom) for bottom in PALETTE) for top in PALETTE)
LAST_HALF = tuple(Style(color=color) for color in PALETTE)
FRAME = Style(dim=True)
ARROW = "  ->  "


@final
@dataclass(frozen=True)
class ShownPair:
    """One pair to draw: its heading's first words and its two grids; target None where it is not to be shown."""

    title: str
    input: Grid
    target: Grid | None


def find_task(dataset: Dataset, name: str) -> int:
    """The row of a task by its name; UserError with the nearest name if there is none."""
    ids = dataset.tasks.ids
    if name in ids:
        return ids.index(name)
    close = difflib.get_close_matches(name, ids, n=1, cutoff=0.5)
    hint = f"; did you mean {clean(close[0])}" if close else "; `hrm data info` says what the file holds"
    raise UserError(f"no task {clean(name)[:80]} in this data file{hint}")


def task_pairs(dataset: Dataset, row: int, answers: bool = True) -> list[ShownPair]:
    """Every pair of a task: its demonstrations, then its tests, wherever they lie in the data set."""
    found: dict[int, tuple[Grid, Grid]] = {}
    for split in ("train", "val", "eval"):
        for lane in dataset.split(split).values():
            for place in torch.nonzero(lane.task == row).flatten().tolist():
                found[int(lane.pair[place])] = _grids(dataset, split, lane, place)
    first_test = int(dataset.tasks.num_demonstrations[row])
    shown = []
    for pair, (given, target) in sorted(found.items()):
        is_test = pair >= first_test
        title = f"test {pair - first_test + 1}" if is_test else f"demonstration {pair + 1}"
        shown.append(ShownPair(title, given, None if is_test and not answers else target))
    return shown


def _grids(dataset: Dataset, split: str, lane: LanePairs, place: int) -> tuple[Grid, Grid]:
    given = lane.input[place, : lane.input_height[place], : lane.input_width[place]].numpy()
    height, width = int(lane.target_height[place]), int(lane.target_width[place])
    if bool(lane.fits[place]):
        return given, lane.target[place, :height, :width].numpy()
    whole = dataset.oversize[split]
    row = int(torch.nonzero(whole.key == lane.key[place])[0])
    return given, whole.target[row, :height, :width].numpy()


def print_task(dataset: Dataset, name: str, answers: bool = True, console: Console | None = None) -> None:
    """Draw a task with what is known about it. `console`: where to (stdout)."""
    console = console or Console(highlight=False, soft_wrap=True)
    row = find_task(dataset, name)
    table = dataset.tasks
    kind = "evaluation" if bool(table.evaluation[row]) else "training"
    side = int(table.canvas[row])
    console.print(
        Text(clean(f"{table.ids[row]}  {table.sources[row]}, {kind} task, canvas {side}x{side}"), style="bold")
    )
    console.print(Text("families: " + ", ".join(family_names(int(table.families[row])))))
    console.print(Text(descriptor_line(dataset, row)))
    for pair in task_pairs(dataset, row, answers):
        sizes = f"{_size(pair.input)} -> {'?' if pair.target is None else _size(pair.target)}"
        console.print(Text(f"\n{pair.title}  {sizes}", style="bold"))
        for line in pair_lines(pair, console.width, colored=console.color_system is not None and not console.no_color):
            console.print(line)


def descriptor_line(dataset: Dataset, row: int) -> str:
    """The rule descriptors of a task in words."""
    values = {name: int(column[row]) for name, column in dataset.tasks.descriptors.items()}
    moved = "none"
    if values["translation"]:
        shift = values["translation_row"], values["translation_column"]
        moved = "differs" if shift == (0, 0) else f"{shift[0]:+d} down, {shift[1]:+d} right"
    symmetry = SYMMETRIES[values["symmetry"]][0].replace("_", " ")
    return (
        f"output symmetry: {symmetry}; translation: {moved}; objects changed: {values['objects_changed']}; "
        f"recolourings: {values['recolored']}"
    )


def pair_lines(pair: ShownPair, width: int, colored: bool) -> list[Text]:
    """The two grids side by side if they fit the width, else one above the other."""
    forms = (_wide, _half) if colored else (_digits,)
    for form in forms:
        left = form(pair.input)
        right = [Text("?")] if pair.target is None else form(pair.target)
        if left[0].cell_len + len(ARROW) + right[0].cell_len <= width:
            return _beside(left, right)
    return [*left, Text("  |  "), *right]


def _beside(left: list[Text], right: list[Text]) -> list[Text]:
    height = max(len(left), len(right))
    blank = Text(" " * left[0].cell_len)
    lines = []
    for number in range(height):
        arrow = ARROW if number == height // 2 else " " * len(ARROW)
        first = left[number] if number < len(left) else blank
        lines.append(Text.assemble(first, arrow, right[number] if number < len(right) else ""))
    return lines


def _size(grid: Grid) -> str:
    return f"{grid.shape[0]}x{grid.shape[1]}"


def _digits(grid: Grid) -> list[Text]:
    return [Text(" ".join(str(cell) for cell in row)) for row in grid.tolist()]


def _wide(grid: Grid) -> list[Text]:
    return _framed([Text.assemble(*(("  ", BACKGROUND[cell]) for cell in row)) for row in grid.tolist()])


def _half(grid: Grid) -> list[Text]:
    rows = grid.tolist()
    lines = [
        Text.assemble(*(("▀", HALF[top][bottom]) for top, bottom in zip(rows[number], rows[number + 1], strict=True)))
        for number in range(0, len(rows) - 1, 2)
    ]
    if len(rows) % 2:
        lines.append(Text.assemble(*(("▀", LAST_HALF[cell]) for cell in rows[-1])))
    return _framed(lines)


def _framed(lines: list[Text]) -> list[Text]:
    """A thin frame: black cells would be lost on a black terminal."""
    bar = "─" * lines[0].cell_len
    inside = [Text.assemble(("│", FRAME), line, ("│", FRAME)) for line in lines]
    return [Text(f"┌{bar}┐", style=FRAME), *inside, Text(f"└{bar}┘", style=FRAME)]
