"""The data file that a run or an evaluation is to read.

API room: a recipe, a snapshot, a file that was given -> the path of a data file that a child has read, so that it may
be loaded; it is built where it is missing. Heavy imports are inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hrm_core.api.watching import Watch, building, silent
from hrm_core.errors import UserError
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_core.data.dataset import Dataset
    from hrm_core.recipe.schema import Recipe
    from hrm_core.training.checkpoint import Snapshot


def ensure_data(source: str, given: Path | None, watch: Watch = silent) -> Path:
    """The data file: the given one, or the recipe's in the folder of built data, built now if it is not there.

    What was there before has been read by a child when this returns, so that it may be loaded.
    """
    if given is not None:
        from hrm_core.data.guard import refuse_harmful

        refuse_harmful(given)
        return given
    from hrm_core.data.prepare import ensure_built

    with building(watch) as notify:
        return ensure_built(source, notify)


def data_of(snapshot: Path, recipe: Recipe, given: Path | None, watch: Watch = silent) -> Path:
    """The data file: the given one, its run's, or the recipe's, built if it is missing; a child has read it."""
    from hrm_core.runs.files import mapping, read_json_object
    from hrm_core.runs.layout import RunFolder
    from hrm_core.runs.snapshots import read_meta

    if given is None:
        run_json = read_json_object(RunFolder(snapshot.resolve().parent.parent).run_json)
        # A promoted snapshot lies in no run; it says itself what its run began with.
        began_with = (run_json or mapping(read_meta(snapshot), "promoted")).get("data")
        if isinstance(began_with, str) and Path(began_with).is_file():
            given = Path(began_with)
    return ensure_data(recipe.data.source, given, watch)


def check_tasks(snapshot: Snapshot, dataset: Dataset, data: Path) -> None:
    """UserError unless the data's tasks are those that the snapshot's identity rows belong to, in the same order."""
    if tuple(dataset.tasks.ids) == snapshot.task_ids:
        return
    raise UserError(
        f"{clean(data)} holds {len(dataset.tasks.ids)} tasks, not the {len(snapshot.task_ids)} that "
        f"{clean(snapshot.path.name)} was trained with, or in another order.\nGive its own data file with --data.",
        1,
    )
