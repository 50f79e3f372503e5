"""Room `runs`: giving a run another name, and taking a run away for good.

run folder -> the same folder under another name, or none. Only for runs that nobody trains: the run's lock is held
meanwhile, so neither a trainer nor a second person can come between. A run is gone in one rename to a hidden name;
deleting comes after it, and what a killed process left of that is deleted by the next one. Links are renamed or removed
themselves, never what they point to. The folder's name is the run's: run.json keeps the name it was born with, and
events.jsonl gets a row. Names of other files that mean the run are found by `references`, and said by who asks.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import explain_os_error, sync_folder, write_all
from hrm_core.runs.catalogue import is_run
from hrm_core.runs.files import Row, items, mapping, read_json_object, string
from hrm_core.runs.layout import RunFolder, check_name
from hrm_core.runs.locks import RunLock
from hrm_core.runs.queue_records import OVER
from hrm_core.runs.queue_store import queue_path
from hrm_core.runs.reader import read_run
from hrm_core.runs.records import encode_row, utc_now
from hrm_core.runs.sweeps import FOLDER as SWEEPS
from hrm_core.runs.sweeps import read_sweep
from hrm_core.runs.text import clean

_REMOVED: Final = re.compile(r"\..+\.removed-[0-9]+-[0-9a-f]{8}", re.DOTALL)


@final
@dataclass(frozen=True)
class Weight:
    """What a run's folder holds: bytes that removing it frees (hard links elsewhere keep theirs), checkpoints, archived
    bests, and how many of those are pinned."""

    bytes: int
    checkpoints: int
    bests: int
    pinned: int

    @property
    def words(self) -> str:
        """What is lost, in a phrase."""
        size = f"{self.bytes / 2**30:.1f} GiB" if self.bytes >= 2**30 else f"{self.bytes / 2**20:.1f} MiB"
        said = f"{size}, {_counted(self.checkpoints, 'checkpoint')}, {_counted(self.bests, 'archived best')}"
        return said + (f", {self.pinned} of them pinned" if self.pinned else "")


@final
@dataclass(frozen=True)
class References:
    """Who means a run by its name: sweeps, entries of the queue that are not over, runs that began from it."""

    sweeps: tuple[str, ...] = ()
    queue: tuple[str, ...] = ()
    children: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What it means for them when the name is gone, a sentence each."""
        said = []
        if self.sweeps:
            said.append(f"It belongs to sweep {_few(self.sweeps)}, which would train it again.")
        if self.queue:
            said.append(f"Entry {_few(self.queue)} of the queue waits for it.")
        if self.children:
            said.append(f"{_few(self.children)} began from it and will name a run that is not there.")
        return tuple(said)


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'s' * (count != 1)}"


