"""Where somebody is in a run's puzzles, and what each key does to that. No Textual, no files.

`Found` of puzzle_reading.py and keys -> the tests listed, the one looked at by name, the view of it. Methods that can
have nothing to do return a sentence that says so, else nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar, final

from hrm_console.views.puzzles.boards import SIZES, Board, Size, arrange
from hrm_console.views.puzzles.facts import SEGMENTS_KEPT
from hrm_console.views.puzzles.grids import Look
from hrm_console.views.puzzles.listing import (
    COMPARED,
    FILTERS,
    SORTS,
    Listing,
    listed,
    next_family,
    next_where,
    place_of,
)
from hrm_console.views.puzzles.puzzles import Puzzle, PuzzleLine, TaskView
from hrm_console.views.puzzles.reading import Found, Read
from hrm_console.views.puzzles.views import Letters, View, demonstration_groups, puzzle_group

NOWHERE = Found(None)
Value = TypeVar("Value")


@final
@dataclass
class PuzzleState:
    """wanted: the test to begin with; name: the one looked at; puzzle, task, other: the records of
    the test named `loaded`, which follows `name` as fast as files are read."""

    compared: bool = False
    wanted: str | None = None
    found: Found = NOWHERE
    listing: Listing = field(default_factory=Listing)
    view: View = field(default_factory=View)
    size: Size = "auto"
    board_page: int = 0
    descriptors: bool = False
    lines: list[PuzzleLine] = field(default_factory=list)
    name: str | None = None
    puzzle: Puzzle | None = None
    task: TaskView | None = None
    other: Puzzle | None = None
    loaded: str | None = None

    @property
    def at(self) -> int:
        """Index of the test looked at; 0 where it is not listed."""
        return 0 if self.name is None else place_of(self.lines, self.name) or 0

    def take(self, found: Found) -> str:
        """Show another step or run, at the same test."""
        self.found, said = found, ""
        if self.wanted is not None:
            place = place_of(found.lines, self.wanted)
            if place is None:
                said = f"{self.wanted} is not among the tests of step {found.step}"
            else:
                self.name, self.listing = found.lines[place].name, Listing(sort=self.listing.sort)
            self.wanted = None
        self._list()
        return said

    def _list(self) -> None:
        """List again; the test looked at stays if it is listed, else the one at its place is."""
        place = self.at
        self.lines = listed(self.found.lines, self.listing, self.found.other_exact)
        if self.name is None or place_of(self.lines, self.name) is None:
            self.go(min(place, len(self.lines) - 1))

    def go(self, place: int) -> None:
        """Look at a test of the list."""
        name = self.lines[place].name if 0 <= place < len(self.lines) else None
        if name != self.name:
            self.name, self.board_page = name, 0
            self.view = replace(self.view, segment=None, answer=0)

    def have(self, read: Read) -> None:
        """The records of a test have been read."""
        self.loaded, self.puzzle, self.task, self.other = read.name, read.puzzle, read.task, read.other

    # What keys do -----------------------------------------------------------------------------------------------------

    def move(self, step: int) -> str:
        """Go to the next or previous test, not around the end."""
        self.go(max(0, min(self.at + step, len(self.lines) - 1)))
        return ""

    def failure(self, step: int) -> str:
        """Go to the next or previous failure."""
        place = next_where(self.lines, self.at, step, lambda line: not line.exact)
        if place is None:
            return "no failure in this list"
        self.go(place)
        return ""

    def family(self, step: int) -> str:
        """List the next family, or all."""
        self.listing = replace(self.listing, family=next_family(self.found.lines, self.listing.family, step))
        self._list()
        return ""

    def filter(self) -> str:
        """List all, failures, right ones."""
        kinds = COMPARED if self.compared else FILTERS
        self.listing = replace(self.listing, filter=_after(kinds, self.listing.filter))
        self._list()
        return ""

    def sort(self) -> str:
        """Order the list in the next way."""
        self.listing = replace(self.listing, sort=_after(SORTS, self.listing.sort))
        self._list()
        return ""

    def segment(self, step: int) -> str:
        """Show the next segment's grid; where none are kept, go to the next test that has them."""
        if self.puzzle is None:
            return ""
        count = len(self.puzzle.segments)
        if not count:
            place = next_where(self.lines, self.at, 1, lambda line: line.keeps_segments)
            if place is None:
                return f"{SEGMENTS_KEPT}; none of them is in this list"
            self.go(place)
            return f"{SEGMENTS_KEPT}; this is the next of them"
        at = 0 if self.view.segment is None else self.view.segment + 1
        place = (at + step) % (count + 1)
        self.view = replace(self.view, segment=place - 1 if place else None, answer=0)
        return ""

    @property
    def at_last_segment(self) -> bool:
        """Whether there is no further segment to play."""
        if self.puzzle is None or not self.puzzle.segments:
            return True
        return self.view.segment == len(self.puzzle.segments) - 1

    def votes(self) -> str:
        """Show the next answer of the vote, and after the last the prediction."""
        if self.puzzle is None or not self.puzzle.answers:
            return "no view gave an answer"
        answer = (self.view.answer + 1) % (len(self.puzzle.answers) + 1)
        self.view = replace(self.view, answer=answer, segment=None)
        return ""

    def canonical(self) -> str:
        """Canonical colours, or the published ones."""
        self.view = replace(self.view, canonical=not self.view.canonical)
        known = self.task is not None and self.task.colors is not None
        return "" if known or not self.view.canonical else "the run has not kept this task's canonical colours"

    def letters(self, kind: Letters) -> str:
        """Letters of objects or of nodes, or none."""
        self.view = replace(self.view, letters="" if self.view.letters == kind else kind)
        return ""

    def resize(self) -> str:
        """As large as fits, small, large."""
        self.size = _after(SIZES, self.size)
        return ""

    def describe(self) -> str:
        """Say the rule descriptors, or not."""
        self.descriptors = not self.descriptors
        return ""

    def step_from(self, step: int) -> int | None:
        """The step kept after or before the one shown, around the end."""
        steps = self.found.steps
        if self.found.step not in steps:
            return None
        return steps[(steps.index(self.found.step) + step) % len(steps)]


def _after(choices: tuple[Value, ...], value: Value) -> Value:
    return choices[(choices.index(value) + 1) % len(choices)] if value in choices else choices[0]


def state_board(state: PuzzleState, puzzle: Puzzle, width: int, height: int, look: Look) -> Board:
    """The grids of the test looked at, as they are wanted, in a room."""
    return arrange(
        demonstration_groups(state.task, state.view),
        puzzle_group(puzzle, state.task, state.view, state.other),
        width,
        height,
        look,
        size=state.size,
        page=state.board_page,
        letters=bool(state.view.letters),
    )
