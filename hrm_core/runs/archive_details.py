"""Room `runs`: everything that one snapshot holds, for a page about it.

Entry -> `Details`: the whole evaluation, the status and the log's window of that moment, the settings that differ from
EXP-00, where it comes from, and, where that is asked for, whether every byte is as it was written. Text is not cleaned
here. The recipe room is imported inside, since it takes a quarter of a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, final

from hrm_core.errors import UserError
from hrm_core.runs.archive import EVALUATED_WEIGHTS, EVALUATION, RAW_WEIGHTS, Entry, Listing
from hrm_core.runs.archive_lineage import Lineage, lineage_of
from hrm_core.runs.files import Row, mapping, read_json_object, read_small
from hrm_core.runs.records import decode_status
from hrm_core.runs.snapshots import read_meta, verify_folder

CONTROL: Final = "EXP-00"
NO_LINEAGE: Final = Lineage()
NOTHING_ELSE: Final = Listing()
_LOG_LINES: Final = 1000
Change = tuple[str, str, str]
"""Setting, EXP-00's value, this one's."""


@final
@dataclass(frozen=True)
class Details:
    """One snapshot, opened. recipe_problem: why there are no changes; problems: what is wrong with its files, None
    where nobody has looked."""

    entry: Entry
    evaluation: Row = field(default_factory=dict)
    status: Row = field(default_factory=dict)
    meta: Row = field(default_factory=dict)
    log: tuple[str, ...] = ()
    control: str = CONTROL
    changes: tuple[Change, ...] = ()
    recipe_problem: str = ""
    lineage: Lineage = NO_LINEAGE
    problems: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `hrm archive show --json`."""
        return {
            **entry_json(self.entry),
            "evaluation": self.evaluation,
            "status": self.status,
            "log": list(self.log),
            "control": self.control,
            "differences": [{"key": key, "control": control, "value": own} for key, control, own in self.changes],
            "recipe_problem": self.recipe_problem or None,
            "ancestors": [{"run": one.run, "step": one.step, "digest": one.digest} for one in self.lineage.ancestors],
            "children": [branch.to_json() for branch in self.lineage.branches],
            "promoted_from": mapping(self.meta, "promoted") or None,
            "whole": None if self.problems is None else not self.problems,
            "problems": None if self.problems is None else list(self.problems),
        }


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry as plain values: every metric with its best trivial value and lift."""
    metrics = {}
    for name in mapping(entry.evaluation, "metrics"):
        trivial = entry.trivial(name)
        beside = None if trivial is None else {"name": trivial[0], "value": trivial[1]}
        metrics[name] = {"value": entry.metric(name), "trivial": beside, "lift": entry.lift(name)}
    origin, parent = entry.origin, entry.origin.parent
    weights = {
        name: {"bytes": entry.bytes_of(file), "sha256": entry.digest(file)}
        for name, file in (("evaluation", EVALUATED_WEIGHTS), ("raw", RAW_WEIGHTS))
    }
    return {
        "name": entry.name,
        "run": entry.run_id,
        "step": entry.step,
        "folder": str(entry.folder),
        "experiment": origin.experiment,
        "preset": origin.preset,
        "seed": origin.seed,
        "parent": None if parent is None else {"run": parent.run, "step": parent.step, "digest": parent.digest},
        "time_utc": entry.time_utc or None,
        "metrics": metrics,
        "loss": entry.loss,
        "size_bytes": entry.size_bytes,
        "weights": weights,
        "best": entry.is_best,
        "pinned": entry.pinned,
        "promoted": list(entry.promoted),
        "damaged": entry.damaged,
    }


def read_details(entry: Entry, listing: Listing = NOTHING_ELSE, verify: bool = False) -> Details:
    """Opens a snapshot. With `verify` every file is read and its sha256 compared (1.9 GB/s)."""
    folder = entry.folder
    text = (read_small(folder / "log.txt") or b"").decode("utf-8", "replace")
    control, changes, problem = config_changes(read_small(folder / "recipe.toml", 2**20) or b"")
    return Details(
        entry=entry,
        evaluation=read_json_object(folder / EVALUATION) or {},
        status=decode_status(read_small(folder / "status.json") or b"") or {},
        meta=read_meta(folder) or {},
        log=tuple(text.removesuffix("\n").split("\n")[-_LOG_LINES:]) if text else (),
        control=control,
        changes=changes,
        recipe_problem=problem,
        lineage=lineage_of(listing, entry),
        problems=tuple(verify_folder(folder)) if verify else None,
    )


def config_changes(recipe_toml: bytes) -> tuple[str, tuple[Change, ...], str]:
    """(what it is compared with, the settings that differ, why they cannot be told).

    Compared with EXP-00 at the recipe's own preset, so that what the preset says is not listed each time.
    """
    from hrm_core.recipe.difference import difference
    from hrm_core.recipe.lay import build_recipe
    from hrm_core.recipe.toml_io import from_toml
    from hrm_core.recipe.values import show_value

    if not recipe_toml:
        return CONTROL, (), "recipe.toml is missing or empty"
    try:
        recipe = from_toml(recipe_toml.decode("utf-8"))
    except (UserError, UnicodeDecodeError) as error:
        return CONTROL, (), error.message.split("\n")[0] if isinstance(error, UserError) else "it is no text"
    try:
        control, name = build_recipe(CONTROL, [f"preset={recipe.preset}"]).recipe, f"{CONTROL}, preset {recipe.preset}"
    except UserError:
        control, name = build_recipe(CONTROL).recipe, CONTROL
    found = difference(control, recipe).items()
    changes = [(key, show_value(pair[0]), show_value(pair[1])) for key, pair in found if key != "experiment"]
    return name, tuple(changes), ""
