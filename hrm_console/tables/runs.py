"""What keys do on the runs screen, and in its two dialogs. MORE stands behind what other screens have too."""

from __future__ import annotations

from hrm_console.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("open", "enter", "enter", "open", "open", "Open the run under the cursor.", ("runs",)),
    Action(
        "filter",
        "slash",
        "/",
        "filter",
        "filter",
        "Show only some runs, such as exp:EXP-07 val>20% cfg.optimizer=lion -alarm.",
        ("runs",),
    ),
    Action("mark", "space", "space", "mark", "mark", "Mark the run, or not any more; the cursor moves on.", ("runs",)),
)
MORE: tuple[Action, ...] = (
    Action("sort", "o", "o", "sort", "sort", "Sort by the next column; after the last one as at first.", ("runs",)),
    Action("sort_reverse", "O", "O", "sort_reverse", "reverse", "Turn the order round.", ("runs",)),
    Action("baseline", "b", "b", "baseline", "baseline", "Make the run the baseline, or not any more.", ("runs",)),
    Action(
        "run_rename",
        "R",
        "R",
        "rename",
        "rename",
        "Give the run another name. Not while it goes on.",
        ("runs",),
    ),
    Action(
        "run_remove",
        "D",
        "D",
        "remove",
        "remove",
        "Remove the run, or all marked ones, for good. Asks once, with what would be lost.",
        ("runs",),
    ),
    Action("digest", "w", "w", "digest", "while away", "What happened while nobody looked: show or hide.", ("runs",)),
    Action("mark_all", "A", "A", "mark_all", "mark all", "Mark every run that is shown.", ("runs",), footer=False),
    Action("unmark", "M", "M", "unmark", "clear marks", "Take all marks away.", ("runs",), footer=False),
    Action(
        "clear",
        "escape",
        "esc",
        "clear",
        "clear",
        "Close what happened while nobody looked, or take the filter away.",
        ("runs",),
        footer=False,
    ),
    Action("remove_this", "y", "y", "answer('y')", "remove it", "Remove the run for good.", ("run_remove",)),
    Action("remove_marked", "a", "a", "answer('a')", "all marked", "Remove the marked runs for good.", ("run_remove",)),
    Action(
        "compare",
        "c",
        "c",
        "app.visit('compare')",
        "compare",
        "Hold the marked runs against the baseline.",
        ("runs",),
    ),
)
