"""What keys do on a run's screen, and in the box in which its charts are chosen."""

from __future__ import annotations

from hrm_console.action import Action


def _run(id: str, keys: str, shown: str, call: str, word: str, sentence: str, footer: bool = False) -> Action:
    return Action(id, keys, shown, call, word, sentence, ("run",), footer=footer)


PAGES: tuple[Action, ...] = (
    _run("page_1", "1", "1", "page('curves')", "curves", "Show the curves (small terminals show one page).", True),
    _run("page_2", "2", "2", "page('status')", "status", "Show the status: where the run is and its best.", True),
    _run("page_3", "3", "3", "page('alarms')", "alarms", "Show the alarms in words, with what to try.", True),
    _run("page_4", "4", "4", "page('log')", "log", "Show the log.", True),
    _run(
        "page_5", "5", "5", "page('config')", "config", "Show the settings, those that differ from EXP-00 first.", True
    ),
    _run("page_6", "6", "6", "page('halting')", "halting", "Show in which segments the model would halt.", True),
    _run("page_7", "7", "7", "page('families')", "families", "Show exact by family of puzzles.", True),
    _run("page_8", "8", "8", "page('values')", "values", "Show every value at the crosshair, or the newest.", True),
)

CHARTS: tuple[Action, ...] = (
    _run("cross_left", "left,h", "left", "cross(-1)", "crosshair", "Move the crosshair left; esc takes it away.", True),
    _run("cross_right", "right,l", "right", "cross(1)", "crosshair right", "Move the crosshair right."),
    _run("cross_far_left", "pageup,H", "pgup", "cross_far(-1)", "far left", "Move the crosshair a tenth to the left."),
    _run("cross_far_right", "pagedown,L", "pgdn", "cross_far(1)", "far right", "Move the crosshair a tenth right."),
    _run("cross_home", "home", "home", "cross_end(-1)", "first row", "Put the crosshair on the first row in sight."),
    _run("cross_end", "end", "end", "cross_end(1)", "newest row", "Put the crosshair on the last row in sight."),
    _run(
        "zoom_in",
        "plus,equals_sign",
        "+",
        "scale(0.5)",
        "zoom in",
        "Show half of the x axis; at its end it follows.",
        True,
    ),
    _run("zoom_out", "minus", "-", "scale(2.0)", "zoom out", "Show twice as much of the x axis."),
    _run("pan_left", "less_than_sign,comma", "<", "pan(-1)", "pan left", "Move the window to earlier rows."),
    _run("pan_right", "greater_than_sign,full_stop", ">", "pan(1)", "pan right", "Move the window to later rows."),
    _run("zoom_whole", "0", "0", "whole", "whole run", "Show the whole run again."),
    _run("axis", "x", "x", "axis", "x axis", "Measure the x axis in steps, time, samples or joules.", True),
    _run("log_scale", "y", "y", "log_scale", "log y", "Draw loss and gradient norm on a log scale, or not."),
    _run("smooth", "e", "e", "smooth", "smooth", "Smooth the training curves: off, a little, much."),
    _run("event_next", "t", "t", "event(1)", "next event", "Go to the next new best, stage, swap or alarm.", True),
    _run("event_previous", "T", "T", "event(-1)", "previous event", "Go to the event before."),
    _run(
        "overlay", "o", "o", "overlay", "overlay", "Lay the marked runs and the baseline over this one, or not.", True
    ),
    _run("charts_pick", "c", "c", "pick", "charts", "Choose which charts are shown.", True),
    _run(
        "markers",
        "m",
        "m",
        "markers",
        "markers",
        "Draw curves with braille, blocks or ascii (setting console.markers).",
    ),
)

LOG: tuple[Action, ...] = (
    _run(
        "log_search",
        "slash",
        "/",
        "search",
        "search log",
        "Search the whole log. n and N go to the next and previous hit, esc ends it.",
        True,
    ),
    _run("log_follow", "f", "f", "follow", "follow log", "Go to the end of the log and follow what is written."),
)

PICK: tuple[Action, ...] = (
    Action("pick_toggle", "space", "space", "pick", "on or off", "Show the chart under the cursor, or not.", ("pick",)),
    Action("pick_usual", "d", "d", "usual", "the usual", "Show the usual charts again.", ("pick",)),
)

ACTIONS: tuple[Action, ...] = (*PAGES, *PICK)
# Behind what steers a run, so that a narrow footer shows that first.
LOOKING: tuple[Action, ...] = (*CHARTS, *LOG)
