"""What keys do on the compare screen."""

from __future__ import annotations

from hrm_console.action import Action


def _compare(id: str, keys: str, shown: str, call: str, word: str, sentence: str, footer: bool = False) -> Action:
    return Action(f"compare_{id}", keys, shown, call, word, sentence, ("compare",), footer=footer)


ACTIONS: tuple[Action, ...] = (
    _compare("page_1", "1", "1", "page('curves')", "curves", "Show the curves (small terminals show one page)."),
    _compare("page_2", "2", "2", "page('settings')", "settings", "Show the settings that differ."),
    _compare("page_3", "3", "3", "page('tests')", "tests", "Show which tests were gained and lost. Enter opens both."),
    _compare("page_4", "4", "4", "page('verdict')", "verdict", "Show what hrm compare says of these runs."),
    _compare("other", "o", "o", "other(1)", "next run", "Hold the next of the runs against the baseline.", True),
    _compare("other_back", "O", "O", "other(-1)", "run before", "Hold the run before against the baseline."),
    _compare("baseline", "b", "b", "baseline", "swap", "Make the run that is held against it the baseline.", True),
    _compare("axis", "x", "x", "look('axis')", "x axis", "Align the curves by step, time, samples or joules.", True),
    _compare("choice", "m", "m", "choice(1)", "metric", "Put another measure into the last chart.", True),
    _compare("choice_back", "M", "M", "choice(-1)", "measure before", "Put the measure before into the last chart."),
    _compare("filter", "f", "f", "filter", "which tests", "List the tests gained, lost, solved by both, ...", True),
    _compare("verdict", "v", "v", "verdict", "verdict again", "Ask hrm compare again, and pair the tests again."),
    _compare("cross_left", "left", "left", "look('left')", "crosshair", "Move the crosshair left; esc takes it away."),
    _compare("cross_right", "right", "right", "look('right')", "crosshair right", "Move the crosshair right."),
    _compare("cross_far_left", "H", "H", "look('far left')", "far left", "Move the crosshair a tenth to the left."),
    _compare("cross_far_right", "L", "L", "look('far right')", "far right", "Move the crosshair a tenth right."),
    _compare("zoom_in", "plus,equals_sign", "+", "look('in')", "zoom in", "Show half of the x axis."),
    _compare("zoom_out", "minus", "-", "look('out')", "zoom out", "Show twice as much of the x axis."),
    _compare("whole", "0", "0", "look('whole')", "whole runs", "Show the whole runs again."),
    _compare("log_scale", "y", "y", "look('log')", "log y", "Draw losses on a log scale, or not."),
    _compare("smooth", "e", "e", "look('smooth')", "smooth", "Smooth the training curves: off, a little, much."),
)
