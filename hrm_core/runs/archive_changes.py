"""Room `runs`: what people do to the archive: pin, promote, prune.

Entries and snapshot folders -> files that appear or vanish whole. Pinning makes an empty file beside the snapshot.
Promoting gives a snapshot a name and a place of its own, `<runs>/promoted/NAME`, by hard links where the file system
has them, so that it outlives its run and costs no room. Pruning keeps to a budget of bytes: the oldest go first, never
the best of a run, nothing pinned or promoted, nothing of a run that goes on. Copies for elsewhere: `archive_export.py`.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs.archive import EVALUATED_WEIGHTS, EVALUATION, RAW_WEIGHTS, Entry, Listing, origin_of, pin_path
from hrm_core.runs.atomic import ABANDONED_S, atomic_folder, clean_leftovers, explain_os_error, write_bytes
from hrm_core.runs.catalogue import is_run
from hrm_core.runs.files import Row, integer, mapping, read_json_object, string
from hrm_core.runs.layout import NAME_RULE, RunFolder, check_name
from hrm_core.runs.reader import read_run
from hrm_core.runs.records import utc_now
from hrm_core.runs.snapshot_names import PROMOTED, promoted_folder
from hrm_core.runs.snapshots import META_NAME, read_whole_meta, remove_snapshot, write_meta
from hrm_core.runs.text import clean

# What a promoted or exported snapshot holds of another: no state of optimizers, nothing to resume from.
TAKEN: Final = (
    "recipe.toml",
    "tasks.json",
    RAW_WEIGHTS,
    EVALUATED_WEIGHTS,
    EVALUATION,
    "status.json",
    "log.txt",
    "predictions.jsonl.gz",
)


def pin(entry: Entry, pinned: bool = True) -> None:
    """Pins an archived best, or takes the pin away. UserError (1) where it cannot be written, or is no archived one."""
    if entry.folder.parent.name == PROMOTED:
        raise UserError(f"{clean(entry.name)} is promoted, and so never pruned; there is nothing to pin.", 1)
    path = pin_path(entry.folder)
    try:
        if pinned:
            write_bytes(path, f"{utc_now()}\n".encode())
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise explain_os_error(error) from error


def home_of(snapshot: Path) -> RunFolder | None:
    """The run that a snapshot folder lies in, or None (a promoted one, an export)."""
    layout = RunFolder(snapshot.resolve().parent.parent)
    return layout if is_run(layout.path) else None


def described(snapshot: Path) -> tuple[str, int | None, Row]:
    """(run, step, provenance) of a snapshot: by the run that it lies in, else by what its meta.json says."""
    meta, home = read_whole_meta(snapshot) or {}, home_of(snapshot)
    run_json = {} if home is None else read_json_object(home.run_json) or {}
    before = mapping(meta, "promoted")
    origin = origin_of(run_json or before)
    parent = origin.parent
    run = home.run_id if home is not None else string(meta, "run_id", 200) or snapshot.resolve().name
    return (
        run,
        integer(meta, "step"),
        {
            "created_utc": origin.created,
            "data": origin.data,
            "parent": None if parent is None else {"run": parent.run, "step": parent.step, "digest": parent.digest},
        },
    )


def take_files(snapshot: Path, folder: Path, link: bool) -> Row:
    """Puts the files of a snapshot into a new folder, as links or copies; gives its meta.json. Checked by `seal`."""
    meta = read_whole_meta(snapshot)
    if meta is None:
        raise UserError(f"{clean(snapshot)} is no whole snapshot: its {META_NAME} is missing or damaged.", 1)
    for name in TAKEN:
        if name not in mapping(meta, "files"):
            continue
        if not stat.S_ISREG(os.lstat(snapshot / name).st_mode):
            raise UserError(f"{clean(snapshot)} is no whole snapshot: {name} is no file.", 1)
        if link:
            try:
                os.link(snapshot / name, folder / name, follow_symlinks=False)
                continue
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS):
                    raise
        shutil.copyfile(snapshot / name, folder / name, follow_symlinks=False)
    return meta


def seal(folder: Path, snapshot: Path, meta: Row, more: Row) -> None:
    """Writes meta.json of a folder made by `take_files`. UserError (1) where a byte is not what the snapshot's says."""
    write_meta(folder, {**{key: value for key, value in meta.items() if key != "files"}, **more})
    made, wanted = mapping(read_whole_meta(folder), "files"), mapping(meta, "files")
    wrong = [name for name in TAKEN if name in wanted and made.get(name) != wanted[name]]
    if wrong:
        raise UserError(f"{clean(snapshot)} is no whole snapshot: {wrong[0]} has changed since it was written.", 1)


