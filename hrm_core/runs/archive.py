"""Room `runs`: the archived bests of all runs of a folder, and the snapshots promoted from them.

runs folder -> `Listing` of `Entry` values: where each lies, what its evaluation said (with the trivial predictors'
values), what it weighs, whether it is the best of its run, pinned or promoted, and which snapshot its run began from.
A pin is an empty file `best-00000120.pinned` beside the folder: it goes where the run goes, and two writers cannot lose
one. Promoted snapshots are folders `<runs>/promoted/NAME`. Snapshot folders never change once they are there, so what
was read of one is remembered by time and inode. Nothing is written here: see `archive_changes.py`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar, final

from hrm_core.errors import UserError
from hrm_core.runs.catalogue import is_run
from hrm_core.runs.files import Row, integer, mapping, number, read_json_object, read_small, string
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import best_trivial, read_status
from hrm_core.runs.snapshot_names import PROMOTED
from hrm_core.runs.snapshots import newest_first, read_whole_meta, step_of
from hrm_core.runs.text import clean

RAW_WEIGHTS: Final = "weights.safetensors"
EVALUATED_WEIGHTS: Final = "evaluation.safetensors"
EVALUATION: Final = "evaluation.json"
METRICS: Final = (
    "exact",
    "token_exact",
    "pass_at_1",
    "pass_at_2",
    "pass_at_2_per_test",
    "cell_accuracy",
    "color_accuracy",
    "changed_cell_accuracy",
    "shape_accuracy",
    "padded_accuracy",
)
# What can be sorted by besides the metrics of evaluations.
OTHER_ORDERS: Final = ("loss", "newest", "size")
# A thousand evaluations are kept in memory; their tables of families and halting are read when one is opened.
_LISTED: Final = ("step", "time_utc", "kind", "split", "weights", "pairs", "tasks", "loss", "metrics", "trivial")
_PINNED: Final = ".pinned"
_TRIES: Final = 20
Value = TypeVar("Value")
Known = dict[Path, tuple[tuple[int, int], Value]]


@final
@dataclass(frozen=True)
class Parent:
    """The snapshot that a run took its first weights from; `digest` is the sha256 of the file of weights."""

    run: str
    step: int | None
    digest: str


@final
@dataclass(frozen=True)
class Origin:
    """What run.json says of where a run comes from."""

    experiment: str = ""
    preset: str = ""
    seed: int | None = None
    created: str = ""
    data: str = ""
    parent: Parent | None = None


@final
@dataclass(frozen=True)
class Entry:
    """One archived best, or a promoted snapshot whose archived one is gone.

    name: how commands call it, RUN@STEP or the promoted name; evaluation: the row of its validation, without tables;
    files: {name: {sha256, bytes}}; blocks: (device, inode, bytes) of each file, so that hard links count once;
    promoted: its promoted names; damaged: its meta.json cannot be read.
    """

    name: str
    run_id: str
    step: int | None
    folder: Path
    origin: Origin = Origin()
    evaluation: Row = field(default_factory=dict)
    files: Row = field(default_factory=dict)
    blocks: frozenset[tuple[int, int, int]] = frozenset()
    is_best: bool = False
    pinned: bool = False
    promoted: tuple[str, ...] = ()
    damaged: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files, those of its promoted copies too where they are no links."""
        return sum(size for _, _, size in self.blocks)

    @property
    def time_utc(self) -> str:
        """When it was validated."""
        return string(self.evaluation, "time_utc", 40) or ""

    @property
    def loss(self) -> float | None:
        """Loss of its validation."""
        return number(self.evaluation, "loss")

    @property
    def kept(self) -> bool:
        """Whether pruning leaves it alone whatever the budget is."""
        return self.is_best or self.pinned or bool(self.promoted)

    def metric(self, name: str) -> float | None:
        """A metric of its evaluation."""
        return number(mapping(self.evaluation, "metrics"), name)

    def trivial(self, name: str) -> tuple[str, float] | None:
        """(predictor, value) of the best trivial predictor on the same tests."""
        return best_trivial(self.evaluation, name)

    def lift(self, name: str) -> float | None:
        """The metric minus the best trivial predictor's."""
        value, trivial = self.metric(name), self.trivial(name)
        return None if value is None or trivial is None else value - trivial[1]

    def digest(self, file: str = EVALUATED_WEIGHTS) -> str:
        """sha256 of one of its files as written down, by default of the weights that were evaluated; "" if unknown."""
        return string(mapping(self.files, file), "sha256", 64) or ""

    def bytes_of(self, file: str) -> int | None:
        """Size of one of its files as written down."""
        return integer(mapping(self.files, file), "bytes")


