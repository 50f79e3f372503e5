"""What the keys of the runs screen do beyond the table: trying a filter, renaming a run, removing runs.

The app and lines -> dialogs -> `hrm_core.runs.housekeeping` in a thread -> a toast and the session put right. The run
folders themselves are changed there, under the run's lock; nothing is decided here about what may be done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hrm_console.rows.listing import RunLine, line_facts
from hrm_console.views.run.describe import can_steer
from hrm_console.views.runs.view import begun_term, understood
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp
    from hrm_console.screens.runs import RunsScreen


def try_filter(app: ConsoleApp, text: str, before: str) -> tuple[str, str]:
    """Take a filter that is being written into the session; (what is wrong with it, what it may become).

    While it is not understood, or chooses nothing and looks like the beginning of a field, the filter `before` holds.
    """
    question, wrong = understood(text, app.runs)
    hint = "" if wrong else begun_term(text)
    if question is None:
        text = before
    elif hint:
        now_s, marked = time.time(), frozenset(app.session.marked)
        if not any(question(line_facts(line, now_s, line.run_id in marked)) for line in app.runs):
            text = before
    if text != app.session.filter:
        app.remember(replace(app.session, filter=text))
    return wrong, hint


def refused(app: ConsoleApp, line: RunLine | None, what: str) -> bool:
    """Whether a run cannot be renamed or removed now; a toast says why."""
    if line is None:
        app.say("no run is chosen", bad=True)
    elif can_steer(line):
        app.say(f"{line.run_id} is {line.state}: press s to stop it before it can be {what}", bad=True)
    else:
        return False
    return True


def rename(screen: RunsScreen, line: RunLine | None) -> None:
    """Ask for another name, and give it."""
    from hrm_console.screens.runs_rename import RenameScreen
    from hrm_core.runs.housekeeping import rename_run

    app = screen.app
    if line is None or refused(app, line, "renamed"):
        return

    def chosen(name: str | None) -> None:
        if name:
            # What a rename means for a sweep or the queue was said in the dialog.
            app.in_background(lambda: rename_run(line.folder, name, True), lambda _: renamed(screen, line.run_id, name))

    app.push_screen(RenameScreen(line, frozenset(other.run_id for other in app.runs)), chosen)


def renamed(screen: RunsScreen, old: str, new: str) -> None:
    """Marks, baseline and cursor follow the run."""
    app = screen.app
    app.remember(app.session.renamed(old, new))
    if app.subject == old:
        app.subject = new
    if screen.chosen == old:
        screen.held.key = new
    app.say(f"{old} is {new} now")
    app.watching.poke()


def remove(app: ConsoleApp, line: RunLine | None, marked: Sequence[RunLine]) -> None:
    """Ask once, with what would be lost, and remove the chosen run or all marked ones."""
    from hrm_console.screens.runs_remove import RemoveScreen

    idle = tuple(one for one in marked if not can_steer(one))
    if not idle and refused(app, line, "removed"):
        return

    def chosen(folders: tuple[Path, ...] | None) -> None:
        if folders:
            app.in_background(lambda: remove_all(folders), lambda done: removed(app, *done))

    single = line if line is not None and not can_steer(line) else None
    app.push_screen(RemoveScreen(single, idle, left_out=len(marked) - len(idle)), chosen)


def remove_all(folders: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Names of the runs that are gone, and why others are not. A refused one does not keep the rest."""
    from hrm_core.runs.housekeeping import remove_run

    gone: list[str] = []
    wrong: list[str] = []
    for folder in folders:
        try:
            remove_run(folder)
        except UserError as error:
            wrong.append(error.message)
        else:
            gone.append(folder.name)
    return gone, wrong


def removed(app: ConsoleApp, gone: Sequence[str], wrong: Sequence[str]) -> None:
    """Forget the runs that are gone."""
    session = app.session
    for name in gone:
        session = session.renamed(name, "")
    app.remember(session)
    if gone:
        app.say(f"{gone[0]} is removed" if len(gone) == 1 else f"{len(gone)} runs are removed")
    for message in wrong[:3]:
        app.say(message, bad=True)
    app.watching.poke()
