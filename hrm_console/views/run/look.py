"""How the curves of a run are looked at: axis, window, crosshair, log scale, smoothing. Pure; no Textual here.

`Look` is a frozen value that keys replace; `extent` says what there is to look at, the other functions move. The window
is kept in units of the x axis. `end` None holds on to the right edge, so a window there follows new rows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from hrm_console.charts.chart import format_x
from hrm_console.charts.series import STEP, Series
from hrm_console.rows.feed import Feed

AXES = (STEP, "time", "samples", "joules")
SMOOTHING = (0.0, 0.6, 0.9)
LEAST_SHARE = 1e-4  # of the whole: a window below it would show less than a row
PAN_SHARE = 0.25


@final
@dataclass(frozen=True)
class Look:
    """How curves are drawn. log_y, smoothing: where they make sense; growing: the run goes on, so the x axis keeps some
    room at its right; span: width of the window, None the whole; end: its right edge, None the newest row; cursor: the
    crosshair's place on the x axis, None where it is off."""

    log_y: bool = False
    smoothing: float = 0.0
    growing: bool = False
    x_kind: str = STEP
    span: float | None = None
    end: float | None = None
    cursor: float | None = None


def every_series(feed: Feed) -> Iterator[Series]:
    """All curves of a run."""
    for curves in (feed.training, feed.fast, feed.full):
        yield from curves.values()


def extent(feeds: Sequence[Feed], kind: str) -> tuple[float, float] | None:
    """First and last x of any curve; None where there is none on this axis."""
    columns = [column for feed in feeds for series in every_series(feed) if (column := series.axis(kind))]
    return (min(column[0] for column in columns), max(column[-1] for column in columns)) if columns else None


def reference(feed: Feed, kind: str) -> Sequence[float]:
    """The x of the rows that a crosshair stops at: the training's where there are any."""
    loss = feed.training.get("loss")
    if loss is not None and loss.axis(kind):
        return loss.axis(kind)
    return max((series.axis(kind) for series in every_series(feed)), key=len, default=[])


def axes_of(feed: Feed) -> tuple[str, ...]:
    """The x axes that a run's rows have."""
    return tuple(kind for kind in AXES if extent([feed], kind) is not None) or (STEP,)


