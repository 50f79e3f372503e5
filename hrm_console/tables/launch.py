"""What keys do on the launch form."""

from __future__ import annotations

from hrm_console.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "start",
        "f5,ctrl+s",
        "F5",
        "start",
        "start",
        "Start the run that the form describes.",
        ("launch",),
        priority=True,
    ),
    Action("preset_next", "ctrl+t", "^t", "preset(1)", "preset", "Choose the next preset.", ("launch",), priority=True),
)
