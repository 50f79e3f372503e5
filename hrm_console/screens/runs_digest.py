"""The panel "while you were away" above the runs table: open on opening where something happened, closed by escape.

last look (session) + the runs -> digest.py's news -> rows. The look back is taken once, when both are known; `keep`
lets the session know what was seen since, every minute and on leaving.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, final

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.timer import Timer

from hrm_console.views.runs.digest import News, digest_rows, headline, is_away, looked, news_of
from hrm_console.widgets.bar import Bar, two_ends
from hrm_console.widgets.lines import Rows

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

# A console that is killed must not call an hour "away".
LOOK_S = 60.0
# A slow disk shows its first runs before all are read: looked for again after so long.
WAIT_S = 0.5


@final
class DigestPanel(Vertical):
    """Hidden until it is opened. `news` is None until the last look and the runs are known."""

    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__(id="digest")
        self.head, self.body = Bar(self._head, id="digest-head"), Rows(id="digest-rows")
        self.news: tuple[News, ...] | None = None
        self.away_s = 0.0
        self.waiting: Timer | None = None
        self.display = False

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.body

    def on_mount(self) -> None:
        self.set_interval(LOOK_S, self.keep)
        self.waiting = self.set_interval(WAIT_S, self.look_back)
        self.look_back()

    def look_back(self) -> None:
        """The first time that the last look and all runs are known: what is different."""
        app, session, now_s = self.app, self.app.session, time.time()
        if self.news is not None and self.waiting is not None:
            self.waiting.stop()
        elif self.news is None and session.is_read and not app.trouble and app.watching.whole == len(app.runs):
            self.news = news_of(session, app.runs, now_s)
            self.away_s = now_s - (session.seen_s or now_s)
            self.open(bool(self.news) and is_away(session, now_s))

    def keep(self) -> None:
        """Put what is seen into the session; not before the last look is known, nor of a folder that is unreadable."""
        app = self.app
        if self.news is not None and not app.trouble:
            app.remember(looked(app.session, app.runs, time.time()))

    def open(self, is_open: bool) -> None:
        """Show it or not."""
        self.display = is_open
        self.draw()

    @property
    def rows_used(self) -> int:
        """How many rows of the screen it takes."""
        return 1 + self._height() if self.display else 0

    def _height(self) -> int:
        return max(1, min(len(self.body.rows), self.app.size.height // 4))

    def draw(self) -> None:
        """For the width that there is now."""
        if self.display:
            self.body.show(digest_rows(self.news or (), self.app.palette, self.app.size.width - 1))
            self.body.styles.height = self._height()
            self.head.update()

    def _head(self, width: int) -> Text:
        palette = self.app.palette
        left = Text(f" {headline(self.news or (), self.away_s)}", f"bold {palette.accent}", no_wrap=True, end="")
        return two_ends(
            left, Text(" esc closes " if width < 100 else " esc closes, w opens ", palette.muted), width, ""
        )
