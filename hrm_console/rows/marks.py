"""Events of a run as vertical lines on its charts. No Textual here.

rows of events.jsonl -> `Mark`s with their step and their place on the other axes, in the order of the file. Of a kind
that comes often only the newest few are marked; of new bests the newest alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hrm_console.charts.chart import Mark
from hrm_console.words import finite

BEST, WARN, QUIET = 114, 203, 240
LABEL_LENGTH = 20
# kind -> label (a name in braces is that field of the row), colour, how many of the newest are marked
KINDS: Mapping[str, tuple[str, int, int]] = {
    "best": ("best", BEST, 1),
    "resumed": ("resumed", QUIET, 20),
    "stage": ("stage {stage}", QUIET, 20),
    "optimizer_swapped": ("{optimizer}", QUIET, 5),
    "lion_lowered": ("lion lowered", QUIET, 5),
    "swa_started": ("averaging", QUIET, 5),
    "decay": ("decay", QUIET, 5),
    "noise_halved": ("noise halved", QUIET, 5),
    "early_stop": ("early stop", QUIET, 5),
    "alarm": ("{name}", WARN, 12),
    "rollback": ("rollback", WARN, 12),
    "nonfinite": ("not finite", WARN, 12),
    "loss_spike": ("spike", WARN, 12),
    "disk_full": ("disk full", WARN, 12),
    "out_of_memory": ("out of memory", WARN, 12),
    "checkpoint_damaged": ("damaged", WARN, 12),
    "rows_missing": ("rows missing", WARN, 12),
    "data_missing": ("data gone", WARN, 12),
    "data_changed": ("data changed", WARN, 12),
    "clock_jumped": ("clock", QUIET, 5),
    "held": ("held", QUIET, 5),
}


def marks_of(events: Iterable[Mapping[str, Any]], place_of: Callable[[float], dict[str, float]]) -> list[Mark]:
    """The marks of a run; `place_of` gives a step's place on the axes other than the step."""
    counts: Counter[str] = Counter()
    found = []
    for row in reversed(list(events)):
        kind, step = str(row.get("kind")), finite(row.get("step"))
        if kind not in KINDS or step is None:
            continue
        label, color, most = KINDS[kind]
        counts[kind] += 1
        if counts[kind] <= most:
            for name in ("stage", "optimizer", "name"):
                label = label.replace("{" + name + "}", str(row.get(name, kind))[:LABEL_LENGTH])
            found.append(Mark(step, label, color=color, axes=place_of(step)))
    return found[::-1]
