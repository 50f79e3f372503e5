"""Room `runs`: the same tests as two runs solved them: gained, lost, both, neither, test by test and by family.

predictions of two runs -> `PairedRuns`. "Gained" is solved by the second and not by the first. It describes these two
checkpoints and decides nothing: whether one recipe is better is a matter of seeds, and of `hrm compare`. Reading is
bounded in records and time, and never raises for what lies in the files. Standard library only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs.files import items
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.predictions import read_predictions, record_name, steps_kept
from hrm_core.runs.text import clean

OUTCOMES: Final = ("gained", "lost", "both", "neither")
MOST_RECORDS: Final = 5_000
MOST_READING_S: Final = 10.0
NO_FAMILY: Final = "no family"


@final
@dataclass(frozen=True)
class PairedTest:
    """One test (`task:test`) and whether each run solved it."""

    name: str
    families: tuple[str, ...]
    before: bool
    after: bool

    @property
    def outcome(self) -> str:
        """One of `OUTCOMES`."""
        if self.before == self.after:
            return "both" if self.after else "neither"
        return "gained" if self.after else "lost"


@final
@dataclass(frozen=True)
class FamilyCount:
    """How many tests of a family came out how. A test counts in each of its families."""

    family: str
    gained: int
    lost: int
    both: int
    neither: int

    @property
    def change(self) -> int:
        """Gained minus lost."""
        return self.gained - self.lost


@final
@dataclass(frozen=True)
class PairedRuns:
    """Two checkpoints on the tests that both have. `apart` counts the tests that only one of them has."""

    runs: tuple[str, str]
    steps: tuple[int, int]
    tests: tuple[PairedTest, ...]
    apart: int = 0

    def of(self, outcome: str) -> tuple[PairedTest, ...]:
        """The tests of one outcome."""
        return tuple(test for test in self.tests if test.outcome == outcome)


def pair_runs(first: Path | RunFolder, second: Path | RunFolder, steps: tuple[int, int] | None = None) -> PairedRuns:
    """The tests of two runs at these steps, or at the last ones that each has kept. UserError (1): nothing to pair."""
    folders = (RunFolder.of(first), RunFolder.of(second))
    kept = steps or tuple(_last_step(folder) for folder in folders)
    before, after = (_solved(folder, step) for folder, step in zip(folders, kept, strict=True))
    common = [name for name in after if name in before]
    if not common:
        names = " and ".join(clean(folder.run_id) for folder in folders)
        raise UserError(f"{names} have no test in common: they were scored on other data.", 1)
    tests = tuple(PairedTest(name, after[name][0], before[name][1], after[name][1]) for name in common)
    apart = len(before.keys() ^ after.keys())
    return PairedRuns((folders[0].run_id, folders[1].run_id), (kept[0], kept[1]), tests, apart)


def _last_step(folder: RunFolder) -> int:
    steps = steps_kept(folder)
    if not steps:
        raise UserError(
            f"run {clean(folder.run_id)} has no predictions kept; a full validation writes them (`hrm show`).", 1
        )
    return steps[-1]


def _solved(folder: RunFolder, step: int) -> dict[str, tuple[tuple[str, ...], bool]]:
    """Test -> its families, and whether it was solved; records that do not say it are passed over."""
    found, end = {}, time.monotonic() + MOST_READING_S
    for line, record in enumerate(islice(read_predictions(folder, step), MOST_RECORDS)):
        exact = record.get("exact")
        if isinstance(exact, bool):
            families = tuple(name for name in items(record, "families")[:20] if isinstance(name, str))
            found[record_name(record, line)] = (families, exact)
        if time.monotonic() > end:
            break
    return found


def count_families(tests: Iterable[PairedTest]) -> tuple[FamilyCount, ...]:
    """By family, the largest change first, then the largest family."""
    counts: dict[str, dict[str, int]] = {}
    for test in tests:
        for family in dict.fromkeys(test.families or (NO_FAMILY,)):
            counts.setdefault(family, dict.fromkeys(OUTCOMES, 0))[test.outcome] += 1
    found = [FamilyCount(family, **count) for family, count in counts.items()]
    return tuple(sorted(found, key=lambda row: (-abs(row.change), -_size(row), row.family)))


def _size(row: FamilyCount) -> int:
    return row.gained + row.lost + row.both + row.neither
