"""A run's curves as charts: which there are, what is drawn in each, and how. No Textual here.

feeds (the run's own, and those of the runs laid over it) + `Look` + chosen `ChartKind`s -> charts for the screens and
for printing. All share their x axis, so that a crosshair stands at the same moment in each. What a trivial predictor
gets is a line in the chart of every quality. Reading of rows is feed.py's, moving the look look.py's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from hrm_console.charts.chart import PALETTE, Chart, Guide, Line, stable_color
from hrm_console.charts.series import STEP, Series
from hrm_console.charts.view import View, rounded_limits
from hrm_console.rows.feed import Feed
from hrm_console.views.run.look import Look, extent, limits
from hrm_console.words import finite

__all__ = ["DEFAULT", "KNOWN", "ChartKind", "Look", "Shown", "catalogue", "charts_of", "horizon", "run_charts"]

TRAINING, FAST, FULL, TRIVIAL = 75, 222, 177, 246
GROWTH = 1.125
MOST_RUNS = 8
SHARES = ("accuracy", "exact", "share", "sensitivity", "gain", "lift", "base_rate", "never")
# No curves: a row's own check, the step, and scores on other samples than the trivial predictors'.
NO_CHARTS = ("crc", STEP, "without_duplicates.", "score")


@final
@dataclass(frozen=True)
class ChartKind:
    """One chart that can be chosen. training, validation: series of the feeds by name; validation is also the metric
    whose trivial value is drawn; log, smooth: whether these views make sense for it."""

    name: str
    title: str
    group: str
    training: str = ""
    validation: str = ""
    unit: str = ""
    log: bool = False
    smooth: bool = True


LEARNING, QUALITY, MACHINE, OTHER = "learning", "quality on validation", "speed and machine", "further rows"
KNOWN: tuple[ChartKind, ...] = (
    ChartKind("loss", "loss", LEARNING, "loss", "loss", log=True),
    ChartKind("exact", "exact, validation", QUALITY, validation="exact", unit="%", smooth=False),
    ChartKind("cells", "cell accuracy", QUALITY, "token_accuracy", "cell_accuracy", unit="%"),
    ChartKind("lr", "learning rate", LEARNING, "lr", smooth=False),
    ChartKind("grad_norm", "gradient norm", LEARNING, "grad_norm", log=True),
    ChartKind("speed", "segments/s", MACHINE, "samples_per_sec"),
    ChartKind("memory", "memory", MACHINE, "memory_gib", unit=" GiB", smooth=False),
    ChartKind("power", "power", MACHINE, "power_w", unit=" W"),
    ChartKind("temperature", "temperature", MACHINE, "temperature_c", unit=" °C", smooth=False),
    ChartKind("validation_loss", "loss, validation", LEARNING, validation="loss", log=True, smooth=False),
    ChartKind("token_loss", "token loss", LEARNING, "token_loss", log=True),
    ChartKind("halt_loss", "halting loss", LEARNING, "halt_loss", log=True),
    ChartKind("token_exact", "all tokens right", QUALITY, "token_exact", "token_exact", unit="%"),
    ChartKind("mean_segments", "segments to halt", LEARNING, "mean_segments"),
    ChartKind("colors", "colour accuracy", QUALITY, validation="color_accuracy", unit="%", smooth=False),
    ChartKind("changed", "changed cells", QUALITY, validation="changed_cell_accuracy", unit="%", smooth=False),
    ChartKind("shape", "shape accuracy", QUALITY, validation="shape_accuracy", unit="%", smooth=False),
    ChartKind("padded", "padded 30x30", QUALITY, validation="padded_accuracy", unit="%", smooth=False),
    ChartKind("pass_at_1", "pass@1", QUALITY, validation="pass_at_1", unit="%", smooth=False),
    ChartKind("pass_at_2", "pass@2", QUALITY, validation="pass_at_2", unit="%", smooth=False),
)
WHOLE = Look()
DEFAULT = tuple(kind.name for kind in KNOWN[:9])


@final
@dataclass(frozen=True)
class Shown:
    """A run on the charts: its rows, and how it is told apart (number and colour of the legend)."""

    run_id: str
    feed: Feed
    label: str = ""
    color: int = TRAINING


def catalogue(feeds: Sequence[Feed]) -> tuple[ChartKind, ...]:
    """Every chart that can be chosen: the known ones, and one of its own for each other series the feeds hold."""
    training, validation = {kind.training for kind in KNOWN}, {kind.validation for kind in KNOWN}
    found: dict[str, ChartKind] = {}
    for feed in feeds:
        for name in feed.training:
            if name not in training and not name.startswith(NO_CHARTS):
                words = name.replace("_", " ")
                found.setdefault(f"t.{name}", ChartKind(f"t.{name}", words, OTHER, training=name, unit=_unit(name)))
        for name in (*feed.fast, *feed.full):
            if name not in validation and not name.startswith(NO_CHARTS):
                title, key = name.replace("_", " ").replace(".", " "), f"v.{name}"
                kind = ChartKind(key, f"{title}, validation", QUALITY, "", name, _unit(name), smooth=False)
                found.setdefault(key, kind)
    return (*KNOWN, *sorted(found.values(), key=lambda kind: (kind.group != QUALITY, kind.title)))


def _unit(name: str) -> str:
    return "%" if name.endswith(SHARES) or name.startswith("pass_at") else ""


def chosen_kinds(names: Sequence[str] | None, feeds: Sequence[Feed]) -> tuple[ChartKind, ...]:
    """The charts of these names in the catalogue's order; None: the usual nine, of which those that this run writes."""
    kinds = catalogue(feeds)
    if names is not None:
        return tuple(kind for kind in kinds if kind.name in names) or kinds[:1]
    read = any(len(series) for feed in feeds for series in feed.training.values())
    return tuple(kind for kind in kinds if kind.name in DEFAULT and (not read or has_points(kind, feeds)))


