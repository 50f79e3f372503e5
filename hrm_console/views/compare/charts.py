"""The curves of several runs over one another: loss, its validation, exact, and one chart of the reader's choice.

feeds + `Look` -> charts. How a chart of many runs is made is the run's charts.py's affair; the baseline is painted on
top, and the trivial guide is that of its newest validation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hrm_console.charts.chart import Chart
from hrm_console.rows.feed import Feed
from hrm_console.views.compare.state import Chosen
from hrm_console.views.run.charts import MOST_RUNS, ChartKind, Look, Shown, catalogue, charts_of, has_points
from hrm_console.views.run.look import SMOOTHING, axes_of, extent, on_axis, reference, stepped, zoomed

ALWAYS = ("loss", "exact", "validation_loss")
FIRST_CHOICE = "cells"


def shown_runs(chosen: Chosen, feeds: Mapping[str, Feed], colors: Mapping[str, int]) -> list[Shown]:
    """The runs whose rows are there, by their numbers."""
    numbered = enumerate(chosen.runs[:MOST_RUNS], 1)
    found = [(place, name, feeds.get(name)) for place, name in numbered]
    return [Shown(name, feed, str(place), colors[name]) for place, name, feed in found if feed is not None]


def choices(feeds: Sequence[Feed]) -> list[ChartKind]:
    """What the last chart may be: everything that any of the runs has written."""
    return [kind for kind in catalogue(feeds) if kind.name not in ALWAYS and has_points(kind, feeds)]


def next_choice(feeds: Sequence[Feed], name: str, step: int) -> str:
    """The choice after (or before) this one, around the end."""
    names = [kind.name for kind in choices(feeds)]
    if not names:
        return name
    return names[(names.index(name) + step) % len(names)] if name in names else names[0]


def compare_charts(runs: Sequence[Shown], look: Look, choice: str, full_names: bool = False) -> list[Chart]:
    """Loss, exact, validation loss and the chosen chart."""
    if not runs:
        return []
    kinds = {kind.name: kind for kind in catalogue([run.feed for run in runs])}
    wanted = [kinds[name] for name in (*ALWAYS, choice) if name in kinds]
    return charts_of(runs, look, wanted, full_names)


def look_after(what: str, look: Look, feeds: Sequence[Feed], cells: int) -> Look:
    """How curves are looked at after a key. `feeds`: the baseline's first; `cells`: columns of a chart."""
    if what == "log":
        return replace(look, log_y=not look.log_y)
    if what == "smooth":
        return replace(look, smoothing=SMOOTHING[(SMOOTHING.index(look.smoothing) + 1) % len(SMOOTHING)])
    full = extent(feeds, look.x_kind)
    if full is None:
        return look
    if what == "axis":
        axes = axes_of(feeds[0])
        at = axes.index(look.x_kind) if look.x_kind in axes else -1
        return on_axis(look, feeds[0], axes[(at + 1) % len(axes)])
    if what in ("in", "out"):
        return zoomed(look, full, 0.5 if what == "in" else 2.0)
    if what == "whole":
        return replace(look, span=None, end=None)
    steps = {"left": -1, "right": 1, "far left": -cells // 10, "far right": cells // 10}[what]
    return stepped(look, full, reference(feeds[0], look.x_kind), steps / cells)
