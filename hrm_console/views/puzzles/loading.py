"""Keeps a puzzles screen's state up to date: what is to be read is read in threads, one thing of a kind at a time.

Asked for again while it reads, it reads once more afterwards, so that a key held down or a run that writes a step never
makes a queue. What comes back for another test than the one looked at by then is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, final

from hrm_console.views.puzzles.reading import Found, Kept, Read, look, read_test
from hrm_console.views.puzzles.state import PuzzleState

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp


@final
class Loading:
    """run_id: the run meant, None: the one last looked at, or the newest that keeps predictions; step: None follows the
    newest; `shown` is called in the app's thread when there is something new to show, unless `here()` is false then.
    """

    def __init__(
        self,
        state: PuzzleState,
        run_id: str | None,
        step: int | None,
        other_run: str | None,
        here: Callable[[], bool],
        shown: Callable[[], None],
    ) -> None:
        self.state, self.run_id, self.step, self.other_run = state, run_id, step, other_run
        self.here, self.shown = here, shown
        self.kept = Kept()
        self.looked = self.looking = self.look_again = self.reading = self.gone = False

    def look(self, app: ConsoleApp) -> None:
        """Look what is kept now."""
        if self.looking:
            self.look_again = True
            return
        self.looking, self.look_again = True, False
        candidates, step, other, kept = self._candidates(app), self.step, self._other(app), self.kept
        app.in_background(lambda: look(kept, candidates, step, other), lambda found: self._take(app, found))

    def _candidates(self, app: ConsoleApp) -> list[tuple[str, Path]]:
        """Runs that may be shown, the one that is meant first."""
        if self.run_id is not None:
            line = app.line_of(self.run_id)
            return [] if line is None else [(line.run_id, line.folder)]
        meant = sorted(app.runs, key=lambda line: line.run_id != app.subject)
        return [(line.run_id, line.folder) for line in meant]

    def _other(self, app: ConsoleApp) -> Path | None:
        line = None if self.other_run is None else app.line_of(self.other_run)
        return None if line is None else line.folder

    def _take(self, app: ConsoleApp, found: Found) -> None:
        self.looking = False
        if not self.here():
            return
        first, self.looked = not self.looked, True
        gone, self.gone = self.gone, found.run_id is None and self.state.found.run_id is not None
        new = found.run_id is not None and found != self.state.found
        if new:
            self._show(app, found)
        if new or first or gone != self.gone:
            self.shown()
        if self.look_again:
            self.look(app)

    def _show(self, app: ConsoleApp, found: Found) -> None:
        """Another list than the one shown."""
        self.run_id = found.run_id
        if self.step is not None and found.step != self.step:
            app.say(f"step {self.step} is not kept; this is step {found.step}")
            self.step = None
        trouble = self.state.take(found)
        if trouble:
            app.say(trouble, bad=True)
        self.state.loaded = None
        self.read(app)

    def read(self, app: ConsoleApp) -> None:
        """Read the test looked at."""
        if self.reading or self.state.name is None:
            return
        self.reading = True
        found, name, other = self.state.found, self.state.name, self._other(app)
        app.in_background(lambda: read_test(self.kept, found, name, other), lambda read: self._have(app, found, read))

    def _have(self, app: ConsoleApp, found: Found, read: Read) -> None:
        self.reading = False
        if not self.here():
            return
        if found is not self.state.found or read.name != self.state.name:
            self.read(app)
            return
        self.state.have(read)
        self.shown()
