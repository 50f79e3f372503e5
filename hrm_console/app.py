"""The app: one runs folder, one watching thread, a stack of screens. It paints first and reads then.

messages of watching.py -> `runs` and `feed`, kept here, and the screen in sight is told; keys -> launching.py in a
thread -> a toast. Nothing here reads a file, trains, or blocks the event loop. Importing this module loads no torch,
numpy, h5py, scipy, triton or plotext; `hrm_core.recipe` is imported after the first frame, in recipes.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, final

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.message import Message
from textual.screen import ModalScreen, Screen

from hrm_console.actions import ACTIONS, EVERYWHERE, bindings_of
from hrm_console.describe import can_resume, can_steer
from hrm_console.feed import Feed
from hrm_console.launching import Launcher, resume_argv, run_command, steer
from hrm_console.listing import RunLine
from hrm_console.messages import RunRead, RunsRead, Started, Steered
from hrm_console.screens.help import HelpScreen
from hrm_console.screens.launch import LaunchScreen
from hrm_console.screens.run import RunScreen
from hrm_console.screens.runs import RunsScreen
from hrm_console.screens.stop import StopScreen
from hrm_console.theme import CALM, PLAIN, palette_for, theme_for
from hrm_console.watching import Watching
from hrm_core.runs.text import clean

FEED_PAUSE_S = 0.1
TOAST_LENGTH = 300
FIRST_FRAME_S = 0.02


@final
class ConsoleApp(App[int]):
    """`runs_dir` holds the runs; `launcher` runs an argv to its end; `open_run` is opened when it is first seen."""

    TITLE = "hrm-console"
    CSS_PATH = [f"screens/{name}.tcss" for name in ("app", "runs", "run", "launch", "dialogs")]
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(EVERYWHERE)
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]

    def __init__(
        self, runs_dir: Path, *, launcher: Launcher = run_command, open_run: str | None = None, tick_s: float = 0.5
    ) -> None:
        super().__init__()
        self.runs_dir = runs_dir
        self.launcher = launcher
        self.open_run = open_run
        self.runs: tuple[RunLine, ...] = ()
        self.trouble = ""
        self.runs_known = False
        self.feed: Feed | None = None
        self.feed_due = False
        self.palette = palette_for(self.console.color_system)
        self.animation_level = "none"
        self.watching = Watching(runs_dir, self.post_message, tick_s)
        self.register_theme(CALM)
        self.register_theme(PLAIN)
        self.theme = theme_for(self.console.color_system)

    def get_default_screen(self) -> Screen[None]:
        return RunsScreen(id="_default")

    def on_mount(self) -> None:
        # A timer, not call_after_refresh: that is lost when a key opens another screen before the first frame.
        self.set_timer(FIRST_FRAME_S, self.watching.start)

    def on_unmount(self) -> None:
        self.watching.stop()

    # What the screens ask for -----------------------------------------------------------------------------------------

    def line_of(self, run_id: str) -> RunLine | None:
        """The run of this name, if it is in the folder."""
        return next((line for line in self.runs if line.run_id == run_id), None)

    def feed_of(self, run_id: str) -> Feed | None:
        """The rows of this run, if it is the followed one."""
        return self.feed if self.feed is not None and self.feed.run_id == run_id else None

    def follow(self, line: RunLine | None) -> None:
        """Read this run's rows from now on."""
        if line is None or self.feed_of(line.run_id) is None:
            self.feed = None if line is None else Feed(line.run_id)
        self.watching.follow(None if line is None else line.folder)

    def say(self, text: str, *, bad: bool = False) -> None:
        """A toast. The text is cleaned and never read as markup."""
        self.notify(
            clean(text)[:TOAST_LENGTH],
            severity="error" if bad else "information",
            markup=False,
            timeout=8 if bad else 4,
        )

    def show_run(self, run_id: str) -> None:
        """Open a run's screen."""
        self.push_screen(RunScreen(run_id))

    @property
    def in_sight(self) -> Screen[object] | None:
        """The screen that is looked at: the top one that is no dialog. It alone is told of news.

        Not by a signal to all: a screen under another that gets any message sends a whole frame (Textual 8.2), and it
        would follow another run than the one that is looked at. Screens catch up in `on_screen_resume`.
        """
        return next((screen for screen in reversed(self.screen_stack) if not isinstance(screen, ModalScreen)), None)

    def in_thread(self, work: Callable[[], None]) -> None:
        """Run something that may take its time. It speaks by `post_message` only; nobody waits for it."""
        threading.Thread(target=work, name="work", daemon=True).start()

    # What the watching thread tells -----------------------------------------------------------------------------------

    def on_runs_read(self, message: RunsRead) -> None:
        self.runs, self.trouble, self.runs_known = message.runs, message.trouble, True
        screen = self.in_sight
        if isinstance(screen, (RunsScreen, RunScreen, LaunchScreen)):
            screen.runs_changed()
        if self.open_run is not None and self.line_of(self.open_run) is not None:
            wanted, self.open_run = self.open_run, None
            self.show_run(wanted)

    def on_run_read(self, message: RunRead) -> None:
        feed = self.feed_of(message.batch.run_id)
        if feed is not None:
            feed.take(message.batch)
            if not self.feed_due:
                # A long file comes in a hundred batches; its curves are drawn some of the times, not all of them.
                self.feed_due = True
                self.set_timer(FEED_PAUSE_S, self._publish_feed)
        self.watching.taken()

    def _publish_feed(self) -> None:
        self.feed_due = False
        screen = self.in_sight
        if isinstance(screen, (RunsScreen, RunScreen)):
            screen.feed_changed()

    # Starting and steering --------------------------------------------------------------------------------------------

    def start_run(self, run_id: str, argv: Sequence[str]) -> None:
        """Start a run in a child process; the launch screen, or a toast where it was left, says how it went."""
        self.in_thread(lambda: self._tell(Started(run_id, self.launcher(argv))))

    def _tell(self, message: Message) -> None:
        self.post_message(message)

    def on_started(self, message: Started) -> None:
        self.watching.poke()
        if isinstance(self.screen, LaunchScreen):
            self.screen.started(message)
        elif message.outcome.ok:
            self.say(f"{message.run_id} has started")
        else:
            self.say(f"{message.run_id} did not start: {message.outcome.text}", bad=True)

    def ask_stop(self, line: RunLine | None) -> None:
        """Ask once how to stop a run, and do it."""
        if line is None or not can_steer(line):
            self.refuse(line, "stop")
            return

        def chosen(request: str | None) -> None:
            if request:
                self.steer(line, request)

        self.push_screen(StopScreen(line.run_id), chosen)

    def pause_or_continue(self, line: RunLine | None) -> None:
        """Pause a running run, continue a paused one."""
        if line is None or not can_steer(line):
            self.refuse(line, "pause")
            return
        self.steer(line, "continue" if line.state == "paused" else "pause")

    def resume(self, line: RunLine | None) -> None:
        """Take up a run that nobody trains, in a child process."""
        if line is None or not can_resume(line):
            self.refuse(line, "resume")
            return
        self.say(f"resuming {line.run_id} …")
        argv = resume_argv(line.run_id, self.runs_dir)
        self.in_thread(lambda: self._tell(Steered(line.run_id, "resume", self.launcher(argv))))

    def steer(self, line: RunLine, request: str) -> None:
        """Put a request in the run's control folder."""
        self.in_thread(lambda: self._tell(Steered(line.run_id, request, steer(line.folder, request))))

    def refuse(self, line: RunLine | None, what: str) -> None:
        """Say why a key does nothing here."""
        self.say(
            "no run is chosen" if line is None else f"{line.run_id} is {line.state}: there is nothing to {what}",
            bad=True,
        )

    def on_steered(self, message: Steered) -> None:
        if not message.outcome.ok:
            self.say(f"{message.request} {message.run_id}: {message.outcome.text}", bad=True)
            return
        words = {
            "stop": "will stop at its next checkpoint",
            "stop-now": "will stop after the step under way",
            "pause": "will pause after the step under way",
            "continue": "goes on",
            "resume": "is resumed",
        }
        self.say(f"{message.run_id} {words.get(message.request, message.request)}")
        self.watching.poke()

    # Keys of every screen ---------------------------------------------------------------------------------------------

    def action_help(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def action_launch(self) -> None:
        if not isinstance(self.screen, LaunchScreen):
            self.push_screen(LaunchScreen())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: the actions of the screen below, from the same table as its keys."""
        room = getattr(screen, "ROOM", "")
        for action in ACTIONS:
            if action.id != "palette" and (EVERYWHERE in action.screens or room in action.screens):
                yield SystemCommand(
                    f"{action.word} ({action.shown})",
                    action.sentence,
                    lambda call=action.call: self.run_on(screen, call),
                )

    async def run_on(self, screen: Screen[object], call: str) -> None:
        """Run an action of the table as if its key had been pressed on a screen."""
        await self.run_action(call, default_namespace=screen)
