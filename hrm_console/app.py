"""The app: one runs folder, one watching thread, a stack of screens. It paints first and reads then.

messages of watching.py -> `runs` and feeds, kept here, and the screen in sight is told; keys -> work in a thread ->
`Done` back here. Nothing here reads a file, trains, or blocks the event loop. Importing this module loads no torch,
numpy, h5py, scipy, triton or plotext; `hrm_core.recipe` is imported after the first frame, in recipes.py; screens other
than the runs screen are imported when they are opened.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, final

from textual import events
from textual.app import App, SystemCommand
from textual.await_complete import AwaitComplete
from textual.binding import BindingType
from textual.screen import ModalScreen, Screen

from hrm_console import background
from hrm_console.actions import EVERYWHERE, bindings_of
from hrm_console.asking import Answer, ask
from hrm_console.collecting import Collecting
from hrm_console.drawn import forget_drawn
from hrm_console.keys import keys_path, read_keymap
from hrm_console.launching import Launcher, run_command
from hrm_console.messages import Done, Failed, RunRead, RunsRead
from hrm_console.palette import commands
from hrm_console.queue_alarm import QueueAlarm
from hrm_console.rooms import ROOMS
from hrm_console.rows.listing import RunLine
from hrm_console.screens.base import Room
from hrm_console.screens.runs import RunsScreen
from hrm_console.session import Session, read_session, write_session
from hrm_console.steering import Steering
from hrm_console.styles import FIRST, prepare, read_rest
from hrm_console.terminal import is_gone, leave_on_signals
from hrm_console.theme import THEMES, look_for
from hrm_core.runs.text import clean
from hrm_core.runs.user_settings import UserSettings, read_settings

if TYPE_CHECKING:
    from hrm_console.rows.feed import Feed
    from hrm_console.rows.watching import Watching

FEED_PAUSE_S, READING_PAUSE_S = 0.1, 0.5
TOAST_LENGTH = 300
FIRST_FRAME_LATEST_S = 0.2
STYLES_S, STYLES_LATEST_S = 0.1, 2.0  # after the list of runs is shown; after the start
REMEMBER_S = 1.0
GONE_S = 2.0
COLLECT_S = 1.0
POPPED_S = 1.0
Result = TypeVar("Result")


@final
class ConsoleApp(App[int]):
    """`runs_dir` holds the runs; `launcher` runs an argv to its end; `open_run` is opened when it is first seen."""

    TITLE = "hrm-console"
    CSS_PATH = list(FIRST)
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(EVERYWHERE)
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]

    def __init__(
        self,
        runs_dir: Path,
        *,
        launcher: Launcher = run_command,
        asker: Callable[[Sequence[str]], Answer] = ask,
        open_run: str | None = None,
        tick_s: float | None = None,
        settings: UserSettings | None = None,
        keys_file: Path | None = None,
    ) -> None:
        super().__init__()
        self.runs_dir = runs_dir
        self.launcher = launcher
        self.asker = asker
        self.open_run = open_run
        self.settings = read_settings() if settings is None else settings
        self.keys_file = keys_file
        self.keymap: dict[str, str] = {}
        self.runs: tuple[RunLine, ...] = ()
        self.trouble = ""
        self.runs_known = False
        self.subject: str | None = None
        self.feeds: dict[str, Feed] = {}
        self.feed_due = False
        self.session = Session()
        self.session_due = False
        self.animation_level = "none"
        self.steering = Steering(self)
        self.queue_alarm = QueueAlarm(self)
        self.collecting = Collecting()
        self.popped_s = -POPPED_S
        self.tick_s = self.settings.number("console.refresh_s") if tick_s is None else tick_s
        self.begun = False
        for theme in THEMES:
            self.register_theme(theme)
        self.theme, self.palette = look_for(self.settings.text("console.theme"), self.console.color_system)

    def get_default_screen(self) -> Screen[None]:
        return RunsScreen(id="_default")

    def on_mount(self) -> None:
        leave_on_signals(self.lose_terminal)
        if not self.is_headless:
            self.set_interval(GONE_S, lambda: self.lose_terminal() if is_gone() else None)
            self.set_interval(COLLECT_S, self.collecting.tick)
        # Whatever comes first: the former is lost when a key opens another screen before the first frame.
        self.call_after_refresh(self._begin)
        self.set_timer(FIRST_FRAME_LATEST_S, self._begin)

    @cached_property
    def watching(self) -> Watching:
        """Reads the runs; imported with all that reads rows after the first frame."""
        from hrm_console.rows.watching import Watching

        return Watching(self.runs_dir, self.post_message, self.tick_s)

    def _begin(self) -> None:
        if self.begun:
            return
        self.begun = True
        self.set_timer(STYLES_LATEST_S, lambda: read_rest(self))
        self.watching.start()
        self.queue_alarm.start()
        self.in_background(lambda: read_session(self.runs_dir), self._session_read)
        self.in_background(lambda: read_keymap(self.keys_file or keys_path()), self.use_keymap)
        for problem in self.settings.problems:
            self.say(problem, bad=True)

    def use_keymap(self, read: tuple[dict[str, str], tuple[str, ...]]) -> None:
        """Take a key map, and say what in it is not obeyed."""
        self.keymap, problems = read
        self.set_keymap(self.keymap)
        for problem in problems:
            self.say(problem, bad=True)
        self.tell_of_runs()

    def use_settings(self, settings: UserSettings) -> None:
        """Have these settings from now on, in these colours; every screen draws anew when it is in sight."""
        self.settings = settings
        self.theme, self.palette = look_for(settings.text("console.theme"), self.console.color_system)
        self.watching.tick_s = settings.number("console.refresh_s")
        self.tell_of_runs()

    def lose_terminal(self) -> None:
        """Leave because the connection did; the next opening shows the run that was looked at."""
        self.remember(self.session.with_view("app", run=getattr(self.in_sight, "run_id", "")))
        self.exit()

    def on_unmount(self) -> None:
        if self.session_due:
            write_session(self.runs_dir, self.session)
        self.watching.stop()

    # What the screens ask for -----------------------------------------------------------------------------------------

    def line_of(self, run_id: str) -> RunLine | None:
        """The run of this name, if it is in the folder."""
        return next((line for line in self.runs if line.run_id == run_id), None)

    def feed_of(self, run_id: str) -> Feed | None:
        """The rows of this run, if it is a followed one."""
        return self.feeds.get(run_id)

    def follow(self, *lines: RunLine | None) -> None:
        """Read the rows of these runs from now on, and of no others. The first one is the one looked at."""
        from hrm_console.rows.feed import Feed

        wanted = [line for line in lines if line is not None]
        self.feeds = {line.run_id: self.feeds.get(line.run_id) or Feed(line.run_id) for line in wanted}
        if wanted:
            self.subject = wanted[0].run_id
        self.watching.follow(*(line.folder for line in wanted))

    def say(self, text: str, *, bad: bool = False) -> None:
        """A toast. The text is cleaned and never read as markup."""
        self.notify(
            clean(text)[:TOAST_LENGTH],
            severity="error" if bad else "information",
            markup=False,
            timeout=8 if bad else 4,
        )

    def go(self, room: str, *arguments: Any) -> None:
        """Show a screen: the open one of that room if it was asked for without arguments, else a new one on top."""
        entry = ROOMS[room]
        open_one = next((screen for screen in self.screen_stack if getattr(screen, "ROOM", "") == room), None)
        if open_one is not None and not arguments:
            while self.screen is not open_one:
                self.pop_screen()
            return
        read_rest(self)
        made = getattr(importlib.import_module(f"hrm_console.screens.{entry.module}"), entry.attribute)
        screen = made(*arguments)
        for length, steps in zip(self.size, (self.HORIZONTAL_BREAKPOINTS, self.VERTICAL_BREAKPOINTS), strict=True):
            # Put on when it is there, the classes of the terminal's size would have all that is on it styled twice.
            screen.add_class(max(step for step in steps if step[0] <= length)[1], update=False)
        self.push_screen(screen)

    def pop_screen(self) -> AwaitComplete:
        """Take the top screen away, and what was drawn on those before it."""
        forget_drawn()
        self.popped_s = time.monotonic()
        self.collecting.left()
        return super().pop_screen()

    def refresh(self, *, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Not the layouts that Textual 8.2 asks the app for, twice, when a screen has gone: the one that comes in sight
        is laid out as it was, and each sent a whole frame."""
        if layout and time.monotonic() - self.popped_s < POPPED_S:
            return self
        return super().refresh(repaint=repaint, layout=layout, recompose=recompose)

    def show_run(self, run_id: str) -> None:
        """Open a run's screen."""
        self.follow(self.line_of(run_id))  # read while the screen is being made
        self.subject = run_id
        self.go("run", run_id)

    @property
    def in_sight(self) -> Screen[object] | None:
        """The screen that is looked at: the top one that is no dialog. It alone is told of news.

        Not by a signal to all: a screen under another that gets any message sends a whole frame (Textual 8.2), and it
        would follow another run than the one that is looked at. Screens catch up in `on_screen_resume`.
        """
        return next((screen for screen in reversed(self.screen_stack) if not isinstance(screen, ModalScreen)), None)

    def in_background(self, work: Callable[[], Result], then: Callable[[Result], None] | None = None) -> None:
        """Run something that may take its time in a thread; `then` gets its result in the app's own thread.

        What goes wrong is said in a toast. `then` must look whether its screen is still there (`is_attached`).
        """
        background.start(self.post_message, work, then)

    def ask_hrm(self, words: Sequence[str], then: Callable[[Answer], None]) -> None:
        """Run `hrm WORDS... --json` in a child process; `then` gets the answer in the app's own thread."""
        self.in_background(lambda: self.asker(words), then)

    def remember(self, session: Session) -> None:
        """Keep what the console should find again, from now on; written soon, in a thread."""
        self.session = session
        if not self.session_due:
            self.session_due = True
            self.set_timer(REMEMBER_S, self._write_session)

    def _write_session(self) -> None:
        self.session_due = False
        session = self.session
        self.in_background(lambda: write_session(self.runs_dir, session))

    def _session_read(self, session: Session) -> None:
        if self.session_due:
            return
        lost = session.views.get("app", {}).get("run")
        if lost:  # the connection was lost while this run was looked at
            self.open_run = self.open_run or str(lost)
            session = session.with_view("app", run="")
            self.remember(session)
        self.session = session
        self.tell_of_runs()
        self._open_wanted()

    # What the threads tell --------------------------------------------------------------------------------------------

    def on_done(self, message: Done) -> None:
        if self.screen_stack:  # leaving takes the screens away first
            message.then(message.result)

    def on_failed(self, message: Failed) -> None:
        self.say(message.reason, bad=True)

    def on_runs_read(self, message: RunsRead) -> None:
        if not self.runs_known:
            self.set_timer(STYLES_S, self._prepare)
        self.runs, self.trouble, self.runs_known = message.runs, message.trouble, True
        self.tell_of_runs()
        self._open_wanted()

    def _prepare(self) -> None:
        prepare(self)
        if not self.is_headless:
            self.collecting.settled()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent):
            self.collecting.typed()
        await super().on_event(event)

    def _open_wanted(self) -> None:
        if self.open_run is not None and self.line_of(self.open_run) is not None:
            wanted, self.open_run = self.open_run, None
            self.show_run(wanted)

    def tell_of_runs(self) -> None:
        """Have the screen in sight draw what it shows of all runs again."""
        screen = self.in_sight
        if isinstance(screen, Room):
            screen.runs_changed()

    def on_run_read(self, message: RunRead) -> None:
        feed = self.feed_of(message.batch.run_id)
        if feed is not None:
            feed.take(message.batch)
            if message.batch.share == 1.0:
                self._publish_feed()
            elif not self.feed_due:
                # A long file comes in a hundred batches; its curves are drawn some of the times, not all of them.
                self.feed_due = True
                self.set_timer(FEED_PAUSE_S if message.batch.share is None else READING_PAUSE_S, self._publish_feed)
        self.watching.taken()

    def _publish_feed(self) -> None:
        self.feed_due = False
        screen = self.in_sight
        if isinstance(screen, Room):
            screen.feed_changed()

    # Keys of every screen ---------------------------------------------------------------------------------------------

    def action_help(self) -> None:
        from hrm_console.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def action_visit(self, room: str) -> None:
        self.go(room)

    def action_go(self) -> None:
        from hrm_console.screens.go import GoScreen

        if not isinstance(self.screen, ModalScreen):
            self.push_screen(GoScreen())

    def action_copy_line(self) -> None:
        from hrm_console.exporting import copy_line

        copy_line(self)

    def action_save_svg(self) -> None:
        from hrm_console.exporting import save_svg

        save_svg(self)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette; palette.py says what it offers."""
        return commands(self, screen)

    async def run_on(self, screen: Screen[object], call: str) -> None:
        """Run an action of the table as if its key had been pressed on a screen."""
        await self.run_action(call, default_namespace=screen)
