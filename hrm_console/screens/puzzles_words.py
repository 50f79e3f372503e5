"""The words of the puzzles screen: lines of the list, the bars above and below, and all about one test.

puzzle_facts.py and puzzles.py say what; here it becomes rows of Text in the app's colours and width.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from hrm_console.charts.canvas import Row
from hrm_console.charts.chart import plain as one_cell
from hrm_console.theme import Palette
from hrm_console.views.puzzles.boards import Board
from hrm_console.views.puzzles.facts import (
    CELLS_MEAN,
    HALTS_ABOVE,
    Facts,
    about_test,
    answer_facts,
    bars,
    color_facts,
    halting_words,
    percent,
    tally_words,
    verdict,
    vote_facts,
)
from hrm_console.views.puzzles.grid_objects import object_words
from hrm_console.views.puzzles.grids import Grid, recolored
from hrm_console.views.puzzles.listing import main_family
from hrm_console.views.puzzles.puzzles import Puzzle, PuzzleLine, TaskView, descriptor_lines, tally
from hrm_console.views.puzzles.state import PuzzleState
from hrm_console.views.puzzles.views import colors_of, shown_grid
from hrm_console.widgets.bar import two_ends
from hrm_console.words import plain, tabs, wrap

MOST_OBJECTS = 60
NAME_WIDTH = 13


def mark(exact: bool | None, palette: Palette) -> tuple[str, str]:
    """✓ or ✗ with its colour; a blank where it is not known."""
    if exact is None:
        return " ", ""
    return ("✓", palette.good) if exact else ("✗", palette.bad)


def header_text(palette: Palette, width: int, compared: bool) -> Text:
    """The names of the list's columns."""
    names = "".join(f"{name:>6}" for name in ("cells", "copy", "conf", "halt"))
    return plain(f" {'AB' if compared else ' '} {'test':<{NAME_WIDTH}}{names}  family", palette.muted, width)


def line_text(line: PuzzleLine, other: bool | None, compared: bool, palette: Palette, width: int) -> Text:
    """One test of the list; shares in percent."""
    row = Text(" ", no_wrap=True, end="")
    row.append(*mark(line.exact, palette))
    if compared:
        row.append(*mark(other, palette))
    row.append(" ")
    row.append_text(plain(f"{_cut(line.name, NAME_WIDTH):<{NAME_WIDTH}}", palette.text))
    row.append(_column(line.cell_accuracy), palette.text)
    row.append(_column(line.copy_cells), palette.muted)
    row.append(_column(line.confidence), palette.text)
    halting = "none" if line.halting is None else str(line.halting)
    row.append(f"{halting if line.num_segments else '·':>6}", palette.muted)
    row.append("  ")
    row.append_text(plain(main_family(line), palette.muted))
    row.truncate(max(0, width), overflow="ellipsis")
    return row


def _cut(name: str, width: int) -> str:
    return name if len(name) < width else name[: width - 2] + "…"


def _column(value: float | None) -> str:
    return f"{percent(value).removesuffix(' %'):>6}"


def tally_text(state: PuzzleState, palette: Palette, width: int) -> Text:
    """What is listed, and what it comes to beside what copying the input gets."""
    listing = state.listing
    row = Text(" ", no_wrap=True, end="")
    row.append_text(plain(listing.filter + (f", {listing.family}" if listing.family else ""), palette.strong))
    row.append_text(plain(f": {tally_words(tally(state.lines), short=width < 70)}", palette.text))
    row.truncate(max(0, width), overflow="ellipsis")
    return row


def tabs_text(pages: Sequence[str], page: str, state: PuzzleState, palette: Palette, width: int) -> Text:
    """The pages of a narrow terminal, and where in the list one is."""
    left = tabs(pages, page, palette)
    place = f"test {state.at + 1} of {len(state.lines)}" if state.lines else "no test"
    words = [place, state.listing.filter, state.listing.family, state.listing.sort]
    return two_ends(left, plain(", ".join(word for word in words if word) + " ", palette.muted), width, "")


def summary_text(state: PuzzleState, gone: bool, palette: Palette, width: int) -> Text:
    """The test that is looked at, in a line."""
    row, puzzle, other = Text(" ", no_wrap=True, end=""), state.puzzle, state.other
    if gone:
        row.append("Not in the folder any more. ", palette.warn)
    if puzzle is None:
        return row
    line = puzzle.line
    row.append("A " if state.compared else "", palette.muted)
    row.append(verdict(line.exact), palette.good if line.exact else palette.bad)
    if state.compared:
        row.append("  B ", palette.muted)
        words = "has no answer to it" if other is None else verdict(other.line.exact)
        row.append(words, palette.good if other is not None and other.line.exact else palette.bad)
    row.append("  ")
    row.append_text(plain(line.name, palette.strong))
    shares = [percent(answered.line.cell_accuracy) for answered in (puzzle, other) if answered is not None]
    row.append(f"  cells {' / '.join(shares)}", palette.text)
    row.append(f" (copying {percent(line.copy_cells)})", palette.muted)
    row.append(f"  confidence {percent(line.confidence)}", palette.text)
    row.append_text(plain("  " + ", ".join(line.families), palette.muted))
    row.truncate(max(0, width), overflow="ellipsis")
    return row


