"""What the keys of the archive screen do to the entry under the cursor: asks where it must, works in a thread, says how
it went.

`ArchiveScreen` -> changes of `hrm_core.runs.archive_changes` and `archive_export`, a child `hrm eval`, other screens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hrm_console.asking import Answer, ask
from hrm_console.rooms import ROOMS
from hrm_console.screens.archive_ask import AskScreen
from hrm_console.screens.archive_prune import PruneScreen
from hrm_console.views.archive.words import byte_size, overrides_line
from hrm_console.words import LIVE
from hrm_core.errors import UserError
from hrm_core.runs import archive_changes
from hrm_core.runs.archive import Entry
from hrm_core.runs.archive_changes import PrunePlan
from hrm_core.runs.archive_details import read_details
from hrm_core.runs.archive_export import export_name, export_snapshot
from hrm_core.runs.layout import check_name

if TYPE_CHECKING:
    from hrm_console.screens.archive import ArchiveScreen

NEED_AN_ENTRY = frozenset(
    f"archive_{name}" for name in ("pin", "promote", "from", "again", "export", "run", "puzzles", "open")
)
# A whole validation of a large model on a CPU; what takes longer is asked of `hrm eval` in a shell.
PATIENCE_S = 3600.0


def _entry(screen: ArchiveScreen) -> Entry | None:
    if screen.entry is None:
        screen.app.say("nothing is chosen", bad=True)
    return screen.entry


def pin_or_not(screen: ArchiveScreen) -> None:
    """Pin it, or take the pin away."""
    entry = _entry(screen)
    if entry is None:
        return

    def done(_: None) -> None:
        screen.app.say(f"{entry.name} is {'not pinned any more' if entry.pinned else 'pinned'}")
        screen.reading.read()

    screen.app.in_background(lambda: archive_changes.pin(entry, not entry.pinned), done)


def promote(screen: ArchiveScreen) -> None:
    """Ask for a name, and give it that."""
    entry, app = _entry(screen), screen.app
    if entry is None:
        return
    taken = {name for one in (screen.listing.entries if screen.listing else ()) for name in one.promoted}

    def check(name: str) -> str:
        if name in taken:
            return f"There is a promoted snapshot {name} already."
        if app.line_of(name) is not None:
            return f"There is a run {name}."
        try:
            check_name(name)
        except UserError as error:
            return error.message.replace("for a run", "for a snapshot")
        return ""

    def named(name: str | None) -> None:
        if name:
            work = partial(archive_changes.promote, app.runs_dir, entry.folder, name)
            app.in_background(work, lambda _: _said(screen, f"{entry.name} is now also {name}"))

    has = f" It is {', '.join(entry.promoted)} already; `hrm archive promote --remove NAME` takes that away."
    words = "It stays under this name when its run is pruned or removed; `hrm eval NAME` and --from NAME take it."
    app.push_screen(AskScreen(f"promote {entry.name}", "", words + (has if entry.promoted else ""), check), named)


def _said(screen: ArchiveScreen, text: str) -> None:
    screen.app.say(text)
    screen.reading.read()


def export(screen: ArchiveScreen) -> None:
    """Ask where to, and copy it there."""
    entry, app, listing = _entry(screen), screen.app, screen.listing
    if entry is None or listing is None:
        return

    def placed(place: str | None) -> None:
        if place:
            app.say(f"exporting {entry.name} …")

            def work() -> Path:
                return export_snapshot(read_details(entry, listing), Path(place).expanduser().absolute())

            app.in_background(work, lambda target: app.say(f"exported to {target}"))

    folder = app.settings.text("console.exports").rstrip("/")
    words = f"A new folder, or one file where it ends with .tar: {byte_size(entry.size_bytes)} with weights, recipe, "
    words += "evaluation and a README; every byte is checked."
    check: Callable[[str], str] = lambda text: "" if text.strip() else "Write a place."  # noqa: E731
    app.push_screen(AskScreen(f"export {entry.name}", f"{folder}/{export_name(entry)}", words, check), placed)


def prune(screen: ArchiveScreen) -> None:
    """Show what would go for a budget, ask, and remove it."""
    app, listing = screen.app, screen.listing
    if listing is None:
        return
    live = frozenset(line.run_id for line in app.runs if line.state in LIVE)

    def agreed(plan: PrunePlan | None) -> None:
        if plan is not None:
            app.in_background(partial(archive_changes.prune, app.runs_dir, plan.goes), partial(_pruned, screen, plan))

    app.push_screen(PruneScreen(listing, live, app.settings.number("archive.budget_gib")), agreed)


def _pruned(screen: ArchiveScreen, plan: PrunePlan, gone: list[Entry]) -> None:
    stayed = len(plan.goes) - len(gone)
    more = f"; {stayed} stay, pinned or taken up meanwhile" if stayed else ""
    freed = byte_size(sum(entry.size_bytes for entry in gone))
    _said(screen, f"{len(gone)} removed, {freed} are free again{more}")


def evaluate(screen: ArchiveScreen) -> None:
    """Evaluate it again in a child process; its page shows the result when it comes."""
    entry, app = _entry(screen), screen.app
    if entry is None:
        return
    folder = entry.folder
    if folder in screen.answers and screen.answers[folder] is None:
        app.say(f"{entry.name} is being evaluated", bad=True)
        return
    screen.answers[folder] = None
    asker = partial(ask, patience_s=PATIENCE_S) if app.asker is ask else app.asker

    def done(answer: Answer) -> None:
        ok = answer.ok and isinstance(answer.data, dict)
        screen.answers[folder] = answer.data if ok else answer.text or "hrm eval gave no answer"
        app.say(f"{entry.name} is evaluated" if ok else f"{entry.name}: {answer.text}", bad=not ok)
        if screen.is_attached:
            screen.show_page()

    # By its folder: a name could mean another snapshot by the time the child looks.
    words = ("eval", str(folder.absolute()), "--split", "val")
    app.in_background(lambda: asker(words), done)
    app.say(f"evaluating {entry.name}; its page will show the result")
    screen.show_page()


def start_from(screen: ArchiveScreen) -> None:
    """Open the launch form for a run like its own that begins with its weights."""
    entry, app = _entry(screen), screen.app
    if entry is None:
        return
    line = app.line_of(entry.run_id)
    overrides = overrides_line(line.run_json) if line is not None else ""
    preset = f"preset={entry.origin.preset}" if entry.origin.preset else ""
    app.go("launch", entry.origin.experiment, overrides or preset, entry.name)


def open_run(screen: ArchiveScreen) -> None:
    """Open its run."""
    entry, app = _entry(screen), screen.app
    if entry is None:
        return
    if app.line_of(entry.run_id) is None:
        app.say(f"run {entry.run_id} is not in the folder any more", bad=True)
        return
    app.show_run(entry.run_id)


def open_puzzles(screen: ArchiveScreen) -> None:
    """Show its predictions."""
    entry, app = _entry(screen), screen.app
    if entry is None:
        return
    if "puzzles" not in ROOMS or app.line_of(entry.run_id) is None:
        app.say(f"run {entry.run_id} and its predictions are not in the folder any more", bad=True)
        return
    app.go("puzzles", entry.run_id, entry.step)
