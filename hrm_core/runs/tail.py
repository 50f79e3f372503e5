"""Room `runs`: following a file that grows.

path -> the rows or lines added since the last poll. A tail keeps (device, inode, offset) and holds back bytes after
the last newline until the line is whole. A file that shrank, was replaced by rename (a cut) or whose bytes before the
offset changed is read again from the start, and `restarts` counts it, so that the caller can drop what it has.
Polling is the caller's (a stat costs 2 microseconds); nothing here sleeps or watches.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple, final

from hrm_core.runs.files import Row, open_regular, read_at
from hrm_core.runs.records import MAX_ROW_BYTES, decode_row

_POLL_BYTES: Final = 16 * 2**20
_MARK_BYTES: Final = 64


class Place(NamedTuple):
    """Where reading stopped: in which file, after which byte (a newline), and up to 64 bytes before it."""

    device: int
    inode: int
    offset: int
    mark: bytes

    def holds(self, descriptor: int) -> bool:
        """Whether the open file is still that one, and goes on from there."""
        state = os.fstat(descriptor)
        same = (state.st_dev, state.st_ino) == (self.device, self.inode) and state.st_size >= self.offset
        return same and read_at(descriptor, self.offset - len(self.mark), len(self.mark)) == self.mark


def place_in(descriptor: int, offset: int) -> Place:
    """The place after `offset` bytes of an open file."""
    state = os.fstat(descriptor)
    count = min(offset, _MARK_BYTES)
    return Place(state.st_dev, state.st_ino, offset, read_at(descriptor, offset - count, count))


@final
class LineTail:
    """Whole lines added to a file, as bytes without their newline; lines over `max_line` bytes are passed over.

    `place` begins where an earlier reader stopped, if the file still goes on from there.
    """

    def __init__(
        self, path: Path, max_line: int = MAX_ROW_BYTES, last_bytes: int | None = None, place: Place | None = None
    ) -> None:
        self.path = path
        self.max_line = max_line
        self.restarts = 0
        self.skipped = 0
        self._last_bytes = last_bytes
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._mark = b""
        self._inside_long_line = False
        if place is not None:
            self._file, self._offset, self._mark = (place.device, place.inode), place.offset, place.mark

    @property
    def place(self) -> Place | None:
        """Where reading stopped; None before the file was first seen."""
        return None if self._file is None else Place(*self._file, self._offset, self._mark)

    def _begin(self, file: tuple[int, int], size: int) -> None:
        if self._file is not None:
            self.restarts += 1
        self._file = file
        self._offset = 0
        self._mark = b""
        self._inside_long_line = False
        if self._last_bytes is not None and size > self._last_bytes:
            # Begins inside a line; that line is passed over like one that is too long.
            self._offset = size - self._last_bytes
            self._inside_long_line = True

    def _continues(self, descriptor: int) -> bool:
        return self.place is not None and self.place.holds(descriptor)

    def poll(self) -> list[bytes]:
        """Up to 16 MiB of new whole lines. A missing file gives none."""
        descriptor = open_regular(self.path)
        if descriptor is None:
            return []
        try:
            state = os.fstat(descriptor)
            if not self._continues(descriptor):
                self._begin((state.st_dev, state.st_ino), state.st_size)
            if state.st_size <= self._offset:
                return []
            data = read_at(descriptor, self._offset, min(state.st_size - self._offset, _POLL_BYTES))
        finally:
            os.close(descriptor)
        return self._split(data)

    def _split(self, data: bytes) -> list[bytes]:
        end = data.rfind(b"\n") + 1
        lines = data[:end].split(b"\n")[:-1] if end else []
        if self._inside_long_line and lines:
            lines = lines[1:]
            self._inside_long_line = False
        if len(data) - end > self.max_line:
            # The torn line is already too long to be held back: forget it, and the rest of it when it comes.
            end = len(data)
            self.skipped += not self._inside_long_line
            self._inside_long_line = True
        self._offset += end
        self._mark = (self._mark + data[:end])[-_MARK_BYTES:]
        whole = [line for line in lines if len(line) <= self.max_line]
        self.skipped += len(lines) - len(whole)
        return whole


@final
class JsonlTail:
    """New rows of a .jsonl file. Lines that are torn or damaged are passed over and counted in `damaged`."""

    def __init__(self, path: Path) -> None:
        self._lines = LineTail(path, MAX_ROW_BYTES)
        self._bad = 0

    @property
    def restarts(self) -> int:
        """How often the file was begun again; when it rises, the rows of that poll replace all earlier ones."""
        return self._lines.restarts

    @property
    def damaged(self) -> int:
        """Lines passed over so far."""
        return self._bad + self._lines.skipped

    def poll(self) -> list[Row]:
        """The rows added since the last poll, without their crc."""
        rows = []
        for line in self._lines.poll():
            row = decode_row(line)
            if row is not None:
                rows.append(row)
            elif line.strip():
                self._bad += 1
        return rows


@final
class TextTail:
    """New lines of a text file, decoded with replacement marks and cut to `max_line` characters; not cleaned.

    `last_bytes` begins that far before the end of a long file (at a whole line) instead of at its start.
    """

    def __init__(self, path: Path, max_line: int = 8192, last_bytes: int | None = None) -> None:
        self._lines = LineTail(path, MAX_ROW_BYTES, last_bytes)
        self._max_line = max_line

    @property
    def restarts(self) -> int:
        """How often the file was begun again."""
        return self._lines.restarts

    def poll(self) -> list[str]:
        """The lines added since the last poll, without their ends."""
        return [line.decode("utf-8", errors="replace").rstrip("\r")[: self._max_line] for line in self._lines.poll()]