def halting_text(state: PuzzleState, playing: bool, palette: Palette) -> Text:
    """The halting probability of each segment as a bar, the present segment between brackets."""
    row, puzzle, view = Text(" ", no_wrap=True, end=""), state.puzzle, state.view
    if puzzle is None:
        return row
    if not puzzle.halting:
        return row.append("halting: not kept", palette.muted)
    at = view.segment
    row.append("halting ", palette.muted)
    for index, (bar, chance) in enumerate(zip(bars(puzzle.halting, view.ascii), puzzle.halting, strict=True)):
        style = palette.good if (chance or 0.0) > HALTS_ABOVE else palette.warn
        row.append(f"[{bar}]" if index == at else bar, f"bold {style}" if index == at else style)
    if at is not None and at < len(puzzle.halting):
        row.append(f" segment {at + 1} of {len(puzzle.halting)}: {percent(puzzle.halting[at])}", palette.text)
    else:
        row.append(f" {halting_words(puzzle.line)}", palette.text)
    if not puzzle.segments:
        return row.append("; no grids of segments", palette.muted)
    return row.append("  playing" if playing else "  ← → space", palette.key)


def nothing_rows(state: PuzzleState, run_id: str | None, reading: bool, width: int) -> list[Row]:
    """What stands where grids would."""
    if reading:
        text = "reading …"
    elif state.name is not None:
        text = f"The record of {state.name} is not kept any more. Choose another test, or another step with , and ."
    elif state.found.lines:
        text = "No test is listed so: x changes the filter, n the family."
    else:
        run = "no run here keeps any" if run_id is None else f"{run_id} keeps none"
        text = f"No predictions to be seen: {run}. A run writes them at each full validation."
    return [[(one_cell(line.plain), "")] for line in wrap(text, max(20, width))]


def board_text(board: Board | None, state: PuzzleState, palette: Palette) -> Text:
    """What lies over the grids, how large they are, which demonstrations are in sight where not all are."""
    row = Text(no_wrap=True, end="")
    if board is None:
        return row
    for here, words in (
        (state.view.canonical, "canonical"),
        (bool(state.view.letters), state.view.letters),
        (state.size != "auto", state.size),
    ):
        if here:
            row.append(f" {words} ", palette.accent)
    if board.pages > 1:
        total = 0 if state.task is None else len(state.task.demonstrations)
        shown = f"{board.shown.start + 1}-{board.shown.stop}" if board.shown else "none"
        row.append(f" demonstrations {shown} of {total} ", palette.muted)
        row.append("] [ ", palette.key)
    return row


def puzzle_rows(state: PuzzleState, puzzle: Puzzle, palette: Palette, width: int) -> list[Text]:
    """All about one test, what lies over its grids first."""
    rows: list[Text] = []
    task, view = state.task, state.view
    if view.letters:
        colors, named = colors_of(task, view), [("input", puzzle.input), shown_grid(puzzle, view)]
        grids = [(name, recolored(grid, colors)) for name, grid in named]
        rows += _object_rows(grids, view.letters == "graph", palette, width)
    if view.canonical:
        rows += fact_rows(color_facts(task), palette, width)
    if state.descriptors:
        rows += _lines("rule descriptors, guessed from the demonstrations", _descriptors(task), palette, width)
    if rows:
        rows.append(Text(""))
    rows += fact_rows(answer_facts(puzzle), palette, width)
    if state.other is not None:
        rows += fact_rows([(f"B {name}", words) for name, words in answer_facts(state.other)[:2]], palette, width)
    rows += fact_rows(vote_facts(puzzle), palette, width)
    rows += fact_rows(about_test(puzzle, task), palette, width)
    return rows + wrap(CELLS_MEAN, width - 2, palette.muted, indent="   ", first=" · ")


def _descriptors(task: TaskView | None) -> list[str]:
    lines = descriptor_lines(task) if task is not None else []
    return lines or ["the run has not kept them"]


def _object_rows(grids: Sequence[tuple[str, Grid]], edges: bool, palette: Palette, width: int) -> list[Text]:
    """The objects of some grids, and which touch which."""
    rows: list[Text] = []
    head = "nodes, and whom each touches, corners too" if edges else "objects, each with its size at row,column"
    for name, grid in grids:
        lines = object_words(grid, edges)
        more = [f"and {len(lines) - MOST_OBJECTS} more"] if len(lines) > MOST_OBJECTS else []
        rows += _lines(f"{name}, {head}", (lines[:MOST_OBJECTS] or ["none"]) + more, palette, width)
    return rows


def _lines(title: str, lines: Sequence[str], palette: Palette, width: int) -> list[Text]:
    rows = wrap(title, width - 2, palette.accent, indent=" ")
    for line in lines:
        rows += wrap(line, width - 2, palette.text, indent="     ", first="   ")
    return rows


def fact_rows(facts: Facts, palette: Palette, width: int) -> list[Text]:
    """Name and sentence, the sentence wrapped beside the name."""
    rows: list[Text] = []
    for name, sentence in facts:
        for at, part in enumerate(wrap(sentence, width - 14, palette.text)):
            row = Text(f" {name if at == 0 else '':<11} ", palette.muted, no_wrap=True, end="")
            rows.append(row.append_text(part))
    return rows
