"""Room `runs`: the one writer of a run folder.

The trainer's rows, events and states -> files that a reader finds whole at any moment, kill -9 included: rows are
appended with one write call each, status and result are replaced by rename. The writer holds the run's lock from
`create` or `open` to `close`. Going back to a checkpoint cuts metrics and evaluations with `cut`; nothing is ever
overwritten in place. Folders of weights are made by the trainer with `atomic.atomic_folder` and `snapshots.write_meta`.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, final

from hrm_core.errors import UserError
from hrm_core.runs import predictions
from hrm_core.runs.atomic import (
    clean_leftovers,
    explain_os_error,
    is_leftover,
    make_folder,
    naming,
    refuse_link,
    write_bytes,
    write_json,
)
from hrm_core.runs.control import Inbox
from hrm_core.runs.files import Row, integer, read_at, read_json_object, read_small
from hrm_core.runs.formats import RUN_FORMAT, refuse_newer
from hrm_core.runs.launch import identity, process_age_s
from hrm_core.runs.layout import RunFolder, check_name
from hrm_core.runs.locks import RunLock, holder
from hrm_core.runs.records import decode_row, decode_status, encode_row, encode_status, utc_now
from hrm_core.runs.text import clean
from hrm_core.runs.written import EVALUATIONS, KEYS, METRICS, ROWS, Key, Written, key_of

ENDED: Final = ("finished", "stopped", "failed")
# What may lie in the folder of a new run: what a launcher leaves, and a process killed before it wrote run.json.
_BEFORE_A_RUN: Final = frozenset({"output.txt", "launch.json", "lock", "control", "recipe.toml"})
_MAX_CUT_BYTES: Final = 2**31
_APPENDED: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW

T = TypeVar("T")


@final
class _Appended:
    """A file of lines that only grows. A line is one write call, so a killed writer tears at most the last one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Sizes without and with the line that is being written, which may be torn and not taken back yet.
        self._due: tuple[int, int] | None = None
        self._unsynced = False  # whether a sync has failed
        self._descriptor = os.open(path, _APPENDED | os.O_CREAT, 0o666)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            # A torn line of an earlier process must not swallow the next row.
            self.append(b"\n")

    def append(self, line: bytes) -> None:
        with naming(self.path):
            self._mend()
            size = os.fstat(self._descriptor).st_size
            self._due = (size, size + len(line))
            written = os.write(self._descriptor, line)
            if written == len(line):
                self._due = None
                return
            # A full disk takes a part; that part must not stay in the middle of the file.
            self._mend()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def _mend(self) -> None:
        if self._due is not None:
            # An interrupt may come between a write that went through and the word of it.
            if os.fstat(self._descriptor).st_size != self._due[1]:
                os.ftruncate(self._descriptor, self._due[0])
            self._due = None

    def is_at_its_path(self) -> bool:
        """Whether this is still the file of that name; another may be there when a cut met an error half-way."""
        try:
            return os.path.samestat(os.stat(self.path, follow_symlinks=False), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def sync(self) -> None:
        with naming(self.path):
            if self._unsynced:
                # Where a sync fails, the next one may succeed without what the first could not write: write all anew.
                write_bytes(self.path, read_at(self._descriptor, 0, os.fstat(self._descriptor).st_size))
                renewed = os.open(self.path, _APPENDED)
                os.dup2(renewed, self._descriptor, inheritable=False)
                os.close(renewed)
            self._unsynced = True
            os.fsync(self._descriptor)
            self._unsynced = False

    def close(self) -> None:
        os.close(self._descriptor)


@final
class RunWriter:
    """Writes one run. Made by `create` (a new run) or `open` (an existing one); OSError on a full or broken disk."""

    def __init__(self, folder: Path | RunFolder, lock: RunLock) -> None:
        self.layout = RunFolder.of(folder)
        self._lock = lock
        self._guard = threading.RLock()
        self._closed = False
        self.heard: Callable[[str, int | None, Mapping[str, Any]], None] | None = None
        # Asked what to do where a write meets an OSError: wait, then True to try it again. `on_room`: it went through.
        self.on_trouble: Callable[[OSError], bool] | None = None
        self.on_room: Callable[[], None] | None = None
        status = decode_status(read_small(self.layout.status_json) or b"") or {}
        self._last_status: Row = status
        self._heartbeat = integer(status, "heartbeat") or 0
        self._process = identity()
        self._metrics = _Appended(self.layout.metrics)
        self._evaluations = _Appended(self.layout.evaluations)
        self._events = _Appended(self.layout.events)
        self._log = _Appended(self.layout.log)
        self.written = Written(self.layout)

    @classmethod
    def create(cls, folder: Path | RunFolder, recipe_toml: str, run_json: Mapping[str, Any]) -> Self:
        """Makes the folder, takes its lock and writes recipe.toml, run.json and a first status ("starting").

        run.json gets `format`, `run_id`, `created_utc` and `process` where they are missing. UserError: the name is
        not allowed (2), there is such a run or something else in the folder (2), it is running or not writable (1).
        """
        layout = RunFolder.of(folder)
        name = check_name(layout.run_id)
        is_new = not os.path.lexists(layout.path)
        try:
            make_folder(layout.path)
            _refuse_used_folder(layout)
            lock = RunLock(layout).acquire()
            _refuse_run_that_came(layout, lock)
            try:
                head = {"format": RUN_FORMAT, "run_id": name, "created_utc": utc_now(), "process": identity()}
                write_bytes(layout.recipe_toml, recipe_toml.encode("utf-8"))
                write_json(layout.run_json, {**head, **run_json}, seal=True)
                for place in (layout.control, layout.checkpoints, layout.archive, layout.predictions):
                    place.mkdir(exist_ok=True)
                writer = cls(layout, lock)
                writer.status({"state": "starting", "global_step": 0})
            except BaseException:
                if is_new:
                    shutil.rmtree(layout.path, ignore_errors=True)
                lock.release()
                raise
        except OSError as error:
            raise explain_os_error(error) from error
        return writer

    @classmethod
    def open(cls, folder: Path | RunFolder) -> Self:
        """Takes up an existing run: its lock, leftovers of a killed writer removed, an old result put aside.

        Requests that were left before this process began are dropped (they were meant for an earlier one). The caller
        then cuts to its checkpoint. UserError: no such run (2), it is running, not writable or of a newer version (1).
        """
        layout = RunFolder.of(folder)
        run_json = read_json_object(layout.run_json)
        if run_json is None:
            raise UserError(f"{clean(layout.path)} is no run: its run.json is missing or damaged; see `hrm list`.")
        refuse_newer(run_json, RUN_FORMAT, layout.path)
        try:
            lock = RunLock(layout).acquire()
            try:
                for place in (layout.control, layout.checkpoints, layout.archive, layout.predictions):
                    refuse_link(place)
                    place.mkdir(exist_ok=True)
                for place in (layout.path, layout.checkpoints, layout.archive, layout.predictions):
                    clean_leftovers(place)
                clean_leftovers(layout.control, older_than_s=3600.0)
                Inbox(layout).drop_older_than(time.time() - process_age_s() - 1.0)
                if os.path.lexists(layout.result):
                    os.rename(layout.result, _numbered(layout.path, "result.earlier", ".json"))
                writer = cls(layout, lock)
                writer.status({**writer._last_status, "state": "starting"})
            except BaseException:
                lock.release()
                raise
        except OSError as error:
            raise explain_os_error(error) from error
        return writer

    def patiently(self, work: Callable[[], T]) -> T:
        """Does what writes into the folder, again and again for as long as `on_trouble` says so. Not to be nested."""
        troubled = False
        while True:
            try:
                with self._guard:
                    done = work()
            except OSError as error:
                if self.on_trouble is None or not self.on_trouble(error):
                    raise
                troubled = True
                continue
            if troubled and self.on_room is not None:
                self.on_room()
            return done

    def metrics(self, row: Mapping[str, Any]) -> None:
        """Appends one row of the training log; it needs `step` and gets `time_utc` where that is missing."""
        self._append(self._metrics, row)

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Appends one validation; it needs `step` and gets `time_utc` where that is missing."""
        self._append(self._evaluations, row)

    def _append(self, file: _Appended, row: Mapping[str, Any]) -> None:
        assert isinstance(row.get("step"), int), "a row needs its step"
        line = encode_row(row if "time_utc" in row else {**row, "time_utc": utc_now()})
        self.patiently(lambda: file.append(line))
        self.written.add(file.path.name, row)

    def event(self, kind: str, step: int | None = None, **fields: Any) -> None:
        """Appends one event: time_utc, step, kind and `fields`; then tells `heard`, where somebody listens."""
        line = encode_row({"time_utc": utc_now(), "step": step, "kind": kind, **fields})
        self.patiently(lambda: self._events.append(line))
        self.written.add_event()
        if self.heard is not None:
            self.heard(kind, step, fields)

    def log(self, line: str) -> None:
        """Appends text to log.txt; every line gets the time before it."""
        stamp = utc_now()[:19].replace("T", " ")
        text = "".join(f"{stamp} {part}\n" for part in line.splitlines() or [""])
        self.patiently(lambda: self._log.append(text.encode("utf-8", errors="replace")))

    def status(self, status: Mapping[str, Any]) -> None:
        """Replaces status.json; run_id, heartbeat (one more each time), timestamp_utc and process are filled in."""
        self.patiently(lambda: self._replace_status(status))

    def _replace_status(self, status: Mapping[str, Any]) -> None:
        self._heartbeat += 1
        head = {"run_id": self.layout.run_id, "state": "running", "heartbeat": self._heartbeat}
        own = {"heartbeat": self._heartbeat, "timestamp_utc": utc_now(), "process": self._process}
        self._last_status = {**head, **status, **own}
        write_bytes(self.layout.status_json, encode_status(self._last_status))

    def beat(self) -> None:
        """Replaces status.json by itself with the next heartbeat: a sign of life in a long validation."""
        self.patiently(lambda: self._replace_status(self._last_status))

    def result(self, result: Mapping[str, Any]) -> None:
        """Writes result.json, the last file of a run; `state` is finished, stopped or failed."""
        assert result.get("state") in ENDED, f"a result's state is one of {ENDED}"
        head = {"run_id": self.layout.run_id, "time_utc": utc_now(), ROWS: self.sync()}
        self.patiently(lambda: write_json(self.layout.result, {**head, **result}, seal=True))

    def policy(self, policy: Mapping[str, Any]) -> None:
        """Replaces policy.json: counts that outlive a rollback."""
        self.patiently(lambda: write_json(self.layout.policy, policy, seal=True))

    def predictions(self, step: int, records: Iterable[Mapping[str, Any]], keep: Collection[int] = ()) -> None:
        """Writes the predictions of a validation; of older ones the last three and the steps in `keep` stay."""
        listed = list(records)
        self.patiently(lambda: predictions.write_predictions(self.layout, step, listed, keep))

    def tasks(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Writes the tasks that predictions refer to, once."""
        listed = list(records)
        self.patiently(lambda: predictions.write_tasks(self.layout, listed))

    def cut(self, step: int) -> int:
        """Takes metrics and evaluations back to rows with step <= `step`; gives the number of rows cut.

        Cut and damaged rows go to `metrics.lost-N.jsonl` and `evaluations.lost-N.jsonl`; predictions after `step` go.
        """
        return self.patiently(lambda: self._cut(step))

    def _cut(self, step: int) -> int:
        self._metrics, cut_metrics, kept = _cut_file(self._metrics, step, KEYS[METRICS])
        self.written.cut(METRICS, kept)
        self._evaluations, cut_rows, kept = _cut_file(self._evaluations, step, KEYS[EVALUATIONS])
        self.written.cut(EVALUATIONS, kept)
        later = [found for found in predictions.steps_kept(self.layout) if found > step]
        predictions.remove_predictions(self.layout, later)
        return cut_metrics + cut_rows

    def sync(self) -> Row:
        """Forces all rows to the disk and gives their numbers, as a checkpoint holds them (`rows`). Call it before one:
        after a power cut it must not be ahead of them."""
        rows = self.written.rows()
        self.patiently(self._sync)
        return rows

    def _sync(self) -> None:
        for file in (self._metrics, self._evaluations, self._events, self._log):
            file.sync()

    def close(self) -> None:
        """Closes the files and gives the lock back. Twice is no harm."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            with suppress(OSError):
                self._sync()
            for file in (self._metrics, self._evaluations, self._events, self._log):
                file.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def refuse_existing(folder: Path | RunFolder) -> None:
    """UserError (2) if there is such a run already; it says who works on it, where somebody does."""
    layout = RunFolder.of(folder)
    if not os.path.lexists(layout.run_json):
        return
    name, pid = clean(layout.run_id), holder(layout)
    if pid:
        raise UserError(f"run {name} exists already and is running (process {pid}); give another --name.")
    raise UserError(f"run {name} exists already; give another --name, or go on with `hrm resume {name}`.")


def _refuse_run_that_came(layout: RunFolder, lock: RunLock) -> None:
    """Another process may have made the run, and let go of it, between the look into the folder and the lock."""
    if os.path.lexists(layout.run_json):
        lock.release()
        refuse_existing(layout)


def _refuse_used_folder(layout: RunFolder) -> None:
    """UserError (2) if the folder of a new run holds a run, or anything that is none of ours."""
    present = set(os.listdir(layout.path))
    refuse_existing(layout)  # after the look: what another process puts there comes after its run.json
    strange = sorted(entry for entry in present - _BEFORE_A_RUN if not is_leftover(entry))
    if strange:
        raise UserError(f"{clean(layout.path)} holds other files ({clean(strange[0])}); give another --name.")


def _numbered(folder: Path, stem: str, suffix: str) -> Path:
    """The first free `<stem>-N<suffix>`."""
    number = 1
    while os.path.lexists(folder / f"{stem}-{number}{suffix}"):
        number += 1
    return folder / f"{stem}-{number}{suffix}"


def _cut_file(file: _Appended, step: int, key: tuple[str, ...]) -> tuple[_Appended, int, list[Key]]:
    """The file cut to `step`, opened anew, the number of lines cut, and the keys of the rows that are left. Of rows
    with the same key the last stays."""
    path = file.path
    data = read_small(path, _MAX_CUT_BYTES) or b""
    kept: dict[Key, bytes] = {}
    lost: list[bytes] = []
    for line in data.split(b"\n"):
        if not line:
            continue
        name = key_of(decode_row(line), key)
        if name is None or name[0] > step:
            lost.append(line)
            continue
        if name in kept:
            lost.append(kept.pop(name))
        kept[name] = line
    if lost:
        # First a copy of what goes, then the cut: a kill between the two loses nothing.
        write_bytes(_numbered(path.parent, f"{path.stem}.lost", path.suffix), b"\n".join(lost) + b"\n")
        write_bytes(path, b"".join(line + b"\n" for line in kept.values()))
    if lost or not file.is_at_its_path():
        shorter = _Appended(path)
        file.close()
        return shorter, len(lost), list(kept)
    return file, 0, list(kept)
