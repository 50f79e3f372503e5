"""What keys do in boxes that ask something."""

from __future__ import annotations

from hrm_console.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("stop_checkpoint", "c", "c", "choose('stop')", "checkpoint", "Stop at the next checkpoint.", ("stop",)),
    Action("stop_now", "n", "n", "choose('stop-now')", "now", "Stop now, after the step under way.", ("stop",)),
    Action(
        "stop_kill",
        "x",
        "x",
        "choose('kill')",
        "kill",
        "Kill the process; what came after the last checkpoint is lost.",
        ("stop",),
    ),
)
