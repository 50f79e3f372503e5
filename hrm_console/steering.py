"""Starting, stopping, pausing and resuming runs for the screens: asks where something would be lost, says how it went.

key -> a request file or a child process, in a thread (launching.py) -> a toast. One `Steering` belongs to the app.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from hrm_console.launching import Outcome, resume_argv, steer
from hrm_console.rows.listing import RunLine
from hrm_console.views.run.describe import can_resume, can_steer

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

WORDS = {
    "stop": "will stop at its next checkpoint",
    "stop-now": "will stop after the step under way",
    "kill": "was killed; resume goes on from its last checkpoint",
    "pause": "will pause after the step under way",
    "continue": "goes on",
    "checkpoint": "will write a checkpoint",
    "resume": "is resumed",
}


@final
class Steering:
    """What the keys of a run do. `line` is the run under the cursor, or None."""

    def __init__(self, app: ConsoleApp) -> None:
        self.app = app

    def start_run(self, run_id: str, argv: Sequence[str]) -> None:
        """Start a run in a child process; the launch screen, or a toast where it was left, says how it went."""
        self.app.in_background(lambda: self.app.launcher(argv), lambda outcome: self._started(run_id, outcome))

    def _started(self, run_id: str, outcome: Outcome) -> None:
        from hrm_console.screens.launch import LaunchScreen

        self.app.watching.poke()
        screen = self.app.screen
        if isinstance(screen, LaunchScreen):
            screen.started(run_id, outcome)
        elif outcome.ok:
            self.app.say(f"{run_id} has started")
        else:
            self.app.say(f"{run_id} did not start: {outcome.text}", bad=True)

    def ask_stop(self, line: RunLine | None) -> None:
        """Ask once how to stop a run, and do it."""
        if line is None or not can_steer(line):
            self.refuse(line, "stop")
            return

        def chosen(request: str | None) -> None:
            if request:
                self.request(line, request)

        from hrm_console.screens.stop import StopScreen

        self.app.push_screen(StopScreen(line.run_id), chosen)

    def pause_or_continue(self, line: RunLine | None) -> None:
        """Pause a running run, continue a paused one."""
        if line is None or not can_steer(line):
            self.refuse(line, "pause")
            return
        self.request(line, "continue" if line.state == "paused" else "pause")

    def resume(self, line: RunLine | None) -> None:
        """Take up a run that nobody trains, in a child process."""
        if line is None or not can_resume(line):
            self.refuse(line, "resume")
            return
        self.app.say(f"resuming {line.run_id} …")
        argv = resume_argv(line.run_id, self.app.runs_dir)
        self.app.in_background(lambda: self.app.launcher(argv), lambda outcome: self.tell(line, "resume", outcome))

    def request(self, line: RunLine, request: str) -> None:
        """Put a request in the run's control folder (or kill its process)."""
        self.app.in_background(lambda: steer(line.folder, request), lambda outcome: self.tell(line, request, outcome))

    def refuse(self, line: RunLine | None, what: str) -> None:
        """Say why a key does nothing here."""
        self.app.say(
            "no run is chosen" if line is None else f"{line.run_id} is {line.state}: there is nothing to {what}",
            bad=True,
        )

    def tell(self, line: RunLine, request: str, outcome: Outcome) -> None:
        """How a request went."""
        if not outcome.ok:
            self.app.say(f"{request} {line.run_id}: {outcome.text}", bad=True)
            return
        self.app.say(f"{line.run_id} {WORDS.get(request, request)}")
        self.app.watching.poke()
