"""Puzzles from a file, with or without test outputs, and what a snapshot's model answers to each test.

Interchange room. FILE (one task, or an object of tasks by name, as Kaggle's challenges) -> Puzzle; Snapshot and puzzles
-> Answered, colours as published. Which identity row a task has is its name's place among the snapshot's; a task
without one is refused unless the model is adapted to it first: it then begins with the mean of the rows that there are
(as TinyRecursiveModels' published trainer does for tasks that are new to it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, final

import numpy as np
import torch
from torch import nn

from hrm_core.data.build import build
from hrm_core.data.canvas import known_side
from hrm_core.data.dataset import FITS7_SIDE, KEY_STRIDE, Dataset, make_dataset
from hrm_core.data.grids import Grid, Task
from hrm_core.data.lanes import LanePairs
from hrm_core.data.parse import BadTask, parse_task, read_json
from hrm_core.data.sources.source import Source
from hrm_core.data.views import num_views
from hrm_core.errors import UserError
from hrm_core.evaluation.lane import LaneOutcome, Measures, evaluate_lane
from hrm_core.evaluation.predict import Runner
from hrm_core.evaluation.trivial import most_frequent_token
from hrm_core.evaluation.voting import NEVER, Answer
from hrm_core.model.inference import Predictor
from hrm_core.recipe.schema import Recipe
from hrm_core.runs.text import clean
from hrm_core.training.adapt import Adapter
from hrm_core.training.checkpoint import Snapshot

MOST_VIEWS: Final = 16
GIVEN: Final = "given"


@final
@dataclass(frozen=True)
class Puzzle:
    """A task; where a test's output was not given, `answered` says so and a single cell stands in its place."""

    task: Task
    answered: tuple[bool, ...]


@final
@dataclass(frozen=True)
class Answered:
    """Of one test: its input, its output where it was given, and the answers, best first; `rank` is the place of the
    right one, None if it is not among them or not known. copy_right: whether the input itself would be right."""

    task: str
    test: int
    input: Grid
    target: Grid | None
    answers: tuple[Answer, ...]
    rank: int | None
    copy_right: bool | None


@final
@dataclass(frozen=True)
class Adapting:
    """Test-time training: steps, what moves, and the highest rate over the recipe's."""

    steps: int
    what: Literal["rows", "all"] = "all"
    rate: float = 0.5


def read_puzzles(path: Path, wanted: str | None = None) -> list[Puzzle]:
    """Every task of a file, or the one of the name `wanted`. UserError where there is none, or one is not valid."""
    try:
        return _puzzles(read_json(path), path.stem, wanted)
    except BadTask as error:
        raise UserError(f"{clean(path)}: {clean(error)}", 1) from None


def parse_puzzles(value: object, name: str) -> list[Puzzle]:
    """`read_puzzles` of what a file would hold; `name` is that of a task which stands alone."""
    try:
        return _puzzles(value, name, None)
    except BadTask as error:
        raise UserError(f"puzzles: {clean(error)}", 1) from None


def _puzzles(value: object, name: str, wanted: str | None) -> list[Puzzle]:
    one = isinstance(value, dict) and "train" in value
    tasks = {name: value} if one else value
    if not isinstance(tasks, dict) or not tasks:
        raise BadTask("neither a task (an object with train and test) nor an object of tasks by name")
    if wanted is not None:
        if wanted not in tasks:
            raise BadTask(f"it has no task {wanted[:80]}")
        tasks = {wanted: tasks[wanted]}
    return [_puzzle(str(each), task) for each, task in tasks.items()]


def _puzzle(name: str, value: Any) -> Puzzle:
    answered: list[bool] = []
    if isinstance(value, dict) and isinstance(value.get("test"), list):
        answered = [isinstance(test, dict) and "output" in test for test in value["test"]]
        # Nothing looks at a test's output before it is scored: the smallest grid does where there is none.
        tests = [
            test if known or not isinstance(test, dict) else {**test, "output": [[0]]}
            for test, known in zip(value["test"], answered, strict=True)
        ]
        value = {**value, "test": tests}
    try:
        return Puzzle(parse_task(value, name, GIVEN, False, name), tuple(answered))
    except BadTask as error:
        raise BadTask(f"{name[:80]}: {error}") from None


