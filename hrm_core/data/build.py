"""Tasks -> the content of a built file. Nothing is read from disk or written here, and nothing is drawn at random.

Every pair goes on the canvas of its task (default canvases), its colours as published: augmentation happens on the
device at admission. Rows are ordered by split, curriculum stage, known side, task and pair, so that the training rows
of each stage are one range per canvas. Split 0 `train`: demonstrations of all tasks; 1 `val`: tests of the training
tasks; 2 `eval`: tests of the evaluation tasks. Training on the demonstrations of evaluation tasks is the transductive
protocol of HRM (Wang et al. 2025, arXiv 2506.21734).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from hrm_core.data import descriptors, families, schema
from hrm_core.data.canvas import DEFAULT_CANVASES, choose_canvas, known_side, output_size_varies
from hrm_core.data.colors import canonical_colors
from hrm_core.data.duplicates import pair_key
from hrm_core.data.grids import MAX_SIDE, OUTSIDE, Grid, Pair, Task
from hrm_core.data.objects import object_rows
from hrm_core.data.schema import EVAL, TRAIN, VAL, Columns, Content
from hrm_core.data.sources.source import Source

Progress = Callable[[str, int, int], None]


def build(sources: Sequence[Source], seed: int = 0, progress: Progress | None = None) -> Content:
    """All tasks of the sources as one Content; `progress(what, done, of)` is called now and then.

    `seed` is recorded and not used: version 1 draws nothing.
    """
    tasks = [task for source in sources for task in source.tasks]
    assert tasks, "a source without tasks is refused before"
    notify = progress or (lambda what, done, of: None)
    table = _task_table(tasks, [source.name for source in sources], notify)
    duplicates = _duplicates(tasks, notify)
    rows = _pair_rows(tasks, table, duplicates)
    canvas, oversize = _lay_rows(tasks, table, rows, notify)
    provenance = {
        "sources": [_source_record(source) for source in sources],
        "families_version": families.VERSION,
        "descriptors_version": descriptors.VERSION,
        "canvases": list(DEFAULT_CANVASES),
    }
    attributes = {
        "format": schema.FORMAT,
        "format_version": schema.FORMAT_VERSION,
        "builder_version": schema.BUILDER_VERSION,
        "seed": seed,
        "provenance": json.dumps(provenance, ensure_ascii=True, sort_keys=True),
    }
    objects = _object_rows(tasks, notify)
    return Content(attributes, canvas, table, oversize, _curriculum(canvas, table), objects)


def _source_record(source: Source) -> dict[str, object]:
    return {
        "name": source.name,
        "digest": source.digest,
        "licence": source.licence,
        "tasks": len(source.tasks),
        "skipped": len(source.bad),
        "notes": list(source.notes),
    }


def _task_table(tasks: Sequence[Task], names: Sequence[str], notify: Progress) -> Columns:
    rows = []
    for number, task in enumerate(tasks):
        if number % 50 == 0:
            notify("describing tasks", number, len(tasks))
        side, varies = known_side(task), output_size_varies(task)
        canvas = choose_canvas(side, varies, DEFAULT_CANVASES)
        assert canvas is not None, "sides are at most 30"
        rows.append(
            {
                "source": names.index(task.source),
                "evaluation": int(task.evaluation),
                "num_demonstrations": len(task.demonstrations),
                "num_tests": len(task.tests),
                "known_side": side,
                "size_varies": int(varies),
                "canvas": canvas,
                "stage": next(stage for stage in schema.CURRICULUM_STAGES if canvas <= stage),
                "families": families.family_mask(task),
                **descriptors.describe_task(task),
            }
        )
    notify("describing tasks", len(tasks), len(tasks))
    table: Columns = {
        name: np.array([row[name] for row in rows], dtype=dtype)
        for name, (_, dtype) in schema.TASK_COLUMNS.items()
        if name not in ("id", "colors")
    }
    table["id"] = np.array([task.id.encode("utf-8", "surrogateescape") for task in tasks])
    table["colors"] = np.stack([canonical_colors(task) for task in tasks])
    return {name: table[name] for name in schema.TASK_COLUMNS}


def _duplicates(tasks: Sequence[Task], notify: Progress) -> set[tuple[int, int]]:
    """(task, pair) of the test pairs that equal some training pair up to symmetry and colours."""
    trained: set[bytes] = set()
    tests: list[tuple[int, int, bytes]] = []
    for number, task in enumerate(tasks):
        if number % 50 == 0:
            notify("looking for duplicates", number, len(tasks))
        trained.update(pair_key(pair) for pair in task.demonstrations)
        first = len(task.demonstrations)
        tests.extend((number, first + test, pair_key(pair)) for test, pair in enumerate(task.tests))
    notify("looking for duplicates", len(tasks), len(tasks))
    return {(task, pair) for task, pair, key in tests if key in trained}


def _object_rows(tasks: Sequence[Task], notify: Progress) -> Columns:
    """Objects of all demonstrations and test inputs, never of a test output."""
    rows: list[tuple[int, ...]] = []
    for number, task in enumerate(tasks):
        if number % 50 == 0:
            notify("finding objects", number, len(tasks))
        for place, pair in enumerate(task.pairs):
            grids = (pair.input, pair.target) if place < len(task.demonstrations) else (pair.input,)
            for which, grid in enumerate(grids):
                rows.extend((number, place, which, *values) for values in object_rows(grid))
    notify("finding objects", len(tasks), len(tasks))
    values = np.array(rows, np.int32).reshape(-1, len(schema.OBJECT_COLUMNS))
    return {
        name: values[:, column].astype(dtype) for column, (name, (_, dtype)) in enumerate(schema.OBJECT_COLUMNS.items())
    }


def _pair_rows(tasks: Sequence[Task], table: Columns, duplicates: set[tuple[int, int]]) -> list[dict[str, int]]:
    rows = []
    for number, task in enumerate(tasks):
        for place, pair in enumerate(task.pairs):
            trained = place < len(task.demonstrations)
            rows.append(
                {
                    "task": number,
                    "pair": place,
                    "split": TRAIN if trained else EVAL if task.evaluation else VAL,
                    "input_height": pair.input.shape[0],
                    "input_width": pair.input.shape[1],
                    "target_height": pair.target.shape[0],
                    "target_width": pair.target.shape[1],
                    "duplicate": int((number, place) in duplicates),
                    "oversize": -1,
                }
            )
    stage, side = table["stage"].tolist(), table["known_side"].tolist()
    rows.sort(key=lambda row: (row["split"], stage[row["task"]], side[row["task"]], row["task"], row["pair"]))
    return rows


def _lay_rows(
    tasks: Sequence[Task], table: Columns, rows: list[dict[str, int]], notify: Progress
) -> tuple[dict[int, Columns], Columns]:
    """The rows on their canvases, and the targets that do not fit, whole."""
    by_side: dict[int, list[dict[str, int]]] = {}
    oversize: list[dict[str, int]] = []
    for row in rows:
        side = int(table["canvas"][row["task"]])
        if max(row["target_height"], row["target_width"]) > side:
            row["oversize"] = len(oversize)
            oversize.append(row)
        by_side.setdefault(side, []).append(row)

    def pair_of(row: dict[str, int]) -> Pair:
        return tasks[row["task"]].pairs[row["pair"]]

    canvas: dict[int, Columns] = {}
    for done, (side, here) in enumerate(sorted(by_side.items())):
        notify("laying pairs on canvases", done, len(by_side))
        columns = _columns(here, schema.PAIR_COLUMNS)
        columns["input"] = pad_grids([pair_of(row).input for row in here], side)
        columns["target"] = pad_grids([pair_of(row).target if row["oversize"] < 0 else None for row in here], side)
        canvas[side] = {name: columns[name] for name in schema.PAIR_COLUMNS}
    notify("laying pairs on canvases", len(by_side), len(by_side))
    columns = _columns(oversize, schema.OVERSIZE_COLUMNS)
    columns["target"] = pad_grids([pair_of(row).target for row in oversize], MAX_SIDE)
    return canvas, {name: columns[name] for name in schema.OVERSIZE_COLUMNS}


def _columns(rows: list[dict[str, int]], spec: Iterable[str]) -> Columns:
    return {name: np.array([row[name] for row in rows], np.int32) for name in spec if name not in ("input", "target")}


def pad_grids(grids: Sequence[Grid | None], side: int) -> Grid:
    """(N, side, side) uint8 with each grid at the origin and OUTSIDE elsewhere; None gives an empty canvas."""
    padded = np.full((len(grids), side, side), OUTSIDE, np.uint8)
    for row, grid in zip(padded, grids, strict=True):
        if grid is not None:
            row[: grid.shape[0], : grid.shape[1]] = grid
    return padded


def _curriculum(canvas: dict[int, Columns], table: Columns) -> Columns:
    """For each stage and canvas the half-open range of training rows whose task fits the stage; empty ones left out."""
    ranges = []
    for stage in schema.CURRICULUM_STAGES:
        for side, columns in sorted(canvas.items()):
            fitting = (columns["split"] == TRAIN) & (table["stage"][columns["task"]] <= stage)
            stop = int(fitting.sum())
            assert fitting[:stop].all(), "rows are ordered by stage within the training split"
            if stop:
                ranges.append((stage, side, 0, stop))
    values = np.array(ranges, np.int32).reshape(-1, len(schema.STAGE_COLUMNS))
    return {name: values[:, column].copy() for column, name in enumerate(schema.STAGE_COLUMNS)}
