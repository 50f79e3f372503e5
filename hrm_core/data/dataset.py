"""A built file as a recipe sees it. Path and DataConfig -> lanes of pairs per split, tasks, coverage.

Re-lays the file's pairs on the recipe's canvases (whole arrays at once), takes the subset, makes the splits: `train`
on the task's canvas or the pair's own, `val` and `eval` always on the task's, which never depends on a test output.
Where the recipe's `input` asks for canonical colours, the grids of every split get them here, before anything is
varied: one bijection a task, from its demonstrations; `TaskTable.published` is the way back.
The file itself is read and checked in `file`; what a slot admits is chosen in `streams`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hrm_core.data import schema
from hrm_core.data.canvas import choose_canvas
from hrm_core.data.colors import recolor
from hrm_core.data.file import BUILD_IT, read_content
from hrm_core.data.grids import MAX_SIDE, NUM_COLORS, OUTSIDE
from hrm_core.data.lanes import LanePairs, OversizePairs, TaskTable
from hrm_core.data.schema import EVAL, SPLITS, TRAIN, VAL, Columns, Content
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.recipe.data import DataConfig, InputConfig

FITS7_SIDE = 7
KEY_STRIDE = 2000


@final
@dataclass(frozen=True)
class Dataset:
    """Canvas side -> pairs, for each split (sides without pairs are left out), on the host.

    `oversize`: split name -> targets that do not fit; `coverage`: split name -> {"fit", "of"} for val and eval;
    `left_out`: training pairs whose target does not fit (only with train_on_val_tests); `digest`: sha256 of the file's
    content, the same wherever it is built; `objects`: the columns of `schema.OBJECT_COLUMNS`, with `task` a row of the
    task table.
    """

    train: dict[int, LanePairs]
    val: dict[int, LanePairs]
    eval: dict[int, LanePairs]
    tasks: TaskTable
    oversize: dict[str, OversizePairs]
    coverage: dict[str, dict[str, int]]
    left_out: int
    digest: str
    provenance: dict[str, Any]
    objects: Columns

    def split(self, name: str) -> dict[int, LanePairs]:
        """The lanes of "train", "val" or "eval"."""
        return {"train": self.train, "val": self.val, "eval": self.eval}[name]


def load_dataset(path: Path, data: DataConfig, remedy: str = BUILD_IT, input: InputConfig | None = None) -> Dataset:
    """Read, check and re-lay a built file; UserError with the remedy if it is missing, damaged or does not suit.

    Without `input` the grids are as published.
    """
    content, digest = read_content(path, remedy)
    return make_dataset(content, data, digest, input)


def make_dataset(content: Content, data: DataConfig, digest: str = "", input: InputConfig | None = None) -> Dataset:
    """The content of a built file as `data` and `input` ask for it."""
    canvases = (FITS7_SIDE,) if data.subset == "fits7" else data.canvases
    kept = _kept_tasks(content.tasks, data.subset)
    canonical = input is not None and input.canonicalize_colors
    table = _task_table(content, kept, canvases, canonical)
    rows = _all_rows(content, kept, data.train_on_val_tests)
    if canonical:
        for name in ("input", "target"):
            rows[name] = recolor(rows[name], table.colors.numpy()[rows["task"]])
    task_side = table.canvas.numpy()[rows["task"]]
    split = rows["split"]
    if data.train_canvas == "pair":
        largest = np.max([rows[name] for name in schema.PAIR_COLUMNS if name.endswith(("height", "width"))], axis=0)
        own_side = _smallest_canvas(largest, canvases)
        task_side = np.where((split == TRAIN) & (own_side > 0), own_side, task_side)
    fits = np.maximum(rows["target_height"], rows["target_width"]) <= task_side
    trainable = fits | (split != TRAIN)
    lanes = [_lanes(rows, (split == number) & trainable, task_side, fits, table) for number in range(len(SPLITS))]
    oversize = {SPLITS[number]: _oversize(rows, (split == number) & ~fits) for number in (VAL, EVAL)}
    coverage = {
        SPLITS[number]: {"fit": int((fits & (split == number)).sum()), "of": int((split == number).sum())}
        for number in (VAL, EVAL)
    }
    provenance = json.loads(content.attributes["provenance"])
    left_out = int((~trainable).sum())
    return Dataset(
        train=lanes[TRAIN],
        val=lanes[VAL],
        eval=lanes[EVAL],
        tasks=table,
        oversize=oversize,
        coverage=coverage,
        left_out=left_out,
        digest=digest,
        provenance=provenance,
        objects=_kept_objects(content.objects, _numbering(content, kept)),
    )


def _numbering(content: Content, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Old task row -> new task row, -1 for tasks that are not kept."""
    number = np.full(len(content.tasks["id"]), -1, np.int64)
    number[kept] = np.arange(len(kept))
    return number


def _kept_objects(objects: Columns, number: NDArray[np.int64]) -> Columns:
    chosen = np.flatnonzero(number[objects["task"]] >= 0)
    kept = {name: values[chosen] for name, values in objects.items()}
    kept["task"] = number[kept["task"]]
    return kept


def _kept_tasks(tasks: Columns, subset: str) -> NDArray[np.int64]:
    """Rows of the task table that the subset keeps."""
    if subset == "all":
        return np.arange(len(tasks["id"]))
    kept = np.flatnonzero((tasks["known_side"] <= FITS7_SIDE) & (tasks["evaluation"] == 0))
    if not len(kept):
        raise UserError("data.subset=fits7: this data file has no training task that fits 7x7; use data.subset=all")
    return kept


