"""What keys do on the launch form."""

from __future__ import annotations

from hrm_console.action import Action

HERE = ("launch",)

ACTIONS: tuple[Action, ...] = (
    Action("start", "f5,ctrl+s", "F5", "start", "start", "Start the run that the form describes.", HERE, priority=True),
    Action(
        "queue_run",
        "f6,ctrl+b",
        "F6",
        "queue",
        "queue",
        "Put the run in the queue, which starts it.",
        HERE,
        priority=True,
    ),
    Action(
        "save_mine",
        "f7,ctrl+l",
        "F7",
        "save",
        "save as mine",
        "Keep the form as an experiment of your own, under a name.",
        HERE,
        priority=True,
    ),
    Action(
        "all_settings",
        "f2,ctrl+o",
        "F2",
        "settings",
        "all settings",
        "Show every setting of the recipe in place of the experiments, or these again.",
        HERE,
        priority=True,
    ),
    Action("preset_next", "ctrl+t", "^t", "preset(1)", "preset", "Choose the next preset.", HERE, priority=True),
    Action("find_setting", "slash", "/", "find", "find a setting", "Search all settings by words.", HERE),
    Action(
        "own_value",
        "backspace",
        "backspace",
        "own_value",
        "own value",
        "Give the setting under the cursor the experiment's own value again.",
        HERE,
    ),
)