def limits(look: Look, full: tuple[float, float]) -> tuple[float, float]:
    """The window. One that follows ends on a sixteenth of its span, so that it does not move with every row."""
    first, last = full
    if look.span is None:
        return first, last
    if look.end is not None:
        return look.end - look.span, look.end
    part = look.span / 16
    high = first + (-((first - last) // part)) * part if look.growing and part > 0 else last
    return high - look.span, high


def zoomed(look: Look, full: tuple[float, float], factor: float) -> Look:
    """A window `factor` times as wide, around the crosshair where there is one, else held at its right edge while it
    follows, else around its middle."""
    first, last = full
    low, high = limits(look, full)
    whole = last - first
    span = max(whole * LEAST_SHARE, (high - low) * factor)
    if span >= whole:
        return replace(look, span=None, end=None)
    if look.cursor is not None and low <= look.cursor <= high:
        end = look.cursor + (high - look.cursor) * span / (high - low)
    elif look.end is None:
        return replace(look, span=span, end=None)
    else:
        end = (low + high + span) / 2
    return _held(replace(look, span=span, end=end), full)


def panned(look: Look, full: tuple[float, float], direction: int) -> Look:
    """The window moved by a quarter of itself; at the right end it follows again."""
    if look.span is None:
        return look
    return _held(replace(look, end=limits(look, full)[1] + direction * PAN_SHARE * look.span), full)


def _held(look: Look, full: tuple[float, float]) -> Look:
    """With the window inside what there is."""
    assert look.span is not None and look.end is not None
    end = max(look.end, full[0] + look.span)
    return replace(look, end=None if end >= full[1] else end)


def stepped(look: Look, full: tuple[float, float], rows: Sequence[float], cells: float) -> Look:
    """The crosshair so many columns further, `cells` of 1 being the whole window: always on a row of the run.

    It begins at the newest row in the window. Where a column holds no row it goes to the next one.
    """
    if not rows:
        return look
    low, high = limits(look, full)
    if look.cursor is None:
        return pointed(look, full, rows, min(high, rows[-1]))
    target = look.cursor + cells * (high - low)
    found = nearest(rows, target)
    if cells > 0 and found <= look.cursor:
        found = rows[min(len(rows) - 1, bisect_right(rows, look.cursor))]
    elif cells < 0 and found >= look.cursor:
        found = rows[max(0, bisect_left(rows, look.cursor) - 1)]
    return pointed(look, full, rows, found)


def pointed(look: Look, full: tuple[float, float], rows: Sequence[float], x: float) -> Look:
    """The crosshair on the row nearest to x, the window moved where it would not hold it."""
    if not rows:
        return look
    look = replace(look, cursor=nearest(rows, x))
    assert look.cursor is not None
    low, high = limits(look, full)
    if look.span is None or low <= look.cursor <= high:
        return look
    return _held(replace(look, end=look.cursor + (look.span if look.cursor < low else 0)), full)


def nearest(rows: Sequence[float], x: float) -> float:
    """The row nearest to x."""
    at = bisect_left(rows, x)
    return min(rows[max(0, at - 1) : at + 1], key=lambda row: abs(row - x))


def on_axis(look: Look, feed: Feed, kind: str) -> Look:
    """The same window and crosshair on another axis, by the rows of the run."""
    if kind == look.x_kind:
        return look
    old, new = reference(feed, look.x_kind), reference(feed, kind)
    if not old or len(old) != len(new):
        return replace(look, x_kind=kind, span=None, end=None, cursor=None)

    def there(x: float | None) -> float | None:
        return None if x is None else new[min(len(new) - 1, bisect_left(old, x))]

    end = there(look.end)
    span = None
    if look.span is not None:
        right = look.end if look.end is not None else old[-1]
        low, high = there(right - look.span), there(right)
        span = None if low is None or high is None or high <= low else high - low
    return replace(look, x_kind=kind, span=span, end=end if span is not None else None, cursor=there(look.cursor))


def at_step(feed: Feed, step: float, kind: str) -> float | None:
    """Where a step lies on an axis, by the rows of the run; None where it has none there."""
    if kind == STEP:
        return step
    steps, column = reference(feed, STEP), reference(feed, kind)
    return column[min(len(column) - 1, bisect_left(steps, step))] if column and len(steps) == len(column) else None


def moment_words(look: Look, feed: Feed) -> str:
    """The crosshair on every axis: step 900, 1m20s, 28.8k samples."""
    if look.cursor is None:
        return ""
    rows, words = reference(feed, look.x_kind), []
    at = bisect_left(rows, look.cursor)
    for kind in axes_of(feed):
        column = reference(feed, kind)
        if at < len(column) and len(column) == len(rows):
            x = format_x(column[at], kind)
            words.append(f"step {column[at]:.0f}" if kind == STEP else x if kind == "time" else f"{x} {kind}")
    return ", ".join(words)


def view_of(look: Look, charts: Sequence[str] | None, overlay: bool) -> dict[str, Any]:
    """What is kept of it in the session: not the window and the crosshair, which belong to one run."""
    kept = {"axis": look.x_kind, "log": look.log_y, "smoothing": look.smoothing, "overlay": overlay}
    return {**kept, "charts": None if charts is None else list(charts)}


def look_of(view: Mapping[str, Any]) -> tuple[Look, tuple[str, ...] | None, bool]:
    """(look, chosen charts, overlay) from a session's view, whatever its file says."""
    axis, smoothing, charts = view.get("axis"), view.get("smoothing"), view.get("charts")
    look = Look(
        log_y=view.get("log") is True,
        smoothing=smoothing if smoothing in SMOOTHING else 0.0,
        x_kind=axis if axis in AXES else STEP,
    )
    names = tuple(name for name in charts if isinstance(name, str)) if isinstance(charts, list) else None
    return look, names, view.get("overlay") is not False
