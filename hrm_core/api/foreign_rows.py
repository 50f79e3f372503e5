"""Evaluating an imported snapshot on a data file of ours: identity rows go by the names of the tasks.

API room: Model, its network, Dataset -> the network with a row for each task of the data, and of the data the tests
whose task has one. A published checkpoint knows the augmentations of a task as rows of their own; the unvaried task's,
which has the task's name alone, is the one that is used. Heavy imports are inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hrm_core.errors import UserError
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_core.api.results import Model
    from hrm_core.data.dataset import Dataset
    from hrm_core.data.lanes import LanePairs
    from hrm_core.model.hrm import HRM


def is_imported(model: Model) -> bool:
    """Whether the snapshot was made by `hrm import`."""
    from hrm_core.runs.snapshots import read_meta

    return (read_meta(model.path) or {}).get("kind") == "import"


def place_rows(model: Model, network: HRM, dataset: Dataset, data: Path) -> tuple[Dataset, list[str]]:
    """Gives `network` the rows of the data's tasks in their order; (the data without the tests of others, notes).

    UserError (1) if the snapshot has a row for none of them.
    """
    import torch

    rows = {name: number for number, name in enumerate(model.snapshot.task_ids)}
    places = torch.tensor([rows.get(task, -1) for task in dataset.tasks.ids])
    known = places >= 0
    if not known.any():
        raise UserError(
            f"{clean(model.path.name)} has no identity row for any task of {clean(data)}: its rows are called "
            f"{', '.join(clean(name)[:40] for name in model.snapshot.task_ids[:2])} and so on.\n"
            "Import it with the names of its rows (--identifiers FILE), or give another --data.",
            1,
        )
    table = network.rows.table
    placed = table.new_zeros(len(places) + 1, table.shape[1])
    found = known.nonzero().flatten()
    placed[found.to(table.device)] = table[places[found].to(table.device)]
    network.rows.table = torch.nn.Buffer(placed)

    def of_known(lanes: Mapping[int, LanePairs]) -> dict[int, LanePairs]:
        kept = {side: pairs.select(known[pairs.task.cpu()].nonzero().flatten()) for side, pairs in lanes.items()}
        return {side: pairs for side, pairs in kept.items() if pairs.num_pairs}

    left = len(places) - int(known.sum())
    note = f"{left} of {len(places)} tasks have no identity row in the snapshot; their tests are left out"
    return replace(dataset, val=of_known(dataset.val), eval=of_known(dataset.eval)), [note] if left else []
