"""Canvas, colours, objects, descriptors, families and duplicates against tasks whose answer is plain to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hrm_core.data.canvas import DEFAULT_CANVASES, choose_canvas, known_side, output_size_varies
from hrm_core.data.colors import canonical_colors, inverse_colors
from hrm_core.data.descriptors import SYMMETRIES, describe_task
from hrm_core.data.duplicates import overlapping, pair_key, repeated
from hrm_core.data.families import FAMILIES, family_mask, family_names
from hrm_core.data.grids import Pair, Task, turn_back, turn_grid
from hrm_core.data.objects import MULTICOLOR, find_objects, object_rows

Rows = Sequence[Sequence[int]]


def grid(rows: Rows) -> np.ndarray:
    return np.array(rows, np.uint8)


def task_of(*pairs: tuple[Rows, Rows], test: tuple[Rows, Rows] | None = None) -> Task:
    demonstrations = tuple(Pair(grid(given), grid(target)) for given, target in pairs)
    tests = (Pair(*map(grid, test)),) if test else demonstrations[:1]
    return Task("t", "s", False, demonstrations, tests)


def test_canvas_holds_what_is_known_and_never_looks_at_a_test_output(make_task: Callable[..., Task]) -> None:
    task = make_task("a", [((3, 11), (2, 2))], [((12, 1), (30, 30))])
    assert known_side(task) == 12 and not output_size_varies(task)
    assert choose_canvas(12, False, DEFAULT_CANVASES) == 14
    shrunk = replace(task, tests=(Pair(task.tests[0].input, grid([[1]])),))
    assert known_side(shrunk) == 12


def test_canvas_goes_one_step_up_where_equal_inputs_give_different_outputs(make_task: Callable[..., Task]) -> None:
    assert output_size_varies(make_task("a", [((3, 3), (1, 1)), ((3, 3), (1, 2))], [((3, 3), (1, 1))]))
    assert not output_size_varies(make_task("b", [((3, 3), (1, 1)), ((3, 4), (1, 2))], [((3, 3), (1, 1))]))
    assert choose_canvas(10, True, DEFAULT_CANVASES) == 14
    assert choose_canvas(30, True, DEFAULT_CANVASES) == 30
    assert choose_canvas(11, True, (10,)) is None


@pytest.mark.parametrize("dihedral", range(8))
def test_turning_back_undoes_turning(dihedral: int) -> None:
    cells = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(turn_back(turn_grid(cells, dihedral), dihedral), cells)


def test_canonical_colours_follow_area_then_first_place_and_end_with_output_only() -> None:
    task = task_of(([[7, 7, 3], [5, 0, 0]], [[9, 2, 2]]), ([[3, 5, 0]], [[9, 9, 9]]))
    # areas of inputs: 7 and 3 and 5 have two cells each, and are met in the order 7, 3, 5
    mapping = canonical_colors(task)
    assert mapping.tolist() == [0, 4, 9, 2, 5, 3, 6, 1, 7, 8]
    np.testing.assert_array_equal(inverse_colors(mapping)[mapping], np.arange(10))


def test_canonical_colours_do_not_look_at_tests_and_undo_a_permutation(make_task: Callable[..., Task]) -> None:
    task = make_task("c", [((9, 9), (9, 9))], [((3, 3), (3, 3))], seed=3)
    other = replace(task, tests=make_task("d", [((3, 3), (3, 3))], [((5, 5), (5, 5))]).tests)
    np.testing.assert_array_equal(canonical_colors(task), canonical_colors(other))
    colors = np.array([0, 3, 1, 2, 5, 4, 9, 8, 7, 6], np.uint8)
    recolored = replace(
        task, demonstrations=tuple(Pair(colors[pair.input], colors[pair.target]) for pair in task.demonstrations)
    )
    seen = np.unique(task.demonstrations[0].input)
    np.testing.assert_array_equal(canonical_colors(recolored)[colors][seen], canonical_colors(task)[seen])


def test_objects_by_neighbours_and_colour() -> None:
    cells = grid([[1, 0, 2], [0, 1, 2], [0, 0, 0]])
    assert [(o.color, o.row, o.column, o.area) for o in find_objects(cells, 4)] == [
        (1, 0, 0, 1),
        (1, 1, 1, 1),
        (2, 0, 2, 2),
    ]
    assert [(o.color, o.area) for o in find_objects(cells, 8)] == [(1, 2), (2, 2)]
    assert [(o.color, o.area) for o in find_objects(cells, 8, by_color=False)] == [(MULTICOLOR, 4)]
    assert find_objects(grid([[0, 0]])) == []
    assert len(object_rows(cells)) == 3 + 2 + 2 + 1
    with pytest.raises(ValueError, match="6, not 4 or 8"):
        find_objects(cells, 6)


@pytest.mark.parametrize(
    ("target", "symmetry"),
    [
        ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], "none"),
        ([[1, 2, 1]], "two_mirrors"),
        ([[1, 2, 1], [3, 4, 3]], "left_right"),
        ([[1, 2], [1, 2]], "up_down"),
        ([[1, 2], [2, 1]], "two_diagonals"),
        ([[1, 2], [2, 3]], "diagonal"),
        ([[2, 1], [3, 2]], "antidiagonal"),
        ([[1, 2], [3, 0], [2, 1]], "none"),
        ([[1, 2, 3], [3, 2, 1]], "half_turn"),
        ([[1, 2, 0, 1], [0, 3, 3, 2], [2, 3, 3, 0], [1, 0, 2, 1]], "quarter_turn"),
        ([[1, 1], [1, 1]], "full"),
    ],
)
def test_symmetry_of_outputs(target: Rows, symmetry: str) -> None:
    assert SYMMETRIES[describe_task(task_of(([[1, 2]], target)))["symmetry"]][0] == symmetry


def test_descriptors_of_a_move_and_a_recolouring() -> None:
    moved = describe_task(task_of(([[1, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 1]])))
    assert {key: moved[key] for key in ("translation", "translation_row", "translation_column")} == {
        "translation": 1,
        "translation_row": 1,
        "translation_column": 2,
    }
    assert moved["objects_changed"] == 1 and moved["recolored"] == 0
    colored = describe_task(task_of(([[1, 0, 2]], [[3, 0, 4]]), ([[1, 0, 5]], [[3, 0, 5]])))
    assert (colored["translation"], colored["recolored"], colored["objects_changed"]) == (0, 2, 2)


def one_family(name: str, given: Rows, target: Rows) -> Any:
    return pytest.param(name, given, target, id=name)


@pytest.mark.parametrize(
    ("name", "given", "target"),
    [
        one_family("same_size", [[1, 2]], [[3, 4]]),
        one_family("fill", [[1, 0]], [[1, 5]]),
        one_family("recolor", [[1, 0]], [[4, 0]]),
        one_family("move", [[1, 0]], [[0, 1]]),
        one_family("denoise", [[1, 2]], [[1, 0]]),
        one_family("crop", [[1, 2, 3], [4, 5, 6]], [[5, 6]]),
        one_family("tiny_output", [[1, 2], [4, 5]], [[9]]),
        one_family("upsize", [[1, 2]], [[1, 2, 3, 4], [5, 6, 7, 8]]),
        one_family("downsize", [[1, 2, 3, 4]], [[9, 9]]),
        one_family("scale", [[1, 2]], [[1, 1, 2, 2], [1, 1, 2, 2]]),
        one_family("tile", [[1, 2]], [[1, 2, 2, 1], [0, 0, 1, 2]]),
        one_family("dihedral", [[1, 2]], [[2, 1]]),
        one_family("symmetric_output", [[1, 2]], [[3, 5, 3]]),
        one_family("color_map", [[1, 2, 1]], [[3, 4, 3]]),
        one_family("other", [[1, 2, 3]], [[4, 5], [6, 7]]),
    ],
)
def test_each_family_on_a_task_that_shows_it(name: str, given: Rows, target: Rows) -> None:
    assert name in family_names(family_mask(task_of((given, target))))
    against = task_of((given, target), ([[1, 0, 3], [4, 5, 6]], [[6, 1, 0], [2, 2, 4]]))
    if name not in ("same_size", "other"):
        assert name not in family_names(family_mask(against)), "must hold in every demonstration"


def test_families_do_not_look_at_tests() -> None:
    pairs = ([[1, 0]], [[1, 5]])
    assert family_mask(task_of(pairs)) == family_mask(task_of(pairs, test=([[1, 2, 3]], [[9]])))
    assert len(set(FAMILIES)) == len(FAMILIES) <= 63


def test_duplicates_are_found_under_every_symmetry_and_colouring_that_keeps_0(make_task: Callable[..., Task]) -> None:
    pair = make_task("a", [((4, 7), (3, 2))], [((1, 1), (1, 1))]).demonstrations[0]
    colors = np.array([0, 9, 8, 7, 6, 5, 4, 3, 2, 1], np.uint8)
    for dihedral in range(8):
        twin = Pair(colors[turn_grid(pair.input, dihedral)], colors[turn_grid(pair.target, dihedral)])
        assert pair_key(twin) == pair_key(pair)
    assert pair_key(Pair(pair.input, pair.target[::-1])) != pair_key(pair)
    assert pair_key(Pair((pair.input + 1) % 10, (pair.target + 1) % 10)) != pair_key(pair)


def test_overlap_is_by_name_or_by_an_equal_pair(make_task: Callable[..., Task]) -> None:
    task = make_task("a", [((4, 4), (3, 3))], [((2, 2), (2, 2))])
    renamed, other = replace(task, id="b"), make_task("c", [((4, 4), (3, 3))], [((2, 2), (2, 2))])
    assert overlapping([task], [renamed, other, replace(other, id="a")]) == [renamed, replace(other, id="a")]
    assert repeated([task, renamed, task]) == [task]
