"""The log pane of the run screen: follows the feed's tail, or shows the surroundings of a hit of a search.

keys -> search of the whole file in a thread (log_search.py) -> rows. One `LogSearch` belongs to a run screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from hrm_console.rows.feed import Feed
from hrm_console.rows.log_search import Found, search, window_rows
from hrm_console.screens.run_bars import in_sight
from hrm_console.views.run.describe import log_rows
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_console.screens.run import RunScreen


@final
class LogSearch:
    """What the log pane shows."""

    def __init__(self, screen: RunScreen) -> None:
        self.screen = screen
        self.found: Found | None = None
        self.at = 0
        self.waiting = ""
        self.drawn: tuple[object, ...] = ()

    def show(self) -> None:
        """Draw the log where it has changed and is in sight."""
        screen, pane = self.screen, self.screen.log_pane
        width, palette = pane.size.width, screen.app.palette
        feed: Feed | None = screen.feed
        drawn = (feed, -1 if feed is None else feed.log_count, width, self.found, self.at)
        if not in_sight(pane) or drawn == self.drawn or (self.found is not None and drawn[2:] == self.drawn[2:]):
            return
        self.drawn = drawn
        if self.found is not None and self.found.hits:
            pane.show_at(*window_rows(self.found, self.at, palette, width))
        else:
            pane.grow(log_rows(feed, palette, width))

    def open(self) -> None:
        """Ask for words."""
        self.screen.add_class("-searching")
        self.screen.search_input.focus()

    def search(self, words: str) -> None:
        """Search for words in a thread."""
        line = self.screen.line
        if not words.strip() or line is None:
            self.end()
            return
        files = RunFolder(line.folder)
        self.waiting = words
        self.screen.app.in_background(lambda: search((files.log, files.output), words), self._found)

    def _found(self, found: Found) -> None:
        screen = self.screen
        if not screen.is_attached or found.words != self.waiting:
            return
        self.waiting = ""
        if not found.hits:
            screen.app.say(f"{found.words} is not in the log ({len(found.lines)} lines)")
            return
        screen.remove_class("-searching")
        self.found, self.at = found, len(found.hits) - 1
        screen.log_pane.searching = True
        screen.log_pane.focus()
        self._titled()

    def turn(self, step: int) -> None:
        """Go to another hit, around the end."""
        if self.found is not None:
            self.at = (self.at + step) % len(self.found.hits)
            self._titled()

    def _titled(self) -> None:
        self.screen.log_pane.border_title = f"log: {self.words()}".replace("[", "\\[")
        self.screen.call_after_refresh(self.screen.show_feed)

    def words(self) -> str:
        """What was searched and which hit is shown."""
        found = self.found
        if found is None:
            return ""
        cut = ", in the file's last 64 MiB" if found.cut else ""
        return f"{clean(found.words)[:40]}, {self.at + 1} of {len(found.hits)}{cut}   n N go on, esc ends"

    def end(self) -> bool:
        """Back to the end of the log; False if nothing was searched."""
        screen, pane = self.screen, self.screen.log_pane
        asked = screen.has_class("-searching")
        if not asked and self.found is None:
            return False
        screen.remove_class("-searching")
        if asked and screen.focused is screen.search_input:
            pane.focus()
        if self.found is not None:
            self.found, self.at, pane.searching = None, 0, False
            pane.border_title = "log"
            pane.at_end = True
            screen.call_after_refresh(screen.show_feed)
        self.waiting = ""
        return True
