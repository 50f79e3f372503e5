"""Which tests are listed, in which order, and which comes next: lines of puzzles.py -> lines. No Textual."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from hrm_console.views.puzzles.puzzles import PuzzleLine

FILTERS = ("all", "failures", "right")
COMPARED = (*FILTERS, "gained or lost")
SORTS = ("as kept", "worst cells", "surest", "name", "family")


@final
@dataclass(frozen=True)
class Listing:
    """What is listed: filter, a family or all, order."""

    filter: str = "all"
    family: str = ""
    sort: str = "as kept"


def listed(lines: Sequence[PuzzleLine], listing: Listing, other: Mapping[str, bool]) -> list[PuzzleLine]:
    """The lines of a listing. `other`: whether another run has each test right."""
    kept = [
        line
        for line in lines
        if (not listing.family or listing.family in line.families) and _passes(line, listing.filter, other)
    ]
    key = _KEYS.get(listing.sort)
    return kept if key is None else sorted(kept, key=key)


def _passes(line: PuzzleLine, kind: str, other: Mapping[str, bool]) -> bool:
    if kind == "failures":
        return not line.exact
    if kind == "right":
        return line.exact
    return kind != "gained or lost" or (line.name in other and other[line.name] != line.exact)


_KEYS: dict[str, Callable[[PuzzleLine], tuple[float | str, ...]]] = {
    "worst cells": lambda line: (-1.0 if line.cell_accuracy is None else line.cell_accuracy, line.name),
    "surest": lambda line: (1.0 if line.confidence is None else -line.confidence, line.name),
    "name": lambda line: (line.name,),
    "family": lambda line: (main_family(line), line.name),
}


def main_family(line: PuzzleLine) -> str:
    """The family that says most: the first that is not just equal sizes."""
    return next((name for name in line.families if name != "same_size"), next(iter(line.families), ""))


def families_of(lines: Sequence[PuzzleLine]) -> list[str]:
    """Every family that a test has, the largest first."""
    counted = Counter(name for line in lines for name in dict.fromkeys(line.families))
    return sorted(counted, key=lambda name: (-counted[name], name))


def next_family(lines: Sequence[PuzzleLine], family: str, step: int) -> str:
    """The family after (or before) this one, all of them ("") between the last and the first."""
    names = ["", *families_of(lines)]
    return names[(names.index(family) + step) % len(names)] if family in names else ""


def next_where(lines: Sequence[PuzzleLine], at: int, step: int, wanted: Callable[[PuzzleLine], bool]) -> int | None:
    """Index of the next line after `at` that is wanted, around the end; None where no other is."""
    for distance in range(1, len(lines) + 1):
        place = (at + step * distance) % len(lines)
        if wanted(lines[place]):
            return place
    return None


def place_of(lines: Sequence[PuzzleLine], name: str) -> int | None:
    """Index of the test of a name, or of the first of a task."""
    exact = (at for at, line in enumerate(lines) if line.name == name)
    of_task = (at for at, line in enumerate(lines) if line.task == name)
    return next(exact, next(of_task, None))
