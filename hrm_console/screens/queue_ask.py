"""What the queue's screen asks: a change for a clone, what to run after, whether to remove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from hrm_console.actions import bindings_of
from hrm_console.launching import split_overrides
from hrm_console.rows.listing import RunLine
from hrm_console.views.queue.words import MARKS
from hrm_console.widgets.lines import Choice, Rows
from hrm_console.words import LIVE, middle, plain, wrap
from hrm_core.errors import UserError
from hrm_core.runs.queue import clone
from hrm_core.runs.queue_records import Entry
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

WIDTH = 76
MOST_ROWS = 12
Other = tuple[str, str]
"""What is answered ("" for nothing), and the words for it."""


def title_of(entry: Entry, width: int = 40) -> str:
    """An entry in a box's title."""
    return f"{entry.id} ({middle(entry.experiment, width)})"


def after_choices(entry: Entry, entries: Sequence[Entry], runs: Sequence[RunLine]) -> tuple[Other, ...]:
    """What an entry could run after: nothing, the others to come or running, runs under way that are no entry's."""
    found: list[Other] = [("", "whenever its turn comes")]
    for one in entries:
        if one.id != entry.id and not one.is_over:
            words = f"{MARKS[one.state]} {one.id}  {one.experiment} {' '.join(one.overrides)}"
            found.append((one.id, words))
    ours = {one.run_id for one in entries}
    found += [(line.run_id, f"run {line.run_id}") for line in runs if line.state in LIVE and line.run_id not in ours]
    return tuple(found)


@final
class AfterScreen(ModalScreen[str | None]):
    """Ends with the number of an entry, the name of a run, "" for nothing, or None for no answer."""

    ROOM = "queue_after"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, entry: Entry, others: Sequence[Other]) -> None:
        super().__init__()
        self.entry, self.others = entry, others
        self.choices = Choice(id="choices")
        self.dialog = Vertical(self.choices, id="dialog")
        self.dialog.border_title = f"run {title_of(entry)} after"
        self.dialog.border_subtitle = "enter chooses, esc leaves it"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        palette = self.app.palette
        self.choices.show([plain(f" {words}", palette.text, WIDTH - 2) for _, words in self.others])
        self.dialog.styles.height = min(len(self.others), MOST_ROWS, max(1, self.app.size.height - 4)) + 2
        answers = [answer for answer, _ in self.others]
        if self.entry.after in answers:
            self.choices.move_to(answers.index(self.entry.after))

    @on(Choice.Chosen)
    def chosen(self, message: Choice.Chosen) -> None:
        self.dismiss(self.others[message.index][0])

    def action_back(self) -> None:
        self.dismiss(None)


@final
class CloneScreen(ModalScreen[Entry | None]):
    """Ends with the new entry. A change that is refused is said, and the box stays."""

    ROOM = "queue_clone"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry
        self.busy = False
        self.field = Input(id="change", compact=True, placeholder="training.seed=2 ...", max_length=1000)
        self.rows = Rows(id="words", focusable=False)
        self.dialog = Vertical(self.field, self.rows, id="dialog")
        self.dialog.border_title = f"clone {title_of(entry)} with a change"
        self.dialog.border_subtitle = "enter puts it in the queue, esc does not"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        self.say("")

    @on(Input.Changed)
    def changed(self) -> None:
        self.say("")

    def say(self, trouble: str) -> None:
        """What it has already, and what is wrong with the change."""
        palette, width = self.app.palette, min(WIDTH, self.app.size.width) - 4
        rows = wrap(trouble, width, palette.bad) if trouble else []
        rows += wrap(
            f"has: {' '.join(self.entry.overrides) or 'no overrides'}", width, palette.muted, indent="     ", first=""
        )
        self.rows.show(rows)
        self.dialog.styles.height = 3 + max(1, len(rows))

    @on(Input.Submitted)
    def submitted(self) -> None:
        if self.busy:
            return
        try:
            changes = split_overrides(self.field.value)
        except UserError as error:
            self.say(error.message)
            return
        self.busy = True
        runs_dir, entry_id = self.app.runs_dir, self.entry.id

        def work() -> Entry | str:
            try:
                return clone(runs_dir, entry_id, changes)
            except (UserError, OSError) as error:
                return clean(str(error))

        self.app.in_background(work, self._answered)

    def _answered(self, made: Entry | str) -> None:
        self.busy = False
        if not self.is_attached:
            return
        if isinstance(made, str):
            self.say(made)
        else:
            self.dismiss(made)

    def action_back(self) -> None:
        self.dismiss(None)


@final
class QueueRemoveScreen(ModalScreen[bool | None]):
    """Ends with True for yes."""

    ROOM = "queue_remove"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, entry: Entry, waiting: Sequence[str]) -> None:
        super().__init__()
        self.entry, self.waiting = entry, waiting
        self.words, self.choices = Rows(id="words", focusable=False), Choice(id="choices")
        self.dialog = Vertical(self.words, self.choices, id="dialog")
        self.dialog.border_title = f"remove {title_of(entry)}?"
        self.dialog.border_subtitle = "a run of it stays"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        palette, width = self.app.palette, min(WIDTH, self.app.size.width) - 4
        rows = wrap(" ".join(self.entry.overrides) or "no overrides", width, palette.muted)
        if self.waiting and self.entry.state != "done":
            rows += wrap(f"{', '.join(self.waiting)}, to run after it, will be held.", width, palette.warn)
        self.words.show(rows)
        self.words.styles.height = len(rows)
        keys = (("esc", "keep it"), ("y", "take it out of the queue"))
        self.choices.show([Text.assemble((f" {key:<4}", palette.key), (words, palette.text)) for key, words in keys])
        self.choices.focus()
        self.dialog.styles.height = len(rows) + len(keys) + 2

    @on(Choice.Chosen)
    def chosen(self, message: Choice.Chosen) -> None:
        self.dismiss(message.index == 1)

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_back(self) -> None:
        self.dismiss(None)
