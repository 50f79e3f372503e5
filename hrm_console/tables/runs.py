"""What keys do on the runs screen."""

from __future__ import annotations

from hrm_console.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("open", "enter", "enter", "open", "open", "Open the run under the cursor.", ("runs",)),
)
