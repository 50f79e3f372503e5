"""The one table of everything a key does. From it come the bindings, the footer, the help screen and the palette.

Each `Action` names its keys, the method that it calls (`action_<call>` on the screen, or on the app where it starts
with "app."), a word for the footer and a sentence for the help. Nothing binds a key anywhere else, except the movement
keys inside widgets, which are listed in `MOVEMENT` for the help screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from textual.binding import Binding, BindingType

EVERYWHERE = "everywhere"
SCREENS = {
    EVERYWHERE: "Everywhere",
    "runs": "Runs",
    "run": "One run",
    "launch": "Launch",
    "stop": "Stopping a run",
}


@final
@dataclass(frozen=True)
class Action:
    """One thing a key does. `keys` in Textual's names, the first is shown; `shown` is how the footer writes it."""

    id: str
    keys: str
    shown: str
    call: str
    word: str
    sentence: str
    screens: tuple[str, ...]
    footer: bool = True
    priority: bool = False


ACTIONS: tuple[Action, ...] = (
    Action("open", "enter", "enter", "open", "open", "Open the run under the cursor.", ("runs",)),
    Action("launch", "n", "n", "app.launch", "new run", "Choose an experiment and start a run.", ("runs", "run")),
    Action(
        "stop",
        "s",
        "s",
        "stop",
        "stop",
        "Stop the run. Asks once: at the next checkpoint, or now.",
        ("runs", "run"),
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
        "page_1", "1", "1", "page('curves')", "curves", "Show the curves (small terminals show one page).", ("run",)
    ),
    Action("page_2", "2", "2", "page('status')", "status", "Show the status: where the run is and its best.", ("run",)),
    Action("page_3", "3", "3", "page('alarms')", "alarms", "Show the alarms in words, with what to try.", ("run",)),
    Action("page_4", "4", "4", "page('log')", "log", "Show the log.", ("run",)),
    Action(
        "charts_next",
        "right_square_bracket",
        "]",
        "charts(1)",
        "next charts",
        "Show the next charts where not all fit.",
        ("run",),
        footer=False,
    ),
    Action(
        "charts_previous",
        "left_square_bracket",
        "[",
        "charts(-1)",
        "previous charts",
        "Show the charts before these.",
        ("run",),
        footer=False,
    ),
    Action(
        "zoom",
        "z",
        "z",
        "zoom",
        "zoom",
        "Give one chart the whole room, or show them all again. ] and [ go through them.",
        ("run",),
    ),
    Action(
        "log_scale",
        "y",
        "y",
        "log_scale",
        "log y",
        "Draw loss and gradient norm on a log scale, or not.",
        ("run",),
        footer=False,
    ),
    Action(
        "smooth",
        "e",
        "e",
        "smooth",
        "smooth",
        "Smooth the training curves: off, a little, much.",
        ("run",),
        footer=False,
    ),
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
    Action("stop_checkpoint", "c", "c", "choose('stop')", "checkpoint", "Stop at the next checkpoint.", ("stop",)),
    Action("stop_now", "n", "n", "choose('stop-now')", "now", "Stop now, after the step under way.", ("stop",)),
    Action("back", "escape", "esc", "back", "back", "Go back to the screen before.", ("run", "launch", "stop", "help")),
    Action(
        "help",
        "question_mark,f1",
        "?",
        "app.help",
        "help",
        "Show this page. F1 does it inside a text field too.",
        (EVERYWHERE,),
    ),
    Action(
        "palette",
        "ctrl+p",
        "^p",
        "app.command_palette",
        "palette",
        "Find an action by its name.",
        (EVERYWHERE,),
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
        (EVERYWHERE,),
        priority=True,
    ),
)

MOVEMENT: tuple[tuple[str, str], ...] = (
    ("up down", "Move the cursor, or scroll."),
    ("pgup pgdn", "Move by a page."),
    ("home end", "First and last row; in a log, end follows what is written."),
    ("tab shift+tab", "Next and previous pane or field."),
)


def actions_of(screen: str) -> tuple[Action, ...]:
    """The actions of a screen, in the order of the table, those of every screen last."""
    own = tuple(action for action in ACTIONS if screen in action.screens)
    return own + tuple(action for action in ACTIONS if EVERYWHERE in action.screens)


def bindings_of(screen: str) -> list[BindingType]:
    """Textual's bindings of a screen's own actions, or of the app's with EVERYWHERE. Hidden: the footer is ours."""
    return [
        Binding(action.keys, action.call, action.word, show=False, id=action.id, priority=action.priority)
        for action in ACTIONS
        if screen in action.screens
    ]