def without_row(snapshot: Snapshot, puzzles: Sequence[Puzzle]) -> list[str]:
    """Names of the tasks that the snapshot has no identity row for."""
    if snapshot.recipe.identity.kind == "none":
        return []
    known = set(snapshot.task_ids)
    return [puzzle.task.id for puzzle in puzzles if puzzle.task.id not in known]


def answerable(snapshot: Snapshot, puzzles: Sequence[Puzzle], adapted: bool) -> list[Puzzle]:
    """The puzzles that the model has a canvas for, and an identity row unless it is adapted to them."""
    canvases = _canvases(snapshot.recipe)
    unknown = set() if adapted else set(without_row(snapshot, puzzles))
    return [puzzle for puzzle in puzzles if puzzle.task.id not in unknown and known_side(puzzle.task) <= canvases[-1]]


def _canvases(recipe: Recipe) -> tuple[int, ...]:
    return (FITS7_SIDE,) if recipe.data.subset == "fits7" else tuple(recipe.data.canvases)


def refuse_unknown(snapshot: Snapshot, puzzles: Sequence[Puzzle]) -> None:
    """UserError (1) naming tasks without an identity row: the model was never told of them."""
    unknown = without_row(snapshot, puzzles)
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UserError(
            f"the snapshot has no identity row for task {clean(unknown[0])[:80]}{more}: it was not trained on it.\n"
            "--adapt STEPS trains one on the task's demonstrations first, such as --adapt 100.",
            1,
        )


def refuse_repeated(puzzles: Sequence[Puzzle]) -> None:
    """UserError (2) naming a task that is there twice: the two would share one identity row, and so their answers."""
    names = [puzzle.task.id for puzzle in puzzles]
    if len(set(names)) < len(names):
        again = next(name for place, name in enumerate(names) if name in names[:place])
        raise UserError(f"task {clean(again)[:80]} is among the puzzles twice; give each a name of its own")


@final
class PuzzleRunner:
    """A snapshot's model beside one set of puzzles, with a row for each. `seconds` is what adapting took."""

    def __init__(
        self, snapshot: Snapshot, puzzles: Sequence[Puzzle], views: int | None, adapt: Adapting | None
    ) -> None:
        refuse_repeated(puzzles)
        if adapt is None:
            refuse_unknown(snapshot, puzzles)
        self.model, self.recipe = snapshot.model, snapshot.recipe
        self.puzzles, self.adapt = puzzles, adapt
        self.views = num_views(self.recipe.augment, views or min(self.recipe.evaluation.views, MOST_VIEWS))
        rows = _rows(snapshot, puzzles)
        self.dataset = _dataset(puzzles, self.recipe, rows)
        self.numbers = {row: number for number, row in enumerate(rows)}
        self.seconds = 0.0

    def answers(self, on_rows: Callable[[int], None]) -> list[Answered]:
        """Of every test of every puzzle, in their order; `on_rows` hears of views that are done."""
        settings = self.recipe.evaluation
        runner = Runner(Predictor(self.model), self.model.device, settings.batch, on_rows, settings.may_halt)
        measures = Measures(
            num_views=self.views,
            swap_input=False,
            swap_identity=False,
            segment_keys=torch.zeros(0, dtype=torch.int64),
            every_segment=False,
            augment=self.recipe.augment,
            seed=self.recipe.training.seed,
            frequent_token=most_frequent_token(self.dataset.train.values(), False),
        )
        found: dict[tuple[int, int], Answered] = {}
        for pairs in self.dataset.val.values():
            for outcome in self._outcomes(runner, pairs, measures):
                found |= self._read(outcome)
        return [found[key] for key in sorted(found)]

    def _outcomes(self, runner: Runner, pairs: LanePairs, measures: Measures) -> list[LaneOutcome]:
        oversize = self.dataset.oversize["val"]
        if self.adapt is None:
            return [evaluate_lane(runner, pairs, oversize, measures)]
        adapter = Adapter(self.model, self.dataset, self.recipe, self.adapt.steps, self.adapt.what, self.adapt.rate)
        outcomes = adapter.outcomes(runner, pairs, oversize, measures)
        self.seconds += adapter.seconds
        return outcomes

    def _read(self, outcome: LaneOutcome) -> dict[tuple[int, int], Answered]:
        found = {}
        places = zip(outcome.pairs.task.tolist(), outcome.pairs.pair.tolist(), strict=True)
        for place, (row, pair) in enumerate(places):
            number = self.numbers[row]
            puzzle, published = self.puzzles[number], self.dataset.tasks.published[number].numpy().astype(np.uint8)
            test = pair - len(puzzle.task.demonstrations)
            given, known = puzzle.task.tests[test], puzzle.answered[test]
            rank = int(outcome.ranks[place])
            found[number, test] = Answered(
                task=puzzle.task.id,
                test=test,
                input=given.input,
                target=given.target if known else None,
                answers=tuple(replace(answer, grid=published[answer.grid]) for answer in outcome.answers[place]),
                rank=rank if known and rank != NEVER else None,
                copy_right=np.array_equal(given.input, given.target) if known else None,
            )
        return found


