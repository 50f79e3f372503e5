"""What happened in a run, in words: the moments that a key jumps to. Pure; no Textual here.

`Feed` -> `Moment`s in the order of their steps. The vertical marks on the charts are feed.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from hrm_console.rows.evaluations import Row, best_trivial
from hrm_console.rows.feed import Feed
from hrm_console.words import count, finite, number, share
from hrm_core.runs.text import clean


@final
@dataclass(frozen=True)
class Moment:
    """A step, and what happened there."""

    step: float
    words: str


def moments(feed: Feed) -> list[Moment]:
    """Everything worth a jump, at its step."""
    found = []
    for row in feed.events:
        step, words = finite(row.get("step")), WORDS.get(str(row.get("kind")))
        if step is not None and words is not None:
            found.append(Moment(step, words(row, feed)))
    return sorted(found, key=lambda moment: moment.step)


def next_moment(found: list[Moment], step: float | None, direction: int) -> Moment | None:
    """The next one after a step, or the one before it; from nowhere: the first, or the last."""
    if direction > 0:
        return next((moment for moment in found if step is None or moment.step > step), None)
    return next((moment for moment in reversed(found) if step is None or moment.step < step), None)


def moments_at(found: list[Moment], step: float) -> str:
    """What happened at a step."""
    return "; ".join(moment.words for moment in found if moment.step == step)


def _best(row: Row, feed: Feed) -> str:
    metric = str(row.get("metric") or "exact")
    here = next((line for line in reversed(feed.evaluations) if line.get("step") == row.get("step")), None)
    trivial = best_trivial(here, metric)
    words = f"new best: {clean(metric)} {share(row.get('value'))} %"
    return words if trivial is None else f"{words} (best trivial {share(trivial)} %)"


def _alarm(row: Row, feed: Feed) -> str:
    return f"alarm {clean(row.get('name', ''))}: {clean(row.get('sentence', ''))}"[:200]


def _stage(row: Row, feed: Feed) -> str:
    rest = [f"{clean(key)} {clean(value)}" for key, value in row.items() if key not in PLAIN_KEYS]
    return ", ".join(rest)[:160] if rest else "stage"


def _with(words: str, key: str = "", form: Callable[[object], str] = clean) -> Callable[[Row, Feed], str]:
    def written(row: Row, feed: Feed) -> str:
        return words if not key or row.get(key) is None else f"{words} {form(row[key])}"[:200]

    return written


PLAIN_KEYS = frozenset({"time_utc", "step", "kind", "crc"})
WORDS: dict[str, Callable[[Row, Feed], str]] = {
    "best": _best,
    "alarm": _alarm,
    "stage": _stage,
    "decay": _with("the rate begins to fall, steps left:", "steps", count),
    "optimizer_swapped": _with("the optimizer is swapped"),
    "swa_started": _with("averaging of weights begins"),
    "swa_first_capture": _with("the first weights are averaged"),
    "resumed": _with("resumed"),
    "paused": _with("paused"),
    "continued": _with("goes on"),
    "rollback": _with("back to the last good checkpoint, step", "to", count),
    "nonfinite": _with("loss or gradient not finite, action:", "action"),
    "loss_spike": _with("the loss spikes", "ratio", number),
    "early_stop": _with("early stop:", "action"),
    "note": _with("note:", "text"),
    "failed": _with("failed:", "reason"),
    "stopped": _with("stopped:", "reason"),
    "finished": _with("finished:", "reason"),
    "plan_resolved": _with("the length of the run is settled"),
}
