"""Choosing charts: every series that the feeds hold, in groups, each shown or not. Ends with the chosen names.

`pick_rows` is pure: charts, the chosen names, a palette -> rows of Text.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from hrm_console.actions import bindings_of
from hrm_console.theme import Palette
from hrm_console.views.run.charts import DEFAULT, ChartKind
from hrm_console.widgets.lines import Choice
from hrm_console.words import plain

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp


def grouped(kinds: Sequence[ChartKind]) -> list[ChartKind]:
    """The charts with those of a group together, groups in the order of their first chart."""
    groups = list(dict.fromkeys(kind.group for kind in kinds))
    return sorted(kinds, key=lambda kind: groups.index(kind.group))


def pick_rows(kinds: Sequence[ChartKind], chosen: Collection[str], palette: Palette, width: int) -> list[Text]:
    """One row a chart, with a mark where it is chosen and its group where that begins."""
    rows, before = [], ""
    for kind in kinds:
        on_ = kind.name in chosen
        row = Text(no_wrap=True, end="").append(" [x] " if on_ else " [ ] ", palette.key if on_ else palette.muted)
        row.append_text(plain(f"{kind.title:<32}", palette.text if on_ else palette.muted))
        if kind.group != before:
            row.append(f" {kind.group}", palette.muted)
            before = kind.group
        row.truncate(max(0, width), overflow="ellipsis")
        rows.append(row)
    return rows


@final
class PickScreen(ModalScreen[tuple[bool, tuple[str, ...] | None]]):
    """Ends with (whether anything was changed, the chosen names, or None for the usual charts)."""

    ROOM = "pick"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, kinds: Sequence[ChartKind], chosen: Sequence[str]) -> None:
        super().__init__()
        self.kinds = grouped(kinds)
        self.picked = set(chosen)
        self.usual = False
        self.began = frozenset(chosen)
        self.choices = Choice(id="choices")
        self.dialog = Vertical(self.choices, id="dialog")
        self.dialog.border_title = "charts"
        self.dialog.border_subtitle = "space shows or hides, d the usual, esc is done"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        self.dialog.styles.height = len(self.kinds) + 2
        self.call_after_refresh(self.show)

    def on_resize(self) -> None:
        self.call_after_refresh(self.show)

    def show(self) -> None:
        """Write the list."""
        self.choices.show(pick_rows(self.kinds, self.picked, self.app.palette, self.choices.size.width))

    @on(Choice.Chosen)
    def chosen(self, message: Choice.Chosen) -> None:
        self.action_pick()

    def action_pick(self) -> None:
        self.picked ^= {self.kinds[self.choices.cursor].name}
        self.usual = False
        self.show()

    def action_usual(self) -> None:
        self.picked, self.usual = set(DEFAULT), True
        self.show()

    def action_back(self) -> None:
        names = None if self.usual else tuple(kind.name for kind in self.kinds if kind.name in self.picked)
        self.dismiss((self.usual or self.picked != self.began, names))
