"""What keys do on the settings screen."""

from __future__ import annotations

from hrm_console.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("settings_page", "1", "1", "page('settings')", "settings", "Show the settings.", ("settings",)),
    Action("keys_page", "2", "2", "page('keys')", "keys", "Show which key does what, to change it.", ("settings",)),
    Action(
        "reset_setting",
        "backspace",
        "backspace",
        "reset",
        "default again",
        "Give the setting under the cursor its default, or the action its usual keys.",
        ("settings",),
    ),
)