@final
@dataclass(frozen=True)
class Listing:
    """The archive at one moment. origins: where each run comes from, also of runs without an archived best."""

    entries: tuple[Entry, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)

    @property
    def disk_bytes(self) -> int:
        """What all entries take on the disk; a file with several names counts once."""
        return sum(size for _, _, size in frozenset().union(*(entry.blocks for entry in self.entries)))

    def find(self, folder: Path) -> Entry | None:
        """The entry whose snapshot lies in `folder`."""
        wanted = os.path.realpath(folder)
        return next((entry for entry in self.entries if os.path.realpath(entry.folder) == wanted), None)


def pin_path(folder: Path) -> Path:
    """The file whose presence means that the snapshot `folder` is pinned."""
    return folder.with_name(folder.name + _PINNED)


def origin_of(run_json: object) -> Origin:
    """Where a run comes from, by its run.json."""
    recipe, parent = mapping(run_json, "recipe"), mapping(run_json, "parent")
    run = string(parent, "run", 200)
    return Origin(
        string(run_json, "experiment", 200) or "",
        string(recipe, "preset", 80) or "",
        integer(mapping(recipe, "training"), "seed"),
        string(run_json, "created_utc", 40) or "",
        string(run_json, "data", 4000) or "",
        None if run is None else Parent(run, integer(parent, "step"), string(parent, "digest", 64) or ""),
    )


def read_entry(folder: Path, name: str = "") -> Entry:
    """The entry of any snapshot folder by itself: what its own files say, no more."""
    meta = read_whole_meta(folder)
    evaluation = read_json_object(folder / EVALUATION) or {}
    step = integer(meta, "step")
    return Entry(
        name=name or folder.name,
        run_id=string(meta, "run_id", 200) or "",
        step=step_of(folder) if step is None else step,
        folder=folder,
        evaluation={key: evaluation[key] for key in _LISTED if key in evaluation},
        files=mapping(meta, "files"),
        blocks=_blocks(folder),
        damaged=meta is None,
    )


def _blocks(folder: Path) -> frozenset[tuple[int, int, int]]:
    try:
        with os.scandir(folder) as entries:
            states = [entry.stat(follow_symlinks=False) for entry in entries]
    except OSError:
        return frozenset()
    return frozenset((state.st_dev, state.st_ino, state.st_size) for state in states)


def _promoted_entry(folder: Path) -> Entry:
    """A promoted snapshot: its meta.json says where it came from, its recipe what it is."""
    entry = read_entry(folder)
    provenance = mapping(read_whole_meta(folder), "promoted")
    try:
        recipe: Row = tomllib.loads((read_small(folder / "recipe.toml", 2**20) or b"").decode("utf-8"))
    except (ValueError, RecursionError):
        recipe = {}
    head = {"experiment": string(recipe, "experiment", 200), "recipe": recipe}
    return replace(entry, name=folder.name, origin=origin_of({**provenance, **head}), promoted=(folder.name,))


