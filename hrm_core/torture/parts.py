"""The parts of the torture by name, each imported only when it is run.

Torture room. name -> the function that does it. A part is one kind of fault and may give several rows.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

from hrm_core.errors import UserError
from hrm_core.torture.bench import Bench, Row


@final
@dataclass(frozen=True)
class Part:
    """Module of this room with a function `trials`, and what it does in a line."""

    module: str
    help: str


PARTS: dict[str, Part] = {
    "kills": Part("kills", "kill -9 at random moments of training, resumed until the run ends"),
    "calls": Part("calls", "kill -9 at every system call of each kind of write"),
    "full-disk": Part("full_disk", "no space, read-only disk, quota: at every write of each kind"),
    "damage": Part("damage", "files cut short and bits flipped"),
    "power": Part("power", "lost power: what was not synced is gone"),
    "faults": Part("faults", "not finite, out of memory, data gone, clock, signals"),
    "locks": Part("locks", "two trainers on one run, two on one GPU, a forked worker"),
    "readers": Part("readers", "reading while it is written"),
    "hostile": Part("hostile", "files from the internet that mean harm"),
    "fuzz": Part("fuzz", "mutations of every format that is read"),
    "determinism": Part("determinism", "the same run twice"),
    "soak": Part("soak", "console, queue, resumes and archives for two hours: memory, handles, latency"),
}


def check_parts(names: tuple[str, ...]) -> tuple[str, ...]:
    """The parts asked for, all where none is. UserError (2) for one that does not exist."""
    for name in names:
        if name not in PARTS:
            raise UserError(f"torture: there is no part {name!r}; the parts are {', '.join(PARTS)}.", 2)
    return names or tuple(PARTS)


def trials(name: str, bench: Bench) -> Iterator[Row]:
    """The rows of a part, as they are found."""
    module = importlib.import_module(f"hrm_core.torture.{PARTS[name].module}")
    function: Callable[[Bench], Iterator[Row]] = module.trials
    yield from function(bench)
