"""The console in a pty during the soak: it walks through every screen, a key every few seconds, each one timed.

Torture room. A runs folder -> `Walk`: press the next key of the round, seconds until the frame after it. The terminal
is the console benchmark's (`hrm_core/benchmarks/console_terminal.py`). Nothing of the console is imported.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, final

from hrm_core.benchmarks.console_terminal import Timed

PROGRAM: Final = ("-m", "hrm_console")
SIZE: Final = (140, 42)
QUIET_S, MOST_QUIET_S, LOST_S = 0.1, 1.0, 3.0
_DOWN, _UP, _RIGHT, _LEFT, _ENTER, _ESCAPE = b"\x1b[B", b"\x1b[A", b"\x1b[C", b"\x1b[D", b"\r", b"\x1b"
# Begins and ends on the list of runs. None of these keys changes a run, the queue, an archive or a setting.
ROUND: Final[tuple[bytes, ...]] = (
    _DOWN, _UP, _ENTER, _LEFT, _LEFT, _RIGHT, _ESCAPE, b"+", b"+", b"<", b"0", b"y", b"y", b"]", b"[",
    b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"1",
    b"u", b"j", b"j", b"k", _RIGHT, _RIGHT, _LEFT, b"v", b"v", b"o", b"o", _ESCAPE,
    b"g", b"q", _DOWN, _DOWN, _UP, b"g", b"a", _DOWN, _DOWN, b"o", b"O", b"g", b"d", b"2", b"1",
    b"g", b"s", _DOWN, _UP, b"g", b"n", _ESCAPE, b"g", b"r", b"o", b"O",
)  # fmt: skip


class Key(NamedTuple):
    """When it was pressed (time.monotonic) and seconds until the next frame; None where none came."""

    at_s: float
    took_s: float | None


@final
class Walk:
    """The console, going round. Close it."""

    def __init__(self, runs: Path, environment: Mapping[str, str], keys: Sequence[bytes] = ROUND) -> None:
        argv = [sys.executable, *PROGRAM, "--runs", str(runs)]
        own = {name: value for name, value in environment.items() if not name.startswith(("TEXTUAL", "SSH_"))}
        self.terminal = Timed(argv, SIZE, own | {"TERM": "xterm-256color"})
        self.keys, self.pressed = keys, 0

    @property
    def pid(self) -> int:
        """Its process. AssertionError, with what its screen said last, where it has ended."""
        assert self.terminal.child.poll() is None, f"the console ended: {self.terminal.text()[-600:]}"
        return self.terminal.child.pid

    @property
    def rounds(self) -> float:
        """How often it has been through all screens."""
        return self.pressed / len(self.keys)

    def press(self) -> Key:
        """The next key of the round, once the screen has been quiet for a moment."""
        self.terminal.rest(QUIET_S, MOST_QUIET_S)
        key = self.keys[self.pressed % len(self.keys)]
        self.pressed += 1
        at_s, began = time.monotonic(), self.terminal.send(key)
        answered = self.terminal.frame_after(LOST_S)
        self.terminal.forget()
        return Key(at_s, None if answered is None else answered - began)

    def read_for(self, seconds: float) -> None:
        """Take what it draws meanwhile, as a terminal does."""
        self.terminal.read_for(seconds)
        self.terminal.forget()

    def close(self) -> int | None:
        """Leave it by its own key; the exit code, None where it had to be killed."""
        return self.terminal.close()
