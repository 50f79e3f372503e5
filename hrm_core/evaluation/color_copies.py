"""How much of the accuracy hangs on which colours a puzzle happens to have.

Evaluation room: each test with its task's colours permuted K times (colour 0 stays) -> exactness of each copy, its
variance over copies, how often a test's copies agree, and the share of tasks whose copies canonical colours make
identical by construction: there the variance says nothing about the model. Without canonical colours a copy is a view
as in training, and the model is told the permutation by its colour code; with them it is told nothing, and sees the
copy as its own canonical colours show it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hrm_core.data.colors import canonical_colors
from hrm_core.data.dataset import Dataset
from hrm_core.data.families import FAMILIES
from hrm_core.data.grids import NUM_COLORS, OUTSIDE, Pair, Task
from hrm_core.data.lanes import LanePairs
from hrm_core.evaluation.metrics import Bools, score_samples
from hrm_core.evaluation.predict import Runner, read_grids
from hrm_core.evaluation.targets import as_published, input_grids, make_targets, target_grids
from hrm_core.recipe.schema import Recipe
from triton_kernels.hashing import hash32

PURPOSE = 302

Table = NDArray[np.int64]


def copy_colors(task: int, copy: int) -> Table:
    """(10) int64: the new colour of each colour in a task's copy; a hash of the two, the same in every run."""
    drawn = hash32(0, PURPOSE, task, copy, torch.arange(1, NUM_COLORS))
    table = np.zeros(NUM_COLORS, dtype=np.int64)
    table[1:] = 1 + np.argsort(np.argsort(drawn.numpy(), kind="stable"), kind="stable")
    return table


def evaluate_color_copies(
    runner: Runner, dataset: Dataset, recipe: Recipe, lanes: Mapping[int, LanePairs], split: str, copies: int
) -> dict[str, Any]:
    """All numbers of K copies of the tests in `lanes`."""
    canonical = recipe.input.canonicalize_colors
    tasks = known_tasks(dataset, lanes)
    tables = {task: [copy_colors(task, copy) for copy in range(copies)] for task in tasks}
    exact: list[Bools] = []
    for pairs in lanes.values():
        columns = []
        for copy in range(copies):
            seen = [seen_colors(tasks[task], tables[task][copy], canonical) for task in pairs.task.tolist()]
            columns.append(_exact(runner, pairs, dataset, split, np.stack(seen), told=not canonical))
        exact.append(np.stack(columns, axis=1))
    right = np.concatenate(exact)
    order = np.concatenate([pairs.task.cpu().numpy() for pairs in lanes.values()])
    identical = {task: all(is_identical(tasks[task], table) for table in tables[task]) for task in tasks}
    by_copy = right.mean(axis=0)
    spread = right.mean(axis=1) * (1.0 - right.mean(axis=1))
    return {
        "copies": copies,
        "tests": len(right),
        "exact": [float(value) for value in by_copy],
        "mean": float(by_copy.mean()),
        "variance": float(by_copy.var(ddof=1)) if copies > 1 else None,
        "within_test_variance": float(spread.mean()),
        "agree": float(((right.all(axis=1)) | (~right.any(axis=1))).mean()),
        "canonical": canonical,
        "identical_by_construction": float(np.mean(list(identical.values()))),
        "families": _by_family(right, dataset.tasks.families.numpy()[order]),
    }


def seen_colors(task: Task, table: Table, canonical: bool) -> Table:
    """(10): the colour in which the model sees each colour of the data in a copy."""
    if not canonical:
        return table
    seen: Table = canonical_colors(recolored(task, table)).astype(np.int64)[table]
    return seen


def is_identical(task: Task, table: Table) -> bool:
    """Whether canonical colours show this copy exactly as they show the task itself, tests included."""
    used = np.unique(np.concatenate([grid.ravel() for pair in task.pairs for grid in (pair.input, pair.target)]))
    copy = seen_colors(task, table, canonical=True)
    return bool((copy[used] == canonical_colors(task).astype(np.int64)[used]).all())


