"""`hrm show RUN --puzzle TASK[:TEST]`: one test of a run as grids in text, with what the puzzles screen says about it.

Command-line room. The run folder's predictions alone are read, through the console's own modules without Textual, so
that both say the same. A terminal gets colours, a pipe digits; `--puzzle list` prints the tests. No torch is loaded.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hrm_core.cli.options import clean, print_json, print_line, print_table
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_console.charts.canvas import Row
    from hrm_console.views.puzzles.grids import Look
    from hrm_core.runs.layout import RunFolder

COLUMNS = ("test", "", "cells", "copying", "confidence", "halts", "families")
PIPE_COLUMNS = 120
LISTED = "list"
Command = TypeVar("Command", bound=Callable[..., Any])


def puzzle_options(command: Command) -> Command:
    """--puzzle and --step."""
    command = click.option(
        "--step", type=click.IntRange(0), default=None, metavar="N", help="With --puzzle: predictions of this step."
    )(command)
    return click.option(
        "--puzzle",
        default=None,
        metavar="TASK[:TEST]",
        help="Draw what the run answered to this test, or to every test of the task; `list` lists them.",
    )(command)


def print_puzzle(layout: RunFolder, wanted: str | None, step: int | None, as_json: bool) -> None:
    """The tests that are meant, at the newest kept step or the one given."""
    from hrm_console.views.puzzles.files import find_test, read_lines

    if wanted is None:
        raise UserError(f"--step {step} is of predictions; say which test with --puzzle TASK, or --puzzle list.")
    shown = _step(layout, step)
    if wanted == LISTED:
        _print_list(layout, shown, as_json)
        return
    names = find_test(layout.path, shown, wanted)
    if not names:
        import difflib

        tasks = sorted({line.task for line in read_lines(layout.path, shown)})
        near = difflib.get_close_matches(wanted.partition(":")[0], tasks, n=1)
        hint = f"did you mean {near[0]}?" if near else f"`hrm show {layout.run_id} --puzzle list` lists them."
        raise UserError(f"no test {clean(wanted)} among the predictions of step {shown}; {hint}")
    if as_json:
        print_json({"run": layout.run_id, "step": shown, "tests": [_json(layout, shown, name) for name in names]})
        return
    for number, name in enumerate(names):
        if number:
            print_line()
        _print_test(layout, shown, name)


def _step(layout: RunFolder, step: int | None) -> int:
    from hrm_core.runs.predictions import steps_kept

    steps = steps_kept(layout)
    if not steps:
        raise UserError(
            f"run {layout.run_id} keeps no predictions; it writes them at each full validation.", exit_code=1
        )
    if step is not None and step not in steps:
        raise UserError(f"--step {step}: run {layout.run_id} keeps those of {', '.join(map(str, steps))}.")
    return steps[-1] if step is None else step


def _print_list(layout: RunFolder, step: int, as_json: bool) -> None:
    from hrm_console.views.puzzles.facts import halting_words, percent, tally_words, verdict
    from hrm_console.views.puzzles.files import read_lines
    from hrm_console.views.puzzles.puzzles import tally

    lines = read_lines(layout.path, step)
    if as_json:
        from dataclasses import asdict

        print_json({"run": layout.run_id, "step": step, "tests": [asdict(line) for line in lines]})
        return
    print_line(f"{layout.run_id}, step {step}: {tally_words(tally(lines))}")
    print_table(
        COLUMNS,
        [
            [
                line.name,
                verdict(line.exact),
                percent(line.cell_accuracy),
                percent(line.copy_cells),
                percent(line.confidence),
                halting_words(line),
                " ".join(line.families),
            ]
            for line in lines
        ],
    )


def _json(layout: RunFolder, step: int, name: str) -> dict[str, Any]:
    """The record as it is kept, its task's, and what is computed from them."""
    from hrm_console.views.puzzles.puzzles import copying, halting_of
    from hrm_core.runs.predictions import read_prediction, read_tasks

    record = read_prediction(layout, step, name) or {}
    exact, cells = copying(record)
    task = next((row for row in read_tasks(layout) if row.get("task") == record.get("task")), None)
    return {
        "name": name,
        "record": record,
        "task": task,
        "copying": {"exact": exact, "cell_accuracy": cells},
        "halting_probability": list(halting_of(record)),
    }


def _print_test(layout: RunFolder, step: int, name: str) -> None:
    from hrm_console.views.puzzles.facts import CELLS_MEAN, about_test, answer_facts, bars, color_facts, vote_facts
    from hrm_console.views.puzzles.files import TaskRows, read_puzzle
    from hrm_console.views.puzzles.puzzles import descriptor_lines
    from hrm_console.views.puzzles.views import View, demonstration_groups, puzzle_group

    puzzle = read_puzzle(layout.path, step, name)
    if puzzle is None:
        raise UserError(f"the record of {clean(name)} at step {step} cannot be read.", exit_code=1)
    task = TaskRows(layout.path).find(puzzle.line.task)
    look, width = _look()
    view = View(ascii=look.ascii)
    print_line(f"{layout.run_id}, step {step}, test {name}")
    _draw(demonstration_groups(task, view), look, width)
    _draw([puzzle_group(puzzle, task, view)], look, width)
    facts = answer_facts(puzzle)
    if puzzle.halting:
        facts.append(("halting", f"{bars(puzzle.halting, look.ascii)} (probability after each segment)"))
    facts += vote_facts(puzzle) + about_test(puzzle, task) + color_facts(task)
    facts += [("descriptor", line) for line in (descriptor_lines(task) if task is not None else [])]
    for key, words in facts:
        print_line(f"{key:<11} {words}")
    print_line(f"({CELLS_MEAN})")


def _look() -> tuple[Look, int]:
    """What the output can show, and how wide it is."""
    from hrm_console.views.puzzles.grids import Look, look_of

    if not sys.stdout.isatty():
        return Look("none", ascii=True), PIPE_COLUMNS
    from rich.console import Console

    from hrm_core.runs.user_settings import read_settings

    system = None if "NO_COLOR" in os.environ else Console().color_system
    return look_of(system, read_settings().text("console.markers")), shutil.get_terminal_size().columns


def _draw(groups: list[Any], look: Look, width: int) -> None:
    """Grids beside each other, large where two fit beside each other so."""
    from hrm_console.views.puzzles.boards import band_rows, bands
    from hrm_console.views.puzzles.grids import Scale

    widest = max((picture.extent(Scale.WIDE)[0] for group in groups for picture in group), default=0)
    scale = Scale.WIDE if 2 * widest < width else look.small
    for row in band_rows(bands(groups, scale, width), scale, look):
        click.echo(_line(row, look))


def _line(row: Row, look: Look) -> str:
    """A row with its colours as escape codes, where there are colours."""
    if look.colors == "none":
        return "".join(text for text, _ in row).rstrip()
    from rich.color import ColorSystem
    from rich.style import Style

    system = ColorSystem.EIGHT_BIT if look.colors == "many" else ColorSystem.STANDARD
    return "".join(Style.parse(style).render(text, color_system=system) if style else text for text, style in row)