def _task_table(content: Content, kept: NDArray[np.int64], canvases: tuple[int, ...], canonical: bool) -> TaskTable:
    tasks = {name: values[kept] for name, values in content.tasks.items()}
    sides = [
        choose_canvas(int(side), bool(varies), canvases)
        for side, varies in zip(tasks["known_side"], tasks["size_varies"], strict=True)
    ]
    if None in sides:
        count, largest = sides.count(None), int(tasks["known_side"].max())
        raise UserError(
            f"data.canvases={list(canvases)}: {count} tasks have grids larger than the largest canvas; "
            f"add a side of {largest} or more"
        )
    names = [source["name"] for source in json.loads(content.attributes["provenance"])["sources"]]

    def column(name: str) -> Tensor:
        return torch.from_numpy(tasks[name].astype(np.int64))

    return TaskTable(
        ids=tuple(name.decode("utf-8", "replace") for name in tasks["id"].tolist()),
        sources=tuple(names[number] for number in tasks["source"].tolist()),
        evaluation=column("evaluation") > 0,
        known_side=column("known_side"),
        canvas=torch.tensor([side for side in sides if side is not None], dtype=torch.int64),
        stage=column("stage"),
        families=column("families"),
        num_demonstrations=column("num_demonstrations"),
        num_tests=column("num_tests"),
        colors=column("colors"),
        published=torch.argsort(column("colors"), dim=1)
        if canonical
        else torch.arange(NUM_COLORS).repeat(len(kept), 1),
        descriptors={name: column(name) for name in schema.DESCRIPTOR_COLUMNS},
    )


def _all_rows(content: Content, kept: NDArray[np.int64], train_on_val_tests: bool) -> Columns:
    """Every pair of the kept tasks in one set of columns, grids on 30x30, targets whole, tasks renumbered.

    Ordered as in the file: the training pairs of a curriculum stage are the first so many of each lane.
    """
    number = _numbering(content, kept)
    parts: list[Columns] = []
    for columns in content.canvas.values():
        chosen = np.flatnonzero(number[columns["task"]] >= 0)
        part: Columns = {name: values[chosen] for name, values in columns.items()}
        part["input"], part["target"] = resize(part["input"], MAX_SIDE), resize(part["target"], MAX_SIDE)
        whole = np.flatnonzero(part["oversize"] >= 0)
        part["target"][whole] = content.oversize["target"][part["oversize"][whole]]
        part["task"] = number[part["task"]]
        parts.append(part)
    rows = {name: np.concatenate([part[name] for part in parts]) for name in schema.PAIR_COLUMNS}
    if train_on_val_tests:
        rows["split"] = np.where(rows["split"] == VAL, TRAIN, rows["split"])
    stage, side = content.tasks["stage"][kept], content.tasks["known_side"][kept]
    order = np.lexsort((rows["pair"], rows["task"], side[rows["task"]], stage[rows["task"]], rows["split"]))
    return {name: values[order] for name, values in rows.items()}


def resize(grids: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(N, a, a) -> (N, side, side): cropped, or filled up with OUTSIDE."""
    if grids.shape[1] >= side:
        return np.ascontiguousarray(grids[:, :side, :side])
    larger = np.full((len(grids), side, side), OUTSIDE, np.uint8)
    larger[:, : grids.shape[1], : grids.shape[2]] = grids
    return larger


def _smallest_canvas(sides: NDArray[Any], canvases: tuple[int, ...]) -> NDArray[np.int64]:
    """The smallest canvas of at least each side; 0 where there is none."""
    table = np.array([choose_canvas(side, False, canvases) or 0 for side in range(MAX_SIDE + 1)], np.int64)
    chosen: NDArray[np.int64] = table[sides]
    return chosen


def _lanes(
    rows: Columns, chosen: NDArray[np.bool_], sides: NDArray[Any], fits: NDArray[np.bool_], table: TaskTable
) -> dict[int, LanePairs]:
    lanes = {}
    for side in sorted(set(sides[chosen].tolist())):
        here = np.flatnonzero(chosen & (sides == side))
        task = torch.from_numpy(rows["task"][here].astype(np.int64))
        target = resize(rows["target"][here], side)
        target[~fits[here]] = OUTSIDE
        numbers = {
            name: torch.from_numpy(rows[name][here].astype(np.int64))
            for name in ("pair", "input_height", "input_width", "target_height", "target_width")
        }
        lanes[side] = LanePairs(
            side=side,
            input=torch.from_numpy(resize(rows["input"][here], side)),
            target=torch.from_numpy(target),
            task=task,
            known_side=table.known_side[task],
            stage=table.stage[task],
            duplicate=torch.from_numpy(rows["duplicate"][here] > 0),
            fits=torch.from_numpy(fits[here]),
            key=task * KEY_STRIDE + numbers["pair"],
            **numbers,
        )
    return lanes


def _oversize(rows: Columns, chosen: NDArray[np.bool_]) -> OversizePairs:
    here = np.flatnonzero(chosen)
    numbers = {
        name: torch.from_numpy(rows[name][here].astype(np.int64))
        for name in ("target_height", "target_width", "task", "pair")
    }
    key = numbers["task"] * KEY_STRIDE + numbers["pair"]
    return OversizePairs(target=torch.from_numpy(rows["target"][here].copy()), key=key, **numbers)
