"""What keys do on several screens."""

from __future__ import annotations

from hrm_console.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "launch", "n", "n", "app.launch", "new run", "Choose an experiment and start a run.", ("runs", "run", "queue")
    ),
    Action(
        "stop",
        "s",
        "s",
        "stop",
        "stop",
        "Stop the run. Asks once: at the next checkpoint, or now.",
        ("runs", "run", "queue"),
    ),
    Action("pause", "p", "p", "pause", "pause", "Pause the run, or let a paused one go on.", ("runs", "run")),
    Action(
        "resume",
        "r",
        "r",
        "resume",
        "resume",
        "Resume a run that was lost, stopped or failed, from its last checkpoint.",
        ("runs", "run"),
    ),
    Action(
        "extend",
        "E",
        "E",
        "extend",
        "extend",
        "Make a run that has ended longer: asks for its new length.",
        ("runs", "run"),
        footer=False,
    ),
    Action(
        "fork",
        "F",
        "F",
        "fork",
        "fork",
        "Start a new run from the run's best weights, with a change.",
        ("runs", "run"),
        footer=False,
    ),
    Action(
        "back",
        "escape",
        "esc",
        "back",
        "back",
        "Go back to the screen before.",
        (
            "run",
            "launch",
            "settings",
            "catch",
            "save",
            "puzzles",
            "stop",
            "run_rename",
            "run_remove",
            "help",
            "go",
            "pick",
            "device",
            "compare",
            "archive",
            "archive_ask",
            "prune",
            "queue",
            "queue_after",
            "queue_clone",
            "queue_remove",
        ),
    ),
)
