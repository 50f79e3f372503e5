"""Asks once whether runs are to be deleted for good, with what would be lost. Ends with their folders, or None."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from hrm_console.actions import bindings_of
from hrm_console.rows.listing import RunLine
from hrm_console.theme import Palette
from hrm_console.widgets.lines import Choice, Rows
from hrm_console.words import middle, plain, wrap
from hrm_core.runs.housekeeping import References, Weight, references, weigh

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

WORDS_WIDTH = 72
MOST_NAMED = 8
Found = tuple[tuple[Weight, References], ...]
Answer = tuple[Path, ...]


def measured(lines: Sequence[RunLine]) -> Found:
    """What each run holds, and who means it by its name. Reads folders: called in a thread."""
    return tuple((weigh(line.folder), references(line.folder)) for line in lines)


def answers(line: RunLine | None, marked: Sequence[RunLine]) -> list[tuple[str, str, Answer]]:
    """Key, words and folders of each answer; keeping everything is the first."""
    found: list[tuple[str, str, Answer]] = [("esc", "keep everything", ())]
    if line is not None:
        found.append(("y", f"remove {middle(line.run_id, 40)} for good", (line.folder,)))
    if marked and [one.run_id for one in marked] != ([line.run_id] if line is not None else []):
        many = f"the {len(marked)} marked runs" if len(marked) > 1 else f"the marked run {middle(marked[0].run_id, 32)}"
        found.append(("a", f"remove {many} for good", tuple(one.folder for one in marked)))
    return found


def loss_rows(lines: Sequence[RunLine], found: Found | None, left_out: int, palette: Palette, width: int) -> list[Text]:
    """Each run with what goes with it."""
    rows: list[Text] = []
    for at, line in enumerate(lines[:MOST_NAMED]):
        weight = "measuring …" if found is None else found[at][0].words
        name = plain(middle(line.run_id, max(12, width - len(weight) - 2)), palette.strong)
        rows.append(Text.assemble(name, "  ", (weight, palette.text), no_wrap=True, end=""))
        for sentence in () if found is None else found[at][1].sentences:
            rows += wrap(sentence, width, palette.warn, indent="  ")
    if len(lines) > MOST_NAMED:
        rows.append(Text(f"and {len(lines) - MOST_NAMED} more", palette.muted, no_wrap=True, end=""))
    if found is not None and len(lines) > 1:
        total = Weight(*(sum(values) for values in zip(*(_counts(weight) for weight, _ in found), strict=True)))
        rows.append(Text(f"in all: {total.words}", palette.text, no_wrap=True, end=""))
    if left_out:
        rows += wrap(f"{left_out} marked runs go on and are left alone.", width, palette.muted)
    return rows


def _counts(weight: Weight) -> tuple[int, int, int, int]:
    return weight.bytes, weight.checkpoints, weight.bests, weight.pinned


@final
class RemoveScreen(ModalScreen[Answer | None]):
    """`line` is the run under the cursor, `marked` the marked ones; both only such as can be removed."""

    ROOM = "run_remove"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, line: RunLine | None, marked: Sequence[RunLine], left_out: int = 0) -> None:
        super().__init__()
        self.left_out = left_out
        others = [one for one in marked if line is None or one.run_id != line.run_id]
        self.lines = (*(() if line is None else (line,)), *others)
        self.answers = answers(line, marked)
        self.found: Found | None = None
        self.words, self.choices = Rows(id="words", focusable=False), Choice(id="choices")
        self.dialog = Vertical(self.words, self.choices, id="dialog")
        self.dialog.border_title = "remove?"
        self.dialog.border_subtitle = "promoted snapshots stay"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        palette = self.app.palette
        self.choices.show(
            [Text.assemble((f" {key:<4}", palette.key), plain(words, palette.text)) for key, words, _ in self.answers]
        )
        self.choices.styles.height = len(self.answers)
        self.choices.focus()
        self._say()
        self.app.in_background(lambda: measured(self.lines), self._measured)

    def _measured(self, found: Found) -> None:
        if self.is_attached:
            self.found = found
            self._say()

    def _say(self) -> None:
        width = min(WORDS_WIDTH, self.app.size.width - 4)
        rows = [*loss_rows(self.lines, self.found, self.left_out, self.app.palette, width), Text("")]
        self.words.show(rows)
        self.words.styles.height = max(1, min(len(rows), self.app.size.height - len(self.answers) - 4))

    @on(Choice.Chosen)
    def chosen(self, message: Choice.Chosen) -> None:
        self.dismiss(self.answers[message.index][2] or None)

    def action_answer(self, wanted: str) -> None:
        """A key gives its answer, where it is offered."""
        for key, _, folders in self.answers:
            if key == wanted:
                self.dismiss(folders)

    def action_back(self) -> None:
        self.dismiss(None)
