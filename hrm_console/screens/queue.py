"""The queue's screen: what runs, what is to come in its order, what is over; the worker above, the chosen entry below.

Shows `Seen` of queue_look.py, read in a thread a few times a second while the screen is in sight. Every change is one
call of `hrm_core.runs.queue` in a thread, the same that `hrm queue` makes; the worker is started by that command. Keys:
tables/queue.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from hrm_console.actions import bindings_of
from hrm_console.launching import Outcome
from hrm_console.rows.listing import RunLine
from hrm_console.screens.base import Room
from hrm_console.screens.held import Held
from hrm_console.screens.queue_ask import AfterScreen, CloneScreen, QueueRemoveScreen, after_choices
from hrm_console.views.queue.look import Seen, look
from hrm_console.views.queue.words import detail_rows, empty_rows, entry_row, header_row, idle_keys, worker_rows
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.lines import Choice, Rows
from hrm_core.runs import queue as edits
from hrm_core.runs.launch import HRM_COMMAND
from hrm_core.runs.queue_records import HELD, OVER, RUNNING, TO_COME, Entry
from hrm_core.runs.queue_status import ask_stop
from hrm_core.runs.queue_turns import any_elsewhere

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

TICK_S = 0.5
PATIENCE_S = 20.0
MOST_WORKER_ROWS = 4
# Title, header, rule and keys.
FRAME_ROWS = 4


@final
class QueueScreen(Room):
    """The list. The entry under the cursor is held by its number, so that it stays chosen when it moves."""

    ROOM = "queue"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__()
        self.seen: Seen | None = None
        self.listed: tuple[Entry, ...] = ()
        self.asked_s: float | None = None
        self.worker = Rows(id="worker", focusable=False)
        self.table = Choice(id="table")
        self.held = Held[str](self.table)
        self.wanted: str | None = None
        self.empty = Rows(id="empty", focusable=False)
        self.words = Rows(id="words", focusable=False)
        self.keys = Bar(self._keys, id="keys")

    def compose(self) -> ComposeResult:
        yield Bar(self._title, id="title")
        yield self.worker
        yield Bar(self._header, id="header")
        yield self.table
        yield self.empty
        with Vertical(id="details"):
            yield Bar(self._rule, id="rule")
            yield self.words
        yield self.keys

    def on_mount(self) -> None:
        self.show()
        self.set_interval(TICK_S, self._tick)
        self._tick()

    def runs_changed(self) -> None:
        """The app has read the folder: the run of an entry may be further."""
        self.show()

    def feed_changed(self) -> None:
        """Nothing here depends on a run's rows."""

    def shell_words(self) -> tuple[str, ...]:
        return ("queue", "list")

    def on_screen_resume(self) -> None:
        self.show()
        self.look_again()

    def on_resize(self) -> None:
        self.call_after_refresh(self.show)

    # Reading ----------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Read the queue, one reading at a time, while somebody looks."""
        now = time.monotonic()
        waiting = self.asked_s is not None and now - self.asked_s < PATIENCE_S
        if not waiting and self.app.in_sight is self:
            self.look_again()

    def look_again(self) -> None:
        """Read the queue now."""
        self.asked_s = time.monotonic()
        before, runs_dir = self.seen, self.app.runs_dir
        self.app.in_background(lambda: look(runs_dir, before), self._take)

    def _take(self, seen: Seen) -> None:
        self.asked_s = None
        if self.is_attached:
            self.seen = seen
            self.show()

    # Drawing ----------------------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> str | None:
        """The number of the entry under the cursor."""
        return self.held.key

    def entry(self) -> Entry | None:
        """The entry under the cursor."""
        return next((entry for entry in self.listed if entry.id == self.chosen), None)

    def line_of(self, entry: Entry) -> RunLine | None:
        """The run of an entry, as the app knows it."""
        return None if entry.run_id is None else self.app.line_of(entry.run_id)

    def show(self) -> None:
        """Draw what was read; only rows that changed are painted."""
        seen = self.seen or Seen()
        palette, width = self.app.palette, self.size.width
        self.listed = seen.queue.in_order
        self.set_class(not self.listed, "-empty")
        worker = worker_rows(seen, palette, width)[:MOST_WORKER_ROWS] if self.seen is not None else []
        self.worker.show(worker)
        self.worker.styles.height = max(1, len(worker))
        ids = [entry.id for entry in self.listed]
        rows = [entry_row(entry, seen, self.line_of(entry), palette, width) for entry in self.listed]
        if self.wanted in ids:
            self.held.key, self.wanted = self.wanted, None
        self.held.show(rows, ids)
        if not ids:
            self.empty.show(empty_rows(seen, self.seen is not None, palette, width))
        self.show_entry()
        for bar in self.query(Bar):
            bar.update()

    def show_entry(self) -> None:
        """The chosen entry in words."""
        entry = self.entry()
        if entry is not None and self.seen is not None:
            rows = detail_rows(entry, self.seen, self.line_of(entry), self.app.palette, self.size.width)
            self.words.show(rows)
            spare = self.size.height - FRAME_ROWS - len(self.worker.rows) - len(self.listed)
            self.words.styles.height = max(2, min(len(rows), max(6, spare)))
        self.keys.update()

    @on(Choice.Moved)
    def moved(self) -> None:
        self.show_entry()

    @on(Choice.Chosen)
    def opened(self) -> None:
        self.action_open_run()

    def _title(self, width: int) -> Text:
        return self.title_text("queue", width)

    def _header(self, width: int) -> Text:
        elsewhere = self.seen is not None and any_elsewhere(self.seen.queue)
        return header_row(width, self.app.palette, elsewhere)

    def _rule(self, width: int) -> Text:
        return Text("─" * width, style=self.app.palette.faint)

    def _keys(self, width: int) -> Text:
        return self.keys_text(width, idle_keys(self.entry()))

    # Doing ------------------------------------------------------------------------------------------------------------

    def _do(self, work: Callable[[], object], said: str = "") -> None:
        """Change the queue in a thread, and read it again."""

        def then(result: object) -> None:
            if said:
                self.app.say(said)
            if self.is_attached:
                self.look_again()

        self.app.in_background(work, then)

    def _chosen(self, what: str, *states: str) -> Entry | None:
        """The entry under the cursor, if it is in one of these states; else a word why nothing happens."""
        entry = self.entry()
        if entry is None:
            self.app.say("the queue is empty", bad=True)
            return None
        if states and entry.state not in states:
            self.app.say(f"{entry.id} is {entry.state}: there is nothing to {what}", bad=True)
            return None
        return entry

    def action_open_run(self) -> None:
        entry = self._chosen("open")
        if entry is None:
            return
        if entry.run_id is None or self.app.line_of(entry.run_id) is None:
            self.app.say(f"{entry.id} is no run yet", bad=True)
        else:
            self.app.show_run(entry.run_id)

    def action_move(self, to: str) -> None:
        entry = self._chosen("move", *TO_COME)
        if entry is not None:
            entry_id, runs_dir = entry.id, self.app.runs_dir
            self._do(lambda: edits.move(runs_dir, entry_id, to))

    def action_hold(self) -> None:
        entry = self._chosen("hold", *TO_COME)
        if entry is not None:
            words, runs_dir, turn = [entry.id], self.app.runs_dir, edits.release if entry.state == HELD else edits.hold
            self._do(lambda: turn(runs_dir, words))

    def action_retry(self, fresh: bool = False) -> None:
        entry = self._chosen("retry")
        if entry is not None:
            words, runs_dir = [entry.id], self.app.runs_dir
            self._do(lambda: edits.retry(runs_dir, words, fresh=fresh), f"{entry.id} runs when its turn comes")

    def action_accept(self) -> None:
        runs_dir = self.app.runs_dir
        self._do(lambda: edits.retry(runs_dir, [], everything=True), "the code of today is accepted for all that wait")

    def action_clear(self) -> None:
        runs_dir = self.app.runs_dir
        over = sum(entry.is_over for entry in self.listed)
        self._do(lambda: edits.remove(runs_dir, [], ended=True), f"{over} that are over were taken out")

    def action_remove(self) -> None:
        entry = self._chosen("remove", *TO_COME, *OVER)
        if entry is None:
            return
        waiting = [one.id for one in self.listed if one.after == entry.id and not one.after_is_run and not one.is_over]
        entry_id, runs_dir = entry.id, self.app.runs_dir

        def answered(yes: bool | None) -> None:
            if yes:
                self._do(lambda: edits.remove(runs_dir, [entry_id]), f"{entry_id} was taken out of the queue")

        self.app.push_screen(QueueRemoveScreen(entry, waiting), answered)

    def action_after(self) -> None:
        entry = self._chosen("wait for", *TO_COME)
        if entry is None:
            return
        entry_id, runs_dir = entry.id, self.app.runs_dir

        def answered(other: str | None) -> None:
            if other is not None:
                self._do(lambda: edits.run_after(runs_dir, entry_id, other or None))

        self.app.push_screen(AfterScreen(entry, after_choices(entry, self.listed, self.app.runs)), answered)

    def action_clone(self) -> None:
        entry = self._chosen("clone")
        if entry is not None:
            self.app.push_screen(CloneScreen(entry), self._cloned)

    def _cloned(self, made: Entry | None) -> None:
        if made is not None:
            self.wanted = made.id
            self.app.say(f"{made.id} is in the queue")
            self.look_again()

    def action_stop(self) -> None:
        entry = self._chosen("stop", RUNNING)
        if entry is not None:
            self.app.steering.ask_stop(self.line_of(entry))

    def action_worker(self) -> None:
        runs_dir = self.app.runs_dir
        if self.seen is not None and self.seen.worker.alive:
            self._do(lambda: ask_stop(runs_dir), "the worker will start nothing more; runs under way go on")
            return
        argv = [*HRM_COMMAND, "queue", "start", "--runs", str(runs_dir)]
        self.app.in_background(lambda: self.app.launcher(argv), self._started)

    def _started(self, outcome: Outcome) -> None:
        self.app.say(outcome.text.split("\n")[0].removeprefix("error: "), bad=not outcome.ok)
        self.app.watching.poke()
        if self.is_attached:
            self.look_again()

    def action_back(self) -> None:
        self.dismiss()
