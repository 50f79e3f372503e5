"""The settings screen: what can be set, from the one list of settings, and which key does what.

`app.settings` and `app.keymap` -> two lists; a change is checked, written in a thread (settings.toml, keys.toml) and
holds at once where it can. The words are in settings_words.py. Keys: actions.py, "settings".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Label

from hrm_console.actions import SCREENS, bindings_of, key_name
from hrm_console.keys import checked_keymap, keys_path, write_keymap
from hrm_console.screens.base import Room
from hrm_console.screens.launch_fields import ValueField, helped
from hrm_console.screens.settings_catch import CatchScreen
from hrm_console.views.settings.words import (
    KeyRow,
    holds,
    key_detail,
    key_header,
    key_row,
    key_rows,
    setting_detail,
    setting_header,
    setting_row,
    shown,
    stepped,
    typed,
)
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.lines import Choice, Rows
from hrm_console.words import tabs, wrap
from hrm_core.errors import UserError
from hrm_core.runs.user_settings import SETTINGS, Setting, UserSettings, Value, write_settings

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

PAGES = ("settings", "keys")


@final
class SettingsScreen(Room):
    """Two pages: settings and keys. `editing` is the setting whose value is being typed."""

    ROOM = "settings"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__()
        self.page = "settings"
        self.editing: Setting | None = None
        self.wrong = ""
        self.rows: tuple[KeyRow, ...] = key_rows()
        self.settings_list = Choice(id="settings-list")
        helped(
            self.settings_list,
            "Every setting. Enter steps through the choices or asks for a value, backspace gives the default again. "
            "What is changed is saved at once.",
        )
        self.keys_list = Choice(id="keys-list")
        helped(
            self.keys_list,
            "Every action by screen with its keys. Enter waits for another key, backspace gives the usual ones again.",
        )
        self.detail = Rows(id="setting-detail", focusable=False)
        self.label = Label("", markup=False)
        self.value = ValueField(id="setting-value")
        self.tabs = Bar(self._tabs, id="tabs")
        self.header = Bar(self._header, id="header")

    def compose(self) -> ComposeResult:
        yield Bar(self._title, id="title")
        yield self.tabs
        yield self.header
        yield self.settings_list
        yield self.keys_list
        yield self.detail
        yield Horizontal(self.label, self.value, id="setting-edit")
        yield Bar(self.keys_text, id="keys")

    def on_mount(self) -> None:
        self.action_page(self.page)

    def runs_changed(self) -> None:
        """The app has read the folder, or has other settings or keys."""
        self.draw()

    def feed_changed(self) -> None:
        """Nothing here depends on a run's rows."""

    def shell_words(self) -> tuple[str, ...]:
        return ("settings",)

    def on_screen_resume(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    # What is shown ----------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw both lists; rows that did not change are not painted."""
        palette, width = self.app.palette, self.size.width
        group, rows = "", []
        for setting in SETTINGS:
            head = setting.key.partition(".")[0]
            value = self.app.settings.values[setting.key]
            rows.append(setting_row(setting, "" if head == group else head, value, palette, width))
            group = head
        self.settings_list.show(rows)
        screen, rows = "", []
        for row in self.rows:
            title = "" if row.screen == screen else SCREENS[row.screen]
            rows.append(key_row(row, title, self.app.keymap, palette, width))
            screen = row.screen
        self.keys_list.show(rows)
        self.detail.show(self._detail(width))
        for bar in self.query(Bar):
            bar.update()

    def _detail(self, width: int) -> list[Text]:
        palette = self.app.palette
        if self.wrong:
            return wrap(self.wrong, width - 1, palette.bad, indent="   ", first=" ✗ ")
        if self.page == "keys":
            return key_detail(self.rows[self.keys_list.cursor], self.app.keymap, palette, width)
        return setting_detail(SETTINGS[self.settings_list.cursor], palette, width)

    def _title(self, width: int) -> Text:
        return self.title_text("settings", width)

    def _header(self, width: int) -> Text:
        made = key_header if self.page == "keys" else setting_header
        return made(self.app.palette, width)

    def _tabs(self, width: int) -> Text:
        return tabs(PAGES, self.page, self.app.palette)

    # Changing a setting -----------------------------------------------------------------------------------------------

    @on(Choice.Moved)
    def moved(self) -> None:
        self.wrong = ""
        if self.editing is not None:  # a click on another setting leaves this one as it was
            self._end()
        self.draw()

    @on(Choice.Chosen)
    def chosen(self, message: Choice.Chosen) -> None:
        if message.choice is self.keys_list:
            self._catch(self.rows[message.index])
            return
        setting = SETTINGS[message.index]
        value = self.app.settings.values[setting.key]
        following = stepped(setting, value)
        if following is not None:
            self.put(setting, following)
            return
        self.editing = setting
        self.label.update(setting.key)
        self.value.value = shown(value)
        self.set_class(True, "-editing")
        self.value.focus()

    @on(Input.Changed)
    def changed(self, message: Input.Changed) -> None:
        if self.editing is not None:
            try:
                typed(self.editing, message.value)
                self.wrong = ""
            except UserError as error:
                self.wrong = error.message
            self.draw()

    @on(Input.Submitted)
    def submitted(self, message: Input.Submitted) -> None:
        setting = self.editing
        if setting is None or self.wrong:
            return
        value = typed(setting, message.value)
        self._end()
        self.put(setting, value)

    def _end(self) -> None:
        self.editing, self.wrong = None, ""
        self.set_class(False, "-editing")
        self.settings_list.focus()
        self.draw()

    def put(self, setting: Setting, value: Value) -> None:
        """Have a setting at this value from now on, and keep it."""
        settings = UserSettings({**self.app.settings.values, setting.key: value})
        self.app.use_settings(settings)
        words = f"{setting.key} = {shown(value) or '(none)'}; {holds(setting)}"
        self.app.in_background(lambda: write_settings(settings.values), lambda _: self.app.say(words))

    # Changing a key ---------------------------------------------------------------------------------------------------

    def _catch(self, row: KeyRow) -> None:
        def caught(key: str | None) -> None:
            if key is not None:
                self.map_key(row.action.id, key)

        self.app.push_screen(CatchScreen(row.action.word), caught)

    def map_key(self, action: str, key: str | None) -> None:
        """Give an action another key, or its usual ones (None); what clashes is said and changes nothing."""
        wanted: dict[str, object] = {name: keys for name, keys in self.app.keymap.items() if name != action}
        if key is not None:
            wanted[action] = key
        keymap, problems = checked_keymap(wanted)
        if problems:
            self.wrong = "; ".join(problems)
            self.draw()
            return
        self.wrong = ""
        self.app.use_keymap((keymap, ()))
        words = f"{action}: {'its usual keys' if key is None else key_name(key)}"
        path = self.app.keys_file
        self.app.in_background(lambda: write_keymap(path or keys_path(), keymap), lambda _: self.app.say(words))

    # Actions ----------------------------------------------------------------------------------------------------------

    def action_page(self, page: str) -> None:
        self.page, self.wrong = page, ""
        if self.editing is not None:
            self._end()
        for name in PAGES:
            self.set_class(name == page, f"-page-{name}")
        (self.keys_list if page == "keys" else self.settings_list).focus()
        self.call_after_refresh(self.draw)

    def action_reset(self) -> None:
        if self.page == "keys":
            self.map_key(self.rows[self.keys_list.cursor].action.id, None)
        elif self.editing is None:
            setting = SETTINGS[self.settings_list.cursor]
            self.put(setting, setting.default)

    def action_back(self) -> None:
        if self.editing is not None:
            self._end()
            return
        self.dismiss()
