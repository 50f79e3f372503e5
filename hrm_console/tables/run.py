"""What keys do on a run's screen."""

from __future__ import annotations

from hrm_console.action import Action

ACTIONS: tuple[Action, ...] = (
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
)
