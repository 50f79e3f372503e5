"""What is said about a puzzle beside its grids, as (name, sentence) pairs that screen and command line both print.

Every share stands beside what copying the input gets on the same test. Text from files is not cleaned here: whoever
prints does that. No Textual.
"""

from __future__ import annotations

from collections.abc import Sequence

from hrm_console.views.puzzles.grids import COLOR_NAMES, differing, size_of
from hrm_console.views.puzzles.puzzles import Puzzle, PuzzleLine, Tally, TaskView

Facts = list[tuple[str, str]]
LEVELS = "▁▂▃▄▅▆▇█"
HALTS_ABOVE = 0.5
CELLS_MEAN = "cells: share of the target's cells and of the end marks around it that are right"
CONFIDENCE_MEANS = "the halting head's own probability, in the segment that answers, that its grid is right"
SEGMENTS_KEPT = "only the tests chosen for it keep the grid of every segment"


def percent(value: float | None) -> str:
    """A share of 1: 12.3 %."""
    return "·" if value is None or not -1e6 < value < 1e6 else f"{100 * value:.1f} %"


def verdict(exact: bool) -> str:
    """A mark and the word."""
    return "✓ right" if exact else "✗ wrong"


def halting_words(line: PuzzleLine) -> str:
    """Where the head would halt."""
    if not line.num_segments:
        return "not kept"
    if line.halting is None:
        return f"in none of {line.num_segments} segments"
    return f"in segment {line.halting} of {line.num_segments}"


def answer_facts(puzzle: Puzzle) -> Facts:
    """Right or wrong, cells, confidence, halting, loss."""
    line = puzzle.line
    target, predicted = size_of(puzzle.target), size_of(puzzle.predicted)
    wrong = len(differing(puzzle.target, puzzle.predicted))
    words = (
        f"{verdict(line.exact)}: {wrong} cell{'s' * (wrong != 1)} differ{'s' * (wrong == 1)}"
        if not line.exact
        else verdict(True)
    )
    if target != predicted:
        words += f", size {predicted[0]}x{predicted[1]} for {target[0]}x{target[1]}"
    facts = [
        ("answer", f"{words} (copying the input: {'right' if line.copy_exact else 'wrong'})"),
        ("cells", f"{percent(line.cell_accuracy)}, copying the input {percent(line.copy_cells)}"),
        ("confidence", f"{percent(line.confidence)}: {CONFIDENCE_MEANS}"),
        ("halts", f"{halting_words(line)} (the first above {100 * HALTS_ABOVE:.0f} %)"),
    ]
    if puzzle.loss is not None:
        facts.append(("loss", f"{puzzle.loss:.4g} a token"))
    return facts


def vote_facts(puzzle: Puzzle) -> Facts:
    """The answers that the views voted for, the best first."""
    if not puzzle.answers:
        return [("votes", "no view gave a grid")]
    place = "not among all answers" if puzzle.rank is None else f"answer {puzzle.rank + 1}"
    facts = [("votes", f"the right grid is {place}")]
    for number, answer in enumerate(puzzle.answers, 1):
        votes = "· views" if answer.votes is None else f"{answer.votes} view{'s' * (answer.votes != 1)}"
        right = verdict(answer.grid == puzzle.target)
        facts.append((f"  {number}", f"{votes}, confidence {percent(answer.confidence)}, {right}"))
    return facts


def about_test(puzzle: Puzzle, task: TaskView | None) -> Facts:
    """What the test is."""
    source = f" of {task.source}" if task is not None and task.source else ""
    facts = [("test", f"{puzzle.line.name}{source}"), ("families", ", ".join(puzzle.line.families) or "none")]
    if puzzle.side is not None:
        facts.append(("canvas", f"{puzzle.side}x{puzzle.side}"))
    if not puzzle.fits:
        facts.append(("note", "the target does not fit the canvas: wrong in every measure, for copying too"))
    if puzzle.duplicate:
        facts.append(("note", "equals a training pair up to turning and colours"))
    facts += [("note", words) for words in puzzle.trouble]
    if task is None:
        facts.append(("note", "the run has not kept this task's demonstrations"))
    return facts


def color_facts(task: TaskView | None) -> Facts:
    """The canonical colours of a task."""
    if task is None or task.colors is None:
        return [("colours", "the run has not kept this task's canonical colours")]
    changed = [
        f"{COLOR_NAMES[color]} ({color}) → {COLOR_NAMES[shown]} ({shown})"
        for color, shown in enumerate(task.colors)
        if color != shown
    ]
    return [("colours", ", ".join(changed) or "the published ones are canonical already")]


def tally_words(found: Tally, short: bool = False) -> str:
    """A set of tests in a line: 4 of 69 right (copying 0), cells 71.8 % (copying 45.4 %)."""
    if short:
        cells, copied = (percent(share).removesuffix(" %") for share in (found.cells, found.copy_cells))
        return f"{found.right}/{found.tests} right (copy {found.copy_right}), cells {cells} (copy {copied}) %"
    return (
        f"{found.right} of {found.tests} right (copying {found.copy_right}), "
        f"cells {percent(found.cells)} (copying {percent(found.copy_cells)})"
    )


def bars(values: Sequence[float | None], ascii_only: bool) -> str:
    """A character for each value from 0 to 1: a bar, or the tens digit in ASCII; a dot for none."""
    levels = "0123456789" if ascii_only else LEVELS
    return "".join(
        "." if value is None else levels[min(len(levels) - 1, int(max(0.0, value) * len(levels)))] for value in values
    )
