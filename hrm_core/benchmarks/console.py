"""How quick the console is with two hundred long runs, as a person at a terminal would find it.

Benchmarks room: the console as a process in a pty (console_terminal.py), runs made for it (console_load.py), keys and
rows -> `Measured`: seconds, milliseconds, bytes and CPU, each beside its bar. Nothing of the console is imported here.
What is written of it is console_page.py's.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from hrm_core.benchmarks.console_load import STEPS_A_ROW, make_load, metrics_row, run_words, status_of
from hrm_core.benchmarks.console_terminal import Timed
from hrm_core.errors import UserError
from hrm_core.runs.reader import metrics_rows
from hrm_core.runs.writer import RunWriter

Size = tuple[int, int]
SIZES: Final[tuple[Size, ...]] = ((80, 24), (120, 40), (200, 60))
LIVE_SIZE: Final[Size] = (160, 45)
NOT_AT_START: Final = ("torch", "numpy", "h5py", "plotext")
EMPTY_APP: Final = "from textual.app import App; App().run()"
MODULES_ON_A_SIGNAL: Final = """
import os, signal, sys
place = sys.argv.pop(1)
def say(*_):
    with open(place + ".part", "w") as file:
        file.write(" ".join(sys.modules))
    os.replace(place + ".part", place)
