"""What a process asks of the disk below one folder, in order: which names were there, which content, what was synced.

Torture room. A `Recorder` wraps the calls of `os` that change names or force content out, and looks at the folder
before and after each: so it also sees what libraries write on their own. -> `Recording`, which `power.py` turns into
what a disk may hold when the power goes. Nothing of the product is changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, final

EMPTY: Final = hashlib.sha256(b"").hexdigest()
ROOT: Final = 0
_NAMING: Final = ("replace", "rename", "mkdir", "unlink", "remove", "rmdir", "link", "symlink")
_SYNCING: Final = ("fsync", "fdatasync")


@final
@dataclass(frozen=True)
class Call:
    """One call: its name, the path it is about (the source of a rename), the target of a rename, the thread."""

    name: str
    path: str
    target: str = ""
    thread: int = 0


@final
@dataclass
class Recording:
    """Calls in order; the time of a change is the number of calls made by then. Files and folders go by number.

    folders, files: number -> [(time, {name: number}) or (time, sha256)], what was there from that time on; synced:
    number -> times at which it was forced to the disk; blobs: sha256 -> content. The folder itself is number 0.
    """

    calls: list[Call] = field(default_factory=list)
    folders: dict[int, list[tuple[int, dict[str, int]]]] = field(default_factory=dict)
    files: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    synced: dict[int, list[int]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=lambda: {EMPTY: b""})

    def last_sync(self, number: int, time: int) -> int:
        """When it was last synced at `time` or before; -1 for never. What was there at the start is on the disk."""
        return max((at for at in self.synced.get(number, ()) if at <= time), default=-1)

    def entries(self, number: int, time: int) -> dict[str, int]:
        """Names in a folder at a time, as a living process sees them."""
        return next((names for at, names in reversed(self.folders.get(number, [])) if at <= time), {})

    def digest(self, number: int, time: int) -> str:
        """sha256 of a file at a time, as a living process sees it."""
        return next((digest for at, digest in reversed(self.files.get(number, [])) if at <= time), EMPTY)

    def find(self, path: str, time: int) -> int | None:
        """The number of what is at a path (relative, with "/") at a time; None for nothing."""
        number: int | None = ROOT
        for part in Path(path).parts:
            number = None if number is None else self.entries(number, time).get(part)
        return number

    def save(self, folder: Path) -> None:
        """Leaves it in a folder, for another process."""
        folder.mkdir(parents=True)
        for digest, data in self.blobs.items():
            (folder / digest).write_bytes(data)
        text = {"calls": [asdict(call) for call in self.calls], "synced": self.synced}
        text |= {"folders": self.folders, "files": self.files}
        (folder / "recording.json").write_text(json.dumps(text), encoding="ascii")

    @classmethod
    def load(cls, folder: Path) -> Recording:
        """What `save` left."""
        text = json.loads((folder / "recording.json").read_text(encoding="ascii"))

        def numbered(name: str) -> dict[int, Any]:
            return {int(number): value for number, value in text[name].items()}

        blobs = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "recording.json"}
        calls = [Call(**call) for call in text["calls"]]
        return cls(calls, numbered("folders"), numbered("files"), numbered("synced"), blobs)


@final
class Recorder:
    """Records what this process does below `root`, from `installed` on; several threads may write."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.recording = Recording()
        self._guard = threading.RLock()
        self._numbers: dict[tuple[int, int], int] = {}  # (device, inode)
        self._kept: list[int] = []  # an open descriptor each, so that no inode is used for another file
        self._seen: dict[int, tuple[int, int]] = {}  # (size, time) of a file when it was read
        self._open, self._close, self._fstat = os.open, os.close, os.fstat
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    @contextmanager
    def installed(self) -> Iterator[Recording]:
        """Within the block the calls of `os` are recorded."""
        before = {name: getattr(os, name) for name in (*_NAMING, *_SYNCING)}
        self._look(time=-1)
        for number in (*self.recording.folders, *self.recording.files):
            self.recording.synced[number] = [-1]
        for name in _NAMING:
            setattr(os, name, self._naming(name, before[name]))
        for name in _SYNCING:
            setattr(os, name, self._syncing(name, before[name]))
        try:
            yield self.recording
        finally:
            for name, function in before.items():
                setattr(os, name, function)
            self._look(time=len(self.recording.calls))
            for descriptor in self._kept:
                os.close(descriptor)

    def _naming(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **more: Any) -> Any:
            with self._guard:
                self._look(time=len(self.recording.calls))
                result = function(*words, **more)
                paths = (
                    [] if more else [self._below(word) for word in words[:2] if isinstance(word, (str, os.PathLike))]
                )
                path, target = (*paths, "", "")[:2]
                self.recording.calls.append(Call(name, path, target, threading.get_ident()))
                self._look(time=len(self.recording.calls))
                return result

        return call

    def _syncing(self, name: str, function: Callable[[int], None]) -> Callable[[int], None]:
        def call(descriptor: Any) -> None:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            with self._guard:
                self._look(time=len(self.recording.calls))
                function(descriptor)
                state = self._fstat(number)
                known = self._numbers.get((state.st_dev, state.st_ino))
                path = self._below(os.readlink(f"/proc/self/fd/{number}"))
                self.recording.calls.append(Call(name, path, "", threading.get_ident()))
                if known is not None:
                    self.recording.synced.setdefault(known, []).append(len(self.recording.calls))

        return call

    def _below(self, path: str | os.PathLike[str]) -> str:
        """The path relative to the root; as it is if it is elsewhere."""
        place = Path(os.path.abspath(path))
        return place.relative_to(self.root).as_posix() if place.is_relative_to(self.root) else str(place)

    def _look(self, time: int) -> None:
        self._folder(str(self.root), time)

    def _number(self, path: str, state: os.stat_result) -> int:
        key = (state.st_dev, state.st_ino)
        if key not in self._numbers:
            self._kept.append(self._open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
            self._numbers[key] = len(self._numbers)
        return self._numbers[key]

    def _folder(self, path: str, time: int) -> int:
        number = self._number(path, os.lstat(path))
        names: dict[str, int] = {}
        with os.scandir(path) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            # Any handle of a lock file that this process closes would give up its lock.
            if entry.name == "lock" or entry.name.endswith(".lock"):
                continue
            try:
                state = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(state.st_mode):
                    names[entry.name] = self._folder(entry.path, time)
                elif stat.S_ISREG(state.st_mode):
                    names[entry.name] = self._file(entry.path, state, time)
            except FileNotFoundError:  # another process took it away
                continue
        history = self.recording.folders.setdefault(number, [])
        if not history or history[-1][1] != names:
            history.append((time, names))
        return number

    def _file(self, path: str, state: os.stat_result, time: int) -> int:
        number = self._number(path, state)
        mark = (state.st_size, state.st_mtime_ns)
        if self._seen.get(number) != mark:
            data = Path(path).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            self.recording.blobs[digest] = data
            self._seen[number] = mark
            history = self.recording.files.setdefault(number, [])
            if not history or history[-1][1] != digest:
                history.append((time, digest))
        return number