def promote(runs_dir: Path, snapshot: Path, name: str) -> Path:
    """Gives a snapshot a name and a place of its own; gives the folder. UserError: the name (2), its files (1)."""
    try:
        check_name(name)
    except UserError:
        raise UserError(f"name {clean(name[:80])!r} is not allowed for a snapshot: use {NAME_RULE}.") from None
    if is_run(runs_dir / name):
        raise UserError(f"name {name!r} is a run's in {clean(runs_dir)}; give the snapshot another one.")
    if is_run(runs_dir / PROMOTED):
        raise UserError(f"a run is called {PROMOTED!r}, where promoted snapshots would lie; rename it first.", 1)
    target = promoted_folder(runs_dir, name)
    run, step, provenance = described(snapshot)
    source = f"{run}@{step}"
    try:
        clean_leftovers(target.parent, ABANDONED_S)
        with atomic_folder(target) as folder:
            meta = take_files(snapshot, folder, link=True)
            seal(
                folder,
                snapshot,
                {**meta, "run_id": run},
                {"promoted": {"name": name, "from": source, "time_utc": utc_now(), **provenance}},
            )
    except FileExistsError:
        raise UserError(f"there is a promoted snapshot {name!r} already; choose another name or remove it.") from None
    except OSError as error:
        raise explain_os_error(error) from error
    return target


def demote(runs_dir: Path, name: str) -> None:
    """Removes a promoted snapshot; the run's own stays. UserError: an unknown name (2), a disk that refuses (1)."""
    target = promoted_folder(runs_dir, name)
    is_name = "/" not in name and name not in ("", ".", "..") and not is_run(runs_dir / PROMOTED)
    if not is_name or not target.is_dir() or target.is_symlink():
        raise UserError(f"there is no promoted snapshot {clean(name[:80])!r} in {clean(runs_dir)}.")
    _remove(target)


def _remove(folder: Path) -> None:
    """Removes a snapshot. UserError (1) where the disk refuses, be it a part of it."""
    try:
        remove_snapshot(folder)
        if os.path.lexists(folder):
            folder.rmdir()  # says why it cannot go
    except FileNotFoundError:
        return  # somebody else removed it
    except OSError as error:
        raise explain_os_error(error) from error


@final
@dataclass(frozen=True)
class PrunePlan:
    """What pruning would do. total: bytes of the whole archive now; goes: what would be removed, the oldest first;
    busy: runs that go on, whose entries were left out; short: bytes over the budget that must stay."""

    budget: int
    total: int
    goes: tuple[Entry, ...]
    busy: tuple[str, ...] = ()

    @property
    def frees(self) -> int:
        """Bytes that come free."""
        return sum(entry.size_bytes for entry in self.goes)

    @property
    def short(self) -> int:
        """Bytes over the budget that stay, because what holds them is kept."""
        return max(0, self.total - self.frees - self.budget)


def live_runs(runs_dir: Path, names: Collection[str]) -> set[str]:
    """Those of the runs that a process works on, here or elsewhere."""
    return {name for name in sorted(names) if read_run(runs_dir / name).is_live}


def plan_prune(listing: Listing, budget_bytes: int, live: Collection[str]) -> PrunePlan:
    """Which entries go so that the archive keeps to the budget: as many of the oldest as it takes, no more."""
    total = left = listing.disk_bytes
    may_go = [entry for entry in listing.entries if not entry.kept]
    goes: list[Entry] = []
    for entry in sorted((entry for entry in may_go if entry.run_id not in live), key=_age):
        if left <= budget_bytes:
            break
        goes.append(entry)
        left -= entry.size_bytes
    busy = {entry.run_id for entry in may_go if entry.run_id in live} if left > budget_bytes else set()
    return PrunePlan(budget_bytes, total, tuple(goes), tuple(sorted(busy)))


def _age(entry: Entry) -> tuple[str, str, int]:
    return entry.time_utc, entry.run_id, entry.step or 0


def prune(runs_dir: Path, entries: Sequence[Entry]) -> list[Entry]:
    """Removes planned entries; gives those that went. What was pinned, or whose run was taken up, since then stays.

    UserError (1) where the disk refuses; those before are gone then.
    """
    gone = []
    for entry in entries:
        home = home_of(entry.folder)
        if pin_path(entry.folder).is_file() or home is None or home.path.parent != runs_dir.resolve():
            continue
        if read_run(home).is_live:
            continue
        _remove(entry.folder)
        gone.append(entry)
    return gone
