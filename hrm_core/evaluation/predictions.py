"""What is kept of an evaluation so that puzzles can be drawn later from the run folder alone.

Evaluation room: lane outcomes -> one plain record a test pair (ids, target and predicted grids as strings of digits, a
string a row, votes, halting logits, for some pairs the grid of every segment), and once a run one record a task
(demonstrations, test inputs, objects, colour bijection, descriptors, families). Writing them is `hrm_core.runs`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hrm_core.data.dataset import Dataset
from hrm_core.data.families import family_names
from hrm_core.data.grids import Grid
from hrm_core.data.lanes import LanePairs, TaskTable
from hrm_core.data.objects import find_objects
from hrm_core.evaluation.lane import LaneOutcome
from hrm_core.evaluation.predict import read_grids
from hrm_core.evaluation.targets import input_grids, target_grids
from hrm_core.evaluation.voting import NEVER

KEPT_ANSWERS = 4
DIGITS = np.array(list("0123456789"))

Record = dict[str, Any]


def grid_rows(grid: Grid) -> list[str]:
    """[[0, 3], [1, 0]] -> ["03", "10"]; an empty grid has no rows."""
    return ["".join(row) for row in DIGITS[grid]] if grid.size else []


def prediction_records(outcome: LaneOutcome, tasks: TaskTable, split: str) -> list[Record]:
    """One record for each pair of a lane. `rank` is the place of the right grid among all answers, None if it is not
    there; `answers` holds the first four; halting logits are rounded to 4 digits.
    """
    pairs, scores, predicted = outcome.pairs, outcome.scores, outcome.predicted
    inputs = input_grids(pairs)
    records = []
    for row in range(pairs.num_pairs):
        task = int(pairs.task[row])
        record: Record = {
            "task": tasks.ids[task],
            "test": int(pairs.pair[row]) - int(tasks.num_demonstrations[task]),
            "split": split,
            "side": pairs.side,
            "fits": bool(pairs.fits[row]),
            "duplicate": bool(pairs.duplicate[row]),
            "families": family_names(int(tasks.families[task])),
            "input": grid_rows(inputs[row]),
            "target": grid_rows(outcome.targets.grids[row]),
            "predicted": grid_rows(outcome.grids[row]),
            "exact": bool(scores["exact"][row]),
            "cell_accuracy": round(float(scores["cell_accuracy"][row]), 4),
            "confidence": round(float(predicted.confidence[row]), 4),
            "loss": _number(predicted.loss[row]) if pairs.fits[row] else None,
            "halt_logit": [_number(logit) for logit in predicted.halt_logit[row]],
            "rank": None if outcome.ranks[row] == NEVER else int(outcome.ranks[row]),
            "answers": [
                {"grid": grid_rows(answer.grid), "votes": answer.votes, "confidence": round(answer.confidence, 4)}
                for answer in outcome.answers[row][:KEPT_ANSWERS]
            ],
        }
        if row in predicted.by_segment:
            record["segments"] = [grid_rows(grid) for grid in read_grids(predicted.by_segment[row], pairs.side)]
        records.append(record)
    return records


def task_records(dataset: Dataset, split: str) -> list[Record]:
    """One record for each task that has pairs in the split, in the order of the task table."""
    tasks = dataset.tasks
    tests = _by_task(dataset.split(split), dataset, with_target=False)
    demonstrations = _by_task(dataset.train, dataset, with_target=True)
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
                "demonstrations": known,
                "tests": tests[task],
            }
        )
    return records


def _by_task(lanes: dict[int, LanePairs], dataset: Dataset, with_target: bool) -> dict[int, list[Record]]:
    """Task -> its pairs in the order of their numbers; objects (8 neighbours, of one colour) of every grid shown."""
    found: dict[int, list[Record]] = {}
    for pairs in lanes.values():
        grids = {"input": input_grids(pairs)}
        if with_target:
            grids["target"] = target_grids(pairs, dataset.oversize["val"])
        for row, (task, pair) in enumerate(zip(pairs.task.tolist(), pairs.pair.tolist(), strict=True)):
            record: Record = {"pair": pair}
            for name, several in grids.items():
                record[name] = grid_rows(several[row])
                record[f"{name}_objects"] = objects(several[row])
            found.setdefault(task, []).append(record)
    return {task: sorted(records, key=lambda record: int(record["pair"])) for task, records in found.items()}


def objects(grid: Grid) -> list[list[int]]:
    """[colour, row, column, height, width, area] of each object, 8 neighbours, of one colour each."""
    return [[item.color, item.row, item.column, *item.mask.shape, item.area] for item in find_objects(np.asarray(grid))]


def _number(value: float | np.floating[Any]) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