def _few(names: tuple[str, ...]) -> str:
    return clean(", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else ""))


def weigh(folder: Path) -> Weight:
    """What removing a run would delete. Reads the folder's entries, no file; what cannot be read counts nothing."""
    layout = RunFolder.of(folder)
    if layout.path.is_symlink():
        return Weight(0, 0, 0, 0)
    links: dict[tuple[int, int], tuple[int, int, int]] = {}
    for place, folders, names in os.walk(layout.path):
        del folders
        for name in names:
            with suppress(OSError):
                state = os.lstat(os.path.join(place, name))
                key = (state.st_dev, state.st_ino)
                links[key] = (state.st_size, state.st_nlink, links.get(key, (0, 0, 0))[2] + 1)
    freed = sum(size for size, total, here in links.values() if here >= total)
    bests = _names(layout.archive)
    return Weight(
        bytes=freed,
        checkpoints=sum(name.startswith("step-") for name in _names(layout.checkpoints)),
        bests=sum(name.startswith("best-") and not name.endswith(".pinned") for name in bests),
        pinned=sum(name.endswith(".pinned") for name in bests),
    )


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def references(folder: Path) -> References:
    """Who means this run by its name, of what lies in the same runs folder."""
    folder = _place(folder)
    runs_dir, run_id = folder.parent, folder.name
    return References(_sweeps(runs_dir, run_id), _queued(runs_dir, run_id), _children(runs_dir, run_id))


def _sweeps(runs_dir: Path, run_id: str) -> tuple[str, ...]:
    found = []
    for name in _names(runs_dir / SWEEPS):
        # A file that is no sweep names no runs.
        with suppress(UserError):
            sweep = read_sweep(runs_dir, name.removesuffix(".json"))
            if any(planned.name == run_id for planned in sweep.runs):
                found.append(sweep.name)
    return tuple(found)


def _queued(runs_dir: Path, run_id: str) -> tuple[str, ...]:
    rows = items(read_json_object(queue_path(runs_dir)), "entries")
    return tuple(
        string(row, "id", 20) or "?" for row in rows if string(row, "state") not in OVER and _waits(row, run_id)
    )


def _waits(row: Row, run_id: str) -> bool:
    """Whether an entry of the queue begins after a run, from one of its snapshots, or goes on with it."""
    after = string(row, "after") if isinstance(row, dict) and row.get("after_is_run") is True else None
    source = string(row, "source") or ""
    from_it = source.partition("@")[0] == run_id or run_id in Path(source).parts
    return run_id in (after, string(row, "run_id")) or from_it


def _children(runs_dir: Path, run_id: str) -> tuple[str, ...]:
    found = []
    for name in _names(runs_dir):
        if name != run_id and is_run(runs_dir / name):
            parent = mapping(read_json_object(RunFolder(runs_dir / name).run_json), "parent")
            if string(parent, "run") == run_id:
                found.append(name)
    return tuple(found)


def _place(folder: Path) -> Path:
    """The folder by its own name, not by `.` or `..`; a link stays a link."""
    return Path(os.path.abspath(folder))


def check_idle(folder: Path, what: str) -> None:
    """UserError (1) if somebody trains the run, or may do; `what` is what cannot be done then."""
    view = read_run(folder)
    if view.is_live:
        name = clean(view.run_id)
        raise UserError(f"run {name} cannot be {what}: it is {view.state}; `hrm stop {name}` ends it first.", 1)


def rename_run(folder: Path, name: str, despite_references: bool = False) -> Path:
    """Gives a run another name; its new folder.

    UserError: the name is not allowed, or taken (2); the run goes on, a sweep or the queue means it by its name (unless
    `despite_references`), or the disk refuses (1).
    """
    folder = _place(folder)
    target = folder.with_name(check_name(name))
    if os.path.lexists(target):
        raise UserError(
            f"run {name} exists already in {clean(folder.parent)}; choose another name."
            if target != folder
            else f"run {name} is called so already; choose another name."
        )
    check_idle(folder, "renamed")
    found = references(folder)
    if (found.sweeps or found.queue) and not despite_references:
        said = References(found.sweeps, found.queue).sentences[0]
        raise UserError(f"run {clean(folder.name)} keeps its name. {said}\n--anyway renames it all the same.", 1)
    try:
        with ExitStack() as held:
            is_link = folder.is_symlink()
            if not is_link:
                # By its real place: the lock is remembered by that, and must be found again after the rename.
                held.enter_context(RunLock(Path(os.path.realpath(folder))))
            os.rename(folder, target)
            sync_folder(target.parent)
            if not is_link:
                _note(target, folder.name)
    except OSError as error:
        raise explain_os_error(error) from error
    return target


def _note(folder: Path, old: str) -> None:
    """Adds the event to events.jsonl; a run that cannot take it is renamed all the same."""
    row = encode_row({"time_utc": utc_now(), "step": None, "kind": "renamed", "from": old, "to": folder.name})
    with suppress(OSError):
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(RunFolder(folder).events, flags, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            torn = bool(size) and os.pread(descriptor, 1, size - 1) != b"\n"
            write_all(descriptor, b"\n" * torn + row)
        finally:
            os.close(descriptor)


def remove_run(folder: Path) -> None:
    """Takes a run away for good. UserError (1): the run goes on, or the disk refuses.

    If deleting fails half way the run is gone from every list already; what is left is deleted with the next one.
    """
    folder = _place(folder)
    check_idle(folder, "removed")
    try:
        _finish_earlier(folder.parent)
        if folder.is_symlink():
            folder.unlink()
            return
        hidden = folder.with_name(f".{folder.name[:160]}.removed-{os.getpid()}-{secrets.token_hex(4)}")
        with RunLock(Path(os.path.realpath(folder))):
            os.rename(folder, hidden)
        sync_folder(folder.parent)
        try:
            shutil.rmtree(hidden)
        except FileNotFoundError:  # another removal deletes it too
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise explain_os_error(error) from error


def _finish_earlier(runs_dir: Path) -> None:
    """Deletes what removals left that were killed. Two that do so at once do no harm."""
    for name in os.listdir(runs_dir):
        if _REMOVED.fullmatch(name) and not (runs_dir / name).is_symlink():
            shutil.rmtree(runs_dir / name, ignore_errors=True)
