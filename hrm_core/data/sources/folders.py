"""ARC tasks from a folder or one JSON file of the user's. Path -> Source.

A folder holds one task per `.json` file, in sub-folders as deep as one likes (ConceptARC's concepts); a sub-folder
called `training` or `evaluation` says which set its tasks belong to, and where there are such sub-folders nothing else
is read. Without them every task is a training task. A file may also hold many tasks: an object of tasks by name, or of
such objects by set (`train`, `eval`). Kaggle's `*_challenges.json` with its `*_solutions.json` is in `kaggle`.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hrm_core.data.grids import Task
from hrm_core.data.parse import BadTask, parse_task, read_json
from hrm_core.data.sources.kaggle import CHALLENGES, read_kaggle
from hrm_core.data.sources.source import BadFile, Source
from hrm_core.errors import UserError
from hrm_core.runs.text import clean

SETS = {"train": False, "training": False, "eval": True, "evaluation": True}
LAYOUT = "expected training/*.json and evaluation/*.json, task files, or Kaggle's *_challenges.json"


def read_path(path: Path, name: str, licence: str = "") -> Source:
    """Every task under a path; invalid ones are in `bad`. UserError if there is nothing to read or no valid task."""
    if not path.exists():
        raise UserError(f"no folder or file {clean(str(path))}; {LAYOUT}, or a name: arc1, arc2")
    notes: list[str] = []
    if path.is_file() and path.name.lower().endswith(CHALLENGES):
        tasks, bad, notes = read_kaggle([path], name)
    elif path.is_file():
        tasks, bad = _read_files([(path.name, path)], name)
    else:
        files = _json_files(path)
        challenges = [file for _, file in files if file.name.lower().endswith(CHALLENGES)]
        if challenges:
            tasks, bad, notes = read_kaggle(challenges, name)
        else:
            files, notes = _only_sets(files)
            tasks, bad = _read_files(files, name)
    if not tasks:
        raise UserError(_nothing_to_use(path, bad), exit_code=1)
    return Source(name, tuple(tasks), tuple(bad), tuple(notes), licence)


def _nothing_to_use(path: Path, bad: list[BadFile]) -> str:
    if not bad:
        return f"{clean(str(path))} holds no JSON files; {LAYOUT}"
    first = f"{clean(bad[0].where)}: {clean(bad[0].reason)}"
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return f"{clean(str(path))} holds no valid task; {first}{more}"


def _json_files(folder: Path) -> list[tuple[str, Path]]:
    """(name within the folder, path) of every JSON file, sorted; hidden ones and links to folders are not followed."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(".json") and not name.startswith("."):
                file = Path(parent) / name
                found.append((file.relative_to(folder).as_posix(), file))
    return sorted(found)


def _set_of(relative: str) -> bool | None:
    """Whether a file belongs to an evaluation set; None if no sub-folder says."""
    for part in reversed(relative.split("/")[:-1]):
        if part.lower() in SETS:
            return SETS[part.lower()]
    return None


def _only_sets(files: list[tuple[str, Path]]) -> tuple[list[tuple[str, Path]], list[str]]:
    inside = [(relative, file) for relative, file in files if _set_of(relative) is not None]
    if not inside or len(inside) == len(files):
        return files, []
    return inside, [f"{len(files) - len(inside)} JSON files outside training/ and evaluation/ were left out"]


def _read_files(files: list[tuple[str, Path]], name: str) -> tuple[list[Task], list[BadFile]]:
    tasks: list[Task] = []
    bad: list[BadFile] = []
    for relative, file in files:
        try:
            value = read_json(file)
        except BadTask as error:
            bad.append(BadFile(relative, str(error)))
            continue
        evaluation = bool(_set_of(relative))
        for task_id, entry, is_evaluation, where in _entries(value, file.stem, evaluation, relative):
            try:
                tasks.append(parse_task(entry, task_id, name, is_evaluation, where))
            except BadTask as error:
                bad.append(BadFile(where, str(error)))
    return _with_unique_names(tasks), bad


def _entries(value: object, stem: str, evaluation: bool, relative: str) -> list[tuple[str, object, bool, str]]:
    """The tasks of one file: (name, JSON value, evaluation?, where); one, unless the file is an object of objects."""
    if not isinstance(value, dict) or not value or not all(isinstance(entry, dict) for entry in value.values()):
        return [(stem, value, evaluation, relative)]
    if set(value) <= set(SETS):
        return [
            (task_id, entry, SETS[key], f"{relative}: {key}: {task_id}")
            for key, entries in value.items()
            for task_id, entry in entries.items()
        ]
    return [(task_id, entry, evaluation, f"{relative}: {task_id}") for task_id, entry in value.items()]


def _with_unique_names(tasks: list[Task]) -> list[Task]:
    """Tasks of equal name (in different sub-folders) are told apart by where they were read; equal ones stay equal."""
    counts = Counter(task.id for task in tasks)
    first: dict[str, Task] = {}
    named = []
    for task in tasks:
        known = first.setdefault(task.id, task)
        if counts[task.id] > 1 and not _same(known, task):
            task = replace(task, id=task.origin.removesuffix(".json"))
        named.append(task)
    return named


def _same(one: Task, other: Task) -> bool:
    if (len(one.demonstrations), len(one.tests)) != (len(other.demonstrations), len(other.tests)):
        return False
    return all(
        mine.input.tolist() == theirs.input.tolist() and mine.target.tolist() == theirs.target.tolist()
        for mine, theirs in zip(one.pairs, other.pairs, strict=True)
    )
