"""Kaggle's form of the ARC data: `<set>_challenges.json` has the tasks without test outputs, `<set>_solutions.json`
beside it has the outputs. Paths -> tasks, what is wrong, and notes.

Sets with `evaluation` in their name are evaluation sets. Challenges without a solutions file (the competition's own
test set) cannot be scored or trained on here: they are left out, and a note says so.
"""

from __future__ import annotations

from pathlib import Path

from hrm_core.data.grids import Task
from hrm_core.data.parse import BadTask, parse_task, read_json
from hrm_core.data.sources.source import BadFile

CHALLENGES = "challenges.json"
SOLUTIONS = "solutions.json"


def read_kaggle(challenges: list[Path], name: str) -> tuple[list[Task], list[BadFile], list[str]]:
    """Tasks of every pair of files."""
    tasks: list[Task] = []
    bad: list[BadFile] = []
    notes: list[str] = []
    for path in challenges:
        solutions = path.with_name(path.name[: -len(CHALLENGES)] + SOLUTIONS)
        if not solutions.exists():
            notes.append(f"{path.name} has no {solutions.name} beside it and was left out")
            continue
        more, wrong = _read_pair(path, solutions, name)
        tasks.extend(more)
        bad.extend(wrong)
    if not tasks and not bad and notes:
        bad.append(BadFile(challenges[0].name, "no solutions file beside it"))
    return tasks, bad, notes


def _read_pair(path: Path, solutions_path: Path, name: str) -> tuple[list[Task], list[BadFile]]:
    where = path
    try:
        tasks_json = read_json(path)
        where = solutions_path
        solutions = read_json(solutions_path)
    except BadTask as error:
        return [], [BadFile(where.name, str(error))]
    if not isinstance(tasks_json, dict) or not tasks_json:
        return [], [BadFile(path.name, "not a JSON object of tasks")]
    if not isinstance(solutions, dict):
        return [], [BadFile(solutions_path.name, "not a JSON object of solutions")]
    tasks: list[Task] = []
    bad: list[BadFile] = []
    evaluation = "evaluation" in path.name.lower()
    for task_id, entry in tasks_json.items():
        place = f"{path.name}: {task_id}"
        try:
            tasks.append(parse_task(_with_outputs(entry, solutions.get(task_id)), task_id, name, evaluation, place))
        except BadTask as error:
            bad.append(BadFile(place, str(error)))
    return tasks, bad


def _with_outputs(entry: object, outputs: object) -> object:
    """The task with its test outputs put in, or BadTask; what else is wrong with it is found by `parse_task`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("test"), list):
        return entry
    if not isinstance(outputs, list):
        raise BadTask("no solutions for it in the solutions file")
    tests = entry["test"]
    if len(tests) != len(outputs):
        raise BadTask(f"{len(tests)} test inputs but {len(outputs)} solutions")
    joined = [
        {**test, "output": output} if isinstance(test, dict) else test
        for test, output in zip(tests, outputs, strict=True)
    ]
    return {**entry, "test": joined}
