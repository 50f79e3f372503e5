"""Reading the archive in threads, one reading at a time; and which of it is shown, in which order. No Textual here.

runs folder -> `Listing` and `Details`, kept by `Reading` in the app's thread, which tells its owner when they change.
`view_of` is pure: a listing and what is remembered of the screen -> what is listed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from hrm_console.rows.evaluations import Row
from hrm_console.views.archive.words import matches, orders
from hrm_core.runs.archive import Archive, Entry, Listing, ordered
from hrm_core.runs.archive_details import Details, read_details

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

# A list of 600 is read again in 0.1 s; a live run changes something every second.
REFRESH_S = 2.0


@final
@dataclass(frozen=True)
class View:
    """What is listed: entries in order, by what they are sorted, and what they were chosen by."""

    entries: tuple[Entry, ...] = ()
    by: str = "exact"
    only_best: bool = False
    filter: str = ""


def view_of(listing: Listing | None, kept: Row) -> View:
    """The list as it is sorted and filtered; `kept` is what is remembered of the screen."""
    listing = Listing() if listing is None else listing
    wanted, text, only_best = kept.get("by"), kept.get("filter"), kept.get("only_best") is True
    known = orders(listing)
    by = wanted if isinstance(wanted, str) and wanted in known else "exact" if "exact" in known else known[0]
    text = text if isinstance(text, str) else ""
    entries = [entry for entry in ordered(listing.entries, by) if matches(entry, text)]
    # A promoted snapshot whose own entry is gone stands for itself.
    return View(
        tuple(entry for entry in entries if not only_best or entry.is_best or entry.promoted), by, only_best, text
    )


@final
class Reading:
    """`listed` is called after each reading of the list that found something new, `opened` after each of a page."""

    def __init__(self, app: ConsoleApp, listed: Callable[[], None], opened: Callable[[], None]) -> None:
        self.app = app
        self.listed, self.opened = listed, opened
        self.archive = Archive(app.runs_dir)
        self.listing: Listing | None = None
        self.trouble = ""
        self.details: Details | None = None
        self.checked: dict[Path, tuple[str, ...]] = {}
        self.opening: tuple[Path, bool] | None = None
        self._reading = self._again = False
        self._read_at = 0.0

    def read(self) -> None:
        """Read the list; once more if it was asked for meanwhile."""
        if self._reading:
            self._again = True
            return
        self._reading, self._again = True, False
        self.app.in_background(self._work, self._done)

    def read_now_and_then(self) -> None:
        """Read the list unless that was done just now."""
        if time.monotonic() - self._read_at > REFRESH_S:
            self.read()

    def _work(self) -> tuple[Listing | None, str]:
        try:
            return self.archive.read(), ""
        except Exception as error:  # a strange file must not leave the screen waiting for ever
            return None, str(error) or type(error).__name__

    def _done(self, found: tuple[Listing | None, str]) -> None:
        self._reading, self._read_at = False, time.monotonic()
        if found != (self.listing, self.trouble):
            self.listing, self.trouble = found
            self.listed()
        if self._again:
            self.read()

    def open(self, entry: Entry | None, verify: bool = False) -> None:
        """Read a page; with `verify` every byte of the snapshot. The last one that was asked for stays."""
        listing = self.listing
        if entry is None or listing is None:
            self.details = self.opening = None
            self.opened()
            return
        wanted = self.opening = (entry.folder, verify)

        def done(details: Details) -> None:
            if details.problems is not None:
                self.checked[entry.folder] = details.problems
            if self.opening == wanted:
                self.opening, self.details = None, details
            self.opened()

        self.app.in_background(lambda: read_details(entry, listing, verify), done)

    def is_checking(self, folder: Path) -> bool:
        """Whether every byte of it is being read."""
        return self.opening == (folder, True)
