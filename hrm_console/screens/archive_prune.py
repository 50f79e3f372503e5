"""Asks once whether the oldest archived snapshots are to go: a budget that can be changed, and what would go for it.

`Listing` and the runs that go on -> the plan that was agreed to, or None. The plan is made in memory, at every key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from hrm_console.actions import bindings_of
from hrm_console.theme import Palette
from hrm_console.views.archive.words import byte_size
from hrm_console.widgets.lines import Rows
from hrm_console.words import finite, middle, plain, share, wrap
from hrm_core.runs.archive import Listing
from hrm_core.runs.archive_changes import PrunePlan, plan_prune

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

WIDTH = 74
# Border, budget, two sentences.
FRAME_ROWS = 6


def plan_rows(plan: PrunePlan | None, palette: Palette, width: int) -> list[Text]:
    """What a plan would do, in words and one by one."""
    if plan is None:
        return wrap("Write a number of GiB, such as 20 or 0.5.", width, palette.bad)
    taken = f"The archive takes {byte_size(plan.total)}. "
    if plan.goes:
        words = f"{len(plan.goes)} go, which frees {byte_size(plan.frees)}; ^y removes them for good:"
        rows = wrap(taken + words, width, palette.warn)
    else:
        rows = wrap(taken + ("Nothing of it can go." if plan.short else "Nothing needs to go."), width, palette.text)
    if plan.short:
        words = f"{byte_size(plan.short)} over the budget stay: bests of their runs, pinned and promoted ones."
        rows += wrap(words, width, palette.muted)
    if plan.busy:
        rows += wrap(f"Left alone, since they go on: {', '.join(plan.busy)}.", width, palette.muted)
    for entry in plan.goes:
        value, trivial = entry.metric("exact"), entry.trivial("exact")
        about = f"  {entry.time_utc[:10]}  exact {share(value)} %"
        about += f" (trivial {share(None if trivial is None else trivial[1])} %)  {byte_size(entry.size_bytes)}"
        row = plain(f" {middle(entry.name, max(12, width - len(about) - 2))}", palette.text)
        rows.append(row.append(about, palette.muted))
    return rows


@final
class PruneScreen(ModalScreen[PrunePlan | None]):
    """Ends with the plan. Removing is its caller's, in a thread."""

    ROOM = "prune"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, listing: Listing, live: frozenset[str], budget_gib: float) -> None:
        super().__init__()
        self.listing, self.live = listing, live
        self.field = Input(f"{budget_gib:g}", id="budget", compact=True, select_on_focus=False, max_length=20)
        self.rows = Rows(id="words")
        self.dialog = Vertical(
            Horizontal(Label("budget in GiB  ", markup=False), self.field, id="line"), self.rows, id="dialog"
        )
        self.dialog.border_title, self.dialog.border_subtitle = "prune the archive", "^y removes them, esc keeps all"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        self.field.focus()
        self.say()

    def plan(self) -> PrunePlan | None:
        """What would go for the budget that is written; None if that is no number."""
        try:
            gib = finite(float(self.field.value))
        except ValueError:
            return None
        return None if gib is None or not 0 <= gib <= 1e6 else plan_prune(self.listing, int(gib * 2**30), self.live)

    @on(Input.Changed)
    def say(self) -> None:
        """Show the plan."""
        self.rows.show(plan_rows(self.plan(), self.app.palette, min(WIDTH, self.app.size.width) - 5))
        self.dialog.styles.height = min(len(self.rows.rows) + 4, max(FRAME_ROWS, self.app.size.height - 2))

    def action_prune(self) -> None:
        plan = self.plan()
        if plan is not None and plan.goes:
            self.dismiss(plan)

    def action_back(self) -> None:
        self.dismiss(None)