def has_points(kind: ChartKind, feeds: Sequence[Feed]) -> bool:
    """Whether there is anything to draw, or soon will be: a validation may still come."""
    if kind.name in ("loss", "exact"):
        return True
    return any(series.num_finite for feed in feeds for _, series, _ in _series_of(kind, feed))


def run_charts(feed: Feed, look: Look = WHOLE, names: Sequence[str] | None = DEFAULT) -> list[Chart]:
    """The charts of one run, most telling first: loss, exact, ..."""
    return charts_of([Shown(feed.run_id, feed)], look, chosen_kinds(names, [feed]))


def charts_of(runs: Sequence[Shown], look: Look, kinds: Sequence[ChartKind], full_names: bool = False) -> list[Chart]:
    """These charts of one run, or of several laid over one another, the first on top. full_names: for a table."""
    plain = _view(runs, look)
    return [_chart(kind, runs, look, plain, full_names) for kind in kinds]


def _chart(kind: ChartKind, runs: Sequence[Shown], look: Look, view: View, full_names: bool) -> Chart:
    smoothing = look.smoothing if kind.smooth else 0.0
    lines: list[Line] = []
    for place, run in enumerate(runs):
        found = _series_of(kind, run.feed)
        if len(runs) == 1:
            lines += [Line(series, words, color) for words, series, color in found]
        else:
            lines += _overlaid(run, found, place == 0, full_names)
    main = runs[0].feed
    guides = []
    trivial = main.trivial(kind.validation) if kind.validation else None
    if trivial is not None and kind.unit == "%":
        guides.append(Guide(trivial, "trivial", TRIVIAL))
    return Chart(
        kind.title,
        lines,
        guides=guides,
        marks=main.marks,
        view=replace(view, smoothing=smoothing, log_y=look.log_y and kind.log),
        unit=kind.unit,
    )


def _series_of(kind: ChartKind, feed: Feed) -> list[tuple[str, Series, int]]:
    """What one run has for a chart: words, series, colour."""
    found = []
    training = feed.training.get(kind.training)
    if training is not None:
        found.append(("train" if kind.validation else "", training, TRAINING))
    if kind.validation:
        fast, full = feed.fast.get(kind.validation), feed.full.get(kind.validation)
        if fast is not None and len(fast):
            found.append(("fast", fast, FAST))
        if full is not None and (len(full) or fast is None or not len(fast)):
            found.append(("full", full, FULL))
    return found


def _overlaid(run: Shown, found: list[tuple[str, Series, int]], main: bool, full_names: bool) -> list[Line]:
    """One line a run, so that runs can be compared: the training's, or the fuller validation. The main run has its full
    validation as points too."""
    if not found:
        return []
    chosen = found[0] if found[0][0] not in ("fast", "full") else found[-1]
    label = f"{run.run_id} {chosen[0]}".rstrip() if full_names else run.label
    lines = [Line(chosen[1], label, run.color, top=main)]
    if main and found[-1] is not chosen and found[-1][0] == "full":
        words = f"{run.run_id} full" if full_names else f"{run.label} full"
        lines.append(Line(found[-1][1], words, run.color, style="points", top=True))
    return lines


def _view(runs: Sequence[Shown], look: Look) -> View:
    """The common x axis."""
    full = extent([run.feed for run in runs], look.x_kind)
    if full is None:
        return View(x_kind=look.x_kind, cursor=look.cursor)
    if look.span is None:
        low, high = rounded_limits(*full, parts=16)
        end = horizon(runs[0].feed, look.x_kind) if look.growing else None
        high = high if end is None else max(end, high if len(runs) > 1 and full[1] > end else end)
    else:
        low, high = limits(look, full)
    return View(x_low=low, x_high=high, x_kind=look.x_kind, cursor=look.cursor)


def horizon(feed: Feed, kind: str = STEP) -> float | None:
    """The right end of the x axis of a run that goes on: it moves by an eighth at a time.

    An axis that ended at the newest row would move every curve at every tick, and each would be sent anew.
    """
    found = extent([feed], kind) if kind != STEP else None
    last = finite((feed.metrics or {}).get("step")) if kind == STEP else found[1] if found else None
    return None if not last or last < 1 else GROWTH ** math.ceil(math.log(last) / math.log(GROWTH) + 1e-9)


def colors_of(run_ids: Sequence[str]) -> dict[str, int]:
    """A colour for each of at most eight runs: that of its name wherever it is free, never one for two."""
    found: dict[str, int] = {}
    for run_id in run_ids[:MOST_RUNS]:
        wished = stable_color(run_id)
        free = [color for color in PALETTE if color not in found.values()]
        found[run_id] = wished if wished in free else free[0]
    return found


def short_names(names: Sequence[str]) -> list[str]:
    """Names without what they all begin with, up to a dash, a dot or the like: that tells no run from another."""
    first, last = min(names, default=""), max(names, default="")
    alike = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    common = first[:alike] if len(names) > 1 else ""
    cut = max((common.rfind(sign) for sign in "-_. /"), default=-1) + 1
    return [name[cut:] or name for name in names]