def recolored(task: Task, table: Table) -> Task:
    """A task in other colours."""
    colors = table.astype(np.uint8)

    def change(pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
        return tuple(Pair(colors[pair.input], colors[pair.target]) for pair in pairs)

    return replace(task, demonstrations=change(task.demonstrations), tests=change(task.tests))


def known_tasks(dataset: Dataset, lanes: Mapping[int, LanePairs]) -> dict[int, Task]:
    """The tasks of these tests, in the data's colours: demonstrations from the training pairs, tests from the lanes."""
    wanted = {task for pairs in lanes.values() for task in pairs.task.tolist()}
    demonstrations: dict[int, dict[int, Pair]] = defaultdict(dict)
    tests: dict[int, list[Pair]] = defaultdict(list)
    for pairs in dataset.train.values():
        rows = [row for row, task in enumerate(pairs.task.tolist()) if task in wanted]
        some = pairs.select(torch.tensor(rows, dtype=torch.int64))
        grids = zip(input_grids(some), target_grids(some, None), strict=True)
        for task, number, (before, after) in zip(some.task.tolist(), some.pair.tolist(), grids, strict=True):
            if number < int(dataset.tasks.num_demonstrations[task]):
                demonstrations[task][number] = Pair(before, after)
    for pairs in lanes.values():
        fitting = pairs.select(pairs.fits.nonzero().flatten())
        grids = zip(input_grids(fitting), target_grids(fitting, None), strict=True)
        for task, (before, after) in zip(fitting.task.tolist(), grids, strict=True):
            tests[task].append(Pair(before, after))
    return {
        task: Task(
            dataset.tasks.ids[task],
            dataset.tasks.sources[task],
            bool(dataset.tasks.evaluation[task]),
            tuple(pair for _, pair in sorted(demonstrations[task].items())),
            tuple(tests[task]),
        )
        for task in sorted(wanted)
        if demonstrations[task]
    }


def _exact(runner: Runner, pairs: LanePairs, dataset: Dataset, split: str, tables: Table, told: bool) -> Bools:
    """(N) bool: whether each test's copy is answered exactly; tables (N, 10)."""
    if told:
        view = replace(as_published(pairs), colors=torch.from_numpy(tables))
        grids = read_grids(runner.run(pairs, view).tokens, pairs.side, view)
        targets = target_grids(pairs, dataset.oversize[split])
        same = [np.array_equal(grid, target) for grid, target in zip(grids, targets, strict=True)]
        fits: Bools = pairs.fits.cpu().numpy()
        return np.array(same, dtype=np.bool_) & fits
    copied = replace(pairs, input=_recolor(pairs.input, tables), target=_recolor(pairs.target, tables))
    tokens = runner.run(copied, as_published(copied)).tokens
    targets_of = make_targets(copied, dataset.oversize[split])
    right: Bools = score_samples(tokens, read_grids(tokens, pairs.side), targets_of)["exact"] > 0
    return right


def _recolor(grids: Tensor, tables: Table) -> Tensor:
    """(N, side, side) uint8 with each sample's own table; what is outside stays outside."""
    whole = np.concatenate([tables, np.full((len(tables), 1), OUTSIDE)], axis=1)
    flat = grids.cpu().numpy().reshape(len(tables), -1).astype(np.int64)
    return torch.from_numpy(np.take_along_axis(whole, flat, axis=1).astype(np.uint8)).reshape(grids.shape)


def _by_family(right: Bools, masks: NDArray[np.int64]) -> dict[str, dict[str, float | int]]:
    """For each family with tests: mean exactness over tests and copies, and the mean variance within a test."""
    table: dict[str, dict[str, float | int]] = {}
    for bit, name in enumerate(FAMILIES):
        members = right[(masks >> bit) & 1 == 1]
        if len(members):
            share = members.mean(axis=1)
            variance = float((share * (1.0 - share)).mean())
            table[name] = {"tests": len(members), "exact": float(share.mean()), "variance": variance}
    return table
