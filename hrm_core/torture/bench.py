"""What the parts of the torture share: where they work, how hard, and the rows that they find.

Torture room. A part is a function Bench -> Rows; `parts.py` lists them. A row says what was done, how often, what must
hold, what was found and what was lost: nothing is called passed that was not run. Not here: the faults themselves.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from hrm_core.runs.atomic import write_bytes

# A run of seconds that still validates, archives and saves; every size is the smallest that does so.
SMALL_RUN = (
    "training.max_steps=40",
    "training.deterministic=true",
    "training.threads=1",
    "training.dtype=fp32",
    "training.batch=8",
    "training.log_every=5",
    "training.checkpoint_every=10",
    "training.fast_validation_every=10",
    "training.full_validation_every=20",
    "schedule.warmup=5",
    "model.hidden=64",
    "model.h_layers=1",
    "model.l_layers=1",
    "halting.max_segments=3",
    "evaluation.views=2",
    "evaluation.segment_grids=2",
)


@final
@dataclass(frozen=True)
class Row:
    """One fault. `lost` is "nothing" or what it was; `passed` whether `bar` held in every one of the `times`."""

    fault: str
    how: str
    times: int
    bar: str
    found: str
    lost: str
    passed: bool


@final
@dataclass(frozen=True)
class Bench:
    """Where a part works. folder: empty, its own, on a real disk; data: built ARC-AGI-1; short: fewer of each."""

    folder: Path
    data: Path
    short: bool
    seed: int
    say: Callable[[str], None] = field(default=lambda line: None)

    def times(self, whole: int, short: int) -> int:
        """How often, in the whole torture and in the short one."""
        return short if self.short else whole

    def command(self, *words: str) -> list[str]:
        """argv of `hrm WORDS` with this Python."""
        return [sys.executable, "-m", "hrm_core.cli.main", *words]

    def environment(self, **more: str) -> Mapping[str, str]:
        """The environment of a child: a home of its own, so that nothing of the user's is read or changed."""
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": "", "OMP_NUM_THREADS": "1", **more}


def built_data(folder: Path) -> Path:
    """ARC-AGI-1 as `hrm data build arc1` makes it, in this folder; built once."""
    path = folder / "arc1.h5"
    if not path.exists():
        from hrm_core.data.build import build
        from hrm_core.data.file import digest_path, digest_text, to_bytes
        from hrm_core.data.sources.recipes import read_source

        raw = to_bytes(build([read_source("arc1")]))
        write_bytes(digest_path(path), digest_text(path, raw))
        write_bytes(path, raw)
    return path
