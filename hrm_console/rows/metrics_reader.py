"""The rows of one run's metrics file, from the quickest source there is. Used in the following thread.

metrics.jsonl -> blocks with axes, and what share of the file they reach to. A small file is read here, a large one from
its index, or where that is missing or far behind by a process of its own (`indexing.py`), which also writes the index.
What is appended later is read here. A file that was cut or replaced is to be begun again: `goes_on` says so.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import final

from hrm_console.rows.axes import Axes
from hrm_console.rows.blocks import Block, blocks_of_lines
from hrm_console.rows.frames import block_of, unpack
from hrm_console.rows.index_file import index_folder, load_index
from hrm_core.errors import UserError
from hrm_core.runs.files import open_regular
from hrm_core.runs.tail import LineTail, Place

LARGE_BYTES = 2**20  # 1,800 rows: some 30 ms of reading
DIRECT_LINES = 500  # in one go: the app's thread waits for no longer than some 5 ms
LOOK_S = 0.1
PIPE_BYTES = 2**20
Piece = tuple[Block, float | None]


@final
class _Cancelled(Exception):
    """Nobody wants these rows any more."""


@final
class MetricsReader:
    """Where reading stopped in a metrics file. After `goes_on` said no, a new reader begins again."""

    def __init__(self, path: Path, direct: bool = False) -> None:
        """direct: read a large file here too, since a process of its own failed."""
        self.path = path
        self.direct = direct
        self.broken = False
        self._tail: LineTail | None = None
        self._axes = Axes()

    def goes_on(self) -> bool:
        """Whether the file is still the one that was read so far; a missing one says nothing against it."""
        if self.broken or self._tail is None or self._tail.place is None:
            return not self.broken
        descriptor = open_regular(self.path)
        if descriptor is None:
            return True
        try:
            return self._tail.place.holds(descriptor)
        finally:
            os.close(descriptor)

    def read(self, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Piece]:
        """What was added since the last call. `cancelled` is asked while a process is waited for."""
        if self._tail is None:
            yield from self._begin(cancelled)
        if self._tail is None:
            return
        while lines := self._tail.poll():
            if self._tail.restarts:
                self.broken = True  # replaced just now
                return
            for block in blocks_of_lines(lines, DIRECT_LINES):
                self._axes.join(block)
                yield block, None

    def _begin(self, cancelled: Callable[[], bool]) -> Iterator[Piece]:
        descriptor = open_regular(self.path)
        if descriptor is None:
            return
        try:
            large = os.fstat(descriptor).st_size > LARGE_BYTES
            folder = _folder()
            index = load_index(folder, descriptor, LARGE_BYTES) if large and folder is not None else None
        finally:
            os.close(descriptor)
        if index is not None:
            self._axes = index.axes
            self._tail = LineTail(self.path, place=index.place)
            for number, block in enumerate(index.blocks, 1):
                yield block, number / len(index.blocks)
        elif large and not self.direct:
            sent = False
            try:
                for piece in self._from_child(folder, cancelled):
                    sent = True
                    yield piece
            except _Cancelled:
                self.broken = True
            except (OSError, ValueError, KeyError, TypeError):
                # No second process to be had, or it was ended: slower, here. What it sent comes once more.
                self.direct, self.broken, self._tail = True, sent, LineTail(self.path)
        else:
            self._tail = LineTail(self.path)

    def _from_child(self, folder: Path | None, cancelled: Callable[[], bool]) -> Iterator[Piece]:
        argv = [sys.executable, "-m", "hrm_console.rows.indexing", str(self.path), str(folder or "")]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert child.stdout is not None
        pipe = child.stdout.fileno()
        with suppress(OSError):
            # Some blocks fit, so that neither process waits for the other while the app takes one.
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

        def read(count: int) -> bytes:
            parts = bytearray()
            while len(parts) < count:
                if cancelled():
                    raise _Cancelled
                if select.select([pipe], [], [], LOOK_S)[0]:
                    part = os.read(pipe, count - len(parts))
                    if not part:
                        break
                    parts += part
            return bytes(parts)

        try:
            while (frame := unpack(read)) is not None:
                header, body = frame
                if "end" in header:
                    found = header["end"]
                    place = Place(found["device"], found["inode"], found["offset"], bytes.fromhex(found["mark"]))
                    self._axes = Axes.from_state(header["axes"])
                    self._tail = LineTail(self.path, place=place)
                    return
                share = header.get("share")
                yield block_of(header, body), share if isinstance(share, float) else None
            raise ValueError("the reading process ended early")
        except BaseException:
            child.kill()
            raise
        finally:
            child.stdout.close()
            # It may still write its index, or hang on a dead disk: neither is waited for here.
            threading.Thread(target=child.wait, name="reap", daemon=True).start()


def _folder() -> Path | None:
    try:
        return index_folder()
    except UserError:
        return None
