"""Surface-form families of a task. Demonstrations -> a bit-mask of labels that hold in every demonstration.

What a change looks like, not the rule behind it: against hand-written programs for the 400 training tasks such labels
are precise (0.7 to 1.0 for most) but find few (recall below one half), so they describe tables and nothing more. Many
labels can hold; `other` holds if none but `same_size` does. `VERSION` grows whenever a definition changes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hrm_core.data.grids import NUM_DIHEDRAL, Grid, Pair, Task, turn_grid
from hrm_core.data.objects import find_objects

VERSION = 1
TINY_CELLS = 9


def _same_size(pair: Pair) -> bool:
    return pair.input.shape == pair.target.shape


def _changed(pair: Pair) -> bool:
    return not np.array_equal(pair.input, pair.target)


def _fill(pair: Pair) -> bool:
    return _same_size(pair) and _changed(pair) and bool((pair.input[pair.input != pair.target] == 0).all())


def _denoise(pair: Pair) -> bool:
    return _same_size(pair) and _changed(pair) and bool((pair.target[pair.input != pair.target] == 0).all())


def _recolor(pair: Pair) -> bool:
    return _same_size(pair) and _changed(pair) and np.array_equal(pair.input != 0, pair.target != 0)


def _move(pair: Pair) -> bool:
    if not _same_size(pair) or not _changed(pair):
        return False
    before = sorted(item.shape_key for item in find_objects(pair.input))
    return len(before) > 0 and before == sorted(item.shape_key for item in find_objects(pair.target))


def _crop(pair: Pair) -> bool:
    if pair.target.size >= pair.input.size or any(np.subtract(pair.input.shape, pair.target.shape) < 0):
        return False
    windows = np.lib.stride_tricks.sliding_window_view(pair.input, pair.target.shape)
    return bool((windows == pair.target).all(axis=(2, 3)).any())


def _tiny_output(pair: Pair) -> bool:
    return pair.target.size <= TINY_CELLS and pair.target.size < pair.input.size


def _ratios(small: Grid, large: Grid) -> tuple[int, int] | None:
    """Whole-number ratios of the sides, if there are any and they are not 1, 1."""
    rows, columns = (big // little for big, little in zip(large.shape, small.shape, strict=True))
    exact = (rows * small.shape[0], columns * small.shape[1]) == large.shape
    return (rows, columns) if exact and rows * columns > 1 else None


def _upsize(pair: Pair) -> bool:
    return _ratios(pair.input, pair.target) is not None


def _downsize(pair: Pair) -> bool:
    return _ratios(pair.target, pair.input) is not None


def _scale(pair: Pair) -> bool:
    ratios = _ratios(pair.input, pair.target)
    return ratios is not None and np.array_equal(np.kron(pair.input, np.ones(ratios, np.uint8)), pair.target)


def _tile(pair: Pair) -> bool:
    """Every block of the enlarged output is the input under one of its symmetries, or empty; at least one is not."""
    ratios = _ratios(pair.input, pair.target)
    if ratios is None:
        return False
    height, width = pair.input.shape
    blocks = pair.target.reshape(ratios[0], height, ratios[1], width).swapaxes(1, 2).reshape(-1, height, width)
    turned = [turn_grid(pair.input, dihedral) for dihedral in range(NUM_DIHEDRAL)]
    copies = [any(np.array_equal(block, copy) for copy in turned) for block in blocks]
    return any(copies) and all(copy or not block.any() for copy, block in zip(copies, blocks, strict=True))


def _dihedral(pair: Pair) -> bool:
    return _changed(pair) and any(np.array_equal(turn_grid(pair.input, d), pair.target) for d in range(1, NUM_DIHEDRAL))


def _symmetric_output(pair: Pair) -> bool:
    grid = pair.target
    mirrored = np.array_equal(grid[:, ::-1], grid) or np.array_equal(grid[::-1], grid)
    return grid.size > 1 and len(np.unique(grid)) > 1 and mirrored


PAIR_TESTS: tuple[tuple[str, Callable[[Pair], bool]], ...] = (
    ("same_size", _same_size),
    ("fill", _fill),
    ("recolor", _recolor),
    ("move", _move),
    ("denoise", _denoise),
    ("crop", _crop),
    ("tiny_output", _tiny_output),
    ("upsize", _upsize),
    ("downsize", _downsize),
    ("scale", _scale),
    ("tile", _tile),
    ("dihedral", _dihedral),
    ("symmetric_output", _symmetric_output),
)
FAMILIES: tuple[str, ...] = (*(name for name, _ in PAIR_TESTS), "color_map", "other")
"""Bit k of a mask stands for FAMILIES[k]."""


def family_mask(task: Task) -> int:
    """Labels that hold in every demonstration, as a bit-mask over FAMILIES."""
    names = {name for name, test in PAIR_TESTS if all(test(pair) for pair in task.demonstrations)}
    if _one_color_map(task):
        names.add("color_map")
    if not names - {"same_size"}:
        names.add("other")
    return sum(1 << number for number, name in enumerate(FAMILIES) if name in names)


def family_names(mask: int) -> list[str]:
    """The labels of a mask, in the order of FAMILIES."""
    return [name for number, name in enumerate(FAMILIES) if mask >> number & 1]


def _one_color_map(task: Task) -> bool:
    """One map of colours turns every input into its output, and changes something."""
    mapping: dict[int, int] = {}
    for pair in task.demonstrations:
        if not _same_size(pair):
            return False
        for old, new in set(zip(pair.input.ravel().tolist(), pair.target.ravel().tolist(), strict=True)):
            if mapping.setdefault(old, new) != new:
                return False
    return any(old != new for old, new in mapping.items())