@final
class Archive:
    """Reads the archive of a runs folder. Keep one to read again: only what changed is opened."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._entries: Known[Entry] = {}
        self._origins: Known[Origin] = {}

    def read(self) -> Listing:
        """Every archived best by run and step, then promoted snapshots without one; nothing if there is no such folder.

        OSError if the folder is there but cannot be read.
        """
        try:
            names = sorted(os.listdir(self.runs_dir))
        except FileNotFoundError:
            return Listing()
        layouts = [
            RunFolder(self.runs_dir / name)
            for name in names
            if not name.startswith(".") and is_run(self.runs_dir / name)
        ]
        origins = {layout.run_id: self._origin(layout) for layout in layouts}
        entries = [entry for layout in layouts for entry in self._of_run(layout, origins[layout.run_id])]
        entries = _with_promoted(entries, self._promoted())
        there = {entry.folder for entry in entries} | {
            self.runs_dir / PROMOTED / n for e in entries for n in e.promoted
        }
        self._entries = {path: known for path, known in self._entries.items() if path in there}
        return Listing(tuple(entries), origins)

    def _origin(self, layout: RunFolder) -> Origin:
        return _remembered(self._origins, layout.run_json, lambda path: origin_of(read_json_object(path)))

    def _of_run(self, layout: RunFolder, origin: Origin) -> list[Entry]:
        folders = newest_first(layout.archive)
        best = integer(mapping(read_status(layout), "best"), "step") if folders else None
        found = [self._entry(folder) for folder in folders]
        # What was removed since the folder was listed is not there; it is not damaged.
        folders, found = _still_there(folders, found)
        last_whole = next((entry.folder for entry in found if not entry.damaged), None)
        entries = []
        for folder, entry in zip(folders, found, strict=True):
            step = step_of(folder)
            entries.append(
                replace(
                    entry,
                    name=f"{layout.run_id}@{step}",
                    run_id=layout.run_id,
                    step=step,
                    origin=origin,
                    # RUN@best is the last whole one; after a resume the status may name one before it.
                    is_best=folder == last_whole or step == best,
                    pinned=pin_path(folder).is_file(),
                )
            )
        return entries[::-1]

    def _entry(self, folder: Path) -> Entry:
        """One that is being replaced is not there for a moment: what looks damaged and is there is looked at anew."""
        entry = _remembered(self._entries, folder, read_entry)
        if entry.damaged and os.path.lexists(folder):
            entry = _remembered(self._entries, folder, read_entry)
        return entry

    def _promoted(self) -> list[Entry]:
        place = self.runs_dir / PROMOTED
        if is_run(place):
            return []
        try:
            names = sorted(name for name in os.listdir(place) if not name.startswith(".") and (place / name).is_dir())
        except OSError:
            return []
        return [_remembered(self._entries, place / name, _promoted_entry) for name in names]


def _remembered(known: Known[Value], path: Path, read: Callable[[Path], Value]) -> Value:
    """What was read of a path that has not changed since, else what it says now."""
    before = known.get(path)
    for _ in range(_TRIES):
        mark = _mark(path)
        if before is not None and before[0] == mark:
            return before[1]
        before = (mark, read(path))
        known[path] = before
        # And look again: what was replaced meanwhile was read half from the one and half from the other.
    assert before is not None
    return before[1]


def _still_there(folders: Sequence[Path], found: Sequence[Entry]) -> tuple[list[Path], list[Entry]]:
    kept = [at for at, entry in enumerate(found) if not entry.damaged or os.path.lexists(folders[at])]
    return [folders[at] for at in kept], [found[at] for at in kept]


def _mark(path: Path) -> tuple[int, int]:
    try:
        state = os.stat(path)
    except OSError:
        return (0, 0)
    return (state.st_mtime_ns, state.st_ino)


def _with_promoted(entries: Sequence[Entry], promoted: Sequence[Entry]) -> list[Entry]:
    """Promoted snapshots as a mark on the entry that they were made from, or as entries where that is gone."""
    found, alone = list(entries), []
    for snapshot in promoted:
        same = [at for at, entry in enumerate(found) if snapshot.digest() and entry.digest() == snapshot.digest()]
        if not same:
            alone.append(snapshot)
            continue
        # Of two with the same weights (a run that was copied) it is the one whose files it shares.
        at = max(same, key=lambda place: len(found[place].blocks & snapshot.blocks))
        entry = found[at]
        found[at] = replace(entry, promoted=(*entry.promoted, snapshot.name), blocks=entry.blocks | snapshot.blocks)
    return found + alone


def metric_names(entries: Sequence[Entry]) -> list[str]:
    """Every metric that any evaluation has, the known ones in their order first."""
    found = {name for entry in entries for name in mapping(entry.evaluation, "metrics")}
    return [name for name in METRICS if name in found] + sorted(found - set(METRICS))


def ordered(entries: Sequence[Entry], by: str) -> list[Entry]:
    """The best first by a metric, by "loss" (the lowest first), "newest" or "size"; those without a value come last.

    Ties go to the lower loss, then to the later one. UserError for a metric that no evaluation has.
    """
    names = metric_names(entries)
    if by not in OTHER_ORDERS and by not in names and entries:
        raise UserError(f"--by {clean(by[:60])}: no evaluation has it; choose of {', '.join([*names, *OTHER_ORDERS])}")

    def worth(entry: Entry) -> Any:
        value = {"loss": entry.loss, "size": float(entry.size_bytes)}.get(by, entry.metric(by))
        sign = -1.0 if by == "loss" else 1.0
        loss = float("inf") if entry.loss is None else entry.loss
        rank = (value is not None, sign * (value or 0.0), -loss) if by != "newest" else (True, 0.0, 0.0)
        return (*rank, entry.time_utc, entry.name)

    return sorted(entries, key=worth, reverse=True)
