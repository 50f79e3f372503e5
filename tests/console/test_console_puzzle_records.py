"""Records as puzzles: copying by the trainer's own measure, lists, order, families, and records of any content."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_puzzles import FLIPPED, NEARLY, SMALL, keep, record, records, task

from hrm_console.screens import puzzles_words as words
from hrm_console.theme import FULL
from hrm_console.views.puzzles import facts as facts
from hrm_console.views.puzzles.files import TaskRows, find_test, read_lines, read_puzzle, step_for
from hrm_console.views.puzzles.grids import Look, parse_grid
from hrm_console.views.puzzles.listing import (
    FILTERS,
    SORTS,
    Listing,
    families_of,
    listed,
    next_family,
    next_where,
    place_of,
)
from hrm_console.views.puzzles.puzzles import (
    SYMMETRIES,
    copying,
    descriptor_lines,
    line_of,
    puzzle_of,
    sigmoid,
    tally,
    task_of,
)
from hrm_console.views.puzzles.reading import Kept, look, read_test
from hrm_console.views.puzzles.state import PuzzleState, state_board
from hrm_core.data.descriptors import SYMMETRIES as DATA_SYMMETRIES
from hrm_core.evaluation.metrics import Targets, score_samples
from hrm_core.runs.text import clean

GRIDS = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.text("012", min_size=width, max_size=width), min_size=1, max_size=5)
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(
    st.sampled_from(sorted(record("x", segments=True))), ANYTHING | GRIDS | st.lists(GRIDS, max_size=3)
)
TASKS = st.dictionaries(
    st.sampled_from(sorted(task("x"))), ANYTHING | st.lists(st.fixed_dictionaries({"input": GRIDS}))
)


def tokens(rows, side):
    """Laid at the origin as the trainer does: colours from 2, end marks 1, nothing 0."""
    grid = np.array([[int(cell) for cell in row] for row in rows], np.uint8)
    field = np.zeros((side, side), np.uint8)
    height, width = grid.shape
    field[:height, :width] = grid + 2
    field[height : height + 1, :width] = 1
    field[:height, width : width + 1] = 1
    return grid, field.reshape(1, -1)


@settings(deadline=None)
@given(GRIDS, GRIDS, st.integers(5, 7))
def test_copying_is_scored_as_the_evaluation_scores_it(given_rows, target_rows, side):
    (copied, shown), (target, labels) = tokens(given_rows, side), tokens(target_rows, side)
    targets = Targets(labels, shown, (target,), np.array([True]), np.array([copied.shape == target.shape]))
    scores = score_samples(shown, (copied,), targets)
    exact, cells = copying({"input": given_rows, "target": target_rows, "side": side, "fits": True})
    assert exact == bool(scores["exact"][0]) and cells == pytest.approx(float(scores["cell_accuracy"][0]))


def test_what_does_not_fit_is_wrong_for_copying_too():
    assert copying({"input": SMALL, "target": SMALL, "fits": False}) == (False, 0.0)
    assert copying({"input": SMALL}) == (False, None)


def test_symmetries_are_the_data_rooms():
    assert [name for name, _ in DATA_SYMMETRIES] == list(SYMMETRIES)


@settings(deadline=None, max_examples=100)
@given(RECORDS, TASKS, st.sampled_from([(80, 24), (20, 3), (200, 60)]))
def test_no_record_is_too_odd(row, task_row, size):
    """Whatever record and task hold, everything that is done with a puzzle works, and prints nothing raw."""
    row, task_row = json.loads(json.dumps([row, task_row]))
    puzzle, view = puzzle_of(row, 5), task_of(task_row)
    state = PuzzleState(puzzle=puzzle, task=view, name=puzzle.line.name, lines=[puzzle.line], loaded=puzzle.line.name)
    for press in (state.votes, state.canonical, lambda: state.segment(1), lambda: state.letters("graph")):
        press()
        state.descriptors = True
        for one in (Look(), Look("none", ascii=True)):
            board = state_board(state, puzzle, *size, one)
            assert all(clean(text) == text for line in board.rows for text, _ in line)
        for text in [*words.puzzle_rows(state, puzzle, FULL, size[0]), words.summary_text(state, True, FULL, size[0])]:
            assert clean(text.plain) == text.plain
        words.halting_text(state, False, FULL)
    assert clean(words.line_text(puzzle.line, None, True, FULL, 40).plain).isprintable()
    tally([puzzle.line])


def test_thousands_of_answers_and_segments_are_bounded():
    row = record("x", answers=[{"grid": SMALL, "votes": 1, "confidence": 0.5}] * 9_000, segments=[SMALL] * 9_000)
    puzzle = puzzle_of({**row, "halt_logit": [0.1] * 9_000, "segments": [SMALL] * 9_000, "families": ["f"] * 9_000}, 1)
    assert (
        len(puzzle.answers) == 16
        and len(puzzle.segments) == len(puzzle.halting) == 64
        and len(puzzle.line.families) == 16
    )
    assert sigmoid(1e6) == 1.0 and sigmoid(-1e6) == pytest.approx(0.0)


def test_records_written_by_the_run_are_read_back(tmp_path):
    keep(tmp_path, 40)
    lines = read_lines(tmp_path, 40)
    assert [line.name for line in lines] == ["aaaa0000:0", "bbbb1111:0", "cccc2222:0", "dddd3333:0", "dddd3333:1"]
    assert [line.halting for line in lines] == [3, 3, None, 3, 3] and [line.keeps_segments for line in lines] == [
        1,
        0,
        0,
        1,
        0,
    ]
    puzzle = read_puzzle(tmp_path, 40, "dddd3333:0")
    assert puzzle.predicted == parse_grid(NEARLY) and puzzle.target == parse_grid(FLIPPED) and len(puzzle.segments) == 4
    assert puzzle.halting[-1] == pytest.approx(0.8808, abs=1e-4) and puzzle.rank == 1
    assert read_puzzle(tmp_path, 40, "none:0") is None and read_puzzle(tmp_path, 41, "aaaa0000:0") is None
    tasks = TaskRows(tmp_path)
    view = tasks.find("aaaa0000")
    assert tasks.find("none") is None and tasks.find("bbbb1111") is not None
    assert len(view.demonstrations) == 2 and view.colors[1] == 2
    assert descriptor_lines(view) == [
        "symmetry of all outputs: left right",
        "translation: an object moves in every demonstration, by one shift: row +2, column -1",
        "objects that the output no longer shows: 3 a demonstration",
        "changes of one colour into another: 0 kinds",
    ]
    assert step_for(tmp_path, 7) == 40 and step_for(tmp_path / "no", 7) is None
    assert find_test(tmp_path, 40, "dddd3333") == ["dddd3333:0", "dddd3333:1"] and find_test(tmp_path, 40, "bb") == [
        "bbbb1111:0"
    ]
    assert find_test(tmp_path, 40, "zz") == []


def test_a_task_with_half_a_bijection_has_none():
    assert (
        task_of({"colors": [0, 1, 1, 3, 4, 5, 6, 7, 8, 9]}).colors is None
        and task_of({"colors": [True] * 10}).colors is None
    )


def test_filters_orders_and_families():
    lines = [line_of(row, at) for at, row in enumerate(records())]
    names = {
        filter: [line.name[:4] + line.name[-1] for line in listed(lines, Listing(filter), {})] for filter in FILTERS
    }
    assert names == {
        "all": ["aaaa0", "bbbb0", "cccc0", "dddd0", "dddd1"],
        "failures": ["bbbb0", "cccc0", "dddd0"],
        "right": ["aaaa0", "dddd1"],
    }
    assert [line.name[0] for line in listed(lines, Listing(sort="worst cells"), {})][:2] == ["b", "d"]
    assert listed(lines, Listing(sort="surest"), {})[-1].name == "cccc2222:0"
    assert {len(listed(lines, Listing(sort=sort), {})) for sort in SORTS} == {5}
    assert families_of(lines) == ["move", "recolor", "same_size", "dihedral"]
    assert (
        next_family(lines, "", 1) == "move"
        and next_family(lines, "dihedral", 1) == ""
        and next_family(lines, "", -1) == "dihedral"
    )
    assert (
        next_where(lines, 4, 1, lambda line: not line.exact) == 1
        and next_where(lines, 1, -1, lambda line: not line.exact) == 3
    )
    assert next_where([], 0, 1, lambda line: True) is None and place_of(lines, "dddd3333") == 3
    lost = {line.name: not line.exact for line in lines[:2]}
    assert [line.name for line in listed(lines, Listing("gained or lost"), lost)] == ["aaaa0000:0", "bbbb1111:0"]


def test_every_share_stands_beside_what_copying_gets():
    lines = [line_of(row, at) for at, row in enumerate(records())]
    assert facts.tally_words(tally(lines)) == "2 of 5 right (copying 0), cells 82.7 % (copying 73.3 %)"
    said = dict(facts.answer_facts(puzzle_of(records()[1], 1)))
    assert (
        said["answer"] == "✗ wrong: 1 cell differs (copying the input: wrong)" and "copying the input" in said["cells"]
    )
    assert facts.vote_facts(puzzle_of(records()[1], 1))[0] == ("votes", "the right grid is answer 2")
    assert facts.bars([0.0, 0.5, 1.0, None], False) == "▁▅█." and facts.bars([0.0, 0.5, 1.0], True) == "059"


def test_a_list_is_unpacked_again_only_when_its_file_changes(tmp_path):
    kept = Kept()
    keep(tmp_path, 40)
    first = look(kept, [("x", tmp_path / "none"), ("one", tmp_path)], None, None)
    assert first.run_id == "one" and first.step == 40 and look(kept, [("one", tmp_path)], 3, None).lines is first.lines
    keep(tmp_path, 40, records()[:2])
    assert len(look(kept, [("one", tmp_path)], 40, tmp_path).lines) == 2
    assert look(kept, [("no", tmp_path / "no")], None, None).run_id is None
    read = read_test(kept, first, "aaaa0000:0", tmp_path / "no")
    assert read.puzzle is not None and read.task is not None and read.other is None
