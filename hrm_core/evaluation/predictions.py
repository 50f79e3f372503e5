"""What is kept of an evaluation so that puzzles can be drawn later from the run folder alone.

Evaluation room: lane outcomes -> one plain record a test pair (ids, target and predicted grids as strings of digits, a
string a row, votes, halting logits, for some pairs the grid of every segment), and once a run one record a task
(demonstrations, test inputs, objects, colour bijection, descriptors, families). All in published colours, also where
the recipe learns canonical ones. Writing them is `hrm_core.runs`'s.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from hrm_core.data.dataset import Dataset
from hrm_core.data.families import family_names
from hrm_core.data.grids import Grid
from hrm_core.data.lanes import LanePairs, TaskTable
from hrm_core.data.objects import MULTICOLOR
from hrm_core.evaluation.lane import LaneOutcome
from hrm_core.evaluation.predict import read_grids
from hrm_core.evaluation.targets import input_grids, target_grids
from hrm_core.evaluation.voting import NEVER

KEPT_ANSWERS = 4
DIGITS = np.array(list("0123456789"))

OBJECT_NUMBERS = ("color", "row", "column", "height", "width", "area")

Record = dict[str, Any]
Objects = dict[tuple[int, int, int], list[list[int]]]


def grid_rows(grid: Grid) -> list[str]:
    """[[0, 3], [1, 0]] -> ["03", "10"]; an empty grid has no rows."""
    return ["".join(row) for row in DIGITS[grid]] if grid.size else []


def published_rows(grid: Grid, published: Grid) -> list[str]:
    """`grid_rows` in published colours; entry c of `published` (10) is the published colour of the grid's colour c."""
    return grid_rows(published[grid])


def prediction_records(outcome: LaneOutcome, tasks: TaskTable, split: str) -> list[Record]:
    """One record for each pair of a lane. `rank` is the place of the right grid among all answers, None if it is not
    there; `answers` holds the first four; halting logits are rounded to 4 digits.
    """
    pairs, scores, predicted = outcome.pairs, outcome.scores, outcome.predicted
    inputs = input_grids(pairs)
    records = []
    for row in range(pairs.num_pairs):
        task = int(pairs.task[row])
        shown = partial(published_rows, published=_published(tasks, task))
        record: Record = {
            "task": tasks.ids[task],
            "test": int(pairs.pair[row]) - int(tasks.num_demonstrations[task]),
            "split": split,
            "side": pairs.side,
            "fits": bool(pairs.fits[row]),
            "duplicate": bool(pairs.duplicate[row]),
            "families": family_names(int(tasks.families[task])),
            "input": shown(inputs[row]),
            "target": shown(outcome.targets.grids[row]),
            "predicted": shown(outcome.grids[row]),
            "exact": bool(scores["exact"][row]),
            "cell_accuracy": round(float(scores["cell_accuracy"][row]), 4),
            "confidence": round(float(predicted.confidence[row]), 4),
            "loss": _number(predicted.loss[row]) if pairs.fits[row] else None,
            "halt_logit": [_number(logit) for logit in predicted.halt_logit[row]],
            "rank": None if outcome.ranks[row] == NEVER else int(outcome.ranks[row]),
            "answers": [
                {"grid": shown(answer.grid), "votes": answer.votes, "confidence": round(answer.confidence, 4)}
                for answer in outcome.answers[row][:KEPT_ANSWERS]
            ],
        }
        if row in predicted.by_segment:
            record["segments"] = [shown(grid) for grid in read_grids(predicted.by_segment[row], pairs.side)]
        records.append(record)
    return records


def task_records(dataset: Dataset, split: str) -> list[Record]:
    """One record for each task that has pairs in the split, in the order of the task table.

    Of each grid its objects (8 neighbours, of one colour), as [colour, row, column, height, width, area].
    """
    tasks, objects = dataset.tasks, _objects(dataset)
    tests: dict[int, list[Record]] = {}
    for pairs in dataset.split(split).values():
        _add_pairs(tests, {"input": input_grids(pairs)}, pairs, tasks, objects)
    demonstrations: dict[int, list[Record]] = {}
    for pairs in dataset.train.values():
        grids = {"input": input_grids(pairs), "target": target_grids(pairs, None)}
        _add_pairs(demonstrations, grids, pairs, tasks, objects)
    records = []
    for task in sorted(tests):
        known = [pair for pair in demonstrations.get(task, []) if pair["pair"] < int(tasks.num_demonstrations[task])]
        records.append(
            {
                "task": tasks.ids[task],
                "source": tasks.sources[task],
                "evaluation": bool(tasks.evaluation[task]),
                "canvas": int(tasks.canvas[task]),
                "families": family_names(int(tasks.families[task])),
                "colors": tasks.colors[task].tolist(),
                "descriptors": {name: int(values[task]) for name, values in tasks.descriptors.items()},
                "demonstrations": sorted(known, key=_pair_number),
                "tests": sorted(tests[task], key=_pair_number),
            }
        )
    return records


def _published(tasks: TaskTable, task: int) -> Grid:
    return tasks.published[task].numpy().astype(np.uint8)


def _pair_number(record: Record) -> int:
    return int(record["pair"])


def _add_pairs(
    found: dict[int, list[Record]],
    grids: dict[str, tuple[Grid, ...]],
    pairs: LanePairs,
    tasks: TaskTable,
    objects: Objects,
) -> None:
    for row, (task, pair) in enumerate(zip(pairs.task.tolist(), pairs.pair.tolist(), strict=True)):
        record: Record = {"pair": pair}
        for which, (name, several) in enumerate(grids.items()):
            record[name] = published_rows(several[row], _published(tasks, task))
            record[f"{name}_objects"] = objects.get((task, pair, which), [])
        found.setdefault(task, []).append(record)


def _objects(dataset: Dataset) -> Objects:
    columns = dataset.objects
    chosen = np.flatnonzero((columns["neighbors"] == 8) & (columns["color"] != MULTICOLOR))
    places = np.stack([columns[name][chosen] for name in ("task", "pair", "grid")], axis=1).tolist()
    values = np.stack([columns[name][chosen] for name in OBJECT_NUMBERS], axis=1).tolist()
    found: Objects = {}
    for (task, pair, which), numbers in zip(places, values, strict=True):
        found.setdefault((task, pair, which), []).append(numbers)
    return found


def _number(value: float | np.floating[Any]) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
