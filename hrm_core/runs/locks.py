"""Room `runs`: who writes to a run, and who computes on a device.

A lock is `fcntl.lockf` on a file, held by the trainer all its life. The kernel frees it when the process ends, kill -9
too, and forked children do not inherit it (`flock` would be). Others ask with F_GETLK, which takes nothing.
A POSIX lock is dropped when its process closes *any* descriptor of that file, so this module opens a lock file once
for each process, remembers it in a table, and nobody else may open it at all. Content: the holder's identity as JSON,
for people.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import explain_os_error, naming, write_all
from hrm_core.runs.files import Row, open_regular, parse_object, read_at, read_small
from hrm_core.runs.launch import identity
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.text import clean

_BUSY: Final = (errno.EACCES, errno.EAGAIN)


@final
@dataclass
class _Held:
    descriptor: int
    pid: int
    count: int


_held: Final[dict[str, _Held]] = {}
_threads: Final[dict[str, threading.Lock]] = {}
_guard: Final = threading.Lock()
_AGAIN_S: Final = 0.005
_MAX_WORDS: Final = 2**16  # of a lock file's content


def _key(path: Path) -> str:
    return os.path.realpath(path)


def _mine(path: Path) -> _Held | None:
    """The entry of this process. One that a fork brought along is not ours: the lock stayed with the parent."""
    entry = _held.get(_key(path))
    return entry if entry is not None and entry.pid == os.getpid() else None


def _take(path: Path) -> bool:
    """Takes the lock, or counts once more if this process has it. False if another process holds it."""
    with _guard:
        mine = _mine(path)
        if mine is not None:
            mine.count += 1
            return True
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            with naming(path):
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                write_all(descriptor, json.dumps(identity()).encode("ascii") + b"\n")
        except OSError as error:
            os.close(descriptor)
            if error.errno in _BUSY:
                return False
            raise
        _held[_key(path)] = _Held(descriptor, os.getpid(), 1)
        return True


def _drop(path: Path) -> None:
    with _guard:
        mine = _mine(path)
        if mine is None:
            return
        mine.count -= 1
        if mine.count == 0:
            del _held[_key(path)]
            os.close(mine.descriptor)


def _asked() -> bytes:
    """`struct flock` asking for the whole file, in the order of the platform's C library."""
    if sys.platform == "darwin":
        return struct.pack("qqihh", 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
    return struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def _answer(reply: bytes) -> int | None:
    if sys.platform == "darwin":
        _, _, pid, kind, _ = struct.unpack("qqihh", reply)
    else:
        kind, _, _, _, pid = struct.unpack("hhqqi4x", reply)
    return None if kind == fcntl.F_UNLCK else max(int(pid), 0)


def lock_holder(path: Path) -> int | None:
    """pid of the process that holds the lock file `path`, None if nobody does. 0: a process this one cannot see.

    Never takes the lock, never makes the file, never raises for a file that is missing or unreadable.
    """
    with _guard:
        if _mine(path) is not None:
            return os.getpid()
        descriptor = open_regular(path)
        if descriptor is None:
            return None
        try:
            return _answer(fcntl.fcntl(descriptor, fcntl.F_GETLK, _asked()))
        except OSError:
            return None
        finally:
            os.close(descriptor)


def holder(folder: Path | RunFolder) -> int | None:
    """pid of the trainer of a run on this host, or None. See `lock_holder`."""
    return lock_holder(RunFolder.of(folder).lock)


def written_by(folder: Path | RunFolder) -> Row:
    """The identity that the last trainer of a run left in its lock file; empty if there is none. Never raises."""
    path = RunFolder.of(folder).lock
    with _guard:
        mine = _mine(path)
        if mine is not None:
            return parse_object(read_at(mine.descriptor, 0, _MAX_WORDS)) or {}
        return parse_object(read_small(path, _MAX_WORDS) or b"") or {}


def _acquire(path: Path, what: str, remedy: str) -> None:
    try:
        taken = _take(path)
    except OSError as error:
        raise explain_os_error(error) from error
    if not taken:
        pid = lock_holder(path)
        who = f"process {pid}" if pid else "a process this one cannot see"
        raise UserError(f"{what} is in use by {who}; {remedy}.", exit_code=1)


@final
class RunLock:
    """The lock of one run. `acquire` twice in a process counts; the last `release` frees it, and so does any death."""

    def __init__(self, folder: Path | RunFolder) -> None:
        self.layout = RunFolder.of(folder)
        self._taken = 0

    def acquire(self) -> Self:
        """Takes the lock; UserError (exit 1) says who holds it. The run folder must exist."""
        name = clean(self.layout.run_id)
        _acquire(
            self.layout.lock, f"run {name}", f"it is already running: watch it with `hrm show {name}` or stop it first"
        )
        self._taken += 1
        return self

    def release(self) -> None:
        """Gives back what this object took; quiet if it took nothing."""
        if self._taken:
            self._taken -= 1
            _drop(self.layout.lock)

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@final
class FileLock:
    """A lock file of any other kind. `what` and `remedy` make the sentence for whoever finds it held."""

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        self.path = path
        self.what = what
        self.remedy = remedy
        self._taken = 0

    def acquire(self) -> Self:
        """Takes the lock, making its folder; UserError (exit 1) says who holds it."""
        _make_private(self.path.parent)
        _acquire(self.path, self.what, self.remedy)
        self._taken += 1
        return self

    def release(self) -> None:
        """Gives back what this object took; quiet if it took nothing."""
        if self._taken:
            self._taken -= 1
            _drop(self.path)

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise explain_os_error(error) from error


@contextmanager
def short_lock(path: Path, what: str, patience_s: float = 10.0) -> Iterator[None]:
    """Holds a lock file for the moments of an edit, waiting for other processes and other threads of this one.

    The folder must exist. UserError (exit 1) if it is not free within `patience_s`. Not to be nested for one path.
    """
    end = time.monotonic() + patience_s
    with _guard:
        mine = _threads.setdefault(_key(path), threading.Lock())
    if not mine.acquire(timeout=patience_s):
        raise UserError(f"{what} is being changed by another thread; try again.", exit_code=1)
    try:
        try:
            while not _take(path):
                if time.monotonic() > end:
                    who = lock_holder(path)
                    raise UserError(f"{what} is being changed by process {who or '?'}; try again.", exit_code=1)
                time.sleep(_AGAIN_S)
        except OSError as error:
            raise explain_os_error(error) from error
        try:
            yield
        finally:
            _drop(path)
    finally:
        mine.release()


def locks_folder() -> Path:
    """Where locks of this user on this host lie: the runtime folder, else `~/.cache/hrm-console/locks`."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = runtime.startswith("/") and os.path.isdir(runtime)
    return Path(runtime) / "hrm" if usable else Path.home() / ".cache" / "hrm-console" / "locks"


def device_lock(name: str, folder: Path | None = None) -> FileLock:
    """The lock of device `name` (a GPU's UUID): two trainers on a GPU would only slow each other."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:80] or "device"
    path = (locks_folder() if folder is None else folder) / f"device-{safe}.lock"
    return FileLock(path, f"device {clean(name)}", "wait for it, or stop that run first (`hrm list`)")
