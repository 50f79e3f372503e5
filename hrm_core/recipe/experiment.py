"""What a named experiment is: words for people, and a function that gives the few lines in which it differs.

Recipe room; free of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from hrm_core.recipe.presets import Lines

ALL_PRESETS = ("plan", "laptop", "h100", "cpu", "demo")


@final
@dataclass(frozen=True)
class Experiment:
    """`lines` sees the flat recipe of EXP-00, preset and overrides, and returns what it sets differently.

    The first of `presets` is the default; any other than these is refused. One of the user's own has the experiment it
    builds on as `base`, whose lines it has, and `overrides` that are laid over them; `note` is a sentence for whoever
    starts it.
    """

    name: str
    title: str
    hypothesis: str
    setup: str
    watch_for: str
    lines: Callable[[Mapping[str, Any]], Lines]
    presets: tuple[str, ...] = ALL_PRESETS
    base: str = ""
    overrides: tuple[str, ...] = ()
    note: str = ""