def _rows(snapshot: Snapshot, puzzles: Sequence[Puzzle]) -> list[int]:
    """The identity row number of each puzzle's task; rows are added to the model for those that have none."""
    table = snapshot.model.rows
    numbers = {name: number for number, name in enumerate(snapshot.task_ids)}
    for name in without_row(snapshot, puzzles):
        numbers[name] = len(numbers)
    added = (len(numbers) - len(snapshot.task_ids)) * (table.pool if table.kind == "per_augmentation" else 1)
    if added:
        rows, scratch = table.table[:-1], table.table[-1:]
        mean = rows.mean(dim=0, keepdim=True) if len(rows) else scratch
        table.table = nn.Buffer(torch.cat([rows, mean.expand(added, -1), scratch]))
    if table.kind == "none":
        return list(range(len(puzzles)))
    return [numbers[puzzle.task.id] for puzzle in puzzles]


def _dataset(puzzles: Sequence[Puzzle], recipe: Recipe, rows: Sequence[int]) -> Dataset:
    """The puzzles on the recipe's canvases; `task` of every pair is its identity row."""
    canvases = _canvases(recipe)
    data = recipe.data.model_copy(
        update={"subset": "all", "canvases": canvases, "train_on_val_tests": False, "train_canvas": "task"}
    )
    tasks = tuple(puzzle.task for puzzle in puzzles)
    for task in tasks:
        if known_side(task) > canvases[-1]:
            raise UserError(
                f"task {clean(task.id)[:80]} has a grid of side {known_side(task)}, and the snapshot's model has "
                f"canvases up to {canvases[-1]}; take a snapshot with a larger one.",
                1,
            )
    made = make_dataset(build([Source(GIVEN, tasks)]), data, input=recipe.input)
    number = torch.tensor(rows)

    def renumbered(pairs: LanePairs) -> LanePairs:
        task = number[pairs.task]
        return replace(pairs, task=task, key=task * KEY_STRIDE + pairs.pair)

    whole = made.oversize["val"]
    row = number[whole.task]
    return replace(
        made,
        train={side: renumbered(pairs) for side, pairs in made.train.items()},
        val={side: renumbered(pairs) for side, pairs in made.val.items()},
        oversize={**made.oversize, "val": replace(whole, task=row, key=row * KEY_STRIDE + whole.pair)},
    )
