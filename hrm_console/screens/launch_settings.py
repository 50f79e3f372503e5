"""All settings of the recipe, by group: a list that is searched, and a field for the value under the cursor.

what overrides.py says of the schema and the checked form's values -> rows; a changed value -> `Wanted`, which the
launch screen lays into its overrides line. While a value is typed `Trying` is told, so that it is checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Label

from hrm_console.screens.launch_fields import FilterField, ValueField, helped
from hrm_console.screens.launch_words import detail_rows, setting_header, setting_row
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.lines import Choice, Rows

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp
    from hrm_console.views.launch.recipes import Checked
    from hrm_core.recipe.schema_info import SettingInfo


@final
class SettingsList(Vertical):
    """The pane. `editing` is the setting whose value is being typed."""

    app: ConsoleApp

    @final
    @dataclass
    class Wanted(Message):
        """A setting should have this value, or the experiment's own again (None)."""

        key: str
        value: str | None

    @final
    @dataclass
    class Trying(Message):
        """What is being typed has changed, or is over."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.all: tuple[SettingInfo, ...] = ()
        self.listed: tuple[SettingInfo, ...] = ()
        self.checked: Checked | None = None
        self.editing: SettingInfo | None = None
        self.filter = FilterField(id="setting-filter")
        self.header = Bar(self._header, id="setting-header")
        self.choice = Choice(id="settings")
        helped(
            self.choice,
            "Every setting of the recipe: its value, and EXP-00's. Enter changes it: steps through the choices, or "
            "asks for a value. Backspace gives it the experiment's own value again, / searches.",
        )
        self.detail = Rows(id="setting-detail", focusable=False)
        self.label = Label("", markup=False)
        self.value = ValueField(id="setting-value")

    def compose(self) -> ComposeResult:
        yield Horizontal(Label("find", markup=False), self.filter, classes="field")
        yield self.header
        yield self.choice
        yield self.detail
        yield Horizontal(self.label, self.value, id="setting-edit", classes="field")

    # What is shown ----------------------------------------------------------------------------------------------------

    def know(self, infos: Sequence[SettingInfo]) -> None:
        """Take the schema."""
        self.all = tuple(infos)
        self.search()

    def show(self, checked: Checked) -> None:
        """Take the values of a form. Those of one that does not hold are the last that did."""
        if not checked.problem or self.checked is None:
            self.checked = checked
        self.draw()

    @property
    def under_cursor(self) -> SettingInfo | None:
        """The setting under the cursor."""
        return self.listed[self.choice.cursor] if self.choice.cursor < len(self.listed) else None

    def value_of(self, info: SettingInfo) -> str:
        """Its present value, nothing where its technique is off."""
        return "" if self.checked is None else self.checked.values.get(info.key, "")

    def search(self) -> None:
        """List the settings that have all words of the filter, and keep the cursor on its setting."""
        before = self.under_cursor
        words = self.filter.value.lower().split()
        self.listed = tuple(
            info for info in self.all if all(word in f"{info.key} {info.description}".lower() for word in words)
        )
        self.choice.cursor = next(
            (at for at, info in enumerate(self.listed) if before is not None and info.key == before.key), 0
        )
        self.draw()

    def draw(self) -> None:
        """Draw list and detail."""
        palette, width = self.app.palette, self.choice.size.width
        if not width:
            return
        group = ""
        rows: list[Text] = []
        sources = {} if self.checked is None else self.checked.sources
        for info in self.listed:
            head = info.key.partition(".")[0]
            shown = "" if head == group else head
            group = head
            source = sources.get(info.key, "")
            rows.append(setting_row(info, shown, self.value_of(info), source, palette, width))
        self.choice.show(rows or [Text(" no setting has these words", style=palette.muted)])
        here = self.under_cursor
        self.detail.show(
            [] if here is None else detail_rows(here, self.value_of(here), sources.get(here.key, ""), palette, width)
        )
        self.header.update()

    def _header(self, width: int) -> Text:
        return setting_header(self.app.palette, width)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    # Changing a value -------------------------------------------------------------------------------------------------

    def find(self) -> None:
        """Put the cursor into the filter."""
        self.filter.focus()

    def own(self) -> None:
        """The setting under the cursor as the experiment has it."""
        info = self.under_cursor
        if info is not None:
            self.post_message(self.Wanted(info.key, None))

    def cancel(self) -> bool:
        """Leave a value as it was, or empty the filter; False where there is nothing to leave."""
        if self.editing is not None:
            self._end()
            return True
        if self.filter.value or self.filter.has_focus:
            self.filter.value = ""
            self.choice.focus()
            return True
        return False

    @on(Choice.Moved)
    def moved(self, message: Choice.Moved) -> None:
        message.stop()
        self.draw()

    @on(Choice.Chosen)
    def chosen(self, message: Choice.Chosen) -> None:
        message.stop()
        info = self.under_cursor
        if info is None:
            return
        now = self.value_of(info)
        if info.choices:
            at = info.choices.index(now) + 1 if now in info.choices else 0
            self.post_message(self.Wanted(info.key, info.choices[at % len(info.choices)]))
            return
        self.editing = info
        self.label.update(info.key)
        self.value.value = now
        self.set_class(True, "-editing")
        self.value.focus()

    @on(Input.Changed)
    def changed(self, message: Input.Changed) -> None:
        message.stop()
        if message.input is self.filter:
            self.search()
        elif self.editing is not None:
            self.post_message(self.Trying())

    @on(Input.Submitted)
    def submitted(self, message: Input.Submitted) -> None:
        message.stop()
        info = self.editing
        if message.input is self.value and info is not None:
            self._end()
            self.post_message(self.Wanted(info.key, message.value.strip()))
        else:
            self.choice.focus()

    def _end(self) -> None:
        self.editing = None
        self.set_class(False, "-editing")
        self.choice.focus()
        self.post_message(self.Trying())
