"""The kinds of write of a run, each done by the functions that do it in a real one, and what a reader finds after it.

Torture room. A `Stage` is a home with a run of a tiny model with replay (checkpoint, archive, rows, predictions), a
queue and settings; `KINDS` are writes on it. `found_in` gives what the readers give: name -> value, without clocks.
Every act can be done again after it failed or was killed. Not here: faults (shim.py), judgement (sweep.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from hrm_core.recipe.lay import override_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs import archive_changes, queue
from hrm_core.runs.atomic import is_leftover, write_bytes
from hrm_core.runs.files import read_json_object, read_small
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.predictions import (
    prediction_names,
    read_prediction,
    read_predictions,
    read_tasks,
    record_name,
    steps_kept,
)
from hrm_core.runs.queue_records import to_json
from hrm_core.runs.queue_store import read_queue
from hrm_core.runs.reader import evaluation_rows, events, log_tail, metrics_rows, read_policy, read_run
from hrm_core.runs.records import decode_row, without_clocks
from hrm_core.runs.snapshot_names import PROMOTED, promoted_folder
from hrm_core.runs.snapshots import prune, read_whole_meta, verify_folder
from hrm_core.runs.user_settings import read_settings, write_settings
from hrm_core.runs.writer import RunWriter
from hrm_core.training.checkpoint import save_snapshot
from hrm_core.training.plan import make_plan
from hrm_core.training.progress import Progress
from hrm_core.training.step import StepParts

OLD_STEP, NEW_STEP = 11, 12
GOING = "without meta.json"  # a removal that was cut short; no loader takes it for whole
DIGITS = 64  # of a sha256
_ASIDE = re.compile(r"\.(.+)\.old-[0-9]+-[0-9a-f]{8}")
Act = Callable[[], None]


@final
@dataclass(frozen=True)
class Stage:
    """A home to write in. home: `runs/one`, `runs/queue`, `settings.toml`; parts: the state that is saved."""

    home: Path
    parts: StepParts
    ids: tuple[str, ...]

    @property
    def runs(self) -> Path:
        """The folder of runs."""
        return self.home / "runs"

    @property
    def layout(self) -> RunFolder:
        """The run."""
        return RunFolder(self.runs / "one")

    @property
    def settings(self) -> Path:
        """The file of settings."""
        return self.home / "config" / "settings.toml"


@final
@dataclass(frozen=True)
class Kind:
    """words: what is written; begin: opens what the write needs and gives the write; part: only paths with this;
    hdf5: whether HDF5 is made."""

    words: str
    begin: Callable[[Stage], Act]
    part: str = ""
    hdf5: bool = False


def _records(step: int) -> list[dict[str, Any]]:
    return [{"task": f"t{number:02d}", "test": 0, "step": step, "rows": ["0123456"] * 7} for number in range(30)]


def _meta(kind: str, step: int) -> dict[str, Any]:
    return {"kind": kind, "step": step, "run_id": "one"}


def save(stage: Stage, step: int) -> None:
    """A checkpoint of `step`."""
    progress = Progress(make_plan(stage.parts.recipe), step=step).to_json()
    save_snapshot(stage.layout.checkpoint(step), stage.parts, stage.ids, _meta("checkpoint", step), progress)


def make_stage(stage: Stage) -> None:
    """Everything that a run, its queue and its settings leave, with OLD_STEP as the last checkpoint."""
    recipe = stage.parts.recipe
    with RunWriter.create(stage.layout, to_toml(recipe), {"experiment": recipe.experiment}) as writer:
        for step in (5, 8, OLD_STEP, 13):
            writer.metrics({"step": step, "loss": 1.0 / step})
            writer.evaluation({"step": step, "kind": "fast", "split": "val", "weights": "ema", "score": 0.1})
            writer.event("note", step, text="before")
            writer.log(f"step {step}")
        writer.tasks(_records(0))
        for step in (5, 8, OLD_STEP):
            writer.predictions(step, _records(step))
        writer.policy({"nonfinite": 1})
        save(stage, OLD_STEP)
        save_snapshot(stage.layout.best(OLD_STEP), stage.parts, stage.ids, _meta("best", OLD_STEP))
        writer.status({"state": "running", "global_step": OLD_STEP})
    stage.settings.parent.mkdir()
    write_settings({"runs.inhibit_sleep": False}, stage.settings)
    for name in ("first", "second"):
        queue.add(stage.runs, "demo", name=name)


def _checkpoint(stage: Stage) -> Act:
    writer = RunWriter.open(stage.layout)

    def act() -> None:
        writer.sync()
        save(stage, NEW_STEP)
        prune(stage.layout.checkpoints, keep=1)

    return act


def _replaced(stage: Stage) -> Act:
    RunWriter.open(stage.layout)
    return lambda: save(stage, OLD_STEP)


def _archive(stage: Stage) -> Act:
    extra = {"evaluation.json": b"{}", "log.txt": b"a line\n" * 200, "predictions.jsonl.gz": b"\0" * 20_000}
    meta = {**_meta("best", NEW_STEP), "score": 0.5}
    return lambda: save_snapshot(stage.layout.best(NEW_STEP), stage.parts, stage.ids, meta, extra=extra)


def _status(stage: Stage) -> Act:
    writer = RunWriter.open(stage.layout)
    return lambda: writer.status({"state": "running", "global_step": NEW_STEP, "alarms": []})


def _rows(stage: Stage) -> Act:
    writer, layout = RunWriter.open(stage.layout), stage.layout

    def act() -> None:
        # Only what is not there yet, so that the act can be done again.
        if not any(row["step"] == 14 for row in metrics_rows(layout)):
            writer.metrics({"step": 14, "loss": 0.25})
        if not any(row["step"] == 14 for row in evaluation_rows(layout)):
            writer.evaluation({"step": 14, "kind": "full", "split": "val", "weights": "ema", "score": 0.3})
        if not any(row["step"] == 14 for row in events(layout)):
            writer.event("note", 14, text="after")
        if not any(line.endswith(" step 14") for line in log_tail(layout)):
            writer.log("step 14")
        writer.sync()

    return act


def _predictions(stage: Stage) -> Act:
    writer = RunWriter.open(stage.layout)

    def act() -> None:
        writer.tasks(_records(1))
        writer.predictions(NEW_STEP, _records(NEW_STEP))

    return act


def _policy(stage: Stage) -> Act:
    writer = RunWriter.open(stage.layout)
    return lambda: writer.policy({"nonfinite": 2})


def _result(stage: Stage) -> Act:
    writer = RunWriter.open(stage.layout)
    return lambda: writer.result({"state": "finished", "step": NEW_STEP})


def _resume(stage: Stage) -> Act:
    with RunWriter.open(stage.layout) as writer:
        writer.result({"state": "stopped", "step": OLD_STEP})
    longer = override_recipe(stage.parts.recipe, ["training.max_steps=80"])

    def act() -> None:
        with RunWriter.open(stage.layout) as writer:
            write_bytes(stage.layout.recipe_toml, to_toml(longer).encode())
            writer.cut(OLD_STEP)

    return act


def _create(stage: Stage) -> Act:
    layout, recipe = RunFolder(stage.runs / "two"), stage.parts.recipe

    def act() -> None:
        if read_json_object(layout.run_json) is None:
            RunWriter.create(layout, to_toml(recipe), {"experiment": recipe.experiment}).close()
        else:
            with RunWriter.open(layout) as writer:
                writer.status({"state": "starting", "global_step": 0})

    return act


def _promote(stage: Stage) -> Act:
    def act() -> None:
        if not promoted_folder(stage.runs, "kept").exists():
            archive_changes.promote(stage.runs, stage.layout.best(OLD_STEP), "kept")

    return act


def _queue(stage: Stage) -> Act:
    def act() -> None:
        queue.move(stage.runs, "second", "first")

    return act


def _settings(stage: Stage) -> Act:
    def act() -> None:
        write_settings({"runs.inhibit_sleep": True, "queue.hold_on_battery": False}, stage.settings)

    return act


KINDS: dict[str, Kind] = {
    "checkpoint": Kind("the next checkpoint, and the older one removed", _checkpoint),
    "replaced": Kind("a checkpoint in place of the same step's", _replaced),
    "replay": Kind("replay.h5 (HDF5) in a checkpoint", _checkpoint, "replay.h5", hdf5=True),
    "archive": Kind("an archive entry", _archive),
    "status": Kind("status.json", _status),
    "rows": Kind("rows of metrics, evaluations, events and log", _rows),
    "predictions": Kind("predictions and tasks", _predictions),
    "policy": Kind("policy.json", _policy),
    "result": Kind("result.json", _result),
    "create": Kind("a new run's folder", _create),
    "resume": Kind("a run taken up: rows cut, recipe made longer", _resume),
    "promote": Kind("a promoted snapshot", _promote),
    "queue": Kind("the queue's file", _queue),
    "settings": Kind("the settings' file", _settings),
}


def leftovers(home: Path) -> list[str]:
    """Temporary names anywhere under a home."""
    found = []
    for place, folders, names in os.walk(home):
        found += [str((Path(place) / name).relative_to(home)) for name in (*folders, *names) if is_leftover(name)]
        folders[:] = [name for name in folders if not is_leftover(name)]
    return sorted(found)


def _snapshot(folder: Path) -> str:
    """sha256 over the names and digests of a whole snapshot, else what it is."""
    meta = read_whole_meta(folder)
    if meta is None:
        return GOING
    problems = verify_folder(folder)
    if problems:
        return f"damaged: {problems[0]}"
    return hashlib.sha256(json.dumps(meta["files"], sort_keys=True).encode()).hexdigest()


def _snapshots(parent: Path) -> Iterator[tuple[str, str]]:
    names = sorted(os.listdir(parent)) if parent.is_dir() else []
    for name in names:
        if not is_leftover(name):
            yield name, _snapshot(parent / name)
        elif (aside := _ASIDE.fullmatch(name)) is not None and aside[1] not in names:
            yield aside[1], _snapshot(parent / name)  # moved aside; it is put back when the run is taken up


def _run(layout: RunFolder) -> Iterator[tuple[str, Any]]:
    view = read_run(layout)
    status = {key: value for key, value in view.status.items() if key not in ("heartbeat", "timestamp_utc", "process")}
    if layout.status_json.exists():
        yield "status.json", without_clocks(status) or "not readable"
    yield "run.json", view.run_json.get("run_id")
    yield "result.json", None if view.result is None else view.result.get("state")
    recipe = read_small(layout.recipe_toml)
    yield "recipe.toml", None if recipe is None else hashlib.sha256(recipe).hexdigest()
    yield "policy.json", read_policy(layout) or ("not readable" if layout.policy.exists() else None)
    for name, rows in (("metrics", metrics_rows(layout)), ("evaluations", evaluation_rows(layout))):
        lost = [decode_row(line) for path in layout.path.glob(f"{name}.lost-*.jsonl") for line in path.open("rb")]
        yield from ((f"{name} {number}", without_clocks(row)) for number, row in enumerate(rows))
        yield from ((f"{name} step {row['step']}, cut or not", True) for row in (*rows, *lost) if row is not None)
    yield from ((f"event {number}", without_clocks(row)) for number, row in enumerate(events(layout)))
    lines = [line.partition(" ")[2].partition(" ")[2] for line in log_tail(layout)]
    yield from ((f"log {line}", True) for line in lines if re.fullmatch(r"step \d+", line))
    for step in steps_kept(layout):
        records = list(read_predictions(layout, step))
        names = [record_name(record, line) for line, record in enumerate(records)]
        by_name = [read_prediction(layout, step, name) for name in names]
        indexed = prediction_names(layout, step) in ([], names)
        yield f"predictions {step}", [len(records), records == by_name and indexed, records[-1:]]
    yield "tasks", [(row["step"], row["task"]) for row in read_tasks(layout)]
    for place in (layout.checkpoints, layout.archive):
        yield from _snapshots(place)


def found_in(stage: Stage) -> dict[str, Any]:
    """What the readers find, by names that are the same before and after the write."""
    found: dict[str, Any] = {}
    for run in ("one", "two"):
        if (stage.runs / run).exists():
            found |= {f"{run}: {name}": value for name, value in _run(RunFolder(stage.runs / run))}
    found["a whole checkpoint"] = any(len(value) == DIGITS for _, value in _snapshots(stage.layout.checkpoints))
    found |= {f"promoted: {name}": value for name, value in _snapshots(stage.runs / PROMOTED)}
    rows = to_json(read_queue(stage.runs))
    found["queue"] = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    settings = read_settings(stage.settings)
    flags = [settings.flag(key) for key in ("runs.inhibit_sleep", "queue.hold_on_battery")]
    found["settings"] = [flags, list(settings.problems), settings.damaged]
    plain = json.loads(json.dumps({name: value for name, value in found.items() if value is not None}))
    assert isinstance(plain, dict)
    return plain


def age_leftovers(home: Path) -> None:
    """Makes temporary names two hours old: where others may be writing, a start removes only what is old."""
    for name in leftovers(home):
        past = os.stat(home / name, follow_symlinks=False).st_mtime - 7200
        os.utime(home / name, (past, past), follow_symlinks=False)
