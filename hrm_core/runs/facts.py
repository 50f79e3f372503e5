"""Room `runs`: what can be asked of a run without opening it, as plain numbers and words; and orders of runs by them.

RunView -> Facts; a sort key such as `val` or `-loss` + things with facts -> the same things in order. `filtering.py`
asks the facts, `hrm list` and the console show and sort by them. Shares are of 1, times in seconds. No file is read.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar, final

from hrm_core.errors import UserError
from hrm_core.runs.files import Row, integer, mapping, number, string
from hrm_core.runs.reader import RunView, best_trivial, lift_of
from hrm_core.runs.text import clean

Thing = TypeVar("Thing")


@final
@dataclass(frozen=True)
class Facts:
    """`numbers` has a value or None for each of NUMBERS; `recipe` is run.json's; `has` names what there is."""

    run_id: str
    experiment: str
    state: str
    numbers: Mapping[str, float | None]
    alarms: tuple[str, ...] = ()
    recipe: Row = field(default_factory=dict)
    has: frozenset[str] = frozenset()
    marked: bool = False
    created_utc: str = ""


# Name -> what it is and how it is counted: "share" of 1, "time" in seconds, "count", or a plain "number".
NUMBERS: Final[dict[str, tuple[str, str]]] = {
    "val": ("share", "exact of the last full validation"),
    "trivial": ("share", "exact of the best trivial predictor there"),
    "lift": ("share", "val minus trivial"),
    "best": ("share", "the best validation's score"),
    "done": ("share", "share of the steps that are done"),
    "loss": ("number", "training loss"),
    "step": ("count", "step"),
    "steps": ("count", "steps in all"),
    "speed": ("count", "segments a second, of a run that goes on"),
    "seed": ("number", "seed"),
    "alarms": ("number", "how many alarms"),
    "eta": ("time", "time left"),
    "age": ("time", "time since it was begun"),
}
# Sort key -> whether the largest stand first.
SORTS: Final[dict[str, bool]] = {
    "name": False, "exp": False, "state": False, "age": False, "step": True, "done": True, "loss": False, "val": True,
    "lift": True, "best": True, "speed": True, "eta": False, "alarms": True, "seed": False,
}  # fmt: skip
# What needs somebody first, the ended last.
_STATE_ORDER: Final = (
    "failed", "lost", "stalled", "running", "starting", "stopping", "paused", "stopped", "finished",
)  # fmt: skip


def seconds_since(created_utc: str, now_s: float) -> float | None:
    """Age in seconds of a time as run.json writes it; None where it is none."""
    try:
        return max(0.0, now_s - datetime.fromisoformat(created_utc).timestamp())
    except (ValueError, OverflowError, OSError):
        return None


def make_facts(
    run_id: str,
    experiment: str,
    state: str,
    run_json: Row,
    status: Row,
    *,
    marked: bool,
    alarms: tuple[str, ...],
    ended: bool,
    now_s: float,
    **values: float | None,
) -> Facts:
    """Facts from what a reader holds; `values` are the NUMBERS that are not computed here."""
    created = string(run_json, "created_utc", 40) or ""
    recipe = mapping(run_json, "recipe")
    step, steps = values.get("step"), values.get("steps")
    seed = integer(mapping(recipe, "training"), "seed")
    seed = integer(run_json, "seed") if seed is None else seed
    numbers: dict[str, float | None] = {
        **dict.fromkeys(NUMBERS),
        **values,
        "done": None if step is None or not steps else step / steps,
        "seed": None if seed is None else float(seed),
        "alarms": float(len(alarms)),
        "age": seconds_since(created, now_s),
    }
    there = {name for name, value in numbers.items() if value is not None and name != "alarms"}
    there |= {"alarm"} if alarms else set()
    there |= {"result"} if ended else set()
    there |= {"checkpoint"} if number(status, "last_checkpoint_step") is not None else set()
    return Facts(run_id, experiment, state, numbers, alarms, recipe, frozenset(there), marked, created)


def facts_of(view: RunView, now_s: float | None = None) -> Facts:
    """The facts of a run as the reader sees it."""
    trivial = best_trivial(view.evaluation, "exact")
    return make_facts(
        view.run_id,
        view.experiment,
        view.state,
        view.run_json,
        view.status,
        marked=False,
        alarms=tuple(str(alarm.get("name") or "") for alarm in view.alarms),
        ended=view.result is not None,
        now_s=time.time() if now_s is None else now_s,
        val=number(mapping(view.evaluation, "metrics"), "exact"),
        trivial=None if trivial is None else trivial[1],
        lift=lift_of(view.evaluation, "exact"),
        best=number(view.best, "value"),
        loss=number(view.metrics, "loss"),
        step=None if view.step is None else float(view.step),
        steps=None if view.max_steps is None else float(view.max_steps),
        speed=number(view.status, "samples_per_sec") if view.is_live else None,
        eta=number(view.status, "eta_s") if view.is_live else None,
    )


def check_sort(word: str) -> tuple[str, bool]:
    """(key, largest first) of a sort word; `-` before a key turns its order round. UserError for a key there is not."""
    key = word.removeprefix("-")
    if key not in SORTS:
        near = difflib.get_close_matches(key[:40], SORTS, n=1)
        remedy = f"did you mean {near[0]}?" if near else "use one of " + ", ".join(SORTS) + "."
        raise UserError(f"cannot sort by {clean(key[:40])!r}: {remedy}")
    return key, SORTS[key] != word.startswith("-")


def _value(facts: Facts, key: str) -> float | str | None:
    if key == "name":
        return facts.run_id
    if key == "exp":
        return facts.experiment or None
    if key == "state":
        return float(_STATE_ORDER.index(facts.state)) if facts.state in _STATE_ORDER else float(len(_STATE_ORDER))
    return facts.numbers.get(key)


def in_order(things: Iterable[Thing], word: str, facts: Callable[[Thing], Facts]) -> list[Thing]:
    """The things sorted by a sort word; those that have no value stand last either way, ties stay as they were."""
    key, largest_first = check_sort(word)
    known: list[tuple[float | str, Thing]] = []
    unknown: list[Thing] = []
    for thing in things:
        value = _value(facts(thing), key)
        if value is None:
            unknown.append(thing)
        else:
            known.append((value, thing))
    return [thing for _, thing in sorted(known, key=lambda pair: pair[0], reverse=largest_first)] + unknown
