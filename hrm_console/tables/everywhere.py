"""What keys do on every screen."""

from __future__ import annotations

from hrm_console.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "go", "g", "g", "app.go", "go to", "Go to another screen, or a pane of this one, by a letter.", ("everywhere",)
    ),
    Action(
        "copy_line",
        "Y",
        "Y",
        "app.copy_line",
        "copy as hrm line",
        "Copy the hrm command that prints what this screen shows.",
        ("everywhere",),
        footer=False,
    ),
    Action(
        "save_svg",
        "S",
        "S",
        "app.save_svg",
        "save as SVG",
        "Save this screen as a picture (setting console.exports says where).",
        ("everywhere",),
        footer=False,
    ),
    Action(
        "help",
        "question_mark,f1",
        "?",
        "app.help",
        "help",
        "Show this page. F1 does it inside a text field too.",
        ("everywhere",),
    ),
    Action(
        "palette",
        "ctrl+p",
        "^p",
        "app.command_palette",
        "palette",
        "Find an action by its name.",
        ("everywhere",),
        footer=False,
        priority=True,
    ),
    Action(
        "quit",
        "ctrl+q",
        "^q",
        "app.quit",
        "quit",
        "Leave the app. Runs go on without it.",
        ("everywhere",),
        priority=True,
    ),
)
