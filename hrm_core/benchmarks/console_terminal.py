"""A program in a pty whose bytes are counted and whose frames are timed.

Benchmarks room: argv, size -> `Timed`: keys in, chunks of bytes with the moment at which each was read. A frame is what
the program sends between the two marks of a synchronized update (mode 2026); the pty says that it knows them, as
kitty, WezTerm, Windows Terminal and tmux do. `Cells` is the little of a terminal that is needed to read what is shown.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, final

FRAME_END: Final = b"\x1b[?2026l"
_ASKED, _ANSWER = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
_SEQUENCE = re.compile(
    rb"\x1b\[([?<>=]?)([0-9;]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP[^\x1b]*\x1b\\"
    rb"|\x1b[()][A-Z0-9]|\x1b[=>78cM]"
)
_ALTERNATE = b"\x1b[?1049h"
_MOST_HELD = 4096


class Chunk(NamedTuple):
    """Bytes, and when they were read (time.perf_counter)."""

    at_s: float
    data: bytes


@final
class Cells:
    """What a terminal shows after some bytes, and how many cells were written since the program took the screen."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows = [[" "] * width for _ in range(height)]
        self.written = 0
        self._x = self._y = 0
        self._held = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        """Take bytes; an unfinished sequence waits for its rest."""
        data, self._held, at = self._held + data, b"", 0
        while at < len(data):
            if data[at] != 0x1B:
                end = data.find(b"\x1b", at)
                end = len(data) if end < 0 else end
                self._write(self._decoder.decode(data[at:end]))
                at = end
                continue
            match = _SEQUENCE.match(data, at)
            if match is None and len(data) - at < _MOST_HELD:
                self._held = data[at:]
                return
            if match is not None:
                self._obey(match)
            at = at + 1 if match is None else match.end()

    def _obey(self, match: re.Match[bytes]) -> None:
        private, numbers, letter = match.groups()
        if match.group() == _ALTERNATE:
            self.written = 0
        elif letter == b"H" and not private:
            parts = [int(part or 1) for part in numbers.split(b";")] + [1]
            self._y = min(self.height, max(1, parts[0])) - 1
            self._x = min(self.width, max(1, parts[1] if len(parts) > 2 else 1)) - 1

    def _write(self, text: str) -> None:
        for character in text:
            if character == "\r":
                self._x = 0
            elif character == "\n":
                self._y = min(self.height - 1, self._y + 1)
            elif character >= " " and self._x < self.width:
                self.rows[self._y][self._x] = character
                self._x += 1
                self.written += 1

    @property
    def text(self) -> str:
        """The screen as lines."""
        return "\n".join("".join(row).rstrip() for row in self.rows)


@final
class Timed:
    """A program in a pty. Only one thread; the program waits when nobody reads for long."""

    def __init__(
        self, argv: Sequence[str], size: tuple[int, int], environment: Mapping[str, str], errors: int | None = None
    ) -> None:
        """errors: a descriptor for its standard error, the terminal if None."""
        self.cells = Cells(*size)
        self.chunks: list[Chunk] = []
        self._fed = 0
        self._tail = b""
        self.pty, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.began_s = time.perf_counter()
        self.child = subprocess.Popen(
            argv,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs if errors is None else errors,
            env=dict(environment),
            start_new_session=True,
            # Its controlling terminal, so that it is hung up on when we are killed: an empty app whose terminal is gone
            # keeps a core busy for ever.
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (no other thread here)
        )
        os.close(theirs)

    def read(self, seconds: float) -> Chunk | None:
        """The next bytes, if any come in this time."""
        if not select.select([self.pty], [], [], max(0.0, seconds))[0]:
            return None
        try:
            data = os.read(self.pty, 2**16)
        except OSError:  # the program has ended
            time.sleep(min(seconds, 0.01))
            return None
        chunk = Chunk(time.perf_counter(), data)
        self.chunks.append(chunk)
        if _ASKED in self._tail + data:
            os.write(self.pty, _ANSWER)
        self._tail = data[-len(_ASKED) + 1 :]
        return chunk

    def read_for(self, seconds: float) -> int:
        """Read for so long; the bytes that came."""
        end, count = time.perf_counter() + seconds, 0
        while (left := end - time.perf_counter()) > 0:
            chunk = self.read(left)
            count += 0 if chunk is None else len(chunk.data)
        return count

    def rest(self, quiet_s: float = 0.3, most_s: float = 20.0) -> None:
        """Read until nothing has come for `quiet_s`."""
        end = time.perf_counter() + most_s
        while time.perf_counter() < end and self.read(quiet_s) is not None:
            pass

    def send(self, keys: bytes) -> float:
        """Type; the moment after it."""
        os.write(self.pty, keys)
        return time.perf_counter()

    def text(self) -> str:
        """What the screen shows."""
        while self._fed < len(self.chunks):
            self.cells.feed(self.chunks[self._fed].data)
            self._fed += 1
        return self.cells.text

    def forget(self) -> None:
        """Show what has been read and drop it: for a program that is watched for hours."""
        self.text()
        self.chunks.clear()
        self._fed = 0

    def wait_for(self, met: Callable[[str], bool], most_s: float) -> float | None:
        """When the screen first met a condition; None where it did not in time. Looks at each chunk by itself."""
        end = time.perf_counter() + most_s
        if met(self.text()):
            return time.perf_counter()
        while time.perf_counter() < end:
            chunk = self.read(0.1)
            if chunk is not None and met(self.text()):
                return chunk.at_s
        return None

    def frame_after(self, most_s: float = 2.0) -> float | None:
        """When the last byte of the next frame was read; None where none came in time."""
        end, seen = time.perf_counter() + most_s, b""
        while (left := end - time.perf_counter()) > 0:
            chunk = self.read(left)
            if chunk is not None:
                seen = seen[-len(FRAME_END) :] + chunk.data
                if FRAME_END in seen:
                    return chunk.at_s
        return None

    def first_frame_s(self, most_s: float = 20.0) -> float | None:
        """Seconds from the start until every cell of the screen had been written once."""
        end, whole = time.perf_counter() + most_s, self.cells.width * self.cells.height
        while time.perf_counter() < end:
            chunk = self.read(0.1)
            if chunk is not None:
                self.text()
                if self.cells.written >= whole:
                    return chunk.at_s - self.began_s
        return None

    def cpu_s(self) -> float:
        """CPU seconds of the program so far, its threads included, processes that it started not."""
        with open(f"/proc/{self.child.pid}/stat", "rb") as file:
            parts = file.read().rpartition(b")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def loaded(self, names: Sequence[str]) -> list[str]:
        """Which of these packages have a library of theirs in the program."""
        with open(f"/proc/{self.child.pid}/maps", encoding="utf-8", errors="replace") as file:
            maps = file.read()
        return [name for name in names if f"/site-packages/{name}/" in maps]

    def close(self, quit_key: bytes = b"\x11", most_s: float = 10.0) -> int | None:
        """Leave by a key; killed where it does not. The exit code, None where it had to be killed."""
        with suppress(OSError):
            self.send(quit_key)
        end = time.perf_counter() + most_s
        while self.child.poll() is None and time.perf_counter() < end:
            self.read(0.05)
        code = self.child.poll()
        if code is None:
            self.child.kill()
            self.child.wait()
        os.close(self.pty)
        return code
