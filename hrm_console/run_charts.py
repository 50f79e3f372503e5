"""A run's curves as charts: which there are, what is drawn in each, and how. No Textual here.

`Feed` + `Look` -> charts for the screens and for printing. What a trivial predictor gets is a line in the chart of
every quality. Reading of rows is feed.py's, drawing is charts/.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

from hrm_console.charts.chart import Chart, Guide, Line
from hrm_console.charts.view import View
from hrm_console.feed import Feed, Row, best_trivial
from hrm_console.words import finite

TRAINING, FAST, FULL, TRIVIAL = 75, 222, 177, 246
SMOOTHING = (0.0, 0.6, 0.9)
GROWTH = 1.125


@final
@dataclass(frozen=True)
class Look:
    """How curves are drawn: log scale for loss and gradient norm, smoothing of the training curves, and whether the
    run goes on (then the x axis keeps some room at its right)."""

    log_y: bool = False
    smoothing: float = 0.0
    growing: bool = False


def run_charts(feed: Feed, look: Look = Look()) -> list[Chart]:
    """The six charts of the run screen, most telling first."""
    plain = View(x_high=horizon(feed) if look.growing else None)
    noisy = replace(plain, smoothing=look.smoothing)
    rough = replace(noisy, log_y=look.log_y)
    newest, training = feed.evaluation, feed.training
    return [
        Chart(
            "loss",
            [Line(training["loss"], "train", TRAINING), *_validation(feed, "loss")],
            marks=feed.marks,
            view=rough,
        ),
        Chart(
            "exact, validation",
            _validation(feed, "exact"),
            guides=_guide(best_trivial(newest, "exact"), "trivial"),
            marks=feed.marks,
            view=plain,
            unit="%",
        ),
        Chart(
            "cell accuracy",
            [Line(training["token_accuracy"], "train", TRAINING), *_validation(feed, "cell_accuracy")],
            guides=_guide(_trivial(newest, "cell_accuracy", "copy"), "copying"),
            view=noisy,
            unit="%",
        ),
        Chart("learning rate", [Line(training["lr"], "lr", TRAINING)], view=plain),
        Chart("gradient norm", [Line(training["grad_norm"], "norm", TRAINING)], view=rough),
        Chart("segments/s", [Line(training["samples_per_sec"], "speed", TRAINING)], view=noisy),
    ]


def horizon(feed: Feed) -> float | None:
    """The right end of the x axis of a run that goes on: it moves by an eighth at a time.

    An axis that ended at the newest row would move every curve at every tick, and each would be sent anew.
    """
    last = finite((feed.metrics or {}).get("step"))
    return None if not last or last < 1 else GROWTH ** math.ceil(math.log(last) / math.log(GROWTH) + 1e-9)


def _validation(feed: Feed, name: str) -> list[Line]:
    lines = [Line(feed.fast[name], "fast", FAST)] if len(feed.fast[name]) else []
    full = feed.full[name]
    if len(full) or not lines:
        lines.append(Line(full, "full", FULL))
    return lines


def _guide(value: float | None, label: str) -> list[Guide]:
    return [] if value is None else [Guide(value, label, TRIVIAL)]


def _trivial(evaluation: Row | None, metric: str, predictor: str) -> float | None:
    return finite((((evaluation or {}).get("trivial") or {}).get(metric) or {}).get(predictor))
