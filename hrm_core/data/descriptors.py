"""What kind of change a task makes, in four numbers. Demonstrations -> integers (rule descriptors, EXP-08).

Fast guesses from the demonstration pairs alone, good enough as weak labels and for tables; not the rule of the task.
`VERSION` grows whenever a definition changes. Surface-form classes are in `families`.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from hrm_core.data.grids import NUM_DIHEDRAL, Pair, Task, turn_grid
from hrm_core.data.objects import GridObject, find_objects

VERSION = 1

# The ten subgroups of the symmetries of a square, as sets of dihedral elements: `symmetry` is an index of this table.
SYMMETRIES: tuple[tuple[str, frozenset[int]], ...] = (
    ("none", frozenset({0})),
    ("left_right", frozenset({0, 1})),
    ("up_down", frozenset({0, 2})),
    ("half_turn", frozenset({0, 3})),
    ("two_mirrors", frozenset({0, 1, 2, 3})),
    ("diagonal", frozenset({0, 4})),
    ("antidiagonal", frozenset({0, 7})),
    ("two_diagonals", frozenset({0, 3, 4, 7})),
    ("quarter_turn", frozenset({0, 3, 5, 6})),
    ("full", frozenset(range(8))),
)


def describe_task(task: Task) -> dict[str, int]:
    """The columns of `schema.DESCRIPTOR_COLUMNS`.

    symmetry: of all demonstration outputs, an index of SYMMETRIES; translation: 1 if in every demonstration some object
    moves, and its row and column shift where it is the same in all (else 0, 0); objects_changed: input objects that
    the output no longer shows, mean over demonstrations, rounded; recolored: different changes of one colour (not 0)
    into another, over demonstrations of unchanged size.
    """
    split = [(pair, *_split_objects(pair)) for pair in task.demonstrations]
    shifts = [_shifts(*items) for items in split]
    common = set.intersection(*shifts)
    row, column = min(common, key=lambda shift: (abs(shift[0]) + abs(shift[1]), shift)) if common else (0, 0)
    return {
        "symmetry": _symmetry(task),
        "translation": int(all(shifts)),
        "translation_row": row,
        "translation_column": column,
        "objects_changed": round(float(np.mean([_num_changed(pair, gone) for pair, gone, _ in split]))),
        "recolored": len(set[tuple[int, int]]().union(*(_recolorings(pair) for pair in task.demonstrations))),
    }


def _symmetry(task: Task) -> int:
    kept = frozenset(
        dihedral
        for dihedral in range(NUM_DIHEDRAL)
        if all(np.array_equal(turn_grid(pair.target, dihedral), pair.target) for pair in task.demonstrations)
    )
    return next(number for number, (_, elements) in enumerate(SYMMETRIES) if elements == kept)


def _split_objects(pair: Pair) -> tuple[list[GridObject], list[GridObject]]:
    """Input objects that are not in the output at the same place, and output objects that were not in the input."""
    before, after = find_objects(pair.input), find_objects(pair.target)
    keys_before, keys_after = {item.key for item in before}, {item.key for item in after}
    return [item for item in before if item.key not in keys_after], [
        item for item in after if item.key not in keys_before
    ]


def _shifts(pair: Pair, gone: list[GridObject], come: list[GridObject]) -> set[tuple[int, int]]:
    """Shifts (row, column), not (0, 0), by which an object of the input is found again in an output of equal size."""
    if pair.input.shape != pair.target.shape:
        return set()
    return {
        (there.row - here.row, there.column - here.column)
        for here in gone
        for there in come
        if here.shape_key == there.shape_key
    }


def _num_changed(pair: Pair, gone: list[GridObject]) -> int:
    if pair.input.shape == pair.target.shape:
        return len(gone)
    before = Counter(item.shape_key for item in find_objects(pair.input))
    return (before - Counter(item.shape_key for item in find_objects(pair.target))).total()


def _recolorings(pair: Pair) -> set[tuple[int, int]]:
    if pair.input.shape != pair.target.shape:
        return set()
    changed = (pair.input != pair.target) & (pair.input != 0) & (pair.target != 0)
    return set(zip(pair.input[changed].tolist(), pair.target[changed].tolist(), strict=True))
