"""`lay` against a slow cell-by-cell numpy version, and its rules one by one: EOS, corners, cut-offs, no host reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from hrm_core.data.build import pad_grids
from hrm_core.data.grids import turn_grid
from triton_kernels.lay import EOS, FIRST_COLOR, PAD, lay


def slow_lay(grid: np.ndarray, side: int, dihedral: int, colors: np.ndarray, offset: tuple[int, int]) -> np.ndarray:
    """One grid, written cell by cell from the words of the rule."""
    field = np.full((side, side), PAD)
    if max(grid.shape) > side:
        return field
    turned = turn_grid(grid, dihedral)
    height, width = turned.shape
    for row in range(-1, side + 1):
        for column in range(-1, side + 1):
            place = row + offset[0], column + offset[1]
            if not (0 <= place[0] < side and 0 <= place[1] < side):
                continue
            if 0 <= row < height and 0 <= column < width:
                field[place] = colors[turned[row, column]] + FIRST_COLOR
            elif (row == height and 0 <= column < width) or (column == width and 0 <= row < height):
                field[place] = EOS
    return field


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 12), st.integers(0, 2**32 - 1))
def test_equals_the_slow_version(side: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    num_pairs, num_slots = 4, 9
    shapes = generator.integers(1, side + 1, (num_pairs, 4))
    shapes[0, 2:] = side + 1  # a target that does not fit
    grids = [
        (generator.integers(0, 10, shape[:2], dtype=np.uint8), generator.integers(0, 10, shape[2:], dtype=np.uint8))
        for shape in shapes
    ]
    padded_input = torch.from_numpy(pad_grids([pair[0] for pair in grids], side))
    padded_target = torch.from_numpy(pad_grids([None, *(pair[1] for pair in grids[1:])], side))
    index = generator.integers(0, num_pairs, num_slots)
    dihedral = generator.integers(0, 8, num_slots)
    colors = np.stack([generator.permutation(10) for _ in range(num_slots)])
    offset = generator.integers(0, 4, (num_slots, 2))

    tokens, labels = lay(
        padded_input,
        padded_target,
        torch.from_numpy(shapes),
        *(torch.from_numpy(values) for values in (index, dihedral, colors, offset)),
    )

    assert tokens.dtype == labels.dtype == torch.int32
    assert tokens.shape == labels.shape == (num_slots, side * side)
    for slot in range(num_slots):
        row, column = (int(value) for value in offset[slot])
        for laid, which in ((tokens, 0), (labels, 1)):
            expected = slow_lay(grids[index[slot]][which], side, int(dihedral[slot]), colors[slot], (row, column))
            np.testing.assert_array_equal(laid[slot].reshape(side, side).numpy(), expected)


def one(grid: list[list[int]], side: int, dihedral: int = 0, offset: tuple[int, int] = (0, 0)) -> list[list[int]]:
    cells = np.array(grid, np.uint8)
    padded = torch.from_numpy(pad_grids([cells], side))
    sizes = torch.tensor([[*cells.shape, *cells.shape]])
    zero = torch.tensor([0])
    tokens, _ = lay(
        padded, padded, sizes, zero, torch.tensor([dihedral]), torch.arange(10)[None], torch.tensor([offset])
    )
    field: list[list[int]] = tokens.reshape(side, side).tolist()
    return field


def test_a_grid_at_the_origin_has_its_row_and_column_of_eos_and_a_pad_corner() -> None:
    assert one([[0, 1, 9]], 5) == [[2, 3, 11, 1, 0], [1, 1, 1, 0, 0], [0] * 5, [0] * 5, [0] * 5]


def test_a_grid_that_fills_the_canvas_has_no_eos() -> None:
    assert one([[1, 2, 3], [4, 5, 6], [7, 8, 9]], 3) == [[3, 4, 5], [6, 7, 8], [9, 10, 11]]


def test_eos_is_cut_off_where_the_canvas_ends() -> None:
    assert one([[1, 1]], 3, offset=(2, 1)) == [[0, 0, 0], [0, 0, 0], [0, 3, 3]]


@pytest.mark.parametrize(
    ("dihedral", "expected"),
    [
        (0, [[1, 2, 3], [4, 5, 6]]),
        (1, [[3, 2, 1], [6, 5, 4]]),
        (2, [[4, 5, 6], [1, 2, 3]]),
        (3, [[6, 5, 4], [3, 2, 1]]),
        (4, [[1, 4], [2, 5], [3, 6]]),
        (5, [[4, 1], [5, 2], [6, 3]]),
        (6, [[3, 6], [2, 5], [1, 4]]),
        (7, [[6, 3], [5, 2], [4, 1]]),
    ],
)
def test_dihedral_elements_written_out(dihedral: int, expected: list[list[int]]) -> None:
    field = one([[1, 2, 3], [4, 5, 6]], 4, dihedral)
    shown = [[cell - FIRST_COLOR for cell in row if cell >= FIRST_COLOR] for row in field]
    assert [row for row in shown if row] == expected


class NamesCalled(TorchDispatchMode):
    """Collects the names of all operations, to see that none of them reads a value back to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.__name__.split(".")[0])
        return func(*args, **(kwargs or {}))


def test_no_operation_reads_back_to_the_host_or_has_a_shape_that_depends_on_data() -> None:
    grids = torch.randint(0, 10, (3, 4, 4), dtype=torch.uint8)
    zero = torch.zeros(6, dtype=torch.int64)
    colors = torch.arange(10).expand(6, -1).contiguous()
    with NamesCalled() as called:
        lay(grids, grids, torch.full((3, 4), 4), zero, zero, colors, torch.zeros(6, 2, dtype=torch.int64))
    banned = {"_local_scalar_dense", "nonzero", "unique", "_unique2", "masked_select", "item", "is_nonzero"}
    assert called.names and not called.names & banned