signal.signal(signal.SIGUSR1, say)
from hrm_console.__main__ import main
sys.exit(main())
"""
ALL_DRAWN: Final = re.compile(r"train 0\.48\d1\b")
DOWN, UP, RIGHT, LEFT, ENTER, PAGE_DOWN, HOME = b"\x1b[B", b"\x1b[A", b"\x1b[C", b"\x1b[D", b"\r", b"\x1b[6~", b"\x1b[H"
ESCAPE: Final = b"\x1b"
LIST_KEYS: Final = (DOWN, DOWN, DOWN, UP, DOWN, PAGE_DOWN, DOWN, HOME, DOWN, DOWN)
RUN_KEYS: Final = (LEFT, LEFT, RIGHT, b"+", LEFT, b"x", b"-", b"y", b"e", b"+", b"0")
QUIET_S: Final = 0.08
LOST_S: Final = 3.0


@final
@dataclass(frozen=True)
class Effort:
    """How much is measured. The defaults are those of the bars."""

    runs: int = 200
    rows: int = 100_000
    starts: int = 7
    opens: int = 5  # of a run's curves from the index, each after a new start
    keys: int = 100  # on each of two screens
    ticks: int = 30
    idle_s: float = 20.0
    stall_s: float = 30.0
    sizes: tuple[Size, ...] = SIZES


@final
@dataclass
class AtSize:
    """What was measured at one size of the terminal; times in seconds, None where it did not come in time."""

    size: Size
    empty_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    list_cold_s: float | None = None
    list_warm_s: float | None = None
    open_cold_s: float | None = None
    open_warm_s: float | None = None
    open_again_s: float | None = None
    list_keys_s: list[float] = field(default_factory=list)
    run_keys_s: list[float] = field(default_factory=list)
    keys_without_a_frame: int = 0

    @property
    def keys_s(self) -> list[float]:
        """All keys that were answered."""
        return self.list_keys_s + self.run_keys_s


@final
@dataclass
class Live:
    """A run that goes on, at 160x45, and the console at rest."""

    ticks: int = 0
    tick_cpu_s: float = 0.0
    tick_bytes: float = 0.0
    idle_list_bytes_s: float = 0.0
    idle_list_cpu: float = 0.0
    idle_run_bytes_s: float = 0.0
    idle_run_cpu: float = 0.0


@final
@dataclass
class Stall:
    """A terminal that reads nothing for a while."""

    seconds: float = 0.0
    row_ms: float = 0.0
    row_stalled_ms: float = 0.0
    rows_written: int = 0
    rows_read: int = 0
    back_s: float | None = None
    key_s: float | None = None


@final
@dataclass
class Measured:
    """Everything."""

    effort: Effort
    sizes: list[AtSize] = field(default_factory=list)
    at_start: list[str] = field(default_factory=list)
    live: Live = field(default_factory=Live)
    stall: Stall = field(default_factory=Stall)
    load_before: float = 0.0
    load_after: float = 0.0


@final
class Bench:
    """Measures with one load, in a home of its own."""

    def __init__(self, load: Path, home: Path, effort: Effort, say: Callable[[str], None]) -> None:
        self.load, self.home, self.effort, self.say = load, home, effort, say
        self.newest: list[str] = []

    def environment(self) -> dict[str, str]:
        """A terminal of 256 colours, settings and caches of its own."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TEXTUAL", "SSH_")) and name not in ("COLORTERM", "LINES", "COLUMNS")
        }
        # What is installed has been compiled once; a checkout may be told not to be.
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        own = {"PYTHONPYCACHEPREFIX": "compiled", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache"}
        return kept | {"TERM": "xterm-256color"} | {name: str(self.home / part) for name, part in own.items()}

    def forget(self, part: str = "") -> None:
        """Throw the console's caches away, or some of them."""
        shutil.rmtree(self.home / "cache" / "hrm-console" / part, ignore_errors=True)

    @contextmanager
    def console(self, size: Size, *words: str) -> Iterator[Timed]:
        """The console in a terminal, left by its own key. It remembers no session of an earlier one."""
        for path in (self.home / "cache" / "hrm-console").glob("session-*.json"):
            path.unlink()
        argv = [sys.executable, "-m", "hrm_console", "--runs", str(self.load), *words]
        terminal = Timed(argv, size, self.environment())
        try:
            yield terminal
        finally:
            terminal.close()

    def run(self) -> Measured:
        """Everything, in a few minutes."""
        measured = Measured(self.effort, load_before=os.getloadavg()[0])
        self.newest = make_load(self.load, self.effort.runs, self.effort.rows, self.say)
        measured.at_start = self.packages_at_start()
        for size in self.effort.sizes:
            self.say(f"measuring at {size[0]}x{size[1]}")
            measured.sizes.append(self.at_size(size))
        self.say("a run that goes on")
        measured.live = self.live()
        self.say(f"a terminal that stalls for {self.effort.stall_s:.0f} s")
        measured.stall = self.stall()
        measured.load_after = os.getloadavg()[0]
        return measured

    def packages_at_start(self) -> list[str]:
        """Which of the packages that take long are imported when the first frame is out: the console says so itself."""
        said = self.home / "modules"
        argv = [sys.executable, "-c", MODULES_ON_A_SIGNAL, str(said), "--runs", str(self.load)]
        terminal = Timed(argv, (80, 24), self.environment())
        try:
            if terminal.first_frame_s() is None:
                raise UserError("the console drew no first frame in 20 s", exit_code=1)
            terminal.child.send_signal(signal.SIGUSR1)
            end = time.perf_counter() + 10.0
            while not said.exists() and time.perf_counter() < end:
                terminal.read(0.05)
        finally:
            terminal.close()
        imported = {name.partition(".")[0] for name in said.read_text().split()} if said.exists() else set()
        if "textual" not in imported:
            raise UserError("the console did not say what it imports", exit_code=1)
        return [name for name in NOT_AT_START if name in imported]

    def at_size(self, size: Size) -> AtSize:
        """Start, list, opening a run, keys."""
        found = AtSize(size)
        for _ in range(self.effort.starts):  # in turn, so that both meet the same machine
            empty = Timed([sys.executable, "-c", EMPTY_APP], size, self.environment())
            try:
                first = empty.first_frame_s()
                empty.rest()
            finally:
                empty.close()
            with self.console(size) as terminal:
                ours = terminal.first_frame_s()
                terminal.rest(0.2, 3.0)
            if first is None or ours is None:
                raise UserError("an app drew no first frame in 20 s", exit_code=1)
            found.empty_s.append(first)
            found.start_s.append(ours)
        self.forget()
        found.list_cold_s = self._list(size, rest_s=7.0)
        found.list_warm_s = self._list(size, rest_s=0.0)
        self.forget("rows")
        with self.console(size) as terminal:
            found.open_cold_s = self._open_next(terminal)
            terminal.send(ESCAPE)
            terminal.rest()
            began = terminal.send(ENTER)
            again = terminal.wait_for(lambda text: _all_drawn(text, self.newest[1]), 20.0)
            found.open_again_s = _since(began, again)
        warm = []
        for number in range(self.effort.opens):
            with self.console(size) as terminal:
                warm.append(self._open_next(terminal))
                if number == self.effort.opens - 1:
                    self._keys(terminal, found)
        came = [seconds for seconds in warm if seconds is not None]
        found.open_warm_s = statistics.median(came) if len(came) == len(warm) else None
        return found

    def _list(self, size: Size, rest_s: float) -> float | None:
        """From the start until the newest run is on the screen. rest_s: how long it stays, to write what it knows."""
        with self.console(size) as terminal:
            at = terminal.wait_for(lambda text: self.newest[0] in text, 20.0)
            terminal.read_for(rest_s)
            return None if at is None else at - terminal.began_s

    def _open_next(self, terminal: Timed) -> float | None:
        """From Enter on the second run, right after the cursor has come to it, until its last row is drawn.

        The first run's curves may be on the runs screen already; the second's come from another file.
        """
        terminal.wait_for(lambda text: self.newest[0] in text, 20.0)
        terminal.rest(1.5)
        terminal.send(DOWN)
        terminal.frame_after()
        began = terminal.send(ENTER)
        return _since(began, terminal.wait_for(lambda text: _all_drawn(text, self.newest[1]), 30.0))

    def _keys(self, terminal: Timed, found: AtSize) -> None:
        """Keys on the run's screen, then on the list, each when the screen has been quiet for a moment."""
        terminal.rest(0.5)
        found.run_keys_s = self._press(terminal, RUN_KEYS, found)
        terminal.send(ESCAPE)
        terminal.rest(0.5)
        terminal.send(ESCAPE)  # the first one took the crosshair away
        terminal.rest(0.5)
        found.list_keys_s = self._press(terminal, LIST_KEYS, found)

    def _press(self, terminal: Timed, keys: Sequence[bytes], found: AtSize) -> list[float]:
        times = []
        for number in range(self.effort.keys):
            terminal.rest(QUIET_S, 1.0)
            began = terminal.send(keys[number % len(keys)])
            took = _since(began, terminal.frame_after(LOST_S))
            if took is None:
                found.keys_without_a_frame += 1
            else:
                times.append(took)
        return times

    def live(self) -> Live:
        """Ticks of a run that goes on, then rest: the run's screen with nothing new, and the list."""
        found = Live(ticks=self.effort.ticks)
        toml, words = run_words(1)
        rows = self.effort.rows // 10
        last = 20 * rows * STEPS_A_ROW
        folder = self.load / "live"
        with RunWriter.create(folder, toml, words) as writer:
            for row in range(1, rows):
                writer.metrics(metrics_row(1, row, 20 * rows))
            writer.status(status_of(rows * STEPS_A_ROW, last))
            with self.console(LIVE_SIZE, folder.name) as terminal:
                terminal.wait_for(lambda text: "train 0" in text or "train 1" in text, 20.0)
                terminal.rest(1.0)
                cpu, count = terminal.cpu_s(), 0
                for tick in range(self.effort.ticks):
                    writer.metrics(metrics_row(1, rows + tick, 20 * rows))
                    writer.status(status_of((rows + tick) * STEPS_A_ROW, last))
                    count += terminal.read_for(1.0)
                found.tick_cpu_s = (terminal.cpu_s() - cpu) / max(1, self.effort.ticks)
                found.tick_bytes = count / max(1, self.effort.ticks)
                found.idle_run_bytes_s, found.idle_run_cpu = self._idle(terminal)
            writer.result({"state": "stopped", "step": rows * STEPS_A_ROW})
        with self.console(LIVE_SIZE) as terminal:
            terminal.wait_for(lambda text: self.newest[0] in text, 20.0)
            found.idle_list_bytes_s, found.idle_list_cpu = self._idle(terminal)
        shutil.rmtree(folder, ignore_errors=True)
        return found

    def _idle(self, terminal: Timed) -> tuple[float, float]:
        """Bytes a second and share of a core, once all is drawn and kept."""
        terminal.read_for(7.0)
        cpu = terminal.cpu_s()
        count = terminal.read_for(self.effort.idle_s)
        return count / self.effort.idle_s, (terminal.cpu_s() - cpu) / self.effort.idle_s

    def stall(self) -> Stall:
        """Nobody reads the terminal while a run writes ten rows a second and keys are typed; then somebody does."""
        found = Stall(seconds=self.effort.stall_s)
        toml, words = run_words(2)
        folder = self.load / "stalled"
        with RunWriter.create(folder, toml, words) as writer:
            row = 0

            def write_for(seconds: float, terminal: Timed, reads: bool) -> float:
                """The longest write, in ms."""
                nonlocal row
                worst, end, turn = 0.0, time.perf_counter() + seconds, 0
                while time.perf_counter() < end:
                    row, turn = row + 1, turn + 1
                    began = time.perf_counter()
                    writer.metrics(metrics_row(2, row, 100_000))
                    writer.status(status_of(row * STEPS_A_ROW, 1_000_000))
                    worst = max(worst, 1e3 * (time.perf_counter() - began))
                    if reads:
                        terminal.read_for(0.1)
                    else:
                        time.sleep(0.1)
                        if turn % 10 == 0:
                            terminal.send(b"y")  # a repaint of two charts
                return worst

            with self.console(LIVE_SIZE, folder.name) as terminal:
                terminal.wait_for(lambda text: "train" in text, 20.0)
                found.row_ms = write_for(min(10.0, self.effort.stall_s), terminal, reads=True)
                found.row_stalled_ms = write_for(self.effort.stall_s, terminal, reads=False)
                writer.metrics(metrics_row(2, row := row + 1, 100_000) | {"loss": LAST_SEEN})
                writer.status(status_of(row * STEPS_A_ROW, 1_000_000))
                began = time.perf_counter()
                found.back_s = _since(began, terminal.wait_for(lambda text: f"train {LAST_SEEN}" in text, 60.0))
                terminal.rest()
                began = terminal.send(b"y")
                found.key_s = _since(began, terminal.frame_after(LOST_S))
            found.rows_written, found.rows_read = row, len(metrics_rows(folder))
            writer.result({"state": "stopped", "step": row * STEPS_A_ROW})
        shutil.rmtree(folder, ignore_errors=True)
        return found


LAST_SEEN: Final = 0.4321


def _since(began_s: float, at_s: float | None) -> float | None:
    return None if at_s is None else at_s - began_s


def _all_drawn(text: str, run_id: str) -> bool:
    """Whether the screen is that run's, and its curve of training goes to its last row."""
    return run_id in text.partition("\n")[0] and bool(ALL_DRAWN.search(text))


def middle(times: Sequence[float]) -> float | None:
    """The median, if there is anything."""
    return statistics.median(times) if times else None
