"""What keys do wherever there is a grid of charts."""

from __future__ import annotations

from hrm_console.action import Action

GRIDS = ("run", "compare", "device")

ACTIONS: tuple[Action, ...] = (
    Action("zoom", "z", "z", "zoom", "zoom", "Give one chart the whole room, or show them all.", GRIDS),
    Action(
        "charts_next",
        "right_square_bracket",
        "]",
        "charts(1)",
        "next charts",
        "Show the next charts where not all fit.",
        GRIDS,
        footer=False,
    ),
    Action(
        "charts_previous",
        "left_square_bracket",
        "[",
        "charts(-1)",
        "previous charts",
        "Show the charts before these.",
        GRIDS,
        footer=False,
    ),
    Action(
        "save_csv",
        "w",
        "w",
        "save_csv",
        "curves as CSV",
        "Save the curves as CSV (setting console.exports).",
        ("run", "compare"),
        footer=False,
    ),
)
