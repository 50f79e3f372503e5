"""A program in a real terminal: keys in, the screen's text out. In tmux where there is one, else in a pty of our own.

`Terminal` starts argv with a size and TERM, sends keys by name, and reads the screen as lines of text. `hang_up` is
what a lost connection is to the program. The pty's screen is kept by `Screen`, which knows the few sequences that
full-screen programs of Textual send; everything else is passed over.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import final

from waiting import soon

KEYS = {
    "Enter": "\r",
    "Escape": "\x1b",
    "Tab": "\t",
    "Up": "\x1b[A",
    "Down": "\x1b[B",
    "Right": "\x1b[C",
    "Left": "\x1b[D",
    "Space": " ",
    "F5": "\x1b[15~",
    "F6": "\x1b[17~",
    "C-q": "\x11",
    "C-t": "\x14",
    "C-p": "\x10",
    "BSpace": "\x7f",
}
SEQUENCE = re.compile(
    rb"\x1b\[(?P<private>[?<>=]?)(?P<numbers>[0-9;]*)(?P<rest>[ -/]*)(?P<letter>[@-~])"
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP[^\x1b]*\x1b\\|\x1b[()][A-Z0-9]|\x1b[=>78cM]"
)


@final
class Screen:
    """What a terminal of columns x rows shows after some bytes."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.x = self.y = 0
        self.held = b""
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        """Take bytes; an unfinished sequence or character is held until the rest comes."""
        data, self.held, at = self.held + data, b"", 0
        while at < len(data):
            if data[at] == 0x1B:
                match = SEQUENCE.match(data, at)
                if match is None:
                    if len(data) - at < 4096:
                        self.held = data[at:]
                        return
                    at += 1
                    continue
                self._obey(match)
                at = match.end()
                continue
            end = data.find(b"\x1b", at)
            end = len(data) if end < 0 else end
            self._write(self.decoder.decode(data[at:end]))
            at = end

    def _obey(self, match: re.Match[bytes]) -> None:
        if match["letter"] is None or match["private"]:
            return
        numbers = [int(part) if part else 0 for part in match["numbers"].split(b";")]
        letter = match["letter"].decode()
        first = max(1, numbers[0])
        if letter in "Hf":
            self.y = min(self.rows, first) - 1
            self.x = min(self.columns, max(1, numbers[1] if len(numbers) > 1 else 1)) - 1
        elif letter in "ABCD":
            self.y = min(self.rows - 1, max(0, self.y + {"A": -first, "B": first}.get(letter, 0)))
            self.x = min(self.columns - 1, max(0, self.x + {"C": first, "D": -first}.get(letter, 0)))
        elif letter == "J" and numbers[0] == 2:
            self.cells = [[" "] * self.columns for _ in range(self.rows)]
        elif letter == "K":
            self.cells[self.y][self.x :] = [" "] * (self.columns - self.x)

    def _write(self, text: str) -> None:
        for character in text:
            if character == "\r":
                self.x = 0
            elif character == "\n":
                self.y = min(self.rows - 1, self.y + 1)
            elif character >= " ":
                if self.x >= self.columns:
                    self.x, self.y = 0, min(self.rows - 1, self.y + 1)
                self.cells[self.y][self.x] = character
                self.x += 1

    @property
    def text(self) -> str:
        """The screen as lines, blanks at their ends cut."""
        return "\n".join("".join(row).rstrip() for row in self.cells)


class Terminal(ABC):
    """A program in a terminal."""

    @abstractmethod
    def send(self, *keys: str) -> None:
        """Type keys: names of KEYS, or text."""

    @abstractmethod
    def text(self) -> str:
        """What the screen shows now."""

    @abstractmethod
    def hang_up(self) -> None:
        """Take the terminal away, as a lost connection does."""

    def wait_for(self, wanted: str | Callable[[str], bool], timeout_s: float = 120.0) -> str:
        """Wait until the screen shows a text (or a condition holds); AssertionError if it never does."""
        met = wanted if callable(wanted) else lambda text: wanted in text
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            text = self.text()
            if met(text):
                return text
            time.sleep(0.1)
        raise AssertionError(f"waited {timeout_s:.0f} s in vain for {wanted!r}; the screen shows:\n{self.text()}")


@final
class PtyTerminal(Terminal):
    """A pty of our own."""

    def __init__(self, argv: Sequence[str], size: tuple[int, int], environment: Mapping[str, str]) -> None:
        self.screen = Screen(*size)
        self.raw = bytearray()  # every byte that reached the terminal
        pid, self.descriptor = pty.fork()
        if pid == 0:
            os.execve(argv[0], list(argv), dict(environment))
        self.pid = pid
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        os.kill(pid, signal.SIGWINCH)

    def send(self, *keys: str) -> None:
        """Type keys."""
        for key in keys:
            os.write(self.descriptor, KEYS.get(key, key).encode())
            self.read(0.05)

    def read(self, wait_s: float) -> bytes:
        """Take what comes within `wait_s` of silence."""
        got = b""
        while select.select([self.descriptor], [], [], wait_s)[0]:
            try:
                part = os.read(self.descriptor, 65536)
            except OSError:
                break
            if not part:
                break
            got += part
        self.raw += got
        self.screen.feed(got)
        return got

    def text(self) -> str:
        """What the screen shows now."""
        self.read(0.05)
        return self.screen.text

    def exit_code(self, seconds: float = 60.0) -> int:
        """Read to the end of the program, which was told to leave; AssertionError, and its end, where it does not."""
        code: list[int] = []

        def ended() -> bool:
            self.read(0.0)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code.append(os.waitstatus_to_exitcode(status))
            return bool(pid)

        if not soon(ended, seconds):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.read(0.1)
        os.close(self.descriptor)
        assert code, f"the program did not end; the screen shows:\n{self.screen.text}"
        return code[0]

    def hang_up(self) -> None:
        """Close our end; the program gets SIGHUP."""
        os.close(self.descriptor)
        if not soon(lambda: os.waitpid(self.pid, os.WNOHANG)[0], 60.0):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise AssertionError("the program went on without its terminal")


@final
class TmuxTerminal(Terminal):
    """A session of a tmux server of our own."""

    def __init__(
        self, tmux: str, folder: Path, argv: Sequence[str], size: tuple[int, int], environment: Mapping[str, str]
    ) -> None:
        self.tmux, self.socket = tmux, str(folder / f"tmux-{time.monotonic_ns()}")
        self.environment = dict(environment)
        self._do("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), *argv)

    def _do(self, *words: str) -> str:
        argv = [self.tmux, "-S", self.socket, "-f", "/dev/null", *words]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def send(self, *keys: str) -> None:
        """Type keys."""
        for key in keys:
            self._do("send-keys", *([key] if key in KEYS else ["-l", "--", key]))
            time.sleep(0.05)

    def text(self) -> str:
        """What the pane shows now; nothing once the program has ended."""
        argv = [self.tmux, "-S", self.socket, "capture-pane", "-p"]
        return subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False).stdout

    def hang_up(self) -> None:
        """End the server: the program gets SIGHUP."""
        self._do("kill-server")


def open_terminal(folder: Path, argv: Sequence[str], size: tuple[int, int], environment: Mapping[str, str]) -> Terminal:
    """A program in tmux where there is one, else in a pty. `folder` holds tmux's socket."""
    tmux = shutil.which("tmux")
    if tmux is None:
        return PtyTerminal(argv, size, environment)
    return TmuxTerminal(tmux, folder, argv, size, environment)
