"""What keys do on the archive screen, and in its boxes."""

from __future__ import annotations

from hrm_console.action import Action

HERE = ("archive",)

ACTIONS: tuple[Action, ...] = (
    Action("archive_open", "enter", "enter", "open_page", "open", "Open its page, and check every byte of it.", HERE),
    Action("archive_sort", "o", "o", "order(1)", "sort", "Sort by the next metric, loss, time or size.", HERE),
    Action("archive_sort_back", "O", "O", "order(-1)", "sort back", "Sort by the metric before.", HERE, footer=False),
    Action(
        "archive_filter",
        "slash",
        "/",
        "filter",
        "filter",
        "Show only those with these words in name, experiment or marks, such as base pinned -demo.",
        HERE,
    ),
    Action("archive_pin", "p", "p", "pin", "pin", "Pin it, so that pruning leaves it alone, or not any more.", HERE),
    Action(
        "archive_promote",
        "P",
        "P",
        "promote",
        "promote",
        "Give it a name and a place of its own, where it outlives its run. Asks for the name.",
        HERE,
    ),
    Action(
        "archive_from",
        "F,n",
        "F",
        "start_from",
        "fork",
        "Open the launch form for a run like its own that begins with its weights.",
        HERE,
    ),
    Action(
        "archive_again",
        "v",
        "v",
        "evaluate",
        "evaluate",
        "Evaluate it again on val, in a process of its own; the result comes into its page.",
        HERE,
    ),
    Action("archive_best", "b", "b", "only_best", "one a run", "Show only the last best of each run, or all.", HERE),
    Action("archive_export", "e", "e", "export", "export", "Copy it to a folder or a .tar. Asks where.", HERE),
    Action("archive_run", "r", "r", "run", "its run", "Open its run.", HERE),
    Action("archive_puzzles", "u", "u", "puzzles", "puzzles", "Show what it predicted, test by test.", HERE),
    Action(
        "archive_prune",
        "x",
        "x",
        "prune",
        "prune",
        "Remove the oldest until the archive keeps to a budget. Shows what would go and asks.",
        HERE,
    ),
    Action("prune_yes", "ctrl+y", "^y", "prune", "remove them", "Remove what is listed.", ("prune",), priority=True),
)
